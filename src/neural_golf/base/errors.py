"""The exceptions that a user sees: they say in one line what is wrong and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["GolfError", "NoResult", "diverging"]


class GolfError(Exception):
    """The input is wrong. `golf` prints the message as one line on stderr and exits with 1."""


class NoResult(GolfError):
    """These settings lead to nothing: training diverged, or there is no such network. A study goes on."""


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
