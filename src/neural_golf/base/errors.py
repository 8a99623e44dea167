"""The exceptions that a user sees: they say in one line what is wrong and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["GolfError", "NoResult", "diverging"]


class GolfError(Exception):
    """The input is wrong. `golf` prints the message as one line on stderr and exits with 1."""


class NoResult(GolfError):
    """These settings lead to nothing: training diverged, or there is no such network. A study goes on."""


@contextmanager
def diverging(what: str) -> Iterator[None]:
    """Raise NoResult, which says `what` diverged, where the engine finds that the loss is no number."""
    try:
        yield
    except GolfError as error:
        if "no longer a finite number" not in str(error):  # the core has one kind of error
            raise
        raise NoResult(f"{what}: lower the learning rate") from None
