"""How the commands that judge a file end: their exit codes, and output that may have nowhere to go."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from neural_golf.base.errors import GolfError

__all__ = [
    "ENDS",
    "EXIT_CODES",
    "NO_VERDICT",
    "UNWRITTEN",
    "NoVerdict",
    "close_output",
    "complain",
    "written",
]

EXIT_CODES = {"PASS": 0, "FAIL": 1, "REFUSED": 2}
NO_VERDICT = (
    3  # the challenge or its data cannot be read, the sandbox does not start, the machine is too busy
)
UNWRITTEN = 74  # the output cannot be written: a full disk, a closed pipe
ENDS = (
    "Exit code 0: PASS, 1: FAIL, 2: REFUSED, 3: no verdict, 64: the command is wrongly written, 74: the "
    "verdict cannot be written, 128 and more: a signal."
)


class NoVerdict(GolfError):
    """Nothing was found out about the file, for a reason that is not in it: judge it again."""


def written(text: str) -> bool:
    """Print a text, and say whether it has arrived."""
    if sys.stdout is None:  # it was closed before this process began
        return False
    try:
        print(text, flush=True)
    except (OSError, ValueError):  # ValueError: it is closed
        close_output()
        return False
    return True


def complain(text: str) -> None:
    """Print a line on standard error, if there is one."""
    if sys.stderr is None:
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _silence(sys.stderr)


def close_output() -> None:
    """Let nothing more be printed."""
    _silence(sys.stdout)


def _silence(stream: TextIO | None) -> None:
    """Lose what a stream still holds: the interpreter would try again as it ends, with a code of its own."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno() if stream else -1)
        os.close(null)
