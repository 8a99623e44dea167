"""The exceptions that a user sees: they say in one line what is wrong and what to do."""

__all__ = ["GolfError", "NoResult"]


class GolfError(Exception):
    """The input is wrong. `golf` prints the message as one line on stderr and exits with 1."""


class NoResult(GolfError):
    """These settings lead to nothing: training diverged, or there is no such network. A study goes on."""
