"""What a tensor of a foreign graph is, in terms of the layer that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Ids", "Seen"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
NOTHING = -1  # the id of a zero that a Pad put in


@dataclass(frozen=True)
class Seen:
    """scale · element + shift, where the elements are outputs of one layer, perhaps moved about.

    source: the number of that layer, from 1; 0 is the image. ids [batch, …]: which element stands where,
    counted in C order through the images and each one's [channels, height, width]; NOTHING for a zero. scale
    and shift have the shape of ids, or are None for 1 and 0. squashed: behind a Softmax or the like, which
    does not change the order of the scores.
    """

    source: int
    ids: Ids
    scale: Floats | None = None
    shift: Floats | None = None
    squashed: str = ""

    @staticmethod
    def of(source: int, batch: int, shape: tuple[int, int, int], rank: int = 4) -> Seen:
        """All outputs of a layer, as maps [batch, channels, height, width] or without the last axes."""
        full = (batch, *shape)
        ids = np.arange(np.prod(full), dtype=np.int64).reshape(full)
        return Seen(source, ids.reshape(_shape(full, rank)))

    def moved(self, move: Callable[[NDArray[np.generic]], NDArray[np.generic]]) -> Seen:
        """The same elements in other places; places that are filled anew hold NOTHING."""
        ids = np.asarray(move(self.ids + 1), np.int64) - 1
        scale, shift = (
            None if a is None else np.asarray(move(a), np.float64) for a in (self.scale, self.shift)
        )
        return replace(self, ids=ids, scale=scale, shift=shift)

    def changed(self, factor: Floats | float, term: Floats | float) -> Seen:
        """factor · self + term, which may have to be stretched to one shape."""
        scale = (1.0 if self.scale is None else self.scale) * factor
        shift = (0.0 if self.shift is None else self.shift) * factor + term
        shape = np.broadcast_shapes(self.ids.shape, np.shape(scale), np.shape(shift))
        ids, scale, shift = (np.broadcast_to(a, shape) for a in (self.ids, scale, shift))
        return replace(self, ids=ids, scale=scale, shift=shift)

    def maps(self) -> Seen:
        """With four axes: [batch, channels, length] has height 1, [batch, numbers] has maps of one pixel."""
        batch, *rest = self.ids.shape
        if len(rest) == 1:
            full = (batch, *rest, 1, 1)
        elif len(rest) == 2:
            full = (batch, rest[0], 1, rest[1])
        else:
            full = (batch, *rest)
        return self.moved(lambda array: array.reshape(full))

    def whole(self, shape: tuple[int, int, int]) -> tuple[Ids, Floats, Floats] | None:
        """(ids of the first image, its scale and shift by element [channels, height, width]), or None where
        images are mixed or an element has two scales.
        """
        batch, size = len(self.ids), int(np.prod(shape))
        first = self.ids[0].ravel()
        offsets = np.arange(batch).reshape(-1, 1) * size
        expected = np.where(first[None] == NOTHING, NOTHING, first[None] + offsets)
        if first.max(initial=0) >= size or not np.array_equal(self.ids.reshape(batch, -1), expected):
            return None
        real = first != NOTHING
        if self.shift is not None and self.shift[0].ravel()[~real].any():  # a border that is not 0
            return None
        found = []
        for values, default in ((self.scale, 1.0), (self.shift, 0.0)):
            full = np.full(size, default)
            if values is not None:
                own = values[0].ravel()[real]
                full[first[real]] = own
                if not np.array_equal(full[first[real]], own):
                    return None
            found.append(full.reshape(shape))
        return self.ids[0], found[0], found[1]


def _shape(full: tuple[int, ...], rank: int) -> tuple[int, ...]:
    batch, channels, height, width = full
    return {4: full, 3: (batch, channels, height * width), 2: (batch, channels * height * width)}[rank]
