"""The engine's algorithm of zeroing in plain PyTorch: so the algorithm is told apart from its implementation.

Maps of all images are kept. A candidate changes one channel of its layer: only this channel is computed anew,
and then the layers after it. Images with the smallest margin come first, in small groups: a candidate that
must fail does so early.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.bench.machine import Set
from neural_golf.bench.peers.pytorch import normalised
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["sweep"]

GROUPS = (0, 64, 256, 1024, 4096)  # where groups of images begin; the last one is the rest


def sweep(
    network: Network,
    parameters: NDArray[np.float32],
    candidates: NDArray[np.int64],
    data: Set,
    threshold: int,
) -> NDArray[np.bool_]:
    """Which parameters [n] stay after the candidates, in the order of the layers, were each set to zero where
    `threshold` images are still right. The layers are those of the bench's network.
    """
    import torch

    with torch.inference_mode():
        run = _Sweep(network, parameters, data, threshold)
        for candidate in candidates:
            run.attempt(int(candidate))
    return run.mask


class _Sweep:
    def __init__(self, network: Network, parameters: NDArray[np.float32], data: Set, threshold: int) -> None:
        import torch

        begins = [k for k, layer in enumerate(network.layers) if KINDS[layer.kind].weighted]
        self.stages = [network.layers[a:b] for a, b in pairwise([*begins, len(network.layers)])]
        self.mask = np.ones(network.size, bool)
        self._parameters = torch.from_numpy(parameters.copy())
        x, y = normalised(data[0]), torch.from_numpy(data[1])
        scores = self._after(x, 0)
        own = scores.gather(1, y[:, None])[:, 0]
        others = scores.scatter(1, y[:, None], -torch.inf).amax(1)
        order = torch.argsort(own - others)
        self._wrong = len(y) - threshold  # so many may be
        self._y = y[order]
        self._stage, self._in = 0, x[order]
        self._out = self._run(0, self._in)
        bounds = [k for k in GROUPS if k < len(y)]
        self._groups = [slice(a, b) for a, b in pairwise([*bounds, len(y)])]

    def attempt(self, candidate: int) -> None:
        """Set a parameter to zero if enough images stay right."""
        import torch

        while not self._here(candidate):
            self._stage, self._in = self._stage + 1, self._out
            self._out = self._run(self._stage, self._in)
        weight = self.stages[self._stage][0].weight
        assert weight is not None
        channel = (candidate - weight.offset) // (weight.size // weight.shape[0])
        before = float(self._parameters[candidate])
        self._parameters[candidate] = 0
        wrong, made = 0, []
        for group in self._groups:
            made.append(self._run(self._stage, self._in[group], channel))
            maps = self._out[group].clone()
            maps[:, channel : channel + 1] = made[-1]
            wrong += int((self._after(maps, self._stage + 1).argmax(1) != self._y[group]).sum())
            if wrong > self._wrong:
                self._parameters[candidate] = before
                return
        self.mask[candidate] = False
        self._out[:, channel : channel + 1] = torch.cat(made)

    def _here(self, candidate: int) -> bool:
        weight = self.stages[self._stage][0].weight
        return weight is not None and weight.offset <= candidate < weight.offset + weight.size

    def _after(self, maps: Tensor, stage: int) -> Tensor:
        for k in range(stage, len(self.stages)):
            maps = self._run(k, maps)
        return maps

    def _run(self, stage: int, x: Tensor, channel: int | None = None) -> Tensor:
        """A stage, or one channel of it [images, 1, ...], from its input."""
        part = slice(None) if channel is None else slice(channel, channel + 1)
        for layer in self.stages[stage]:
            x = self._layer(layer, x, part)
        return x

    def _layer(self, layer: Layer, x: Tensor, part: slice) -> Tensor:
        from torch.nn import functional

        tensors = [t for t in (layer.weight, layer.bias) if t is not None]
        own: Any = [self._parameters[t.slice].reshape(t.shape)[part] for t in tensors]
        made: Tensor
        match layer.kind:
            case "conv":
                made = functional.conv2d(x, *own)
            case "linear":
                made = functional.linear(x.flatten(1), *own)
            case "prelu":
                made = functional.prelu(x, *own)
            case _:
                made = functional.max_pool2d(x, layer.kernel)
        return made
