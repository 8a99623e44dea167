"""The parameters of a network as one vector: their start, what a mask leaves, and the normalisation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["fold_normalisation", "initialise", "masked"]

Vector = NDArray[np.float32]


def initialise(network: Network, rng: np.random.Generator) -> Vector:
    """Starting parameters [n].

    A convolution before ReLU, LeakyReLU or PReLU: weights uniform in ±sqrt(6 / fan_in), which keeps the
    variance from layer to layer, and biases 0 (He et al. 2015, arXiv:1502.01852). With four channels,
    one dead channel is a quarter of the layer, and these starts leave fewer dead ones. Every other weight
    and bias is uniform in ±1/sqrt(fan_in), as in PyTorch's Conv2d and Linear; slopes start at 0.25.
    """
    vector = np.empty(network.size, np.float32)
    rectified = {
        layer.name
        for layer, after in pairwise(network.layers)
        if layer.kind == "conv" and KINDS[after.kind].rectifies
    }
    fan_in = 1
    for tensor in network.tensors:
        name, _, part = tensor.name.rpartition(".")
        if part == "slope":
            vector[tensor.slice] = 0.25
            continue
        if part == "weight":
            fan_in = math.prod(tensor.shape[1:])  # a bias follows its weight
        bound = 1 / math.sqrt(fan_in)
        if name in rectified:
            bound = math.sqrt(6 / fan_in) if part == "weight" else 0.0
        vector[tensor.slice] = rng.uniform(-bound, bound, tensor.size)
    return vector


def masked(parameters: Vector, mask: NDArray[np.bool_]) -> Vector:
    """Parameters [n] with the masked ones exactly +0.0 (a product would leave −0.0)."""
    return np.where(mask, parameters, np.float32(0.0)).astype(np.float32)


def fold_normalisation(network: Network, parameters: Vector, mean: float, std: float) -> Vector:
    """Parameters for inputs x that equal those given for inputs (x − mean) / std.

    With w' = w / std and b' = b − (mean / std) · Σ w the first layer gives the same output, and
    nothing has to be counted for the normalisation.

    Raises GolfError where this is not possible. Zero padding has the colour of the mean before and is
    black after, so `same` padding needs mean = 0, and so does a first layer without a bias.
    """
    first = network.layers[0]
    able = " or ".join(name for name, kind in KINDS.items() if kind.weighted)
    if first.weight is None or not KINDS[first.kind].weighted:
        raise GolfError(f"the first layer must be {able} to take in the normalisation, not {first.kind}")
    if mean != 0 and (first.bias is None or any(first.pad)):
        raise GolfError(
            f"the first layer ({network.spec[0]}) can take in a mean only with a bias and no padding"
        )
    folded = parameters.astype(np.float64)
    weight = folded[first.weight.slice].reshape(first.weight.shape[0], -1)
    if first.bias is not None and mean != 0:
        folded[first.bias.slice] -= mean / std * weight.sum(axis=1)
    folded[first.weight.slice] /= std
    return folded.astype(np.float32)
