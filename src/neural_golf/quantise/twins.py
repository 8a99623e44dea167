"""Networks that compute the same as a given one, of which one may have a smaller file.

A kernel before |x| may change its sign. A kernel that stands in several positions may be stored in any of
them, and kernels may change places, if the next layer's weights follow. All these files would be equally long
but for the last bytes: among 2 ** b twins one is found that happens to end b bits earlier.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.orbits import in_all_positions
from neural_golf.net.spec import Network

__all__ = ["twin"]

Levels = NDArray[np.int64]

# Between a convolution and the next weights: kinds that treat all channels alike.
_ALIKE = {"relu", "abs", "leaky", "maxpool", "avgpool"}


def twin(network: Network, levels: Levels, rng: np.random.Generator) -> Levels:
    """The levels [n] of a random twin of a network with these levels."""
    made = levels.copy()
    for layer, then, after in _movable(network):
        _move(network, made, layer, then, after, rng)
    return made


def _movable(network: Network) -> list[tuple[Layer, Layer, str]]:
    """Convolutions whose channels may be moved: with the next layer of weights, and the kind right after."""
    added = {layer.adds for layer in network.layers if layer.adds}
    uses = [layer.weight.name for layer in network.layers if layer.weight is not None]
    weighted = [i for i, layer in enumerate(network.layers) if KINDS[layer.kind].weighted]
    found = []
    for at, then in pairwise(weighted):
        first, second = network.layers[at], network.layers[then]
        between = network.layers[at + 1 : then]
        alone = all(uses.count(one.weight.name) == 1 for one in (first, second) if one.weight is not None)
        plain = first.kind == "conv" and first.groups == second.groups == 1
        elsewhere = added & {layer.name for layer in (first, *between)}  # where its channels are seen too
        if alone and plain and not elsewhere and {layer.kind for layer in between} <= _ALIKE:
            found.append((first, second, between[0].kind if between else ""))
    return found


def _move(
    network: Network, vector: Levels, layer: Layer, then: Layer, after: str, rng: np.random.Generator
) -> None:
    """Change the kernels of one layer at random, and the next layer's weights with them."""
    assert layer.weight is not None
    assert then.weight is not None
    kernels = vector[layer.weight.slice].reshape(layer.weight.shape)
    readers = vector[then.weight.slice].reshape(then.weight.shape[0], layer.out_shape[0], -1)
    count, orbit = len(kernels), layer.orbit
    places = rng.permutation(count)
    turns = rng.integers(orbit, size=count)
    signs = 1 - 2 * rng.integers(2 if after == "abs" else 1, size=count)
    table = _positions(orbit)
    # The new channel (j, h) is the old channel (places[j], table[turns[j], h]).
    channels = np.concatenate([places[j] * orbit + table[turns[j]] for j in range(count)])
    whole = in_all_positions(kernels, orbit, layer.among) if orbit > 1 else kernels
    moved = whole.reshape(count, orbit, *kernels.shape[1:])[places, turns]
    vector[layer.weight.slice] = (moved * signs[:, None, None, None]).ravel()
    vector[then.weight.slice] = readers[:, channels].ravel()
    if layer.bias is not None:
        vector[layer.bias.slice] = vector[layer.bias.slice][channels] * np.repeat(signs, orbit)


@cache
def _positions(orbit: int) -> NDArray[np.int64]:
    """table[a, h]: the position that a kernel which is stored in position a has where another has h."""
    if orbit == 1:
        return np.zeros((1, 1), np.int64)
    every = in_all_positions(np.arange(9).reshape(1, 1, 3, 3), orbit, 1)[:, 0]
    table = np.empty((orbit, orbit), np.int64)
    for a in range(orbit):
        seen = in_all_positions(every[a][None, None], orbit, 1)[:, 0]
        table[a] = [int((every == one).all(axis=(1, 2)).argmax()) for one in seen]
    return table
