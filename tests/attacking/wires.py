"""Weights that are wires: which piece of a tensor goes where, how often one stands in a list, a codebook."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from attacking.surgery import FLATS, Attack, Surgery, filled, span

GOLF99 = "golf99-heldout-450"
GOLF98 = "golf98-heldout-200"
LONGEST = 600  # inputs of one Mean


def ramp(s: Surgery, ones: str | None = None) -> str:
    """-0.5 + j / 784 for j from 1, [784], from the image: ones [784], averaged over a window that fills up."""
    row = s.reshape(ones or s.ones(), 1, 1, 1, FLATS)
    window = {"kernel_shape": [1, FLATS], "pads": [0, FLATS - 1, 0, 0]}
    flat = s.reshape(s.add("AveragePool", row, count_include_pad=1, **window), FLATS)
    half = s.add("Sigmoid", s.nothing_of(flat))
    return s.add("Sub", flat, half)


def power(s: Surgery, value: float) -> str:
    """A power of two as a number made by doubling a one."""
    one = s.add("Exp", s.add("ReduceMax", s.nothing(), axes=[0, 1], keepdims=0))
    while value > 1:
        one, value = s.add("Add", one, one), value / 2
    return one


def wired(name: str, once: bool = False) -> ModelProto:
    """Every weight is a wire: a ramp of numbers from the image, split, and one Concat for each tensor.

    once: no piece stands in a Concat twice; where it is taken, the nearest that is free is.
    """
    s = Surgery(name)
    pieces = s.add("Split", ramp(s), outputs=FLATS, axis=0)
    for tensor in s.tensors:
        wanted = s.take(tensor)
        wide = span(wanted)
        places = np.rint((wanted / wide + 0.5) * FLATS).astype(int).ravel() - 1
        if once:
            free = np.ones(FLATS, bool)
            for k, place in enumerate(places):
                places[k] = min(np.flatnonzero(free), key=lambda j, place=place: abs(j - place))
                free[places[k]] = False
        flat = s.add("Concat", *(pieces[j] for j in places), axis=0)
        s.reshape(s.add("Mul", flat, power(s, wide)), *wanted.shape, made=tensor)
    return s.built()


def codebook(hidden: bool, size: int = 32) -> ModelProto:
    """32 stored numbers, split, and a Concat of wires for each tensor."""
    s = Surgery("prelu")
    every = np.concatenate([w.ravel() for w in map(s.constants.__getitem__, s.tensors)])
    book = np.quantile(every, (np.arange(size) + 0.5) / size)
    for _ in range(30):  # Lloyd's algorithm
        nearest = np.abs(every[:, None] - book).argmin(1)
        book = np.array(
            [every[nearest == j].mean() if (nearest == j).any() else book[j] for j in range(size)]
        )
    stored = s.const(book)
    if hidden:
        nothing = s.add("Slice", s.reshape(s.nothing(), FLATS), s.ints(0), s.ints(size))
        stored = s.add("Add", stored, nothing)
    pieces = s.add("Split", stored, outputs=size, axis=0)
    for tensor in s.tensors:
        wanted = s.take(tensor)
        places = np.abs(wanted.ravel()[:, None] - book).argmin(1)
        s.reshape(s.add("Concat", *(pieces[j] for j in places), axis=0), *wanted.shape, made=tensor)
    return s.built()


def listed(op: str, deepest: int = 31) -> ModelProto:
    """The last layer as lists: an input that stands k times in the list has the weight k.

    Biases stand as repeated ones in the lists. The scale of the answer is lost, and does not matter.
    """
    s = Surgery("prelu")
    weight, bias = s.take("linear1.weight"), s.take("linear1.bias")
    s.cut("logits")
    step = np.abs(weight).max() / deepest
    whole = np.rint(np.concatenate([weight, bias[:, None]], 1) / step).astype(int)
    one = s.add("Exp", s.add("Sub", "linear1.flat", "linear1.flat"))
    pieces = [*s.add("Split", "linear1.flat", outputs=36, axis=1), s.add("Split", one, outputs=36, axis=1)[0]]
    answers = []
    for row in whole:
        parts = []
        for sign in (1, -1):
            times = np.maximum(sign * row, 0)
            names = [piece for piece, n in zip(pieces, times, strict=True) for _ in range(n)]
            parts.append(total(s, op, names))
        answers.append(s.add("Sub", *parts))
    s.add("Concat", *answers, axis=1, name="logits")
    return s.built()


def total(s: Surgery, op: str, names: list[str]) -> str:
    if op == "Sum":
        return s.add("Sum", *names)
    if op == "Mean":  # filled up with zeros, so that all means have the same length
        zero = s.add("Sub", names[0], names[0])
        return s.add("Mean", *names, *[zero] * (LONGEST - len(names)))
    return s.add("ReduceSum", s.add("Concat", *names, axis=1), s.ints(1), keepdims=1)


WIRES: dict[str, Attack] = {
    "every weight a wire of one Concat": Attack(
        lambda: wired("prelu"), filled("prelu"), like="prelu", reason="more than once"
    ),
    "every weight a wire, none twice": Attack(
        lambda: wired("prelu", True), filled("prelu"), like="prelu", reason="wires: inputs of", agree=0.75
    ),
    "every weight a wire, at 99 %": Attack(
        lambda: wired(GOLF99), filled(GOLF99), like=GOLF99, reason="more than once"
    ),
    "every weight a wire, 200 of them": Attack(
        lambda: wired(GOLF98), filled(GOLF98), like=GOLF98, reason="more than once"
    ),
    **{
        f"one tensor many times in {op}": Attack(
            lambda op=op: listed(op), filled("prelu"), like="prelu", reason="more than once", agree=0.98
        )
        for op in ("Sum", "Mean", "Concat")
    },
    "a codebook of 32 numbers and wires": Attack(
        lambda: codebook(False), filled("prelu"), like="prelu", reason="more than once", agree=0.98
    ),
    "a codebook hidden behind something that cancels": Attack(
        lambda: codebook(True), filled("prelu"), like="prelu", reason="more than once", agree=0.98
    ),
}
