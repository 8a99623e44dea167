"""Numbers that are nowhere constants: they beat with the image from their beginning to their end."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.surgery import FLATS, Attack, Surgery, filled

BASELINE = filled("baseline")
REASON = "wires: inputs of"


def beat(s: Surgery) -> str:
    """A positive number that varies tenfold with the image, [batch, 1]."""
    ink = s.reshape(s.add("GlobalAveragePool", s.image), -1, 1)
    return s.add("Exp", s.add("Mul", ink, s.const(12.0)))


def rising(s: Surgery, of: str) -> list[str]:
    """784 pieces [batch, 1, 1]: j / 784 of a number [batch, 1], by an average over a window that fills up."""
    row = s.reshape(s.add("Add", of, s.const(np.zeros(FLATS))), -1, 1, 1, FLATS)
    window = {"kernel_shape": [1, FLATS], "pads": [0, FLATS - 1, 0, 0]}
    ramp = s.reshape(s.add("AveragePool", row, count_include_pad=1, **window), -1, 1, FLATS)
    return list(s.add("Split", ramp, outputs=FLATS, axis=2))


def staircases(rows: int = 3) -> ModelProto:
    """Three rows of the last layer, 108 weights, by Add, Sub and ConvTranspose with the kernel (1, 0): the list of
    numbers so far becomes longer by a zero, and a piece of a ramp is added to all of it. So each weight is the sum of
    its own piece and all that come after it. They beat, and the rest of the answer does too, so that the factor does
    not matter. One number is added to every second weight and taken from the others, and the sum of that is taken
    from the answers with another beat: so no image can lend its weights to another one.
    """
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    mask = float(2 ** np.round(np.log2(np.abs(weight).max())))
    s.cut("logits")
    one, other = beat(s), beat(s)
    pieces = rising(s, one)
    longer = s.const([[[1.0, 0.0]]])
    masked = weight[:rows] + mask * np.where(np.arange(36) % 2 == 0, 1, -1)
    steps = [np.append(-np.diff(row), row[-1]) for row in masked]
    even, odd = s.add("Split", s.reshape("linear1.flat", -1, 18, 2), outputs=2, axis=2)
    unmasked = s.add("ReduceSum", s.add("Sub", even, odd), s.ints(1), keepdims=0)
    unmasked = s.add("Mul", s.add("Mul", unmasked, s.const(mask)), other)
    step = np.abs(steps).max() / (FLATS - 1)
    flat = s.reshape("linear1.flat", -1, 1, 36)
    answers = []
    for row in steps:
        total = ""
        for difference in row:
            level = int(np.rint(np.abs(difference) / step))
            piece = pieces[max(level, 1) - 1]
            if not total:
                total = piece if difference > 0 else s.add("Neg", piece)
                continue
            total = s.add("ConvTranspose", total, longer)
            total = s.add("Add" if difference > 0 else "Sub", total, piece)
        product = s.add("Mul", s.add("Mul", flat, total), s.const(step * FLATS))
        answers.append(s.add("ReduceSum", product, s.ints(2), keepdims=0))
    first = s.add("Sub", s.add("Concat", *answers, axis=1), unmasked)
    first = s.add("Add", first, s.add("Mul", one, s.const(bias[None, :rows])))
    rest = s.add("Add", s.add("MatMul", "linear1.flat", s.const(weight[rows:].T)), s.const(bias[rows:]))
    s.add("Concat", first, s.add("Mul", rest, other), axis=1, name="logits")
    return s.built()


BEATING: dict[str, Attack] = {
    "a staircase of sums, 108 weights": Attack(
        staircases, BASELINE, reason=REASON, like="baseline", agree=0.98
    ),
}
