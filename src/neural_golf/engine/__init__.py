"""The engine: loss, gradients, logits and brute-force zeroing of one tiny network.

    >>> from neural_golf.engine import engine
    >>> from neural_golf.net.spec import Network
    >>> net = engine(Network.parse(["conv 2 k5", "relu", "maxpool 4", "linear 10"]))
    >>> net.core in ("compiled", "torch")
    True

Two cores with one interface (`Engine`): `compiled` (C++, docs/engine.md) and `torch`, its twin in
PyTorch, which is slow and short enough to be believed.
"""

from __future__ import annotations

import sys
from typing import Literal

from neural_golf.base.errors import GolfError
from neural_golf.engine.interface import Engine, Progress
from neural_golf.engine.warp import transform
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["Engine", "Progress", "engine", "transform"]

_said: set[str] = set()


def engine(
    network: Network,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    threads: int = 1,
    core: Literal["auto", "compiled", "torch"] = "auto",
) -> Engine:
    """An engine for one network.

    Images of type uint8 are read as (pixel / 255 - mean) / std; float32 images are taken as they
    are. `threads` changes the speed, never a bit of a result. With core="auto" the compiled core
    is used if it is built and knows every layer (all kinds except dropout); otherwise the PyTorch
    twin is used, which says so once on stderr.

    Raises GolfError for a core that cannot run this network or is not installed, std <= 0 or threads < 1.
    """
    if not std > 0 or not abs(mean) < float("inf"):
        raise GolfError(f"engine: mean {mean} and std {std} must be numbers, std above 0")
    if threads < 1:
        raise GolfError(f"engine: {threads} threads; at least 1 is needed")
    if core not in ("auto", "compiled", "torch"):
        raise GolfError(f"engine: unknown core {core!r}; known: auto compiled torch")
    why = ""
    if core != "torch":
        unknown = [layer.kind for layer in network.layers if not KINDS[layer.kind].core]
        if unknown:
            why = f"the compiled core has no {unknown[0]}"
        else:
            try:
                from neural_golf.engine.compiled import Compiled
            except ImportError as error:
                why = f"the compiled core is not built ({error})"
            else:
                return Compiled(network, mean, std, threads)
        if core == "compiled":
            raise GolfError(f"engine: {why}; core 'torch' can run it")
    try:
        from neural_golf.engine.twin import Twin
    except ModuleNotFoundError as error:
        raise GolfError(
            f"engine: {why or 'core torch was asked for'}, and {error.name} is not installed: "
            "`pip install -e .` builds the compiled core, `pip install '.[torch]'` brings its twin"
        ) from None
    if why and why not in _said:
        _said.add(why)
        print(f"golf: {why}; using the slower PyTorch core", file=sys.stderr)
    return Twin(network, mean, std, threads)
