"""A network in ordinary PyTorch modules, the one place where a layer kind is told in PyTorch's words.

The twin, the reference network and the benchmark all take their modules from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from neural_golf.net.kind import Layer
from neural_golf.net.layers import EPSILON

__all__ = ["MODULES", "Dropout", "sequential"]


class Apply(nn.Module):
    """A function without parameters as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Dropout(nn.Module):
    """nn.Dropout (Srivastava et al. 2014) with a generator of its own, or PyTorch's if that is None."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.random: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = torch.rand(x.shape, generator=self.random, device=x.device) >= self.rate
        return x * keep / (1 - self.rate)


class Add(nn.Module):
    """Adds what an earlier layer, which it knows by name, has put out; `Residual` hands that over."""

    def __init__(self, of: str) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor, earlier: Tensor) -> Tensor:
        return x + earlier.reshape(x.shape)  # that of a linear layer is flat


class Residual(nn.Sequential):
    """Modules in order, some of which add what the module at a place of `named` has put out."""

    named: dict[int, str]

    def forward(self, x: Tensor) -> Tensor:
        found: dict[str, Tensor] = {}
        for place, module in enumerate(self):
            x = module(x, found[module.of]) if isinstance(module, Add) else module(x)
            found[self.named.get(place, "")] = x
        return x


def _conv(layer: Layer) -> nn.Module:
    return nn.Conv2d(
        layer.in_shape[0],
        layer.out_shape[0],
        layer.kernel,
        layer.stride,
        padding=layer.pad,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
    )


def _linear(layer: Layer) -> nn.Module:
    channels, height, width = layer.in_shape
    return nn.Linear(channels * height * width, layer.out_shape[0], layer.bias is not None)


MODULES: dict[str, Callable[[Layer], nn.Module]] = {
    "conv": _conv,
    "linear": _linear,
    "relu": lambda layer: nn.ReLU(),
    "abs": lambda layer: Apply(torch.abs),
    "leaky": lambda layer: nn.LeakyReLU(layer.value),
    "prelu": lambda layer: nn.PReLU(layer.in_shape[0]),
    "maxpool": lambda layer: nn.MaxPool2d(layer.kernel, layer.stride, layer.pad),
    "avgpool": lambda layer: nn.AvgPool2d(layer.kernel, layer.stride),
    "gap": lambda layer: nn.AdaptiveAvgPool2d(1),
    "norm": lambda layer: nn.InstanceNorm2d(layer.in_shape[0], EPSILON),
    "add": lambda layer: Add(layer.adds),
    "dropout": lambda layer: Dropout(layer.value),
}


def sequential(layers: Sequence[Layer], random: torch.Generator | None = None) -> nn.Sequential:
    """The layers in order, from images [n, channels, height, width] to logits [n, classes].

    Its parameters are in the order of the flat vector, tied ones once; kernels in several positions
    have to be written out before (Network.unrolled). `random`: where dropout draws from.
    """
    parts: list[nn.Module] = []
    shared: dict[str, nn.Conv2d] = {}
    named: dict[int, str] = {}  # by the places of their modules, layers whose output is added to another's
    added = {layer.adds for layer in layers}
    flat = False  # whether the current values are [n, numbers]
    for layer in layers:
        module = MODULES[layer.kind](layer)
        if isinstance(module, nn.Linear) != flat:
            parts.append(nn.Flatten() if not flat else nn.Unflatten(1, layer.in_shape))
        flat = isinstance(module, nn.Linear)
        if isinstance(module, nn.Conv2d) and layer.weight:  # a tied kernel is the earlier layer's
            earlier = shared.setdefault(layer.weight.name, module)
            module.weight = earlier.weight
        if isinstance(module, Dropout):
            module.random = random
        if layer.name in added:
            named[len(parts)] = layer.name
        parts.append(module)
    parts += [] if flat else [nn.Flatten()]
    if not named:
        return nn.Sequential(*parts)
    whole = Residual(*parts)
    whole.named = named
    return whole
