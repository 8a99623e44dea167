"""Networks as data: a short spec, its shapes, its parameters as one flat vector.

A network is a list of layers, each a few words: `conv 4 k4`, `prelu`, `maxpool 2`, `linear 10`. The
kinds and how each is written stand in the table `layers.KINDS`.

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
from neural_golf.net.form import Form
from neural_golf.net.kind import Layer, Reading, Tensor
from neural_golf.net.layers import parse_layer
from neural_golf.net.orbits import POSITIONS, in_all_positions

__all__ = ["Network"]

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A parsed spec. Make one with `Network.parse`."""

    spec: tuple[str, ...]
    layers: tuple[Layer, ...]
    tensors: tuple[Tensor, ...]
    form: Form | None = None  # in which it sees every image, or None for images as they are

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
    def parse(
        spec: Sequence[str], in_shape: tuple[int, int, int] = (1, 28, 28), form: Form | None = None
    ) -> Network:
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
            layer = parse_layer(Reading(text, shape, layers, tensors))
            layers.append(layer)
            shape = layer.out_shape
        if not layers or shape[1:] != (1, 1):
            raise GolfError(
                f"network {list(spec)}: its last layer must give one number per class (linear or gap), "
                f"not {shape}"
            )
        if form and min(in_shape[1:]) < 2:
            raise GolfError(f"network {list(spec)}: images of {in_shape} are too small for a form")
        return Network(tuple(spec), tuple(layers), tuple(tensors), form)

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
        spec = [self._written_out(*one) for one in zip(self.layers, self.spec, strict=True)]
        plain = Network.parse(spec, self.in_shape, self.form)
        source = np.empty(plain.size, np.int64)
        for layer, full in zip(self.layers, plain.layers, strict=True):
            for own, other in ((layer.weight, full.weight), (layer.bias, full.bias)):
                if own is None or other is None:
                    continue
                index = np.arange(own.offset, own.offset + own.size).reshape(own.shape)
                if layer.orbit > 1 and own is layer.weight:
                    index = in_all_positions(index, layer.orbit, layer.among)
                source[other.slice] = index.ravel()
        return plain, source

    def _written_out(self, layer: Layer, text: str) -> str:
        """The line of a layer whose kernels stand once each. A tied kernel that stands in other positions
        than where it comes from, or among channels in other positions, is then another kernel.
        """
        first = next(one for one in self.layers if one is layer or one.weight == layer.weight)
        alike = layer.orbit == first.orbit and (layer.orbit == 1 or layer.among == first.among)
        left = [word for word in text.split() if word not in POSITIONS]
        return " ".join(word for word in left if alike or not word.startswith("tied="))

    def weights(self) -> NDArray[np.int64]:
        """Indices of the convolution and linear weights: no biases, no slopes."""
        parts = [np.arange(t.offset, t.offset + t.size) for t in self.tensors if t.name.endswith(".weight")]
        return np.concatenate(parts)
