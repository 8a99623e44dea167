"""Files that stand for an ONNX file. The referee unpacks them in its sandbox and judges what comes out.

Their format is not the referee's own: `packed` makes an ONNX file of one, and what it makes is treated as a
stranger's file. Besides `base`, this is all of the project that the referee imports.
"""

from __future__ import annotations

import os
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.packed import SUFFIX
from neural_golf.packed.graph import to_onnx
from neural_golf.referee.rules import Refused

__all__ = ["SUFFIX", "is_packed", "unpacked"]


def is_packed(path: str | os.PathLike[str]) -> bool:
    """Whether a file stands for an ONNX file, by its name."""
    return Path(path).suffix == SUFFIX


def unpacked(content: bytes) -> bytes:
    """The ONNX file that a `.golf` file stands for. Raises Refused for whatever is none."""
    try:
        return to_onnx(content)
    except GolfError as error:
        raise Refused(ascii(str(error))[1:-1][:1000]) from error
