"""Several weights in one stored number, and what takes them apart again."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.layers import close_layer, open_layer
from attacking.surgery import Attack, F, Surgery, filled

PRELU = filled("prelu")
BASELINE = filled("baseline")


def digits(values: np.ndarray, largest: int) -> tuple[np.ndarray, float]:
    """Whole numbers, none of them zero, so that all still count, and the step."""
    step = float(np.abs(values).max()) / largest
    whole = np.rint(values / step).astype(np.int64)
    return np.where(whole == 0, np.where(values < 0, -1, 1), whole), step


def packed(digit: int, kind: type, hidden: bool) -> ModelProto:
    """All weights of prelu, as many of `digit` bits in a number as fit into 24 bits.

    They are taken apart by adding and subtracting large numbers: what is left is rounded.
    """
    s = Surgery("prelu")
    each, base = 24 // digit, 2**digit
    shapes = {k: s.take(k) for k in s.tensors}
    whole, steps = zip(*(digits(w.ravel(), base // 2 - 1) for w in shapes.values()), strict=True)
    every = np.concatenate(whole)
    n = -(-len(every) // each)
    rows = np.pad(every, (0, n * each - len(every))).reshape(each, n)
    stored = sum(row * base**k for k, row in enumerate(rows))
    if kind is np.int32:
        rest = s.add("DequantizeLinear", s.const(stored, np.int32), s.const(1.0))
    else:
        rest = s.const(stored)
    if hidden:  # something that cancels
        nothing = s.add("ReduceMax", s.nothing(), axes=[0, 1], keepdims=0)
        rest = s.add("Add", rest, nothing)
    found = []
    for k in range(each - 1, 0, -1):
        large = s.const(1.5 * 2.0**23 * base**k)
        high = s.add("Sub", s.add("Add", rest, large), large)
        rest = s.add("Sub", rest, high)
        found.append(s.add("Mul", high, s.const(1.0 / base**k)))
    flat = s.add("Concat", rest, *found[::-1], axis=0)
    start = 0
    for (name, w), step in zip(shapes.items(), steps, strict=True):
        part = s.add("Slice", flat, s.ints(start), s.ints(start + w.size))
        s.reshape(s.add("Mul", part, s.const(step)), *w.shape, made=name)
        start += w.size
    return s.built()


# Numbers that survive rounding to 4 significant bits and to bfloat16: a sign, an exponent, three bits of mantissa.
# The first weight of a pair is the sign and the mantissa (16 levels), the second is the exponent (32 levels).

OCTAVES = 32


def nearest(values: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels 0 to n - 1 for each column [inputs, outputs], value = (level - (n - 1) / 2) * step, and the steps.

    No level is zero. The step of a column is the one with the least error.
    """
    middle = (n - 1) / 2
    best, steps, error = (
        np.zeros(values.shape, int),
        np.zeros(values.shape[1]),
        np.full(values.shape[1], np.inf),
    )
    for part in np.linspace(0.4, 1.0, 61):
        step = np.abs(values).max(0) * part / middle
        level = np.clip(np.rint(values / step + middle), 0, n - 1).astype(int)
        wrong = (((level - middle) * step - values) ** 2).sum(0)
        better = wrong < error
        best[:, better], steps[better], error[better] = level[:, better], step[better], wrong[better]
    return best, steps


def by_exponent(layers: list[str]) -> ModelProto:
    """Two weights in a float: the mantissa is one, the exponent the other. They are taken apart through the image.

    For an input x > 0 and a stored number p = 2^e (1 + m), all of these are x times a function of p, without any
    constant ever standing alone: S_k = min(x, relu(64 x (p / 2^k - 15 / 16))) is x where p has the k-th power of two, so the
    sum of the S_k is x e; C_k = min(x, relu(x (p / 2^k - 1))) rises from 0 to x between two powers, so the sum of the
    C_k - S_k is x (m - 1).
    """
    s = Surgery("baseline")
    half = OCTAVES // 2
    powers = s.const(2.0 ** -np.arange(-half, OCTAVES - half).reshape(OCTAVES, 1, 1, 1, 1))
    margin, steep, octave = s.const(15 / 16), s.const(64.0), s.const(1 / 16)
    for name in layers:
        layer = open_layer(s, name, free=True)
        pairs = layer.outputs // 2
        x = s.add("Relu", layer.inputs)
        first, a = nearest(layer.weight[:, :pairs], 16)
        second, b = nearest(layer.weight[:, pairs:], OCTAVES)
        number = np.where(first >= 8, 1, -1) * 2.0 ** (second - half) * (1 + first % 8 / 8)
        product = s.add("Mul", x, s.const(number[None, :, :, None]))
        scaled = s.add("Mul", s.add("Abs", product), powers)
        steps = s.add(
            "Min", x, s.add("Relu", s.add("Mul", s.add("Sub", scaled, s.add("Mul", x, margin)), steep))
        )
        ramps = s.add("Min", x, s.add("Relu", s.add("Sub", scaled, x)))
        exponent = s.add("ReduceSum", steps, s.ints(0), keepdims=0)  # x (e + 1)
        mantissa = s.add("ReduceSum", s.add("Sub", ramps, steps), s.ints(0), keepdims=0)  # x (m - 1)
        sign = s.add("Min", x, s.add("Relu", s.add("Mul", product, s.const(2.0**half))))
        # level of the first: 8 [p > 0] + 8 m, less 7.5; of the second: e, less 15.5; both in eighths and sixteenths
        one = s.add("Add", s.add("Add", mantissa, sign), s.add("Mul", x, octave))
        middle = s.add("Add", s.add("Mul", x, s.const(half)), s.add("Mul", x, s.const(0.5)))
        two = s.add("Mul", s.add("Sub", exponent, middle), octave)
        both = s.add("Concat", one, two, axis=2)
        scale = np.concatenate([a * 8, b * 16]).reshape(-1, *[1] * (len(layer.shape) - 1))
        close_layer(s, layer, both, s.const(scale))
    return s.built()


PACKING: dict[str, Attack] = {
    **{
        f"{24 // d} numbers of {d} bits in one {kind.__name__}{', shown' if not hidden else ''}": Attack(
            lambda d=d, kind=kind, hidden=hidden: packed(d, kind, hidden),
            PRELU,
            reason="a weight of Conv .* depends on the image",
            like="prelu",
            agree=0.98,
        )
        for d, kind, hidden in [(6, np.int32, True), (12, F, True), (6, F, True), (6, F, False)]
    },
    **{
        f"two numbers in an exponent and a mantissa, {where}": Attack(
            lambda layers=layers: by_exponent(layers),
            BASELINE,
            reason="1/256",
            like="baseline",
            agree=0.98,
        )
        for where, layers in (("in the last layer", ["linear1"]), ("in two layers", ["conv3", "linear1"]))
    },
}
