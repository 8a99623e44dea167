"""The exceptions that a user sees: they say in one line what is wrong and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["GolfError", "NoResult", "diverging", "in_one_line"]


class GolfError(Exception):
    """The input is wrong. `golf` prints the message as one line on stderr and exits with 1."""


class NoResult(GolfError):
    """These settings lead to nothing: training diverged, or there is no such network. A study goes on."""


def in_one_line(error: BaseException, most: int = 300) -> str:
    """What somebody else's error says, in one line of at most `most` characters; its kind if it says nothing.

    >>> in_one_line(ValueError("no\\n  number"))
    'no number'
    >>> in_one_line(KeyboardInterrupt())
    'KeyboardInterrupt'
    """
    return " ".join(str(error).split())[:most] or type(error).__name__


@contextmanager
def diverging(what: str) -> Iterator[None]:
    """Raise NoResult, which says `what` diverged, where the engine finds that the loss is no number, or that
    the parameters or Adam's moments m and v no longer are.
    """
    try:
        yield
    except GolfError as error:
        # The core has one kind of error.
        if not re.search(r"no longer a finite|engine: (parameters|m|v) \d+ is not a finite", str(error)):
            raise
        raise NoResult(f"{what}: lower the learning rate") from None
