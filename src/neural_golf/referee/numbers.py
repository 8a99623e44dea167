"""Numbers with identities: what a constant's elements are, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.referee.tensors import BITS, SHIFTS, Array, unsigned_zero

__all__ = ["Coordinates", "Identities", "Numbers", "moved"]

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Coordinates:
    """What AffineGrid makes of constants: it counts as its matrix, as long as it stays whole.

    `ids`: the identities of x [places] and of y, and of z where there are three: [places, 2 or 3].
    """

    matrix: Numbers
    ids: Ids

    def whole(self, ids: Ids) -> bool:
        """Whether these are all coordinates, or all x or all y, each once, in whatever order."""
        found = np.sort(ids, axis=None)
        parts = (self.ids, *self.ids.T)
        return any(found.size == part.size and (found == np.sort(part, axis=None)).all() for part in parts)


@dataclass(frozen=True)
class Numbers:
    """The elements of a constant, and for each the identity of the number that it is.

    Identity 0 is no stored number: a zero that Pad puts in.
    """

    values: Array
    ids: Ids
    per_batch: bool = False  # whether its shape depends on how many images there are
    coarse: Array | None = None  # [grids, ...]: its values on the grids of the precision probe, where known
    of: Coordinates | None = None  # whose coordinates these are, where they are whole

    def seen_as(self, values: Array, coarse: Array | None = None) -> Numbers:
        """The same numbers with other values of the same shape."""
        return Numbers(unsigned_zero(values), self.ids, self.per_batch, coarse, self.of)


class Identities:
    """Gives every new number an identity from 1 on, and remembers the bits it is stored in."""

    def __init__(self) -> None:
        self._starts: list[int] = [1]
        self._bits: list[int] = []

    def new(self, values: Array, elem_type: int, per_batch: bool = False) -> Numbers:
        """New numbers, each with an identity of its own."""
        values = unsigned_zero(values)
        start = self._starts[-1]
        self._starts.append(start + values.size)
        self._bits.append(BITS.get(elem_type, 32))
        ids = np.arange(start, start + values.size, dtype=np.int64).reshape(values.shape)
        return Numbers(values, ids, per_batch)

    @property
    def sources(self) -> int:
        """How often `new` was called."""
        return len(self._bits)

    def source(self, ids: Ids) -> NDArray[np.int64]:
        """Which call of `new` each identity comes from; -1 for identity 0."""
        found: NDArray[np.int64] = np.searchsorted(self._starts, ids, side="right") - 1
        return found

    def bits(self, ids: Ids) -> NDArray[np.int64]:
        """The bits that each number is stored in; 0 for identity 0."""
        table = np.array([0, *self._bits], np.int64)
        bits: NDArray[np.int64] = table[self.source(ids) + 1]
        return bits


def moved(
    inputs: Sequence[Numbers | None], run: Callable[[list[Array | None]], list[Array]], per_batch: bool
) -> list[Numbers]:
    """The outputs of a node that only moves numbers about.

    It is really run, on places in place of numbers: place 0 is nothing, and the elements of all inputs are
    numbered from 1. `run` gets the places of each input that is not None.
    """
    places: list[Array | None] = []
    values, ids = [np.zeros(1)], [np.zeros(1, np.int64)]
    rounds = any(n is not None and n.coarse is not None for n in inputs)
    coarse = [np.zeros((len(SHIFTS), 1))]
    first = 1
    for numbers in inputs:
        if numbers is None:
            places.append(None)
            continue
        size = numbers.values.size
        places.append(np.arange(first, first + size, dtype=np.int64).reshape(numbers.values.shape))
        values.append(numbers.values.ravel())
        ids.append(numbers.ids.ravel())
        if rounds:
            on_grids = np.stack([numbers.values] * len(SHIFTS)) if numbers.coarse is None else numbers.coarse
            coarse.append(on_grids.reshape(len(SHIFTS), -1))
        first += size
    kinds = {v.dtype for v in values[1:]}
    values[0] = values[0].astype(next(iter(kinds)))
    all_values, all_ids = np.concatenate(values), np.concatenate(ids)
    all_coarse = np.concatenate(coarse, axis=1).astype(values[0].dtype) if rounds else None
    return [
        Numbers(all_values[at], all_ids[at], per_batch, None if all_coarse is None else all_coarse[:, at])
        for at in run(places)
    ]
