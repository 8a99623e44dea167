"""What a layer kind is: how a spec writes it, what it computes, its ONNX nodes. `layers` lists them all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from numpy.typing import NDArray

from neural_golf.base.errors import GolfError

__all__ = ["Kind", "Layer", "Maps", "Node", "Reading", "Sides", "Tensor", "in_words"]

# Maps are [channels, height, width, images], as in the compiled core: images last make long rows.
Maps = NDArray[Any]
Weights = NDArray[Any] | None
Sides = tuple[int, int]  # down and across: rows and columns
MOST = 1_000_000  # of any number in a layer: what is larger is a slip, and no core could hold its maps


@dataclass(frozen=True)
class Tensor:
    """A named slice of the parameter vector: elements offset … offset + size, in C order."""

    name: str
    shape: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        return slice(self.offset, self.offset + self.size)


@dataclass(frozen=True)
class Layer:
    """One layer with its shapes resolved; shapes are (channels, height, width)."""

    kind: str
    name: str
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    kernel: Sides = (1, 1)
    pad: Sides = (0, 0)
    stride: Sides = (1, 1)  # how far apart the places of a kernel or a window are
    dilation: Sides = (1, 1)  # of a convolution: how far apart the pixels are that its kernel looks at
    groups: int = 1
    value: float = 0.0  # the slope of `leaky`, −1 for `abs`, the probability of `dropout`
    weight: Tensor | None = None
    bias: Tensor | None = None
    orbit: int = 1  # in how many positions each kernel stands: 1, 4 (`turns`) or 8 (`turns mirrors`)
    among: int = 1  # of a convolution: in how many positions the channels come that it reads
    adds: str = ""  # the layer whose output is added to its own


@dataclass
class Reading:
    """One line of a spec while it is read, and what stands before it. A kind's parser makes a Layer of it."""

    text: str
    shape: tuple[int, int, int]  # of its input
    layers: Sequence[Layer]  # before it
    tensors: list[Tensor]  # of those layers; `tensor` adds to it
    usage: str = ""  # how the kind is written
    words: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.words = self.text.split()

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else ""

    @property
    def name(self) -> str:
        return f"{self.kind}{1 + sum(layer.kind == self.kind for layer in self.layers)}"

    def fail(self, why: str = "") -> GolfError:
        """The error to raise. Without a reason it says how the kind is written."""
        size = "x".join(map(str, self.shape))
        return GolfError(f"network layer {self.text!r} (input {size}): {why or f'write it as: {self.usage}'}")

    def arguments(self, least: int, most: int | None = None) -> list[str]:
        """The words after the kind. Raises GolfError where there are fewer or more."""
        found = self.words[1:]
        if not least <= len(found) <= (least if most is None else most):
            raise self.fail()
        return found

    def number(self, word: str, prefix: str = "") -> int:
        """A positive whole number up to MOST, after a prefix. Raises GolfError for anything else."""
        digits = word.removeprefix(prefix)
        if not word.startswith(prefix) or not digits.isdecimal() or not 1 <= float(digits) <= MOST:
            raise self.fail(
                f"{word!r} should be {prefix and f'{prefix} and '}a positive whole number, at most {MOST:,}"
            )
        return int(digits)

    def sides(self, word: str, prefix: str = "", least: int = 1) -> Sides:
        """One number for both sides, or two: `k3` or `k1x5`. Raises GolfError for anything else.

        least: what each must be at least, and one of them 1.
        """
        down, x, across = word.removeprefix(prefix).partition("x")
        if not x:
            return (self.number(word, prefix),) * 2
        pair = [int(digits) if digits.isdecimal() and len(digits) < 9 else -1 for digits in (down, across)]
        if not word.startswith(prefix) or min(pair) < least or not 1 <= max(pair) <= MOST:
            raise self.fail(
                f"{word!r} should be {prefix}N or {prefix}NxN, with positive whole numbers up to {MOST:,}"
            )
        return pair[0], pair[1]

    def options(self, words: Sequence[str], **defaults: Sides) -> dict[str, Sides]:
        """What each letter of `defaults` stands for: the numbers in a word such as `d2`, or its default."""
        found = dict(defaults)
        letters = [word[0] for word in words]
        for letter, word in zip(letters, words, strict=True):
            if letter not in defaults:
                raise self.fail(f"unknown word {word!r}")
            if letters.count(letter) > 1:
                raise self.fail(f"{letter} is given more than once")
            found[letter] = self.sides(word, letter, min(1, *defaults[letter]))
        return found

    def positions(self, place: int | None = None) -> int:
        """In how many positions the channels come that the first `place` layers (or all) put out."""
        return next((layer.orbit for layer in reversed(self.layers[:place]) if layer.kind == "conv"), 1)

    def tensor(self, suffix: str, shape: tuple[int, ...]) -> Tensor:
        """A new tensor of this layer, behind all before it."""
        made = Tensor(f"{self.name}.{suffix}", shape, sum(t.size for t in self.tensors))
        self.tensors.append(made)
        return made

    def layer(self, out_shape: tuple[int, int, int] | None = None, **details: Any) -> Layer:
        """The layer; its output has the shape of its input unless another is given."""
        return Layer(self.kind, self.name, self.shape, out_shape or self.shape, **details)


def in_words(sides: Sides) -> str:
    """As a spec writes them.

    >>> in_words((3, 3)), in_words((1, 5))
    ('3', '1x5')
    """
    down, across = sides
    return str(down) if down == across else f"{down}x{across}"


class Node(NamedTuple):
    """An ONNX node with one output, after which it is named."""

    operator: str
    inputs: Sequence[str]
    output: str
    attributes: Mapping[str, Any] = {}


class Forward(Protocol):
    def __call__(self, layer: Layer, x: Maps, weight: Weights, bias: Weights, /) -> Maps: ...


class Backward(Protocol):
    def __call__(self, layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights, /) -> Maps: ...


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One layer kind. Code that treats some kinds differently from others asks for a property here.

    forward: the output y for an input x. backward: the gradient with respect to x, from that with
    respect to y. Both in numpy, on Maps, outside training; in numpy an elementwise product or sum
    rounds alike on every machine, which a BLAS does not. What a layer `adds` is left to who runs it. nodes:
    the ONNX nodes for an input of some name; the last one's output has the name of the layer.
    """

    usage: str  # how a spec writes it
    title: str  # what the site calls it
    parse: Callable[[Reading], Layer]
    forward: Forward
    backward: Backward
    nodes: Callable[[Layer, str], list[Node]]
    core: str = ""  # what the compiled core calls it; "" where only the PyTorch twin knows it
    weighted: bool = False  # sums of products with a weight tensor
    activation: bool = False  # a function of one number
    rectifies: bool = False  # an activation that halves the variance, for He's starting weights
    ends: bool = False  # makes one number per channel, so that a network can end in it
    shapeless: bool = False  # its ONNX nodes take [batch, numbers] as well as maps
    training: bool = False  # does nothing outside training
