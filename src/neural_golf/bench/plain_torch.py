"""The other side of the benchmark: the same network in plain PyTorch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["NORMAL", "compiled_module", "module_of", "normalised", "torch_correct"]

NORMAL = (0.1307, 0.3081)


def normalised(images: NDArray[np.uint8]) -> Tensor:
    import torch

    return (torch.from_numpy(images).float() / 255 - NORMAL[0]) / NORMAL[1]


def module_of(network: Network, parameters: NDArray[np.float32] | None = None) -> nn.Module:
    """The network as one would write it with torch.nn."""
    import torch

    from neural_golf.engine.modules import sequential

    module = sequential(network.layers)
    if parameters is not None:
        torch.nn.utils.vector_to_parameters(torch.from_numpy(parameters.copy()), module.parameters())
    return module


def torch_correct(module: nn.Module, x: Tensor, y: Tensor, batch: int) -> int:
    import torch

    with torch.no_grad():
        parts = zip(torch.split(x, batch), torch.split(y, batch), strict=True)
        return sum(int((module(a).argmax(1) == b).sum()) for a, b in parts)


def compiled_module(
    network: Network, x: Tensor, y: Tensor
) -> tuple[Callable[[Tensor], Tensor], nn.Module] | None:
    """torch.compile of the network, warmed up; None where it does not work here."""
    import torch

    module = module_of(network)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call = torch.compile(module, dynamic=False)
            for _ in range(3):
                torch.nn.functional.cross_entropy(call(x), y).backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a missing compiler or an unsupported Python; the table then goes without it
        print(f"golf: torch.compile does not work here ({type(error).__name__})", file=sys.stderr)
        return None
    return call, module
