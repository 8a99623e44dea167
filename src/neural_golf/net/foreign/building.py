"""Layers of a spec with their weights, put together one by one; scales and shifts are folded into them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.foreign.model import UnknownLayer
from neural_golf.net.foreign.seen import Floats, Seen
from neural_golf.net.kind import Layer, Reading, Tensor
from neural_golf.net.layers import KINDS, parse_layer
from neural_golf.net.spec import Network

__all__ = ["Building"]

Shape = tuple[int, int, int]


@dataclass
class _Part:
    text: str  # without `nobias`: whether there is one may change
    layer: Layer
    weight: Floats | None = None
    bias: Floats | None = None


class Building:
    """The layers so far. `add` appends one; a `Seen` says of which of them it is the output."""

    def __init__(self, in_shape: Shape, batch: int) -> None:
        self.in_shape, self.batch = in_shape, batch
        self.parts: list[_Part] = []
        self.kept: set[int] = set()  # parts, from 1, that two read: nothing more is folded into them
        self._tensors: list[Tensor] = []

    @property
    def shape(self) -> Shape:
        """[channels, height, width] of what the last layer puts out."""
        return self.parts[-1].layer.out_shape if self.parts else self.in_shape

    def seen(self, rank: int) -> Seen:
        """The output of the last layer."""
        return Seen.of(len(self.parts), self.batch, self.shape, rank)

    def add(self, text: str, weight: Floats | None = None, bias: Floats | None = None) -> None:
        """Append a layer, in a spec's words. Raises UnknownLayer where a spec cannot say it."""
        layers = [part.layer for part in self.parts]
        tensors = list(self._tensors)  # a line that cannot be read may have added some
        try:
            layer = parse_layer(Reading(text, self.shape, layers, tensors))
        except GolfError as error:
            raise UnknownLayer(str(error)) from None
        self.parts.append(_Part(text, layer, weight, bias))
        self._tensors = tensors

    def able(self, text: str) -> bool:
        """Whether a spec can say this layer here."""
        try:
            parse_layer(Reading(text, self.shape, [p.layer for p in self.parts], list(self._tensors)))
        except GolfError:
            return False
        return True

    def taken(self, x: Seen, what: str) -> tuple[NDArray[np.int64], Floats, Floats]:
        """`Seen.whole` of what a layer reads. Raises UnknownLayer where it is not the output of the last
        one.
        """
        if x.squashed:
            raise UnknownLayer(f"{x.squashed} is known only at the end of a network")
        if x.source != len(self.parts):
            raise UnknownLayer(
                f"{what} reads an earlier map, which a network here can only add to a later one"
            )
        found = x.whole(self.shape)
        if found is None:
            raise UnknownLayer(f"{what} mixes images, or elements of maps in more than one way")
        return found

    def settled(self, x: Seen, what: str) -> Seen:
        """x without scale and shift: they go into the layer before, or into a 1x1 convolution of their
        own.
        """
        if x.scale is None and x.shift is None:
            return x
        _, scale, shift = self.taken(x, what)
        plain = Seen(x.source, x.ids)
        if (scale == 1).all() and (shift == 0).all():
            return plain
        factor, term = self.by_channel(scale, shift, what)
        last = self.parts[-1] if self.parts else None
        free = len(self.parts) not in self.kept
        if last and free and KINDS[last.layer.kind].weighted and last.weight is not None:
            last.weight = last.weight * factor.reshape(-1, *[1] * (last.weight.ndim - 1))
            if last.bias is not None or term.any():
                last.bias = (0.0 if last.bias is None else last.bias) * factor + term
            return plain
        channels = self.shape[0]
        self.add(f"conv {channels} k1 g{channels}", factor.reshape(-1, 1, 1, 1), term)
        return Seen(len(self.parts), x.ids)

    def shared(self, x: Seen, what: str) -> Seen:
        """x, which two layers read, without scale and shift if that can be: only so can it be added later."""
        with contextlib.suppress(UnknownLayer):
            x = x if x.squashed else self.settled(x, what)
        self.kept.add(x.source)
        return x

    def summed(self, x: Seen, other: Seen, what: str) -> Seen:
        """The sum of the last layer's output and an earlier one's. Raises UnknownLayer for any other sum."""
        x, other = (x, other) if x.source > other.source else (other, x)
        x = self.settled(x, what)
        self.taken(x, what)
        if other.source in (0, x.source) or other.scale is not None or not np.array_equal(x.ids, other.ids):
            raise UnknownLayer(
                f"{what} adds something other than the plain maps of an earlier layer, of the same shape"
            )
        self.add(f"add {self.parts[other.source - 1].layer.name}")
        return Seen(len(self.parts), x.ids)

    def by_channel(self, scale: Floats, shift: Floats, what: str) -> tuple[Floats, Floats]:
        """One number per channel of each. Raises UnknownLayer where the places of a map differ."""
        both = scale[:, 0, 0], shift[:, 0, 0]
        if (scale != both[0][:, None, None]).any() or (shift != both[1][:, None, None]).any():
            raise UnknownLayer(f"{what} comes after a scale or shift that differs from place to place")
        return both

    def reordered(self, rows: NDArray[np.int64]) -> None:
        """Take the last layer's outputs in another order. Raises UnknownLayer where that is not possible."""
        last = self.parts[-1]
        if last.layer.kind != "linear" or last.weight is None or rows.min() < 0:
            raise UnknownLayer("the answer has its classes in another order than the last layer")
        self.parts.pop()
        self._tensors = [t for t in self._tensors if t not in (last.layer.weight, last.layer.bias)]
        self.add(f"linear {len(rows)}", last.weight[rows], None if last.bias is None else last.bias[rows])

    def network(self) -> tuple[Network, NDArray[np.float32]]:
        """The spec, read as a whole, and the parameters [n]."""
        texts = [part.text for part in self.parts]
        for k, part in enumerate(self.parts):
            if KINDS[part.layer.kind].weighted and part.bias is None:
                texts[k] += " nobias"
        network = Network.parse(texts, self.in_shape)
        named: dict[str, NDArray[np.float32]] = {}
        for layer, part in zip(network.layers, self.parts, strict=True):
            for tensor, values in ((layer.weight, part.weight), (layer.bias, part.bias)):
                if tensor is not None:
                    assert values is not None
                    named[tensor.name] = values.reshape(tensor.shape).astype(np.float32)
        return network, network.pack(named)
