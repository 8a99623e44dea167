"""Networks from anyone, each of which is verified again every time."""
