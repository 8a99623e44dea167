"""Networks as data: a short spec, its shapes, its parameters as one flat vector.

A network is a list of layers, each a few words:

    conv C kK [same] [gG] [nobias] [tied=NAME]   2-D convolution, stride 1, valid unless `same`
    conv C kK turns                              C / 4 kernels, each also turned by 90, 180, 270 degrees
    conv C kK turns mirrors                      C / 8 kernels, each in these positions and mirrored
    linear C [nobias]                            fully connected, on the flattened input
    relu | abs | leaky SLOPE | prelu             prelu has one slope per channel
    maxpool K | avgpool K                        K by K windows, stride K, the remainder cut off
    gap                                          global average pool
    norm                                         each map of an image to mean 0, variance 1; no parameters
    dropout P                                    only while training, only on the PyTorch core

All parameters of a network live in one float32 vector, so that an optimiser, a
pruner or a Fisher matrix sees n numbers and nothing else. `Network.tensors`
says which slice is which tensor; a mask is a boolean vector of the same length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.orbits import POSITIONS, in_all_positions

__all__ = ["Layer", "Network", "Tensor"]

Vector = NDArray[np.float32]


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
    kernel: int = 0
    pad: int = 0
    groups: int = 1
    value: float = 0.0  # the slope of `leaky`, −1 for `abs`, the probability of `dropout`
    weight: Tensor | None = None
    bias: Tensor | None = None
    orbit: int = 1  # in how many positions each kernel stands: 1, 4 (`turns`) or 8 (`turns mirrors`)


@dataclass(frozen=True)
class Network:
    """A parsed spec. Make one with `Network.parse`."""

    spec: tuple[str, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Number of parameters; a tied tensor counts once."""
        return sum(tensor.size for tensor in self.tensors)

    @property
    def classes(self) -> int:
        return math.prod(self.layers[-1].out_shape)

    @property
    def in_shape(self) -> tuple[int, int, int]:
        return self.layers[0].in_shape

    @staticmethod
    def parse(spec: Sequence[str], in_shape: tuple[int, int, int] = (1, 28, 28)) -> Network:
        """Resolve names, shapes and parameter offsets of a spec.

        >>> blog = ["conv 4 k4", "prelu", "maxpool 2", "conv 5 k3", "prelu", "maxpool 2",
        ...         "conv 4 k3", "prelu", "linear 10"]
        >>> network = Network.parse(blog)
        >>> network.size, network.layers[-1].in_shape
        (820, (4, 3, 3))

        Raises GolfError for a word it does not know or a shape that cannot be.
        """
        layers: list[Layer] = []
        tensors: list[Tensor] = []
        shape = in_shape
        for text in spec:
            layer = _parse_layer(text, shape, layers, tensors)
            layers.append(layer)
            shape = layer.out_shape
        if not layers or shape[1:] != (1, 1):
            raise GolfError(
                f"network {list(spec)}: it must end in one number per class (linear or gap), not {shape}"
            )
        return Network(tuple(spec), tuple(layers), tuple(tensors))

    def unpack(self, vector: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """The vector [n] as named tensors (views, in layer order)."""
        return {t.name: vector[t.slice].reshape(t.shape) for t in self.tensors}

    def pack(self, named: Mapping[str, NDArray[np.float32]]) -> Vector:
        """Named tensors as one vector [n]. Raises GolfError where names or shapes differ."""
        want = {t.name: t.shape for t in self.tensors}
        have = {name: tuple(a.shape) for name, a in named.items()}
        if want != have:
            odd = sorted(k for k in want.keys() | have.keys() if want.get(k) != have.get(k))
            raise GolfError(
                f"tensors of another architecture: {odd[0]} is {have.get(odd[0])}, not {want.get(odd[0])}"
            )
        return np.concatenate([np.asarray(named[t.name], np.float32).ravel() for t in self.tensors])

    @property
    def equivariant(self) -> bool:
        """Whether some kernels stand in several positions, turned or mirrored."""
        return any(layer.orbit > 1 for layer in self.layers)

    def unrolled(self) -> tuple[Network, NDArray[np.int64]]:
        """The same network with every turned kernel written out, and which parameter stands where.

        source: int [n_full]; parameters[source] are the parameters of the unrolled network. A kernel
        W [in, k, k] that stands in 4 (or 8) positions gives as many channels, in a row: W turned by 0,
        90, 180 and 270 degrees (and then its mirror image turned by as much). If the layer before has
        as many positions, its channels change places as they would in an image so turned (group
        convolution, Cohen & Welling 2016, arXiv:1602.07576).
        """
        plain = Network.parse([_without(text, POSITIONS) for text in self.spec], self.in_shape)
        source = np.empty(plain.size, np.int64)
        orbit = 1  # the channels of the current map come in so many positions
        for layer, full in zip(self.layers, plain.layers, strict=True):
            for own, other in ((layer.weight, full.weight), (layer.bias, full.bias)):
                if own is None or other is None:
                    continue
                index = np.arange(own.offset, own.offset + own.size).reshape(own.shape)
                if layer.orbit > 1 and own is layer.weight:
                    index = in_all_positions(index, layer.orbit, among=orbit)
                source[other.slice] = index.ravel()
            orbit = layer.orbit if layer.kind == "conv" else orbit
        return plain, source

    def weights(self) -> NDArray[np.int64]:
        """Indices of the convolution and linear weights: no biases, no slopes."""
        parts = [np.arange(t.offset, t.offset + t.size) for t in self.tensors if t.name.endswith(".weight")]
        return np.concatenate(parts)


def _parse_layer(
    text: str, shape: tuple[int, int, int], layers: Sequence[Layer], tensors: list[Tensor]
) -> Layer:
    words = text.split()
    kind = words[0] if words else ""
    name = f"{kind}{1 + sum(layer.kind == kind for layer in layers)}"
    c, h, w = shape

    def fail(why: str) -> GolfError:
        return GolfError(f"network layer {text!r} (input {c}x{h}x{w}): {why}")

    def number(word: str, prefix: str = "") -> int:
        digits = word.removeprefix(prefix)
        if not word.startswith(prefix) or not digits.isdecimal() or int(digits) < 1:
            raise fail(f"{word!r} should be {prefix or 'a'}{'' if prefix else ' '}positive whole number")
        return int(digits)

    def add(suffix: str, size: tuple[int, ...]) -> Tensor:
        tensor = Tensor(f"{name}.{suffix}", size, sum(t.size for t in tensors))
        tensors.append(tensor)
        return tensor

    def only(count: int) -> None:
        if len(words) != count:
            raise fail(f"{kind} takes {count - 1} word(s) after it")

    match kind:
        case "conv":
            if len(words) < 3:
                raise fail("write it as: conv CHANNELS kKERNEL [same] [gGROUPS] [nobias] [tied=NAME]")
            out, k = number(words[1]), number(words[2], "k")
            options = words[3:]
            groups = next((number(o, "g") for o in options if o.startswith("g")), 1)
            tied = next((o.removeprefix("tied=") for o in options if o.startswith("tied=")), None)
            orbit = 8 if "mirrors" in options else 4 if "turns" in options else 1
            known = ("same", "nobias", *POSITIONS)
            unknown = [o for o in options if o not in known and o[:1] != "g" and o[:5] != "tied="]
            if unknown:
                raise fail(f"unknown word {unknown[0]!r}")
            if c % groups or out % groups:
                raise fail(f"{groups} groups do not divide {c} and {out} channels")
            if k > 7 or ("same" in options and k % 2 == 0):
                raise fail("kernels go from 1 to 7, and `same` needs an odd one")
            pad = k // 2 if "same" in options else 0
            size = (h + 2 * pad - k + 1, w + 2 * pad - k + 1)
            if min(size) < 1:
                raise fail(f"a {k}x{k} kernel does not fit")
            if "mirrors" in options and "turns" not in options:
                raise fail("mirrors go with turns")
            if orbit > 1 and (out % orbit or groups > 1):
                raise fail(
                    f"these kernels come in {orbit} positions, so in multiples of {orbit}, not in groups"
                )
            if orbit > 1 and h != w:
                raise fail("an image that is turned must be square")
            before = next((layer.orbit for layer in reversed(layers) if layer.kind == "conv"), 1)
            if orbit > 1 and before not in (1, orbit):
                raise fail(f"its kernels have {orbit} positions, those of the layer before {before}")
            weight_shape = (out // orbit, c // groups, k, k)
            if tied is None:
                weight = add("weight", weight_shape)
            else:
                found = [t for t in tensors if t.name == f"{tied}.weight"]
                if not found or found[0].shape != weight_shape:
                    raise fail(f"no earlier layer {tied!r} has a kernel of shape {weight_shape}")
                weight = found[0]
            bias = None if "nobias" in options else add("bias", (out,))
            return Layer(
                kind, name, shape, (out, *size), k, pad, groups, weight=weight, bias=bias, orbit=orbit
            )
        case "linear":
            if len(words) not in (2, 3) or words[2:] not in ([], ["nobias"]):
                raise fail("write it as: linear CLASSES [nobias]")
            out = number(words[1])
            weight = add("weight", (out, c * h * w))
            bias = None if "nobias" in words else add("bias", (out,))
            return Layer(kind, name, shape, (out, 1, 1), weight=weight, bias=bias)
        case "relu" | "abs":
            only(1)
            return Layer(kind, name, shape, shape, value=-1.0 if kind == "abs" else 0.0)
        case "prelu":
            only(1)
            return Layer(kind, name, shape, shape, weight=add("slope", (c,)))
        case "norm":
            only(1)
            if h * w == 1:
                raise fail("a map of one pixel is its own mean, and nothing would be left of it")
            return Layer(kind, name, shape, shape)
        case "leaky" | "dropout":
            only(2)
            try:
                value = float(words[1])
            except ValueError:
                value = -1.0
            if not 0 <= value < 1:
                raise fail(f"{words[1]!r} should be a number from 0 to 1")
            return Layer(kind, name, shape, shape, value=value)
        case "maxpool" | "avgpool":
            only(2)
            k = number(words[1])
            if min(h, w) < k:
                raise fail(f"a {k}x{k} window does not fit")
            return Layer(kind, name, shape, (c, h // k, w // k), k)
        case "gap":
            only(1)
            return Layer(kind, name, shape, (c, 1, 1))
    kinds = "conv linear relu abs leaky prelu maxpool avgpool gap norm dropout"
    raise fail(f"unknown kind {kind!r}; known: {kinds}")


def _without(text: str, words: Sequence[str]) -> str:
    return " ".join(word for word in text.split() if word not in words)
