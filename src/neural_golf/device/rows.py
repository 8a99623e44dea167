"""The table of stages in C: a row for each, and only the columns that this network needs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from neural_golf.device.plan import Stage, kept_rows
from neural_golf.device.tables import Tables, number, put, unsigned
from neural_golf.device.whole import Whole
from neural_golf.net.kind import Sides

__all__ = ["Column", "Rows"]

WINDOWS = ("taps", "largest", "mean")  # as the column `window` counts them


class Column(NamedTuple):
    """A field of a stage in C: its type, its name, what it is in words, and its value in each stage."""

    kind: str
    name: str
    comment: str
    values: list[float]

    def cell(self, stage: int) -> str:
        value = self.values[stage]
        return number(float(value)) if self.kind == "float" else str(round(value))


class Rows:
    """The columns of the table of stages.

    features: which parts of the code are needed (`source`). memory: how many numbers are in memory.
    pairs: how the code names what has two sides, as {"pad": {"h": "pad_h", "w": "pad_w"}}; where both sides
    are the same number in every stage, they share a column.
    """

    def __init__(
        self, stages: Sequence[Stage], tables: Tables, features: dict[str, Any], whole: Whole | None
    ) -> None:
        self.stages, self.tables, self.features, self.whole = stages, tables, features, whole
        self.columns: list[Column] = []
        self.pairs: dict[str, dict[str, str]] = {}
        self._kept = kept_rows(stages)
        ends = np.cumsum([0, *(stage.cells for stage in stages)]).tolist()
        rings = {maker: rows * self._cells(maker + 1) for maker, rows in self._kept.items()}
        self._rings = dict(zip(rings, np.cumsum([ends[-1], *rings.values()]).tolist(), strict=False))
        self.memory = int(ends[-1] + sum(rings.values()))
        self._offset = unsigned([self.memory, len(tables.taps), len(tables.weights), 256])
        self._tables(ends[:-1])
        self._numbers()
        self._shapes()

    def cells(self) -> list[list[str]]:
        """What stands in each row."""
        return [[column.cell(k) for column in self.columns] for k in range(len(self.stages))]

    def _cells(self, stage: int) -> int:
        """Numbers in a row of a stage's input."""
        return self.stages[stage].shape[0] * self.stages[stage].width

    def _add(self, there: object, kind: str, name: str, comment: str, values: Iterable[float]) -> None:
        if there:
            self.columns.append(Column(kind, name, comment, list(values)))

    def _pair(self, there: object, name: str, comment: str, values: Iterable[Sides]) -> None:
        """Rows and columns of something; where it is not there, both are 1."""
        both = list(values)
        if not there:
            self.pairs[name] = {"h": "", "w": ""}
        elif all(down == across for down, across in both):
            self.pairs[name] = {"h": name, "w": name}
            self._add(True, "small", name, comment, (down for down, _ in both))
        else:
            self.pairs[name] = {"h": f"{name}_h", "w": f"{name}_w"}
            self._add(True, "small", f"{name}_h", comment, (down for down, _ in both))
            self._add(True, "small", f"{name}_w", "", (across for _, across in both))

    def _tables(self, starts: list[int]) -> None:
        """Where things begin: memory, tables, and the rows that are kept for a sum."""
        stages, tables, places, offset = self.stages, self.tables, self.tables.places, self._offset
        adds = self.features["adds"]
        self._add(True, offset, "at", "where its input begins in memory", starts)
        self._add(tables.taps, offset, "tap", "where its tables begin", (p["tap"] for p in places))
        self._add(tables.taps, offset, "weight", "", (p["weight"] for p in places))
        alike = "the taps are those of every kernel"
        self._add(self.features["alike"], "small", "alike", alike, (p["alike"] for p in places))
        self._add(tables.biases, "short", "bias", "", (p["bias"] for p in places))
        makers = range(-1, len(stages) - 1)  # of each stage's input
        keep = "where rows of its input are kept for a later sum, and how many"
        self._add(adds, offset, "keep", keep, (self._rings.get(maker, 0) for maker in makers))
        self._add(adds, "small", "keep_rows", "", (self._kept.get(maker, 0) for maker in makers))
        added = "the stage whose kept rows are added to its sums; 0: none"
        self._add(adds, "small", "adds", added, (0 if s.adds is None else s.adds + 1 for s in stages))

    def _numbers(self) -> None:
        """What sums are multiplied with."""
        stages, features, whole = self.stages, self.features, self.whole
        self._slopes()
        self._add(self.tables.unit, "float", "unit", "of its weights", self.tables.units)
        means = features["window_mean"] and not whole
        self._add(means, "float", "share", "of one number in a mean", (_share(s) for s in stages))
        pools = (1 / math.prod(s.pool) if s.pool_mean else 0.0 for s in stages)
        self._add(features["pool_mean"], "float", "pool_share", "", pools)
        norm, border = features["norm"], features["border"]
        lowest = whole.lowest if whole else -3e38
        borders = [lowest if s.op == "largest" else 0 for s in stages]
        if whole:
            self._add(norm, "float", "norm", "of a spread of 1", whole.norms)
            self._add(norm, "float", "epsilon", "", whole.epsilons)
            self._add(True, "short", "factor", "from sums to the next stage's numbers", whole.factors)
            self._add(True, "small", "shift", "", whole.shifts)
            added = whole.added
            self._add(features["adds"], "int", "added", "from the added map's numbers to sums", added)
        else:
            self._add(norm, "small", "norm", "", (int(s.norm is not None) for s in stages))
        self._add(border, "short" if whole else "float", "border", "what lies outside", borders)

    def _slopes(self) -> None:
        stages, places, tables, there = (
            self.stages,
            self.tables.places,
            self.tables,
            self.features["activation"],
        )
        words = "below zero the activation is a product with it"
        slopes = [round(s.slope * 128) if self.whole else float(s.slope) for s in stages]
        if not tables.slopes:
            self._add(there, "short" if self.whole else "float", "slope", words, slopes)
            return
        own = [
            p["slope"] if s.slopes else put(tables.slopes, [slope])
            for s, p, slope in zip(stages, places, slopes, strict=True)
        ]
        self._add(there, "short", "slope", words, own)
        self._add(there, "short", "slope_step", "", (int(s.slopes is not None) for s in stages))

    def _shapes(self) -> None:
        stages, features = self.stages, self.features
        walk, window, orbit, pads = (features[name] for name in ("walk", "window", "orbit", "pads"))
        self._add(True, "small", "channels", "of its input", (s.shape[0] for s in stages))
        self._add(True, "small", "width", "", (s.width for s in stages))
        self._add(True, "small", "rows", "that are in memory", (s.rows for s in stages))
        reach = (max(s.reach, s.down[0]) for s in stages)
        self._add(features["norm"], "small", "reach", "rows that it reads", reach)
        self._pair(pads, "pad", "", (s.pad for s in stages))
        self._add(pads, "small", "height", "of its output", (s.out_shape[1] for s in stages))
        self._pair(walk or window, "kernel", "", (s.kernel for s in stages))
        dilated = any(s.dilation != (1, 1) for s in stages)
        self._pair(walk and dilated, "dilation", "", (s.dilation for s in stages))
        positions = "in how many positions its kernels stand, less 1"
        self._add(orbit, "small", "orbit", positions, (s.orbit - 1 for s in stages))
        self._add(orbit, "small", "among", "and the channels of its input", (s.among - 1 for s in stages))
        there = window and (self.tables.taps or features["window_mean"])
        kinds = "1: the largest of a window, 2: the sum"
        self._add(there, "small", "window", kinds, (WINDOWS.index(s.op) for s in stages))
        moved = any(s.down != (1, 1) for s in stages)
        self._pair(moved, "down", "rows and columns from window to window", (s.down for s in stages))
        self._add(True, "small", "outs", "channels of its output", (s.outs for s in stages))
        self._add(True, "small", "cols", "columns of its sums", (s.cols for s in stages))
        self._pair(features["pool"], "pool", "rows and columns of a pool", (s.pool for s in stages))
        self._pair(features["pool"], "step", "from pool to pool", (s.step for s in stages))
        self._add(True, "small", "out", "columns of its output", (s.out_shape[2] for s in stages))
        following = zip(stages, [*stages[1:], None], strict=True)
        skips = (after.width - s.out_shape[2] if after else 0 for s, after in following)
        self._add(True, "small", "skip", "the rest of a row in the next stage's memory", skips)


def _share(stage: Stage) -> float:
    return 1 / math.prod(stage.kernel) if stage.op == "mean" else 1.0
