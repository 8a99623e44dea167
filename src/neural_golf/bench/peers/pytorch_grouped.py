"""PyTorch that trains 16 networks at once: their convolutions are one grouped convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from neural_golf.bench.peers.peer import Training, Vector, Work
from neural_golf.bench.peers.pytorch import normalised, trained_in_steps
from neural_golf.net.kind import Layer
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "train"]

NETWORKS = 16


def train(compiled: bool) -> Callable[[Training], Work]:
    """All networks see the same images and start alike; the seconds are those of one of them."""

    def work(task: Training) -> Work:
        import torch

        module = grouped(task.network)
        named = task.network.unpack(task.start)

        def reset() -> None:
            with torch.no_grad():
                for parameter, start in zip(module.parameters(), named.values(), strict=True):
                    copies = torch.from_numpy(np.concatenate([start] * NETWORKS)).reshape(parameter.shape)
                    parameter.copy_(copies)

        def first() -> Vector:
            shapes = [start.size for start in named.values()]
            parts = [p.detach().flatten()[:n] for p, n in zip(module.parameters(), shapes, strict=True)]
            return np.asarray(torch.cat(parts).numpy().copy())

        call = torch.compile(module, dynamic=False) if compiled else module
        x, y = normalised(task.data[0]), torch.from_numpy(task.data[1])
        return trained_in_steps(task, module, call, x, y, reset, first, True, NETWORKS)

    return work


def grouped(network: Network) -> nn.Module:
    """16 copies of a network side by side, from images [n, 1, height, width] to logits [n, 16, classes]. The
    first convolution has one group, since all read the same image; a linear layer is a convolution of all its
    map. The layers are those of the bench's network.
    """
    from torch import nn

    def made(layer: Layer, groups: int) -> nn.Module:
        inputs, outputs = layer.in_shape[0] * groups, layer.out_shape[0] * NETWORKS
        match layer.kind:
            case "conv":
                return nn.Conv2d(inputs, outputs, layer.kernel, groups=groups)
            case "prelu":
                return nn.PReLU(inputs)
            case "maxpool":
                return nn.MaxPool2d(layer.kernel)
            case _:
                return nn.Conv2d(inputs, outputs, layer.in_shape[1:], groups=groups)

    parts = [made(layer, 1 if at == 0 else NETWORKS) for at, layer in enumerate(network.layers)]
    return nn.Sequential(*parts, nn.Flatten(), nn.Unflatten(1, (NETWORKS, network.classes)))
