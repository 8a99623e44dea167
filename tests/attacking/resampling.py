"""AffineGrid and GridSample as sources of numbers: ramps, sizes, tables, and roundings. Operator set 20."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto

from attacking.integers import Maker, hidden
from attacking.packing import digits
from attacking.surgery import FLATS, Attack, Surgery, filled, span
from attacking.trembling import loosened, wire

PRELU = filled("prelu")
HALF = [[[0.5, 0, 0], [0, 0, 0]]]  # x / 2, and nothing


def nothing(s: Surgery) -> str:
    """A zero [1] from something that cancels."""
    return s.once("nothing", lambda: s.add("ReduceMax", s.reshape(s.nothing_of(s.image), -1), s.ints(0)))


def one(s: Surgery) -> str:
    """A one [1] from the image."""
    return s.once("one", lambda: s.add("Exp", nothing(s)))


def split(s: Surgery, name: str, parts: int, axis: int) -> list[str]:
    return list(s.add("Split", name, outputs=parts, axis=axis, num_outputs=parts))


def ramp(s: Surgery, matrix: str) -> str:
    """The x [1, 784] that AffineGrid makes of a matrix."""
    grid = s.add("AffineGrid", matrix, s.ints(1, 1, 1, FLATS))
    return s.reshape(split(s, grid, 2, 3)[0], 1, FLATS)


def stored(s: Surgery) -> str:
    return s.const(HALF)


def from_the_image(s: Surgery) -> str:
    return s.add("Mul", s.const(HALF), one(s))


def trembling(s: Surgery) -> str:
    ink = s.reshape(s.add("GlobalAveragePool", s.image), -1)
    least = s.add("ReduceMin", ink, s.ints(0))
    return s.add("Mul", s.const(HALF), s.add("Exp", s.add("Mul", least, s.const([0.01]))))


def biases(matrix: Callable[[Surgery], str]) -> ModelProto:
    """The biases of prelu are pieces of a ramp."""
    s = Surgery("prelu", 20)
    wanted = loosened(s)
    wire(s, split(s, ramp(s, matrix(s)), FLATS, 1), wanted)
    return s.built()


def wired() -> ModelProto:
    """Every weight of prelu is a piece of a ramp of coordinates."""
    s = Surgery("prelu", 20)
    pieces = split(s, ramp(s, stored(s)), FLATS, 1)
    for tensor in s.tensors:
        wanted = s.take(tensor)
        wide = span(wanted)
        places = np.rint((wanted / wide + 0.5) * FLATS - 0.5).astype(int).ravel()
        flat = s.add("Concat", *(pieces[j] for j in places), axis=1)
        while wide > 1:
            flat, wide = s.add("Add", flat, flat), wide / 2
        s.reshape(flat, *wanted.shape, made=tensor)
    return s.built()


def of_size(s: Surgery, n: int) -> str:
    """A matrix that makes n ones, which are added up."""
    matrix = s.once("ones", lambda: s.add("Mul", s.const([[[0, 0, 1.0], [0, 0, 0]]]), one(s)))
    grid = s.add("AffineGrid", matrix, s.ints(1, 1, 1, n))
    return s.add("ReduceSum", s.reshape(grid, -1), s.ints(0), keepdims=1)


SIZES = Maker(of_size, 256, 1.0, 20)


def looked_up(beside: bool) -> ModelProto:
    """Every weight of prelu is looked up in a table of 32 numbers, at a place that the image moves by nothing.

    beside: the table stands below the image, so that what is read is no constant.
    """
    s = Surgery("prelu", 20)
    wanted = {k: s.take(k) for k in s.tensors}
    every = np.concatenate([w.ravel() for w in wanted.values()])
    book = np.quantile(every, (np.arange(32) + 0.5) / 32)
    for _ in range(30):  # Lloyd's algorithm
        nearest = np.abs(every[:, None] - book).argmin(1)
        book = np.array([every[nearest == j].mean() if (nearest == j).any() else book[j] for j in range(32)])
    places = (2 * np.abs(every[:, None] - book).argmin(1) + 1) / 32 - 1
    table, y = s.const(book.reshape(1, 1, 1, 32)), 0.0
    if beside:
        image = s.add("ReduceMean", s.image, s.ints(0))
        padded = s.add("Concat", image, s.const(np.zeros((1, 1, 28, 4))), axis=3)
        table = s.add("Concat", padded, table, axis=2)
        y = 2 * 28.5 / 29 - 1
    x = s.add("Add", s.const(places.reshape(1, 1, -1, 1)), s.reshape(nothing(s), 1, 1, 1, 1))
    flat_y = s.add("Expand", s.const(np.full((1, 1, 1, 1), y)), s.ints(1, 1, len(every), 1))
    grid = s.add("Concat", x, s.add("Add", flat_y, s.reshape(nothing(s), 1, 1, 1, 1)), axis=3)
    flat = s.reshape(s.add("GridSample", table, grid), -1)
    start = 0
    for name, w in wanted.items():
        part = s.add("Slice", flat, s.ints(start), s.ints(start + w.size))
        s.reshape(part, *w.shape, made=name)
        start += w.size
    return s.built()


def taken_apart(how: str) -> ModelProto:
    """Two weights of the last layer in one stored number, of 64 levels each: `reflection` folds the number, which
    leaves its fraction, and `nearest` rounds it.
    """
    s = Surgery("prelu", 20)
    weight = s.take("linear1.weight")
    whole, step = digits(weight.ravel(), 31)
    first, second = whole[:180] + 32, whole[180:] + 32  # 1 to 63
    if how == "reflection":  # from 0 to 1, and back, and forth
        numbers = first + np.where(first % 2 == 0, second, 64 - second) / 64
        zero, full = (s.reshape(part, 1, 1, 1, 1) for part in (nothing(s), one(s)))
        table, options = (
            s.add("Concat", zero, full, axis=3),
            {"padding_mode": "reflection", "align_corners": 1},
        )
        scale, offset = 0.5, 0.5
    else:  # from 0 to 63
        numbers = first + second / 64 - 0.5
        matrix = s.add("Mul", s.const([[[32, 0, 31.5], [0, 0, 0]]]), one(s))
        table = s.reshape(split(s, s.add("AffineGrid", matrix, s.ints(1, 1, 1, 64)), 2, 3)[0], 1, 1, 1, 64)
        options, scale, offset = {"mode": "nearest"}, 32.0, 31.5
    x = s.const(((numbers - offset) / scale).reshape(1, 1, -1, 1))
    grid = s.add("Concat", x, s.const(np.zeros((1, 1, 180, 1))), axis=3)
    read = s.add("Add", s.reshape(s.add("GridSample", table, grid, **options), -1), nothing(s))
    number = s.add("Add", s.add("Mul", s.reshape(x, -1), s.const([scale])), s.const([offset]))
    if how == "reflection":
        high, fraction = s.add("Add", s.add("Sub", number, s.const([0.5])), nothing(s)), read
    else:
        high, fraction = read, s.add("Add", s.add("Sub", number, read), s.const([0.5]))
    low = s.add("Mul", fraction, s.const([64.0]))
    both = s.add("Sub", s.add("Concat", high, low, axis=0), s.const([32.0]))
    s.reshape(s.add("Mul", both, s.const([step])), *weight.shape, made="linear1.weight")
    return s.built()


RESAMPLING: dict[str, Attack] = {
    "coordinates, every weight a wire": Attack(
        wired, PRELU, reason="more than once|wires: inputs of", like="prelu", agree=0.98
    ),
    "biases from coordinates": Attack(lambda: biases(stored), PRELU, like="prelu"),
    "biases from coordinates of an image's matrix": Attack(
        lambda: biases(from_the_image), PRELU, like="prelu"
    ),
    "biases from coordinates that tremble": Attack(lambda: biases(trembling), PRELU, like="prelu"),
    "sizes of AffineGrid": hidden(SIZES, ["linear1.bias"]),
    "sizes of AffineGrid, added": hidden(SIZES, []),
    "a table and places that the image moves": Attack(
        lambda: looked_up(False), PRELU, reason="looks up stored numbers", like="prelu", agree=0.9
    ),
    "a table below the image": Attack(
        lambda: looked_up(True), PRELU, reason="a weight of .* depends on the image", like="prelu", agree=0.9
    ),
    "reflection takes numbers apart": Attack(
        lambda: taken_apart("reflection"), PRELU, reason="the padding_mode of", like="prelu", agree=0.97
    ),
    "nearest rounds numbers": Attack(
        lambda: taken_apart("nearest"), PRELU, reason="the mode of", like="prelu", agree=0.97
    ),
}
