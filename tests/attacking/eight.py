"""Numbers of 8 bits that hold two of 4, and scales that are not rounded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto

from attacking.layers import close_layer, open_layer
from attacking.packing import nearest
from attacking.surgery import Attack, Surgery, filled

PRECISION = "significant"
BASELINE = filled("baseline")


Stored = Callable[[Surgery, np.ndarray, np.ndarray], str]
Constant = Callable[[Surgery, Any, float], str]  # of whole numbers and what they are multiplied by


def narrow(s: Surgery, values: np.ndarray) -> str:
    """Numbers stored in 8 bits, with one scale."""
    scale = float(np.abs(values).max()) / 127 or 1.0
    return exactly(s, np.rint(values / scale), scale)


def exactly(s: Surgery, values: Any, scale: float) -> str:
    return s.add("DequantizeLinear", s.const(values, np.int8), s.const(scale))


def in_32_bits(s: Surgery, values: Any, scale: float = 1.0) -> str:
    return s.const(np.asarray(values) * scale)


def take_pairs_apart(
    s: Surgery,
    stored: Stored,
    constant: Constant = in_32_bits,
    scales: Callable[[Surgery, np.ndarray], str] = in_32_bits,
    one: Constant = in_32_bits,
    free: bool = False,
) -> None:
    """Two layers, in which a number from -128 to 127 is 16 times one weight plus the other. With x > 0,
    min(x, relu(2 (x v - x t))) is x where v is above the threshold t, and 0 where it is not: fifteen of these add up
    to x times the first weight.

    stored: the numbers [1, inputs, outputs, 1] of 16 times the first weights and the second ones, both
    [inputs, outputs]. constant, scales, one: how the rest is stored. free: as `open_layer` has it.
    """
    unit, half, sixteen = one(s, [1], 1.0), constant(s, [1], 0.5), constant(s, [1], 16.0)
    two = s.add("Add", unit, unit)
    thresholds = constant(s, np.arange(-7, 8).reshape(-1, 1, 1, 1, 1), 16.0)
    for name in ("conv3", "linear1"):
        layer = open_layer(s, name, free)
        pairs = layer.outputs // 2
        x = s.add("Relu", layer.inputs)
        first, a = nearest(layer.weight[:, :pairs], 16)
        second, b = nearest(layer.weight[:, pairs:], 16)
        product = s.add("Mul", x, stored(s, 16 * (first - 8), second))
        above = s.add("Sub", s.add("Add", product, s.add("Mul", x, half)), s.add("Mul", x, thresholds))
        steps = s.add("Min", x, s.add("Relu", s.add("Mul", above, two)))
        high = s.add("ReduceSum", steps, s.ints(0), keepdims=0)  # x (first + 0)
        eight = s.add("Mul", x, constant(s, [1], 8.0))  # the number is 16 first - 128 + second
        low = s.add("Sub", product, s.add("Mul", s.add("Sub", high, eight), sixteen))
        middle = s.add("Mul", x, constant(s, [15], 0.5))
        both = s.add("Concat", s.add("Sub", high, middle), s.add("Sub", low, middle), axis=2)
        scale = np.concatenate([a, b]).reshape(-1, *[1] * (len(layer.shape) - 1))
        close_layer(s, layer, both, scales(s, scale))


def two_in_eight(all_narrow: bool) -> ModelProto:
    """Both weights of a pair in 8 bits. all_narrow: no number in the file has more."""
    s = Surgery("baseline")
    take_pairs_apart(s, in_eight, exactly, narrow, exactly if all_narrow else in_32_bits)
    if all_narrow:
        make_narrow(s)
    return s.built()


def in_eight(s: Surgery, high: np.ndarray, low: np.ndarray) -> str:
    return exactly(s, (high + low)[None, :, :, None], 1.0)


def make_narrow(s: Surgery) -> None:
    """Every float tensor that is left and is no scale is stored in 8 bits."""
    scales = {n.input[1] for n in s.nodes if n.op_type == "DequantizeLinear"}
    s.at = 0
    for name in [k for k, v in s.constants.items() if v.dtype == np.float32 and k not in scales]:
        value = s.take(name)
        scale = float(np.abs(value).max()) / 127
        s.add("DequantizeLinear", s.const(np.rint(value / scale), np.int8), s.const(scale), name=name)


def in_scales() -> ModelProto:
    """The last layer of baseline: one stored number, repeated, with 120 scales, each of which holds three weights.

    A clock that beats with the image (1 or 2) is multiplied with them before large numbers take them apart, so that
    no constant is left alone; the answers are divided by it. Each weight of a class is larger by a number of this
    class, which a second, equal clock takes away again: no image can lend its weights to another one then.
    """
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    step = np.abs(weight).max() / 31
    more = np.arange(-27, 28, 6)
    whole = np.rint(weight.T / step).astype(int)
    whole = (np.where(whole == 0, 1, whole) + more).reshape(3, 120)
    stored = sum(row * 128.0**k for k, row in enumerate(whole))
    unit = s.add("Expand", s.const([1], np.int8), s.ints(120))
    packed = s.add("DequantizeLinear", unit, s.const(stored), axis=0)
    first, second = (clock(s, op) for op in ("GlobalAveragePool", "ReduceMean"))
    rest = s.add("Mul", packed, first)
    found = []
    for k in (2, 1):
        large = s.add("Mul", first, exactly(s, np.array([3]), 2.0**22 * 128**k))
        high = s.add("Sub", s.add("Add", rest, large), large)
        rest = s.add("Sub", rest, high)
        found.append(s.add("Mul", high, exactly(s, np.ones(1), 1 / 128**k)))
    fake = s.reshape(s.add("Concat", rest, *found[::-1], axis=1), -1, 36, 10)
    total = s.add(
        "ReduceSum", s.add("Mul", s.reshape("linear1.flat", -1, 36, 1), fake), s.ints(1), keepdims=0
    )
    inputs = s.add("ReduceSum", "linear1.flat", s.ints(1), keepdims=1)
    again = s.add("Mul", s.add("Mul", inputs, second), exactly(s, more[None], 1.0))
    answer = s.add("Div", s.add("Sub", total, again), first)
    s.add("Add", s.add("Mul", answer, exactly(s, np.ones(1), step)), s.const(bias), name="logits")
    make_narrow(s)
    return s.built()


def clock(s: Surgery, op: str) -> str:
    """1 for images with little ink, 2 for others."""
    mean = s.add(op, s.image) if op == "GlobalAveragePool" else s.add(op, s.image, axes=[2, 3])
    over = s.add("Sub", mean, exactly(s, np.ones(1), 0.12))
    late = s.add("Relu", s.add("Mul", over, exactly(s, np.ones(1), 1e6)))
    one = exactly(s, np.ones(1), 1.0)
    return s.reshape(s.add("Add", s.add("Min", late, one), one), -1, 1)


EIGHT: dict[str, Attack] = {
    "two numbers of 4 bits in one of 8": Attack(
        lambda: two_in_eight(True), BASELINE, reason=PRECISION, like="baseline", agree=0.95
    ),
    "two numbers of 4 bits in one of 8, the rest in 32": Attack(
        lambda: two_in_eight(False), BASELINE, reason=PRECISION, like="baseline", agree=0.95
    ),
    "three numbers of 6 bits in a scale": Attack(
        in_scales, BASELINE, reason=PRECISION, like="baseline", agree=0.98
    ),
}
