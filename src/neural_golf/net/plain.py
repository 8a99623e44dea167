"""A network in plain numpy: the output of every layer, and the gradient with respect to the image."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from neural_golf.net.kind import Layer, Maps, Weights
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["Plain"]


class Plain:
    """The layers of a network up to one of them, with their parameters [n]; kernels in several positions
    are written out.

    No BLAS and no threads: results are the same bits on every machine. float32 or float64, as the
    parameters are.
    """

    def __init__(self, network: Network, parameters: NDArray[Any], layers: int | None = None) -> None:
        if network.equivariant:
            network, source = network.unrolled()
            parameters = parameters[source]
        self.layers = network.layers[:layers]
        self._places = {layer.name: place for place, layer in enumerate(self.layers, start=1)}
        self._named = {t.name: parameters[t.slice].reshape(t.shape) for t in network.tensors}

    def forward(self, x: Maps) -> list[Maps]:
        """x [channels, height, width, images], and the output of each layer."""
        maps = [x]
        for layer in self.layers:
            y = KINDS[layer.kind].forward(layer, maps[-1], *self._tensors(layer))
            maps.append(y + maps[self._places[layer.adds]] if layer.adds else y)
        return maps

    def backward(self, maps: list[Maps], gradient: Maps) -> Maps:
        """The gradient with respect to the image, from that with respect to the last output.

        maps: what `forward` gave.
        """
        added: dict[str, list[Maps]] = {}  # what layers get besides, from those that add their output
        for layer, x, y in zip(self.layers[::-1], maps[-2::-1], maps[:0:-1], strict=True):
            gradient = sum(added.pop(layer.name, []), gradient)
            if layer.adds:
                added.setdefault(layer.adds, []).append(gradient)
            gradient = KINDS[layer.kind].backward(layer, gradient, x, y, self._tensors(layer)[0])
        return gradient

    def _tensors(self, layer: Layer) -> tuple[Weights, Weights]:
        weight, bias = (self._named[t.name] if t else None for t in (layer.weight, layer.bias))
        return weight, bias
