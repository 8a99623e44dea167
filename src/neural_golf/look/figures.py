"""Figures as files: light ones as SVG, dense ones as small pictures; the bytes depend on the picture only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from neural_golf.base.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure"]

DPI = 130  # of pictures: text of 7 points is 13 pixels high
COLOURS = 24  # of a picture's palette


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as its file's name ends: .svg, or .png with a palette. No date, no version."""
    buffer = io.BytesIO()
    if path.suffix == ".svg":
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
        write_bytes(path, buffer.getvalue())
        return
    from PIL import Image  # Matplotlib brings it

    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=DPI)
    picture = Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, format="png", optimize=True)
    write_bytes(path, small.getvalue())
