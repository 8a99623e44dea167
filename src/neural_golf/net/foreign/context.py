"""One node of a foreign graph with all that it reads, for the functions that make a layer of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from neural_golf.net.foreign.building import Building
from neural_golf.net.foreign.model import Array, Model, UnknownLayer, attribute
from neural_golf.net.foreign.seen import Floats, Seen

__all__ = ["Context", "Reader", "pads", "sides"]


@dataclass(frozen=True)
class Context:
    """One node, and what it reads."""

    model: Model
    building: Building
    node: onnx.NodeProto
    inputs: list[Seen | Array | None]
    what: str  # the node, in words

    def get(self, name: str, default: Any = None) -> Any:
        return attribute(self.node, name, default)

    def constant(self, place: int) -> Array | None:
        """The constant at a place of the inputs, None where there is none. Raises UnknownLayer for the
        other.
        """
        found = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(found, Seen):
            raise self.unknown("has weights that depend on the image")
        return found

    def numbers(self, place: int) -> Floats:
        found = self.constant(place)
        if found is None:
            raise self.unknown("lacks an input")
        return found.astype(np.float64)

    def unknown(self, why: str) -> UnknownLayer:
        return UnknownLayer(f"{self.what} {why}")

    def built(self, x: Seen, rank: int) -> Seen:
        """The output of the layer that was just added, with as many axes as the node's input had."""
        made = self.building.seen(4)
        full = made.ids.shape
        if rank == 3:
            return made.moved(lambda a: a.reshape(full[0], full[1], full[2] * full[3]))
        return self.building.seen(rank) if rank in (2, 4) else made


Reader = Callable[[Context, Seen], Seen]


def sides(both: Sequence[int]) -> str:
    """Two numbers, down and across, as a spec writes them."""
    return str(both[0]) if both[0] == both[1] else f"{both[0]}x{both[1]}"


def pads(
    c: Context, extent: tuple[int, ...], size: list[int], steps: list[int], rank: int
) -> tuple[int, ...]:
    """Of a window that moves over maps: (top, left, bottom, right), whatever way the node says it."""
    how = c.get("auto_pad", "NOTSET")
    if how == "VALID":
        return (0, 0, 0, 0)
    if how.startswith("SAME"):
        first, second = [], []
        for side, reach, step in zip(extent, size, steps, strict=True):
            total = max(0, (-(-side // step) - 1) * step + reach - side)
            less, more = total // 2, total - total // 2
            first.append(less if how == "SAME_UPPER" else more)
            second.append(more if how == "SAME_UPPER" else less)
        return (*first, *second)
    told = list(c.get("pads") or [0] * 2 * (rank - 2))
    return (0, told[0], 0, told[1]) if rank == 3 else tuple(told)
