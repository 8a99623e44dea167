"""The one exception a user sees: what is wrong and what to do, in one line."""

__all__ = ["GolfError"]


class GolfError(Exception):
    """Bad input. `golf` prints the message as one line on stderr and exits with 1."""
