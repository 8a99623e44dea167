"""Figures of a training while it runs, for TensorBoard. Off unless the environment has GOLF_WATCH=1.

No result depends on it: it is no setting, and what it writes, in .golf/watch/STAGE/PIECE, is never read back.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

__all__ = ["note"]

FOLDER = Path(".golf/watch")


def note(stage: str, piece: str, step: int, **figures: float) -> None:
    """Write figures of one step of a piece, each by its name. It takes tensorboardX."""
    if os.environ.get("GOLF_WATCH", "0") != "0":
        writer = _writer(stage, piece.replace(" ", "-"))
        for name, value in figures.items():
            writer.add_scalar(name, value, step)
        writer.flush()


@functools.cache
def _writer(stage: str, piece: str) -> Any:
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(FOLDER / stage / piece))
