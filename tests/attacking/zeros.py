"""Stored zeros as weights: the sign of a zero, and the shape of a tensor of zeros."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.layers import close_layer, open_layer
from attacking.packing import nearest
from attacking.surgery import Attack, F, Surgery, filled

LAYERS = ("conv1", "conv2", "conv3", "linear1")


def signs_of_zero(layers: tuple[str, ...] = LAYERS, planes: int = 5) -> ModelProto:
    """A weight is five zeros, each plus or minus: x / 0 is infinite with the sign of the zero, and what lies
    between -|x| and |x| of that is x with this sign. The powers of two that belong to the five are stored once.
    """
    s = Surgery("prelu")
    powers = s.const(2.0 ** np.arange(planes).reshape(-1, 1, 1, 1, 1))
    tiny = s.const(1e-30)
    for name in layers:
        layer = open_layer(s, name, free=True)
        x = s.add("Add", layer.inputs, tiny)  # 0 / 0 is no number
        level, step = nearest(layer.weight.reshape(-1, 1), 2**planes)
        bits = level.reshape(layer.weight.shape) >> np.arange(planes).reshape(-1, 1, 1) & 1
        zeros = np.where(bits == 1, 0.0, -0.0).astype(F)[:, None, :, :, None]
        size = s.add("Abs", x)
        lowest = s.add("Max", s.add("Div", x, s.const(zeros)), s.add("Neg", size))
        signed = s.add("Min", lowest, size)
        products = s.add("ReduceSum", s.add("Mul", signed, powers), s.ints(0), keepdims=0)
        close_layer(s, layer, products, s.const(step[0] / 2))
    return s.built()


def signs_of_zero_in_golf98(turning: bool) -> ModelProto:
    """The last layer of golf98, of which most weights are zero: a 1 that is there twice makes a zero possible.

    turning: the input is multiplied by a number that is positive for some images and negative for others, and what
    comes out too, so that no infinity stands still; its hyperbolic tangent is finite. The answers keep their order.
    """
    s = Surgery("golf98-heldout-200")
    weight = s.take("linear1.weight")
    s.cut("logits")
    parts = np.array([1, 1, 2, 4, 8])
    step = np.abs(weight).max() / 16
    whole = 2 * np.rint(weight.T / step / 2).astype(int)  # even, from -16 to 16
    zeros, rest = [], whole
    for part in parts[::-1]:
        zeros.append(np.where(rest >= 0, 0.0, -0.0))
        rest = rest - part * np.where(rest >= 0, 1, -1)
    assert not rest.any()
    x = s.reshape(s.add("Add", "linear1.flat", s.const(1e-30)), -1, 144, 1)
    zero = s.const(np.array(zeros)[:, None])
    if turning:
        means = [s.add("GlobalAveragePool", half) for half in s.add("Split", s.image, outputs=2, axis=3)]
        turn = s.reshape(s.add("Sub", *means), -1, 1, 1)
        turned = s.add("Mul", s.add("Tanh", s.add("Div", s.add("Mul", x, turn), zero)), s.const(1e4))
    else:
        turned = s.add("Div", x, zero)
    lowest = s.add("Max", turned, s.add("Neg", x))
    signed = s.add("Min", lowest, x)
    if turning:
        signed = s.add("Mul", signed, turn)
    products = s.add("Mul", signed, s.const(parts[::-1].reshape(-1, 1, 1, 1)))
    s.add("ReduceSum", products, s.ints(0, 2), keepdims=0, name="logits")
    return s.built()


def shapes_of_zeros(rows: int = 2, largest: int = 15) -> ModelProto:
    """An input is added to n zeros, which gives n of it; the sum of these is n times the input. No integer is
    stored but the shape of the zeros.
    """
    s = Surgery("prelu")
    weight, bias = s.take("linear1.weight"), s.constants["linear1.bias"]
    s.cut("logits")
    step = np.abs(weight[:rows]).max() / largest
    whole = np.rint(weight[:rows] / step).astype(int)
    whole = np.where(whole == 0, np.where(weight[:rows] < 0, -1, 1), whole)
    pieces = s.add("Split", "linear1.flat", outputs=36, axis=1)
    zeros = {n: s.const(np.zeros(n)) for n in range(2, largest + 1)}
    answers = []
    for row in whole:
        total = ""
        for at in np.argsort(-row):  # the largest first, so that the sum begins with a plus
            n = int(row[at])
            part = pieces[at]
            if abs(n) > 1:
                part = s.add("ReduceSum", s.add("Add", part, zeros[abs(n)]), s.ints(1), keepdims=1)
            total = s.add("Add" if n > 0 else "Sub", total, part) if total else part
        answers.append(total)
    scaled = s.add("Mul", s.add("Concat", *answers, axis=1), s.const(step))
    rest = s.add("MatMul", "linear1.flat", s.const(weight[rows:].T))
    s.add("Add", s.add("Concat", scaled, rest, axis=1), "linear1.bias", name="logits")
    assert bias.size == 10
    return s.built()


ZEROS: dict[str, Attack] = {
    "the signs of zeros": Attack(
        lambda: signs_of_zero(("conv3", "linear1")), filled("prelu"), like="prelu", agree=0.98
    ),
    "the signs of zeros, for everything": Attack(
        signs_of_zero, filled("prelu"), reason="processor time", like="prelu", agree=0.98
    ),
    "the signs of zeros, in golf98": Attack(
        lambda: signs_of_zero_in_golf98(False), 200, like="golf98-heldout-200", agree=0.97
    ),
    "the signs of zeros, turning with the image": Attack(
        lambda: signs_of_zero_in_golf98(True), 200, like="golf98-heldout-200", agree=0.97
    ),
    "the shapes of zeros": Attack(
        shapes_of_zeros, filled("prelu"), reason="wires: inputs of", like="prelu", agree=0.97
    ),
}
