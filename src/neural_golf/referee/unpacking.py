"""Files that stand for an ONNX file. The referee unpacks them in its sandbox and judges what comes out.

Their formats are not the referee's own, so it imports none: it knows the name of the module that unpacks, and
treats what that module makes as a stranger's file.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.referee.rules import Refused

__all__ = ["PACKED", "is_packed", "prepare", "unpacked"]

PACKED: Mapping[str, str] = {".golf": "neural_golf.packed.graph"}  # by suffix: a module with `to_onnx(bytes)`


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether a file stands for an ONNX file, by its name."""
    return Path(path).suffix in PACKED


def prepare() -> None:
    """Import what unpacks, so that no fork has to."""
    for module in PACKED.values():
        importlib.import_module(module)


def unpacked(content: bytes) -> bytes:
    """The ONNX file that a `.golf` file stands for. Raises Refused for whatever is none."""
    try:
        made: bytes = importlib.import_module(PACKED[".golf"]).to_onnx(content)
    except GolfError as error:
        raise Refused(ascii(str(error))[1:-1][:1000]) from error
    return made
