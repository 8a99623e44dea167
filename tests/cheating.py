"""The other half of the oracle: networks of known weights, wrapped at random in ways that hide them.

The tricks are the simple ones that the attacks of tests/attacks.py are made of. They may stand in each other, and
beside honest ways. The referee must count at least the weights, or refuse the file.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from onnx import ModelProto

from wrapping import OPSETS, STORED, UNIT, Writer, drawn, plainly, tensor, written

F = np.float32
LONG = 784  # pieces of a ramp; the middle one is exactly zero


def whole(array: np.ndarray) -> np.ndarray | None:
    """The numbers as multiples of 1/64, from -127 to 127; None where they are none."""
    found = np.rint(array / UNIT)
    fits = (np.abs(found) <= 127).all() and (found * UNIT == array).all()
    return found.astype(np.int64) if fits else None


class Cheat(Writer):
    """A writer that remembers what it has made from the image."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(
            rng, rng.choice(OPSETS), ways=(*CHEATS, *CHEATS, *STORED), spread_out=rng.random() < 0.5
        )
        self.kept: dict[str, Any] = {}

    def mean(self) -> str:
        """The mean of the image as a number [1], or, of several images, of all of them."""
        if "mean" not in self.kept:
            self.kept["mean"] = self.reshape(self.reduced("ReduceMean", self.image), 1)
        return str(self.kept["mean"])

    def reduced(self, op: str, name: str) -> str:
        axes = [0, 1, 2, 3]
        if self.opset >= 18:
            return str(self.add(op, name, self.ints(*axes), keepdims=0))
        return str(self.add(op, name, axes=axes, keepdims=0))

    def nothing(self) -> str:
        """A zero [1] from the image."""
        if "nothing" not in self.kept:
            match self.rng.randrange(4):
                case 0:
                    made = self.add("Sub", self.mean(), self.mean())
                case 1:
                    made = self.add("Relu", self.add("Neg", self.mean()))
                case 2:
                    made = self.add("Min", self.mean(), self.store(np.zeros(1, F)))
                case _:
                    made = self.add("Mul", self.mean(), self.store(np.zeros(1, F)))
            self.kept["nothing"] = made
        return str(self.kept["nothing"])

    def pieces(self) -> list[str]:
        """784 numbers [1] from the image: (j - 392) / 64 for j from 1."""
        if "pieces" not in self.kept:
            one = self.add("Exp", self.nothing())
            row = self.add("Expand", one, self.ints(1, 1, 1, LONG))
            window = {"kernel_shape": [1, LONG], "pads": [0, LONG - 1, 0, 0], "count_include_pad": 1}
            risen = self.reshape(self.add("AveragePool", row, **window), LONG)
            level = self.add("Sub", risen, self.add("Sigmoid", self.nothing()))
            level = self.add("Mul", level, self.store(np.array([LONG * UNIT], F)))
            more = {"num_outputs": LONG} if self.opset >= 18 else {}
            self.kept["pieces"] = self.add("Split", level, outputs=LONG, axis=0, **more)
        return list(self.kept["pieces"])


# Each takes the writer and a tensor; None: not for this one.


def wires(w: Cheat, array: np.ndarray) -> str | None:
    """Pieces of a ramp."""
    found = whole(array)
    if found is None or not found.size:
        return None
    pieces = w.pieces()
    flat = w.add("Concat", *(pieces[LONG // 2 - 1 + n] for n in found.ravel()), axis=0)
    return w.reshape(flat, *array.shape)


def codebook(w: Cheat, array: np.ndarray) -> str | None:
    """Each number once, and a Concat of wires."""
    values, places = np.unique(array, return_inverse=True)
    more = {"num_outputs": len(values)} if w.opset >= 18 else {}
    pieces = w.add("Split", tensor(w, values), outputs=len(values), axis=0, **more)
    return w.reshape(w.add("Concat", *(pieces[k] for k in places.ravel()), axis=0), *array.shape)


def indices(w: Cheat, array: np.ndarray) -> str:
    values, places = np.unique(array, return_inverse=True)
    index = w.store(places.reshape(array.shape).astype(np.int64))
    return str(w.add("Gather", tensor(w, values), index, axis=0))


def pairs(w: Cheat, array: np.ndarray) -> str | None:
    """Two in one, taken apart by a large number."""
    found = whole(array)
    if found is None or found.size < 2:
        return None
    flat = np.pad(found.ravel(), (0, found.size % 2))
    low, high = np.split(flat, 2)
    packed = hidden(w, (low + 256.0 * high).astype(F))
    large = w.store(np.array([1.5 * 2.0**31], F))
    upper = w.add("Sub", w.add("Add", packed, large), large)
    lower = w.add("Mul", w.add("Sub", packed, upper), w.store(np.array([UNIT], F)))
    upper = w.add("Mul", upper, w.store(np.array([UNIT / 256], F)))
    both = w.add("Concat", lower, upper, axis=0)
    both = w.add("Slice", both, w.ints(0), w.ints(found.size))
    return w.reshape(both, *array.shape)


def hidden(w: Cheat, array: np.ndarray) -> str:
    """Something that cancels is added."""
    name = tensor(w, array)
    return name if w.rng.random() < 0.2 else str(w.add("Add", name, w.nothing()))


def times_one(w: Cheat, array: np.ndarray) -> str:
    return str(w.add("Mul", tensor(w, array), w.add("Exp", w.nothing())))


def trembling(w: Cheat, array: np.ndarray) -> str:
    """A little more where there is more ink."""
    little = w.add("Mul", w.mean(), w.store(np.array([w.rng.choice((1e-6, 1e-4, 1e-3))], F)))
    return str(w.add("Add", tensor(w, array), little))


def beating(w: Cheat, array: np.ndarray) -> str:
    """Multiplied and divided by the ink."""
    ink = w.add("Add", w.mean(), w.store(np.array([0.1], F)))
    return str(w.add("Div", w.add("Mul", tensor(w, array), ink), ink))


def zero_point(w: Cheat, array: np.ndarray) -> str | None:
    """The commonest number is stored as a zero."""
    found = whole(array)
    if found is None or not found.size:
        return None
    values, times = np.unique(found, return_counts=True)
    common = int(values[times.argmax()])
    stored = found - common
    if np.abs(stored).max() > 127:
        return None
    parts = w.store(stored.astype(np.int8)), w.store(np.array(UNIT, F)), w.store(np.array(-common, np.int8))
    return str(w.add("DequantizeLinear", *parts))


def shapes(w: Cheat, array: np.ndarray) -> str | None:
    """As many ones as the number says, added up."""
    found = whole(array)
    if found is None or not 0 < found.size <= 4:
        return None
    one = w.add("Exp", w.nothing())
    parts = []
    for n in found.ravel():
        many = w.add("Expand", one, w.ints(int(abs(n)) or 1))
        part = w.add("ReduceSum", many, w.ints(0), keepdims=1)
        part = w.add("Mul", part, w.store(np.array([np.sign(n) * UNIT], F)))
        parts.append(part)
    return w.reshape(w.add("Concat", *parts, axis=0), *array.shape)


def halves(w: Cheat, array: np.ndarray) -> str:
    """The sum of a tensor and what it lacks: one of them is what float16 leaves of noise."""
    noise = np.random.default_rng(w.rng.randrange(2**32)).integers(-64, 64, array.shape) * UNIT
    first = (array + noise).astype(F)
    return str(w.add("Sub", tensor(w, first), tensor(w, noise.astype(F))))


def copies(w: Cheat, array: np.ndarray) -> str:
    """Half of it, twice, under two names."""
    half = tensor(w, (array / 2).astype(F))
    return str(w.add("Sum", half, w.add("Identity", half)))


CHEATS = (
    wires, codebook, indices, pairs, hidden, times_one, trembling, beating, zero_point, shapes, halves, copies,
)  # fmt: skip


def cheat(seed: int, number: int) -> tuple[ModelProto, int, ModelProto]:
    """A network that hides some of its weights, how many it has, and the same network written plainly."""
    rng = random.Random(f"cheat {seed}/{number}")
    plain = drawn(rng)
    w = Cheat(rng)
    model, _ = written(plain, w)
    return model, plain.count, plainly(plain)
