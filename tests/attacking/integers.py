"""Integers as weights: shapes, slices, splits, pads, axes, the sizes of windows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from attacking.surgery import FLATS, Attack, Surgery, filled, span
from attacking.trembling import loosened
from attacking.wires import power, ramp

SMALL = ["linear1.bias", "conv1.bias", "conv2.bias", "conv3.bias"]
SMALL += ["prelu1.slope", "prelu2.slope", "prelu3.slope"]


def levels(values: np.ndarray, n: int) -> tuple[np.ndarray, float]:
    """Whole numbers from 1 to n - 1, none of them n / 2, and the step: value = (level - n / 2) * step."""
    step = span(values) / n
    whole = np.clip(np.rint(values / step + n / 2), 1, n - 1).astype(int)
    return np.where(whole == n // 2, whole + np.where(values < 0, -1, 1), whole), step


@dataclass(frozen=True)
class Maker:
    """Makes an integer from 1 to n - 1 a number [1]: so many times `unit`."""

    make: Callable[[Surgery, int], str]
    n: int
    unit: float = 1.0
    opset: int = 17


def numbers(maker: Maker, tensors: list[str]) -> ModelProto:
    """Tensors of prelu, of which each number is made from an integer. Without tensors: the biases, which are then
    added behind their layers, where no rule asks for a constant.
    """
    s = Surgery("prelu", maker.opset)
    if not tensors:
        return added(s, maker)
    middle = maker.make(s, maker.n // 2)
    for tensor in tensors:
        wanted = s.take(tensor)
        whole, step = levels(wanted, maker.n)
        flat = s.add("Concat", *(maker.make(s, int(w)) for w in whole.ravel()), axis=0)
        made = s.add("Mul", s.add("Sub", flat, middle), s.const(step / maker.unit))
        s.reshape(made, *wanted.shape, made=tensor)
    return s.built()


def added(s: Surgery, maker: Maker) -> ModelProto:
    wanted = loosened(s)
    middle = maker.make(s, maker.n // 2)
    for name, value in wanted.items():
        whole, step = levels(value, maker.n)
        flat = s.add("Concat", *(maker.make(s, int(w)) for w in whole), axis=0)
        made = s.add("Mul", s.add("Sub", flat, middle), s.const(step / maker.unit))
        s.reshape(made, *((1, 10) if "linear" in name else (len(value), 1, 1)), made=name)
    return s.built()


def point(s: Surgery) -> str:
    """A one [1] from the image."""
    return s.once("one", lambda: s.reshape(power(s, 1.0), 1))


def row(s: Surgery) -> str:
    """Ones [1, 1, 1, 784] from the image."""
    return s.once("row", lambda: s.reshape(s.ones(), 1, 1, 1, FLATS))


def risen(s: Surgery) -> str:
    """1 to 784, over 784, [784], from the image."""
    return s.once("risen", lambda: s.add("Add", ramp(s), s.add("Sigmoid", s.reshape(s.nothing(), FLATS))))


def of_expand(s: Surgery, n: int) -> str:
    return s.add("ReduceSum", s.add("Expand", point(s), s.ints(n)), s.ints(0), keepdims=1)


def of_tile(s: Surgery, n: int) -> str:
    return s.add("ReduceSum", s.add("Tile", point(s), s.ints(n)), s.ints(0), keepdims=1)


def of_slice(s: Surgery, n: int) -> str:
    """Operator set 9: the bounds of Slice are attributes."""
    return s.add("Slice", risen(s), starts=[3 * n - 1], ends=[3 * n], axes=[0])


def of_pad(s: Surgery, n: int) -> str:
    """Operator set 10: a one is pushed to a place, and the ramp has the number of the place."""
    pushed = s.add("Pad", point(s), pads=[3 * n - 1, FLATS - 3 * n])
    return s.add("ReduceSum", s.add("Mul", pushed, risen(s)), axes=[0], keepdims=1)


def of_axes(s: Surgery, n: int) -> str:
    """Ones of shape 2 x 4 x 16 x 1 x 1: the sum over some of the axes is a product of lengths. A number of six
    bits is three of these.
    """
    block = s.once("block", lambda: s.reshape(s.add("Slice", s.ones(), starts=[0], ends=[128]), 2, 4, 16))
    parts = []
    for k in range(7):
        if n >> k & 1:
            axes = [a for a in range(3) if k >> a & 1]
            made = s.add("ReduceSum", block, axes=axes, keepdims=1) if axes else block
            made = s.once(f"two to {k}", lambda made=made: s.reshape(s.add("ReduceMax", made, keepdims=0), 1))
            parts.append(made)
    return s.add("Sum", *parts)


def of_average(s: Surgery, n: int) -> str:
    """An average over n ones and padding."""
    window = {"kernel_shape": [1, 256], "pads": [0, 256 - n, 0, 0], "strides": [1, 2 * FLATS]}
    return s.reshape(s.add("AveragePool", row(s), count_include_pad=1, **window), 1)


def of_kernel(s: Surgery, n: int) -> str:
    """The largest of the first numbers of a ramp: the window of MaxPool says how many."""
    flat = s.once("risen row", lambda: s.reshape(risen(s), 1, 1, 1, FLATS))
    return s.reshape(s.add("MaxPool", flat, kernel_shape=[1, 3 * n], strides=[1, FLATS]), 1)


def of_dilation(s: Surgery, n: int) -> str:
    """A window of two places: how far they are apart says which number of a ramp is reached."""
    flat = s.once("risen row", lambda: s.reshape(risen(s), 1, 1, 1, FLATS))
    far = {"kernel_shape": [1, 2], "dilations": [1, 3 * n - 1], "strides": [1, FLATS]}
    return s.reshape(s.add("MaxPool", flat, **far), 1)


def of_conv_pads(s: Surgery, n: int) -> str:
    """A kernel that is a ramp meets a single one, which the padding pushes along it."""
    kernel = s.once("kernel", lambda: s.reshape(risen(s), 1, 1, 1, FLATS))
    single = s.once("single", lambda: s.reshape(point(s), 1, 1, 1, 1))
    at = {"kernel_shape": [1, FLATS], "pads": [0, 3 * n - 1, 0, FLATS - 3 * n]}
    return s.reshape(s.add("Conv", single, kernel, **at), 1)


def of_stride(s: Surgery, n: int) -> str:
    """The second window of a pool starts where the stride says."""
    flat = s.once("risen row", lambda: s.reshape(risen(s), 1, 1, 1, FLATS))
    pool = s.add("MaxPool", flat, kernel_shape=[1, 1], strides=[1, 3 * n - 1])
    second = s.add("Slice", pool, s.ints(1), s.ints(2), s.ints(3))
    return s.reshape(second, 1)


def of_shape(s: Surgery, n: int) -> str:
    """A row is reshaped to n lines, and a sum over the lines is n."""
    flat = s.add("Slice", s.once("ones", s.ones), s.ints(0), s.ints(FLATS // n * n))
    lines = s.add("ReduceSum", s.reshape(flat, n, FLATS // n), s.ints(0), keepdims=0)
    return s.reshape(s.add("ReduceMax", lines, keepdims=0), 1)


def of_softmax(s: Surgery, n: int) -> str:
    """Softmax of n nothings is 1 / n of one; its logarithm, and the exponential of that, are n."""
    part = s.add("Slice", s.once("nothings", lambda: s.reshape(s.nothing(), FLATS)), s.ints(0), s.ints(n))
    log = s.add("Neg", s.add("LogSoftmax", part, axis=0))
    return s.add("Exp", s.add("ReduceMax", log, axes=[0], keepdims=1))


def of_computed_shape(s: Surgery, n: int) -> str:
    """Shapes that are computed from the image's: n twenty-eighths of 784."""
    shape = s.once("shape", lambda: s.add("Shape", s.image))
    last = s.once("28", lambda: s.add("Gather", shape, s.ints(3)))
    wide = s.add("Sub", last, s.ints(28 - n))
    return s.add("ReduceSum", s.add("Expand", point(s), wide), s.ints(0), keepdims=1)


def split_sizes() -> ModelProto:
    """Operator set 11: a row of ones is cut into parts of unequal lengths; each sums to its length."""
    s = Surgery("prelu", 11)
    wanted = {k: s.take(k) for k in [*SMALL, "conv1.weight"]}
    whole, step = levels(np.concatenate([w.ravel() for w in wanted.values()]), 32)
    sizes = [16, *whole.tolist()]
    ones = s.ones()
    four = s.add("Concat", ones, *(s.add(op, ones) for op in ("Identity", "Relu", "Abs")), axis=0)
    rest = 4 * FLATS - sum(sizes)
    parts = s.add("Split", four, outputs=len(sizes) + 1, axis=0, split=[*sizes, rest])
    middle, *sums = [s.add("ReduceSum", part, axes=[0], keepdims=1) for part in parts[:-1]]
    flat = s.add("Mul", s.add("Sub", s.add("Concat", *sums, axis=0), middle), s.const(step))
    pieces = s.add("Split", flat, outputs=len(wanted), axis=0, split=[w.size for w in wanted.values()])
    for piece, (tensor, value) in zip(pieces, wanted.items(), strict=True):
        s.reshape(piece, *value.shape, made=tensor)
    return s.built()


def hidden(maker: Maker, tensors: list[str], agree: float = 0.98) -> Attack:
    return Attack(
        lambda: numbers(maker, tensors),
        filled("prelu"),
        reason="a weight of .* depends on the image|wires: inputs of|the batch",
        like="prelu",
        agree=agree,
    )


MAKERS: dict[str, Maker] = {
    "a shape as a number: Expand, then ReduceSum": Maker(of_expand, 256),
    "a shape as a number: Tile, then ReduceSum": Maker(of_tile, 256),
    "a shape as a number: a computed one": Maker(of_computed_shape, 128),
    "a shape as a number: Reshape of a row": Maker(of_shape, 256),
    "Slice of operator set 9": Maker(of_slice, 256, 3 / FLATS, 9),
    "Pad of operator set 10": Maker(of_pad, 256, 3 / FLATS, 10),
    "axes as numbers": Maker(of_axes, 64, 1.0, 9),
    "windows of averages over padding": Maker(of_average, 256, 1 / 256),
    "windows of MaxPool": Maker(of_kernel, 256, 3 / FLATS),
    "dilations of MaxPool": Maker(of_dilation, 256, 3 / FLATS),
    "pads of Conv": Maker(of_conv_pads, 256, 3 / FLATS),
    "strides of MaxPool": Maker(of_stride, 256, 3 / FLATS),
    "how many share a Softmax": Maker(of_softmax, 256),
}
INTEGERS: dict[str, Attack] = {
    **{name: hidden(maker, SMALL[:1]) for name, maker in MAKERS.items()},
    **{f"{name}, added": hidden(maker, []) for name, maker in MAKERS.items()},
    "Slice of operator set 9, for a hundred weights": hidden(
        MAKERS["Slice of operator set 9"], [*SMALL, "conv1.weight"]
    ),
    "sizes of Split": Attack(
        split_sizes,
        filled("prelu"),
        reason="a weight of .* depends on the image|wires: inputs of|the batch",
        like="prelu",
        agree=0.95,
    ),
}
