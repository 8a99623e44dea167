"""The one exception that a user sees: it says in one line what is wrong and what to do."""

__all__ = ["GolfError"]


class GolfError(Exception):
    """The input is wrong. `golf` prints the message as one line on stderr and exits with 1."""
