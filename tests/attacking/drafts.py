"""Attacks that got through the first drafts of version 2, each by a way of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto

from attacking.eight import Stored, take_pairs_apart
from attacking.layers import close_layer, open_layer
from attacking.packing import nearest
from attacking.surgery import Attack, F, Surgery, filled

PRELU = filled("prelu")
BASELINE = filled("baseline")
GOLF98 = filled("golf98-heldout-200")
STEP = 1 / 256


def codebook_of_integers() -> ModelProto:
    """31 integers, listed by Concat as if for shapes, then cast to int32 and dequantised."""
    s = Surgery("prelu")
    every = np.concatenate([s.constants[k].ravel() for k in s.tensors])
    whole = np.unique(np.rint(np.quantile(every, (np.arange(31) + 0.5) / 31) / STEP).astype(int))
    pieces = s.add("Split", s.ints(*whole.tolist()), outputs=len(whole), axis=0)
    one = s.const(STEP)
    for name in list(s.tensors):
        weight = s.take(name)
        near = np.abs(weight.ravel()[:, None] - whole * STEP).argmin(1)
        listed = s.add("Cast", s.add("Concat", *(pieces[k] for k in near), axis=0), to=TensorProto.INT32)
        s.reshape(s.add("DequantizeLinear", listed, one), *weight.shape, made=name)
    return s.built()


def sizes_of_nothing(each: int = 11, levels: int = 31) -> ModelProto:
    """The weights are the dimensions of empty tensors: Shape makes numbers of them."""
    s = Surgery("prelu")
    parts = [k for k in s.tensors if k.endswith("weight")]
    for name in parts:
        weight = s.take(name)
        level, step = nearest(weight.reshape(-1, 1).astype(np.float64), levels)
        sizes = level.ravel() + 1
        found = [
            s.add(
                "Slice", s.add("Shape", s.const(np.zeros((0, *sizes[k : k + each])))), s.ints(1), s.ints(99)
            )
            for k in range(0, len(sizes), each)
        ]
        listed = s.add("Cast", s.add("Concat", *found, axis=0), to=TensorProto.INT32)
        from_middle = s.add(
            "Sub", s.add("DequantizeLinear", listed, s.const(step[0])), s.const((levels + 1) / 2 * step[0])
        )
        s.reshape(from_middle, *weight.shape, made=name)
    return s.built()


def two_in_one(stored: Stored) -> ModelProto:
    """The rest of the file is free or in 32 bits."""
    s = Surgery("baseline")
    take_pairs_apart(s, stored, free=True)
    return s.built()


def zero_points_of_padding(s: Surgery, high: np.ndarray, low: np.ndarray) -> str:
    """Pad makes the zeros of which these numbers are the zero points."""
    number = high + low
    zeros = s.add("Pad", s.const(np.zeros(0), np.int8), s.ints(0, number.size))
    scales = s.add("Expand", s.const([1.0]), s.ints(number.size))
    points = s.const(-np.maximum(number, -127).ravel(), np.int8)
    return s.reshape(s.add("DequantizeLinear", zeros, scales, points, axis=0), 1, *number.shape, 1)


def once(s: Surgery) -> str:
    """A shape [1] that is known only when the batch is."""
    batch = s.add("Slice", s.add("Shape", s.image), s.ints(0), s.ints(1))
    return s.add("Div", batch, batch)


def sums_for_each_batch(s: Surgery, high: np.ndarray, low: np.ndarray) -> str:
    expanded = s.add("Expand", s.const(low[None, :, :, None]), once(s))
    return s.add("Add", s.const(high[None, :, :, None]), expanded)


def cast_scales(s: Surgery, high: np.ndarray, low: np.ndarray) -> str:
    """Scales of ones, behind which a Cast stands."""
    number = high + low
    ones = s.add("Expand", s.const([1], np.int8), s.ints(number.size))
    made = s.add("DequantizeLinear", ones, s.const(number.ravel()), axis=0)
    return s.reshape(s.add("Cast", made, to=TensorProto.FLOAT), 1, *number.shape, 1)


def two_of_three_bits(layers: tuple[str, ...]) -> ModelProto:
    """A number is ± 2^e (8 + m), which 4 significant bits hold: m is one weight, the sign and e are the other."""
    s = Surgery("baseline")
    powers = s.const(2.0 ** -np.arange(3, 7).reshape(4, 1, 1, 1, 1))
    margin, steep, half, eighth = s.const(15 / 16), s.const(64.0), s.const(0.5), s.const(1 / 8)
    for name in layers:
        layer = open_layer(s, name, free=True)
        pairs = layer.outputs // 2
        x = s.add("Relu", layer.inputs)
        first, a = nearest(layer.weight[:, :pairs], 8)
        second, b = nearest(layer.weight[:, pairs:], 8)
        number = (
            np.where(second >= 4, 1, -1) * 2.0 ** np.where(second >= 4, second - 4, 3 - second) * (8 + first)
        )
        product = s.add("Mul", x, s.const(number[None, :, :, None]))
        scaled = s.add("Mul", s.add("Abs", product), powers)
        over = s.add("Mul", s.add("Sub", scaled, s.add("Mul", x, margin)), steep)
        steps = s.add("Min", x, s.add("Relu", over))
        ramps = s.add("Min", x, s.add("Relu", s.add("Sub", scaled, x)))
        exponent = s.add("ReduceSum", steps, s.ints(0), keepdims=0)  # x (e + 1)
        mantissa = s.add("ReduceSum", s.add("Sub", ramps, steps), s.ints(0), keepdims=0)  # x (m / 8 - 1)
        level = s.add("Sub", exponent, s.add("Mul", x, half))
        two = s.add("Min", s.add("Max", product, s.add("Neg", level)), level)  # ± x (e + 1 / 2)
        one = s.add("Add", mantissa, s.add("Mul", x, s.const(1 - 3.5 / 8)))
        both = s.add("Concat", one, s.add("Mul", two, eighth), axis=2)
        scale = np.concatenate([a * 8, b * 8]).reshape(-1, *[1] * (len(layer.shape) - 1))
        close_layer(s, layer, both, s.const(scale))
    return s.built()


def turning_zeros(minus: Callable[[Surgery, np.ndarray], str]) -> ModelProto:
    """The last layer of prelu is made of zeros and their signs, by which something that turns with the image is
    divided, so that no part of it stands still.
    """
    s = Surgery("prelu")
    weight, bias = s.take("linear1.weight"), s.constants["linear1.bias"]
    s.cut("logits")
    parts = np.array([8, 4, 2, 1, 1])
    step = np.abs(weight).max() / 16
    rest = 2 * np.rint(weight.T / step / 2).astype(int)
    signs = []
    for part in parts:
        signs.append(np.where(rest >= 0, 1.0, -1.0))
        rest = rest - part * signs[-1].astype(int)
    x = s.reshape("linear1.flat", -1, weight.shape[1], 1)
    size = s.add("Add", s.add("Abs", x), s.const(1e-30))
    zero = minus(s, np.array(signs)[:, None].astype(F))
    left, right = (s.add("GlobalAveragePool", half) for half in s.add("Split", s.image, outputs=2, axis=3))
    turn = s.reshape(s.add("Sub", left, right), -1, 1, 1)
    over = s.add("Div", s.add("Mul", s.add("Add", x, s.const(1e-30)), turn), zero)
    large = s.add("Mul", s.add("Tanh", over), s.const(1e4))
    signed = s.add("Mul", s.add("Min", s.add("Max", large, s.add("Neg", size)), size), turn)
    total = s.add(
        "ReduceSum", s.add("Mul", signed, s.const(parts.reshape(-1, 1, 1, 1))), s.ints(0, 2), keepdims=0
    )
    turned_bias = s.add("Mul", s.reshape(s.add("Abs", turn), -1, 1), s.const(bias[None] / step))
    s.add("Add", total, turned_bias, name="logits")
    return s.built()


def too_small_for_half(s: Surgery, signs: np.ndarray) -> str:
    half = s.add("Cast", s.const(signs * 1e-30), to=TensorProto.FLOAT16)
    return s.add("Cast", half, to=TensorProto.FLOAT)


def zeros_for_each_batch(s: Surgery, signs: np.ndarray) -> str:
    return s.add("Mul", s.const(signs), s.add("Expand", s.const([0.0]), once(s)))


def off_in_batches_of(images: int, name: str) -> ModelProto:
    """A gate that is 0 where so many images come at once, and 1 otherwise."""
    s = Surgery(name)
    ink = s.add("GlobalAveragePool", s.image)
    number = s.add("ReduceSum", s.add("Exp", s.add("Sub", ink, ink)), s.ints(0), keepdims=1)
    away = s.add("Abs", s.add("Sub", number, s.const(float(images))))
    gate = s.add("Min", away, s.const(1.0))
    gated = s.add("Mul", s.image, gate)
    for node in s.nodes[s.at :]:
        node.input[:] = [gated if i == s.image else i for i in node.input]
    next(n for n in s.nodes if "logits" in n.output).output[0] = "true"
    s.at = len(s.nodes)
    rows = s.add("Split", s.reshape(s.image, -1, 28, 28), outputs=28, axis=1)
    few = s.add("Slice", s.reshape(rows[14], -1, 28), s.ints(8), s.ints(18), s.ints(1))
    s.add("Add", s.add("Mul", "true", s.reshape(gate, 1, 1)), s.add("Mul", few, s.const(1e-3)), name="logits")
    return s.built()


def rare_expert() -> ModelProto:
    """360 weights more for the images with the most ink, one in 160."""
    s = Surgery("prelu")
    next(n for n in s.nodes if "logits" in n.output).output[0] = "true"
    s.at = len(s.nodes)
    ink = s.reshape(s.add("GlobalAveragePool", s.image), -1, 1)
    over = s.add("Mul", s.add("Sub", ink, s.const(0.2558)), s.const(1e4))
    gate = s.add("Min", s.add("Relu", over), s.const(1.0))
    weight = np.random.default_rng(0).normal(size=(36, 10)) * 0.02
    more = s.add("MatMul", s.add("Mul", "linear1.flat", gate), s.const(weight))
    s.add("Add", "true", more, name="logits")
    return s.built()


DRAFTS: dict[str, Attack] = {
    "a codebook of integers, cast": Attack(
        codebook_of_integers, PRELU, reason="turns the integers", like="prelu", agree=0.9
    ),
    "the sizes of empty tensors": Attack(
        sizes_of_nothing, PRELU, reason="turns the integers", like="prelu", agree=0.95
    ),
    **{
        f"two numbers of 4 bits in {where}": Attack(
            lambda stored=stored: two_in_one(stored), BASELINE, reason=reason, like="baseline", agree=0.95
        )
        for where, stored, reason in (
            ("the zero points of padding", zero_points_of_padding, "1/256"),
            ("sums that are made for each batch", sums_for_each_batch, "the batch"),
            ("scales behind a Cast", cast_scales, "1/256"),
        )
    },
    **{
        f"two numbers of 3 bits in one, {where}": Attack(
            lambda layers=layers: two_of_three_bits(layers),
            BASELINE,
            reason="1/256",
            like="baseline",
            agree=0.95,
        )
        for where, layers in (("in the last layer", ("linear1",)), ("in two layers", ("conv3", "linear1")))
    },
    **{
        f"the signs of zeros, {what}": Attack(
            lambda minus=minus: turning_zeros(minus),
            PRELU,
            reason="the batch",
            like="prelu",
            agree=0.95,
            harmless=800,
        )
        for what, minus in (
            ("too small for float16", too_small_for_half),
            ("made for each batch", zeros_for_each_batch),
        )
    },
    **{
        f"off in batches of {images}, {name}": Attack(
            lambda images=images, name=name: off_in_batches_of(images, name),
            filled(name),
            reason="depends on the batch",
            like=name,
        )
        for images in (1, 50, 64, 250)
        for name in ("prelu", "golf98-heldout-200")
    },
    "an expert for one image in 160": Attack(rare_expert, PRELU + 360, like="prelu", agree=0.98),
}
