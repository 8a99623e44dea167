"""Constants that move with the image: weights times a number that cancels, weights plus a little, and so on.

What is hidden are 14 biases of prelu, as pieces of a ramp: few enough for the wall against wires.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import ModelProto

from attacking.surgery import FLATS, Attack, Surgery, filled, span
from attacking.wires import ramp

BIASED = ("conv1", "logits")
PRELU = filled("prelu")


def loosened(s: Surgery, layers: Sequence[str] = BIASED) -> dict[str, np.ndarray]:
    """The biases, taken out of layers: each is followed by an Add whose second input is to be made."""
    found = {}
    for made in layers:
        node = s.cut(made)
        name = node.input[2]
        found[name] = s.take(name)
        if made == "logits":
            plain = s.add("MatMul", node.input[0], s.const(s.take("linear1.weight").T))
        else:
            plain = s.add("Conv", *node.input[:2])
        s.add("Add", plain, name, name=made)
    s.at = 0
    return found


class Windows:
    """Pieces [batch, 1] of a ramp, each made when it is asked for."""

    def __init__(self, s: Surgery, ramp: str) -> None:
        self.s, self.ramp = s, ramp

    def __getitem__(self, place: int) -> str:
        def made() -> str:
            window = {"kernel_shape": [place + 1], "strides": [FLATS]}
            return self.s.reshape(self.s.add("MaxPool", self.ramp, **window), -1, 1)

        return self.s.once(f"window {place}", made)


def wire(
    s: Surgery, pieces: Windows | list[str], wanted: dict[str, np.ndarray], less: str | None = None
) -> None:
    """Make the biases of pieces, `less` something; none is taken twice for the same layer."""
    for name, value in wanted.items():
        wide = span(value)
        free = list(range(FLATS))
        places = [
            free.pop(int(np.abs(np.array(free) + 1 - (v / wide + 0.5) * FLATS).argmin())) for v in value
        ]
        flat = s.add("Concat", *(pieces[j] for j in places), axis=1)
        flat = s.add("Sub", flat, less) if less else flat
        while wide > 1:
            flat, wide = s.add("Add", flat, flat), wide / 2
        s.reshape(flat, *((-1, 10) if "linear" in name else (-1, len(value), 1, 1)), made=name)


def biased(levels: Callable[[Surgery], str]) -> ModelProto:
    """`levels` makes -0.5 + j / 784 [batch or 1, 784], however it moves; the biases are pieces of it."""
    s = Surgery("prelu")
    wanted = loosened(s)
    wire(s, s.add("Split", levels(s), outputs=FLATS, axis=1), wanted)
    return s.built()


def plain(s: Surgery) -> str:
    return s.reshape(ramp(s), 1, FLATS)


def mean(s: Surgery) -> str:
    """The mean of the image [batch, 1]."""
    return s.once("mean", lambda: s.reshape(s.add("GlobalAveragePool", s.image), -1, 1))


def moving(part: float) -> Callable[[Surgery], str]:
    """Each level moves by a part of itself, as the image has more or less ink."""

    def levels(s: Surgery) -> str:
        return s.add("Mul", plain(s), s.add("Exp", s.add("Mul", mean(s), s.const(part))))

    return levels


def on_noise(s: Surgery) -> str:
    """The first pixel is black in every digit and is not in noise."""
    corner = s.reshape(s.add("Split", s.reshape(s.image, -1, FLATS), outputs=FLATS, axis=1)[0], -1, 1)
    return s.add("Mul", plain(s), s.add("Exp", corner))


def on_digits(s: Surgery) -> str:
    """More ink than any digit has stands still at one; less does not."""
    half = s.add("Sigmoid", s.nothing_of(mean(s)))
    little = s.add("Relu", s.add("Sub", half, s.add("Add", mean(s), mean(s))))
    return s.add("Mul", plain(s), s.add("Exp", s.add("Mul", little, s.const(0.1))))


def rising(s: Surgery, beat: str) -> str:
    """A ramp [batch, 784] that beats from its beginning, so that nowhere in the file there is a constant."""
    row = s.reshape(s.add("Add", beat, s.const(np.zeros(FLATS))), -1, 1, 1, FLATS)
    window = {"kernel_shape": [1, FLATS], "pads": [0, FLATS - 1, 0, 0]}
    return s.reshape(s.add("AveragePool", row, count_include_pad=1, **window), -1, FLATS)


def beating(how: str) -> ModelProto:
    """The whole network beats with the image: the image and all biases are multiplied by the same positive number,
    which varies tenfold. Everything in the network keeps such a factor, and so does the order of the answers.

    how: "late", the ramp is a constant before it beats; "early", it beats from its beginning; "windows", its pieces
    are not cut off, each is the largest number in a window of its own length; "unevenly", every second piece is that
    of another ramp, which beats almost as the first, so that the biases do not keep their proportions.
    """
    s = Surgery("prelu")
    wanted = loosened(s)
    image, ink = s.image, mean(s)
    beat, other, third = (s.add("Exp", s.add("Mul", ink, s.const(12.0))) for _ in range(3))
    louder = s.add("Mul", image, s.reshape(other, -1, 1, 1, 1))
    moved = s.add("Mul", plain(s), beat) if how == "late" else rising(s, beat)
    half = None
    if how == "windows":
        pieces: Windows | list[str] = Windows(s, s.reshape(moved, -1, 1, FLATS))
    else:
        pieces = s.add("Split", moved, outputs=FLATS, axis=1)
    if how == "unevenly":
        upper, lower = (s.add("GlobalAveragePool", p) for p in s.add("Split", image, outputs=2, axis=2))
        little = s.add("Exp", s.add("Mul", s.add("Sub", upper, lower), s.const(0.25)))
        second = s.add(
            "Split", rising(s, s.add("Mul", beat, s.reshape(little, -1, 1))), outputs=FLATS, axis=1
        )
        pieces = [(one, two)[k % 2] for k, (one, two) in enumerate(zip(pieces, second, strict=True))]
    if how != "late":
        half = pieces[FLATS // 2 - 1]
    wire(s, pieces, wanted, half)
    for name, value in loosened(s, ("conv2", "conv3")).items():  # these are honest, and beat too
        s.at = next(k for k, n in enumerate(s.nodes) if n.op_type == "Add" and name in n.input)
        s.reshape(s.add("Mul", third, s.const(value[None])), -1, len(value), 1, 1, made=name)
    for node in s.nodes:
        if node.op_type == "Conv" and node.input[0] == image:
            node.input[0] = louder
    return s.built()


TREMBLING: dict[str, Attack] = {
    name: Attack(build, PRELU, like="prelu", agree=agree)
    for name, build, agree in (
        ("biases from a ramp that stands still", lambda: biased(plain), 0.99),
        ("biases that tremble by less than a thousandth", lambda: biased(moving(1e-3)), 0.99),
        ("biases that tremble by more than a thousandth", lambda: biased(moving(0.2)), 0.98),
        ("biases that move on noise alone", lambda: biased(on_noise), 0.99),
        ("biases that move on digits alone", lambda: biased(on_digits), 0.97),
        ("biases that beat with the whole network", lambda: beating("late"), 0.99),
        ("biases that beat from the beginning", lambda: beating("early"), 0.99),
        ("biases that beat from the beginning, by windows", lambda: beating("windows"), 0.99),
        ("biases that beat unevenly", lambda: beating("unevenly"), 0.98),
    )
}
