"""The counting rule: how many numbers meet the image.

`inspect` reads and folds a model; `count` adds up. docs/rules.md says the same in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.referee.folding import Folded, fold
from neural_golf.referee.numbers import Numbers
from neural_golf.referee.products import products
from neural_golf.referee.reading import read
from neural_golf.referee.rules import LIMITS, Limits
from neural_golf.referee.tensors import NARROW, SIGNIFICANT, Array
from neural_golf.referee.walls import shape_positions

__all__ = ["MADE", "Count", "add_up", "count", "inspect", "meetings"]

MADE = "constants made from the image"

# Which input is the zero point of a quantised one.
_ZERO_POINTS: Mapping[str, Mapping[int, int]] = {
    "QLinearConv": {0: 2, 3: 5},
    "QLinearMatMul": {0: 2, 3: 5},
    "ConvInteger": {0: 2, 1: 3},
    "MatMulInteger": {0: 2, 1: 3},
}
# Inputs that no image meets: an index is an integer, and a Dropout does nothing outside training.
_MEETS_NOTHING: Mapping[str, set[int]] = {"Gather": {1}, "Dropout": {1, 2}}


@dataclass(frozen=True)
class Count:
    """What is counted of a network. `parts` says what the non-zero parameters are made of."""

    parameters: int
    nonzero: int
    bits: int
    nodes: int
    operators: dict[str, int]
    integers: int  # of shapes, kernels, pads and slices, which are free
    parts: dict[str, int]
    halves: int = 0  # numbers of 8 bits or fewer that do not fit into 4
    flags: tuple[str, ...] = ()
    division: Literal["plain", "open"] = "plain"  # open: it reads images where the image says


def count(model: onnx.ModelProto, limits: Limits = LIMITS) -> Count:
    """What can be counted of a model without images. Raises Refused where the rules forbid it."""
    return add_up(inspect(model, limits))


def inspect(model: onnx.ModelProto, limits: Limits = LIMITS) -> Folded:
    """A model read and folded. Raises Refused."""
    return fold(read(model, limits), limits)


def meetings(folded: Folded) -> Iterator[tuple[str, Numbers]]:
    """The constants that meet the image, as they count: a quantised one minus its zero point, and coordinates
    as the matrix of their AffineGrid.
    """
    constants = folded.constants
    for node in folded.nodes:
        if all(name in constants for name in node.output if name):  # depends on the number of images only
            continue
        shapes = shape_positions(node, folded.model.opset)
        shapes |= _MEETS_NOTHING.get(node.op_type, set())
        for at, name in enumerate(node.input):
            if name in constants and at not in shapes:
                numbers = _as_it_counts(node, at, constants)
                yield name, numbers.of.matrix if numbers.of else numbers


def _as_it_counts(node: onnx.NodeProto, at: int, constants: Mapping[str, Numbers]) -> Numbers:
    numbers = constants[node.input[at]]
    zero_at = _ZERO_POINTS.get(node.op_type, {}).get(at)
    if zero_at is None or zero_at >= len(node.input) or node.input[zero_at] not in constants:
        return numbers
    zero = constants[node.input[zero_at]].values.astype(np.int64)
    if zero.ndim == 1 and zero.size > 1:  # one for each output: channels first in a Conv, last in a MatMul
        first = "Conv" in node.op_type
        zero = zero.reshape(-1, *[1] * (numbers.values.ndim - 1)) if first else zero
    return numbers.seen_as(numbers.values.astype(np.int64) - zero)


def add_up(folded: Folded, extra: Sequence[Numbers] = (), standing: int = 0) -> Count:
    """The count of a folded model.

    extra: more numbers that meet the image; standing: elements of activations that are constants.
    """
    met = [numbers for _, numbers in meetings(folded)]
    pairs = _distinct([*met, *folded.scales, *extra])
    source = folded.identities.source(pairs[:, 0])
    filled = pairs[:, 1] != 0
    stored = source < folded.stored
    attributes = sum(f != 0 for f in folded.floats)
    multiplied = products(folded)
    parts = {
        "stored": int((filled & stored).sum()),
        "made of constants": int((filled & ~stored).sum()),
        "attributes": attributes,
        "places": folded.places,
        "products of activations": multiplied,
        MADE: standing,
    }
    free = folded.places + multiplied + standing
    return Count(
        parameters=len(pairs) + len(folded.floats) + free,
        nonzero=sum(parts.values()),
        bits=_bits(folded, pairs, source, filled) + 32 * (len(folded.floats) + free),
        nodes=len(folded.model.operators),
        operators=dict(sorted(Counter(folded.model.operators).items())),
        integers=folded.integers,
        parts={name: n for name, n in parts.items() if n},
        halves=_halves(folded, [*met, *folded.scales, *extra]),
        division="open" if any(node.op_type == "GridSample" for node in folded.nodes) else "plain",
    )


def _distinct(met: Sequence[Numbers]) -> NDArray[np.int64]:
    """Distinct pairs [n, 2] of an identity and the bits of its value; a value of 0 is 0 in any sign."""
    found: list[Array] = [np.empty((0, 2), np.int64)]
    for numbers in met:
        values = numbers.values.astype(np.float64) + 0.0  # −0.0 + 0.0 = 0.0
        found.append(np.stack([numbers.ids.ravel(), values.ravel().view(np.int64)], 1))
    pairs = np.unique(np.concatenate(found), axis=0)
    return np.asarray(pairs[pairs[:, 0] != 0], np.int64)


def _halves(folded: Folded, met: Sequence[Numbers]) -> int:
    """Two numbers of 4 bits fit in one of 8: how many numbers of 8 bits or fewer are greater than 4 bits."""
    counted = np.unique(np.concatenate([np.empty(0, np.int64), *(n.ids.ravel() for n in met)]))
    found: set[int] = set()
    for numbers in [*(n for n in met if n.coarse is None), *folded.quantised]:
        bits = folded.identities.bits(numbers.ids)
        large = np.abs(numbers.values.astype(np.float64)) >= 2**SIGNIFICANT
        more = (bits > 0) & (bits <= NARROW) & large & np.isin(numbers.ids, counted)
        found.update(numbers.ids[more].tolist())
    return len(found)


def _bits(folded: Folded, pairs: Array, source: Array, filled: Array) -> int:
    """A tensor without zeros: its elements times their width. With zeros: the others, and a mask."""
    widths = folded.identities.bits(pairs[:, 0])
    total = 0
    for k in np.unique(source):
        here = source == k
        size, kept = int(here.sum()), int((here & filled).sum())
        total += kept * int(widths[here][0]) + (size if kept < size else 0)
    return total
