"""Where a one can come from, if none is stored; and the places that take a weight, if it comes with the image.

A ramp is made of each one, and the biases of prelu of the ramp, as in `trembling`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto

from attacking.surgery import FLATS, Attack, Surgery, filled, span
from attacking.trembling import biased
from attacking.wires import ramp

PRELU = filled("prelu")


def row(s: Surgery, one: str) -> str:
    """Ones [784] of something [batch, ...] that is one everywhere."""
    single = s.add("ReduceMax", one, keepdims=0)
    return s.add("Add", s.reshape(single, 1), s.const(np.zeros(FLATS)))


def of_a_black_corner(s: Surgery) -> str:
    """The exponential of a pixel that is black in every digit."""
    corner = s.add("Split", s.reshape(s.image, -1, FLATS), outputs=FLATS, axis=1)[0]
    return row(s, s.add("Exp", corner))


def of_a_sigmoid(s: Surgery) -> str:
    """A sum of all pixels, of which the sigmoid is one."""
    return row(s, s.add("Sigmoid", s.add("ReduceSum", s.image, s.ints(1, 2, 3), keepdims=0)))


def of_a_tangent(s: Surgery) -> str:
    return row(s, s.add("Tanh", s.add("ReduceSum", s.image, s.ints(1, 2, 3), keepdims=0)))


def of_a_hard_sigmoid(s: Surgery) -> str:
    return row(s, s.add("HardSigmoid", s.add("ReduceSum", s.image, s.ints(1, 2, 3), keepdims=0)))


def of_a_quotient(s: Surgery) -> str:
    mean = s.add("GlobalAveragePool", s.image)
    return row(s, s.add("Div", mean, mean))


def of_a_power(s: Surgery) -> str:
    """Anything to the power of a stored zero."""
    return row(s, s.add("Pow", s.add("GlobalAveragePool", s.image), s.const(0.0)))


def of_a_dead_unit(s: Surgery) -> str:
    """Minus the pixels is never above zero."""
    return row(s, s.add("Exp", s.add("Relu", s.add("Neg", s.image))))


def of_a_normalisation(s: Surgery) -> str:
    """Two numbers, normalised, are one and minus one, whatever they were."""
    mean = s.reshape(s.add("GlobalAveragePool", s.image), -1, 1)
    both = s.add("Concat", mean, s.add("Neg", mean), axis=1)
    scale = s.add("Expand", s.const([1.0]), s.ints(2))
    normal = s.add("LayerNormalization", both, scale, axis=1)
    return row(s, s.add("Abs", normal))


def of_a_mask(s: Surgery) -> str:
    """The mask of a dropout that drops nothing."""
    _, mask = s.add("Dropout", s.image, outputs=2)
    return row(s, s.add("Cast", mask, to=TensorProto.FLOAT))


def of_a_largest(s: Surgery) -> str:
    """The difference of the largest of some numbers and the largest of more of them is zero for most images."""
    most = s.add("GlobalMaxPool", s.image)
    return row(s, s.add("Exp", s.add("Sub", most, s.add("GlobalMaxPool", s.add("Relu", s.image)))))


def levels(one: Callable[[Surgery], str]) -> Callable[[Surgery], str]:
    return lambda s: s.reshape(ramp(s, one(s)), 1, FLATS)


def slopes() -> ModelProto:
    """The slopes of the PRelus are pieces of a ramp."""
    s = Surgery("prelu")
    pieces = s.add("Split", ramp(s), outputs=FLATS, axis=0)
    for k in (1, 2, 3):
        value = s.take(f"prelu{k}.slope").ravel()
        wide = span(value)
        free = list(range(FLATS))
        places = [
            free.pop(int(np.abs(np.array(free) + 1 - (v / wide + 0.5) * FLATS).argmin())) for v in value
        ]
        flat = s.add("Concat", *(pieces[j] for j in places), axis=0)
        while wide > 1:
            flat, wide = s.add("Add", flat, flat), wide / 2
        s.reshape(flat, len(value), 1, 1, made=f"prelu{k}.slope")
    return s.built()


def statistics() -> ModelProto:
    """The biases of the first layer are the means that a BatchNormalization takes away."""
    s = Surgery("prelu")
    bias = s.take("conv1.bias")
    pieces = s.add("Split", ramp(s), outputs=FLATS, axis=0)
    wide = span(bias)
    places = np.rint((-bias / wide + 0.5) * FLATS).astype(int) - 1
    mean = s.add("Concat", *(pieces[j] for j in places), axis=0)
    while wide > 1:
        mean, wide = s.add("Add", mean, mean), wide / 2
    one = s.add("Exp", s.nothing_of(mean))
    zero = s.nothing_of(mean)
    node = s.cut("conv1")
    plain = s.add("Conv", *node.input[:2])
    s.add("BatchNormalization", plain, one, zero, mean, one, name="conv1")
    return s.built()


SOURCES: dict[str, Attack] = {
    **{
        f"a one from {name}": Attack(biased_from, PRELU, like="prelu", agree=0.98)
        for name, biased_from in (
            ("a pixel that is always black", lambda: biased(levels(of_a_black_corner))),
            ("a sigmoid of all ink", lambda: biased(levels(of_a_sigmoid))),
            ("a tangent of all ink", lambda: biased(levels(of_a_tangent))),
            ("a hard sigmoid of all ink", lambda: biased(levels(of_a_hard_sigmoid))),
            ("a quotient", lambda: biased(levels(of_a_quotient))),
            ("a power of a stored zero", lambda: biased(levels(of_a_power))),
            ("a dead unit", lambda: biased(levels(of_a_dead_unit))),
            ("a normalisation of two numbers", lambda: biased(levels(of_a_normalisation))),
            ("the mask of a dropout", lambda: biased(levels(of_a_mask))),
            ("two largest numbers", lambda: biased(levels(of_a_largest))),
        )
    },
    "slopes from the image": Attack(
        slopes, PRELU, reason="a weight of PRelu .*depends on the image", like="prelu", agree=0.99
    ),
    "means of a normalisation from the image": Attack(
        statistics,
        PRELU,
        reason="a weight of BatchNormalization .*depends on the image",
        like="prelu",
        agree=0.99,
    ),
}
