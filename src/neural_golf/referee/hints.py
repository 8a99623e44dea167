"""Hints for a network that fails only because its author had other pixels in mind. Pure numpy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COLOURED", "GREY", "conventions", "hint", "order_hint"]

Pixels = NDArray[np.float32]
Classes = NDArray[np.integer[Any]]
Channels = tuple[float, ...]
CLEARLY = 0.01  # of the images: what another convention must bring before it is worth a word
NEARLY = 0.002  # of the images: what a simpler convention may get less than another
MOSTLY = 0.5  # of the images: what must be right with the classes in another order

# The mean and deviation that tutorials normalise by: MNIST, Fashion-MNIST, and halves; CIFAR-10 and ImageNet.
GREY = ((0.1307, 0.3081), (0.2860, 0.3530), (0.5, 0.5))
COLOURED = (
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    (0.5, 0.5),
)


def conventions(unit: Pixels, raw: bool = False) -> list[tuple[str, Pixels]]:
    """Images [n, channels, height, width] with pixels from 0 to 1, as networks are often trained on them, and
    what was done. The simple ones come first.

    raw: for a network that gets pixels from 0 to 255.
    """
    one, full = np.float32(1), np.float32(255)
    own = unit * full if raw else unit
    normalised = COLOURED if unit.shape[1] == 3 else GREY
    if raw:
        found = [
            ("divided by 255", unit),
            ("inverted", full - own),
            ("inverted and divided by 255", one - unit),
        ]
    else:
        found = [
            ("from 0 to 255", unit * full),
            ("inverted", one - unit),
            ("inverted, from 0 to 255", full - unit * full),
        ]
    found += [(f"normalised by {m} and {s}", _normalised(unit, m, s)) for m, s in normalised]
    found += [
        (f"inverted and normalised by {m} and {s}", _normalised(one - unit, m, s)) for m, s in normalised
    ]
    if unit.shape[2] == unit.shape[3]:
        found.append(("whose rows and columns are exchanged", own.swapaxes(2, 3)))
    return found


def _normalised(unit: Pixels, mean: float | Channels, deviation: float | Channels) -> Pixels:
    m, s = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (mean, deviation))
    return (unit - m) / s


def hint(right: Mapping[str, int], own: int, images: int) -> str | None:
    """A sentence about the convention with the most images right, or a simpler one that is nearly as good, if
    it is clearly better than none.

    right: by convention, simple ones first, of so many `images`; own: with the pixels as they are.
    """
    if not right:
        return None
    best = max(right.values())
    name = next(name for name, n in right.items() if n >= best - NEARLY * images)
    if right[name] - own < CLEARLY * images:
        return None
    scores = f"of {images:,} images it gets {right[name]:,} right with pixels {name}, and {own:,} without"
    return f"{scores}: put that into the graph"


def order_hint(found: Classes, labels: Classes, classes: int) -> str | None:
    """A sentence about a network that tells the classes apart but has them in another order, else None."""
    table = np.zeros((classes, classes), np.int64)  # [answer, label]
    np.add.at(table, (found, labels), 1)
    meant = table.argmax(1)
    right, own = int(table.max(1).sum()), int(np.trace(table))
    clearly = right >= MOSTLY * len(labels) and right - own >= CLEARLY * len(labels)
    if not clearly or len(set(meant.tolist())) < classes:
        return None
    moved = ", ".join(f"{k} for {label}" for k, label in enumerate(meant) if k != label)
    scores = f"it gets {right:,} right with its classes in another order, and {own:,} as they are"
    return f"{scores}: index k must stand for label k, and it has {moved}"
