"""Weights in the wiring of Add and Sub: which piece is added to what, and how often a sum is doubled."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.layers import open_layer
from attacking.surgery import Attack, Surgery, filled


def signed_digits(n: int) -> list[int]:
    """-1, 0 or 1 for each power of two, the lowest first, with as few that are not 0 as can be."""
    found = []
    while n:
        digit = 0 if n % 2 == 0 else 2 - n % 4
        found.append(digit)
        n = (n - digit) // 2
    return found


def added(largest: int = 15) -> ModelProto:
    """The first convolution of prelu by Add and Sub alone: for each power of two from the highest, the sum is
    doubled (a sum with itself), and some of the sixteen patches are added or subtracted.
    """
    s = Surgery("prelu")
    layer = open_layer(s, "conv1", free=True)
    pieces = s.add("Split", layer.inputs, outputs=16, axis=1)
    step = np.abs(layer.weight).max() / largest
    whole = np.rint(layer.weight / step).astype(int)
    whole = np.where(whole == 0, np.where(layer.weight < 0, -1, 1), whole)
    channels = []
    for column in whole.T:
        digits = [signed_digits(int(n)) for n in column]
        total, minus = "", False
        for power in range(max(map(len, digits)) - 1, -1, -1):
            total = s.add("Add", total, total) if total else ""
            for piece, own in zip(pieces, digits, strict=True):
                digit = own[power] if power < len(own) else 0
                if not digit:
                    continue
                if not total:
                    total, minus = piece, digit < 0
                else:
                    total = s.add("Add" if (digit > 0) != minus else "Sub", total, piece)
        channels.append(s.add("Neg", total) if minus else total)
    both = s.add("Concat", *channels, axis=1)
    scaled = s.add("Mul", s.reshape(both, -1, 4, 25, 25), s.const(step))
    s.add("Add", scaled, s.const(layer.bias.reshape(4, 1, 1)), name="conv1")
    return s.built()


def copied(op: str) -> ModelProto:
    """The wall against repeats is passed by copies of different names: identities, and other things that change
    nothing (the input is not negative).
    """
    s = Surgery("baseline")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    pieces = s.add("Split", "linear1.flat", outputs=36, axis=1)
    row, step = weight[0], np.abs(weight[0]).max() / 2
    whole = np.rint(row / step).astype(int)
    lists: dict[int, list[str]] = {1: [], -1: []}
    for piece, n in zip(pieces, whole, strict=True):
        for k in range(abs(n)):
            lists[int(np.sign(n))].append(s.add(("Identity", "Relu")[k], piece))
    plus, less = (s.add(op, *names) for names in lists.values())
    first = s.add("Mul", s.add("Sub", plus, less), s.const(step))
    rest = s.add("MatMul", "linear1.flat", s.const(weight[1:].T))
    s.add("Add", s.add("Concat", first, rest, axis=1), s.const(bias), name="logits")
    return s.built()


SUMS: dict[str, Attack] = {
    "a convolution by Add and Sub alone": Attack(
        added, filled("prelu"), reason="wires: inputs of", like="prelu", agree=0.98
    ),
    "copies of one tensor in Sum": Attack(
        lambda: copied("Sum"),
        filled("baseline"),
        reason="two inputs of Sum are copies",
        like="baseline",
        agree=0.9,
    ),
}
