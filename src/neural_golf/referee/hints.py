"""Hints for a network that fails only because its author had other pixels in mind. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["conventions", "hint"]

Pixels = NDArray[np.float32]
CLEARLY = 0.01  # of the images: what another convention must bring before it is worth a word

# The mean and deviation that tutorials normalise by: MNIST, Fashion-MNIST, and halves.
_NORMALISED = ((0.1307, 0.3081), (0.2860, 0.3530), (0.5, 0.5))


def conventions(unit: Pixels, raw: bool = False) -> list[tuple[str, Pixels]]:
    """Images [n, ...] with pixels from 0 to 1, as networks are often trained on them, and what was done.

    raw: for a network that gets pixels from 0 to 255.
    """
    one, full = np.float32(1), np.float32(255)
    found = [(f"normalised by {m} and {s}", (unit - np.float32(m)) / np.float32(s)) for m, s in _NORMALISED]
    if raw:
        return [("divided by 255", unit), *found, ("inverted", full - unit * full)]
    return [
        *found,
        ("from 0 to 255", unit * full),
        ("inverted", one - unit),
        ("inverted, from 0 to 255", full - unit * full),
    ]


def hint(right: Mapping[str, int], own: int, images: int) -> str | None:
    """A sentence about the convention with the most images right, if it is clearly better than none.

    right: by convention, of so many `images`; own: with the pixels as they are.
    """
    if not right:
        return None
    name = max(right, key=right.__getitem__)  # the first of equals
    if right[name] - own < CLEARLY * images:
        return None
    scores = f"of {images:,} images it gets {right[name]:,} right with pixels {name}, and {own:,} without"
    return f"{scores}: put that into the graph"
