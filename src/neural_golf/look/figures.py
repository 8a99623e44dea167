"""Figures as files: light ones as SVG, dense ones as small pictures. The bytes depend only on the picture."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neural_golf.base.files import write_bytes
from neural_golf.look.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["save_figure"]

DPI = 100  # of pictures
GREYS = 8  # in a picture's palette, besides the style's colours and their tints


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as its file's name ends: .svg, or .png with a palette. No date, no version."""
    buffer = io.BytesIO()
    if path.suffix == ".svg":
        figure.savefig(
            buffer,
            format="svg",
            bbox_inches="tight",
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
        # A tenth of a point is enough for a place; labels have fewer than four decimals.
        write_bytes(path, re.sub(rb"(\.\d)\d{3,}", rb"\1", buffer.getvalue()))
        return
    from PIL import Image  # Matplotlib brings it

    figure.savefig(buffer, format="png", bbox_inches="tight", dpi=DPI)
    few = Image.new("P", (1, 1))
    few.putpalette(palette())
    pixels = np.array(Image.open(buffer).convert("RGB"))
    grey = (pixels == pixels[..., :1]).all(axis=2)  # stays grey, though a tint may be nearer
    pixels[grey] = np.round(np.round(pixels[grey] / 255 * (GREYS - 1)) / (GREYS - 1) * 255)
    picture = Image.fromarray(pixels).quantize(palette=few, dither=Image.Dither.NONE)
    small = io.BytesIO()
    picture.save(small, format="png", optimize=True)
    write_bytes(path, small.getvalue())


def palette() -> list[int]:
    """Sixteen colours, red, green and blue of each: so a pixel is four bits, the same in every picture."""
    from matplotlib.colors import to_rgb

    solid = [to_rgb(colour) for colour in COLOURS]
    tints = [tuple((1 + part) / 2 for part in colour) for colour in solid]
    greys = [(level / (GREYS - 1),) * 3 for level in range(GREYS)]
    return [round(255 * part) for colour in (*greys, *solid, *tints) for part in colour]
