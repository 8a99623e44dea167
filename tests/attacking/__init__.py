"""Networks that hide their weights from the referee, each kind in a file. tests/attacks.py has the table."""
