"""Quantised weights: stored zeros that are none, numbers that are two after a Cast, indices."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from onnx import ModelProto, TensorProto

from attacking.packing import nearest
from attacking.surgery import Attack, F, Surgery, filled

PRELU, BASELINE = filled("prelu"), filled("baseline")


def shifted(values: np.ndarray, n: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows [outputs, inputs] as int8 of which the commonest is stored as 0, with a scale and a zero point for each
    row: value = (stored - zero point) * scale. No value is zero.
    """
    level, step = nearest(values.T, n)
    odd = 2 * level.T - (n - 1)  # half a step is the scale
    common = np.array([np.unique(row)[np.unique(row, return_counts=True)[1].argmax()] for row in odd])
    return (odd - common[:, None]).astype(np.int8), (step / 2).astype(F), (-common).astype(np.int8)


def zero_points() -> ModelProto:
    s = Surgery("prelu")
    for name in ("conv1", "conv2", "conv3", "linear1"):
        weight = s.take(f"{name}.weight")
        stored, scale, zero = shifted(weight.reshape(len(weight), -1), 32)
        parts = s.const(stored, np.int8), s.const(scale), s.const(zero, np.int8)
        s.reshape(s.add("DequantizeLinear", *parts, axis=0), *weight.shape, made=f"{name}.weight")
    return s.built()


def one_zero_point(weight: np.ndarray, n: int = 14) -> tuple[np.ndarray, float, int]:
    """The same with one scale and one zero point. Levels of 14, so that a zero point fits beside them."""
    stored, scale, zero = shifted(weight.reshape(1, -1), n)
    return stored.reshape(weight.shape), float(scale[0]), int(zero[0])


def matmul_integer() -> ModelProto:
    """Dynamic quantisation of the last layer: its inputs, which are not negative, in steps of 1/8."""
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    stored, scale, zero = one_zero_point(weight.T, 30)
    step = s.const(1 / 8)
    inputs = s.add("QuantizeLinear", "linear1.flat", step, s.const(0, np.uint8))
    whole = s.add(
        "MatMulInteger", inputs, s.const(stored, np.int8), s.const(0, np.uint8), s.const(zero, np.int8)
    )
    real = s.add("Mul", s.add("Cast", whole, to=TensorProto.FLOAT), s.const(scale / 8))
    s.add("Add", real, s.const(bias), name="logits")
    return s.built()


def qlinear_conv() -> ModelProto:
    s = Surgery("baseline")
    node = s.cut("conv3")
    weight, bias = s.take("conv3.weight"), s.take("conv3.bias")
    stored, scale, zero = one_zero_point(weight, 30)
    step, out = 1 / 8, 1 / 4
    into = s.const(step), s.const(0, np.uint8)
    onto = s.const(out), s.const(128, np.uint8)
    inputs = s.add("QuantizeLinear", node.input[0], *into)
    bias32 = s.const(np.rint(bias / (step * scale)), np.int32)
    weights = s.const(stored, np.int8), s.const(scale), s.const(zero, np.int8)
    made = s.add("QLinearConv", inputs, *into, *weights, *onto, bias32)
    s.add("DequantizeLinear", made, *onto, name="conv3")
    return s.built()


def seen_twice() -> ModelProto:
    """A number and what bfloat16 leaves of it are two numbers: the difference of two layers is a third layer.

    The outputs come in pairs, of which the second is hidden in what the first loses.
    """
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    first = weight[:5].astype(ml_dtypes.bfloat16).astype(F)
    unit = np.exp2(np.floor(np.log2(np.abs(first))) - 7)  # of the last place of bfloat16
    smallest = unit.min()
    second = np.rint(weight[5:] / np.abs(weight[5:]).max() * 63) / 128  # of the unit, less than half of it
    stored = (first + second * smallest).astype(F)
    assert (stored.astype(ml_dtypes.bfloat16).astype(F) == first).all()
    whole = s.const(stored)
    coarse = s.add("Cast", s.add("Cast", whole, to=TensorProto.BFLOAT16), to=TensorProto.FLOAT)
    one, two = (s.add("Gemm", "linear1.flat", name, transB=1) for name in (whole, coarse))
    scale = np.abs(weight[5:]).max() / 63 * 128 / smallest
    other = s.add("Mul", s.add("Sub", one, two), s.const(scale))
    s.add("Add", s.add("Concat", two, other, axis=1), s.const(bias), name="logits")
    return s.built()


def indexed() -> ModelProto:
    """A codebook, and an index of int64 for each weight."""
    s = Surgery("prelu")
    weight = s.take("linear1.weight")
    book = np.quantile(weight, (np.arange(32) + 0.5) / 32)
    places = np.abs(weight[..., None] - book).argmin(-1)
    s.add("Gather", s.const(book), s.const(places, np.int64), axis=0, name="linear1.weight")
    return s.built()


def computed_index() -> ModelProto:
    """The same with an index that is cast from numbers."""
    s = Surgery("prelu")
    weight = s.take("linear1.weight")
    book = np.quantile(weight, (np.arange(32) + 0.5) / 32)
    places = np.abs(weight[..., None] - book).argmin(-1)
    index = s.add("Cast", s.const(places * 0.5), to=TensorProto.INT64)
    s.add("Gather", s.const(book), index, axis=0, name="linear1.weight")
    return s.built()


def integer_division() -> ModelProto:
    """Products of integers are divided by integers that come with the image, which cuts their last bits off."""
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    first, a = nearest(weight[:5].T, 16)
    second, b = nearest(weight[5:].T, 16)
    ink = s.add("QuantizeLinear", s.add("GlobalMaxPool", s.image), s.const(1.0), s.const(0, np.uint8))
    clock = s.reshape(ink, -1, 1)  # 1 for every image
    number = (16 * (first - 8) + second).reshape(1, -1)
    packed = s.add("MatMulInteger", clock, s.const(number, np.int8))
    sixteen = s.add("MatMulInteger", clock, s.const([[16]], np.int8))
    shifted_up = s.add("Add", packed, s.add("MatMulInteger", clock, s.const(np.full((1, 1), 127), np.int8)))
    shifted_up = s.add("Add", shifted_up, clock_as_int32(s, clock))
    high = s.add("Div", shifted_up, sixteen)
    low = s.add("Sub", shifted_up, s.add("Mul", high, sixteen))
    parts = []
    for part, scale in ((high, a), (low, b)):
        real = s.add("Sub", s.add("Cast", part, to=TensorProto.FLOAT), s.const(7.5))
        parts.append(s.add("Mul", s.reshape(real, -1, 36, 5), s.const(scale)))
    fake = s.add("Concat", *parts, axis=2)
    product = s.add("Mul", s.reshape("linear1.flat", -1, 36, 1), fake)
    s.add("Add", s.add("ReduceSum", product, s.ints(1), keepdims=0), s.const(bias), name="logits")
    return s.built()


def clock_as_int32(s: Surgery, clock: str) -> str:
    return s.add("MatMulInteger", clock, s.const([[1]], np.int8))


def quantiser() -> ModelProto:
    """QuantizeLinear rounds, so it takes a packed number apart: the upper digit of products with a clock."""
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    first, a = nearest(weight[:5].T, 16)
    second, b = nearest(weight[5:].T, 16)
    pool = s.add("GlobalAveragePool", s.image)
    clock = s.reshape(s.add("Exp", s.add("Sub", pool, pool)), -1, 1, 1)
    packed = s.add("Mul", clock, s.const((16 * first + second + 0.0)[None]))
    sixteen, zero = s.const(16.0), s.const(0, np.uint8)
    lower = s.add("Sub", packed, s.const(7.5))
    high = s.add("DequantizeLinear", s.add("QuantizeLinear", lower, sixteen, zero), sixteen, zero)
    low = s.add("Sub", packed, high)
    one = s.add("Mul", s.add("Sub", s.add("Div", high, sixteen), s.const(7.5)), s.const(a))
    two = s.add("Mul", s.add("Sub", low, s.const(7.5)), s.const(b))
    product = s.add("Mul", s.reshape("linear1.flat", -1, 36, 1), s.add("Concat", one, two, axis=2))
    s.add("Add", s.add("ReduceSum", product, s.ints(1), keepdims=0), s.const(bias), name="logits")
    return s.built()


QUANTISED: dict[str, Attack] = {
    "stored zeros with zero points: DequantizeLinear": Attack(zero_points, PRELU, like="prelu", agree=0.97),
    "stored zeros with a zero point: MatMulInteger": Attack(
        matmul_integer, BASELINE, like="baseline", agree=0.95
    ),
    "stored zeros with a zero point: QLinearConv": Attack(
        qlinear_conv, BASELINE, like="baseline", agree=0.95
    ),
    "a number and what bfloat16 leaves of it": Attack(
        seen_twice, BASELINE, reason="significant", like="baseline", agree=0.97
    ),
    "a codebook and indices": Attack(indexed, PRELU, reason="'h2' as data", like="prelu", agree=0.97),
    "a codebook and indices cast from numbers": Attack(
        computed_index, PRELU, reason="rounds numbers to integers", like="prelu", agree=0.0
    ),
    "integers divided by integers of the image": Attack(
        integer_division, BASELINE, reason="integers .* as data", like="baseline", agree=0.95
    ),
    "QuantizeLinear takes numbers apart": Attack(
        quantiser, BASELINE, reason="significant", like="baseline", agree=0.95
    ),
}
