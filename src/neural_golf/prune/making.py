"""The two ways in which `golf prune` makes zeros: weight by weight as the stage `pruned` does it, and by a
descent as the stage `golf98`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf.base import longwork
from neural_golf.compress.frontier import descend
from neural_golf.compress.zeroing import candidates, zero
from neural_golf.config.recipe import Recipe
from neural_golf.data import Split
from neural_golf.data.given import Given
from neural_golf.engine import Engine
from neural_golf.net.parameters import masked
from neural_golf.prune.runtime import Runtime

__all__ = ["Curve", "descended", "recipe_for", "zeroed"]

Vector = NDArray[np.float32]
Curve = list[tuple[str, int, float]]  # what was done, parameters that are not zero, right on held-out images
SALIENCY_IMAGES = 5000
LEVELS = 6  # passes in which what must be right falls to the goal
MOST = 10  # passes in all
FEW = 10_000  # training images below which they are learnt by heart, so that the labels are smoothed


def zeroed(
    core: Engine | Runtime, parameters: Vector, parts: Given, goal: int, what: str = "zeroed"
) -> tuple[Vector, Curve]:
    """Parameters [n] with zeros, of which at least `goal` held-out images are right, and the curve on the
    way.

    A pass goes over all parameters that are left, in the order of their saliency at that time, as those of
    the stages do. What must be right falls to the goal over the first passes, so that weights which cost
    nothing go before those that cost a little; then come more, until one finds few.
    """
    heldout, curve = parts.heldout, Curve()
    right = core.correct(parameters, heldout.pixels, heldout.labels)
    levels = np.linspace(max(right, goal), goal, LEVELS + 1)[1:].astype(int).tolist()
    for number in range(MOST):
        level = max(levels[number], goal) if number < LEVELS else goal
        order = _order(core, parameters, parts)
        state = longwork.folder(
            "prune", parameters=parameters.tobytes().hex(), level=level, data=parts.digest,
            order=order.tobytes().hex(),
        )  # fmt: skip
        work = partial(_pass, f"{what}, pass {number + 1}", core, parameters, order, heldout, level)
        tensors, _ = longwork.finished(state, work, timed=False)
        before = int(np.count_nonzero(parameters))
        parameters = masked(parameters, tensors["mask"].astype(bool))
        curve += [(what, before - zeros, right / len(heldout)) for zeros, right in tensors["curve"].tolist()]
        if level == goal and before - np.count_nonzero(parameters) < max(2, 0.01 * before):
            break
    return parameters, curve


def _pass(
    name: str, core: Engine | Runtime, parameters: Vector, order: NDArray[np.int64], heldout: Split,
    level: int, state: Path,
) -> longwork.Piece:  # fmt: skip
    every = 100 if isinstance(core, Runtime) else 1000  # the engine begins each time with maps of all images
    return zero("prune", name, core, parameters, order, heldout, level, state, every)


def _order(core: Engine | Runtime, parameters: Vector, parts: Given) -> NDArray[np.int64]:
    """The parameters that are not zero, the least useful first: by saliency where there are gradients, and
    otherwise by size.
    """
    if isinstance(core, Runtime):
        order = np.argsort(np.abs(parameters), kind="stable")
    else:
        images = parts.train[: min(SALIENCY_IMAGES, len(parts.train))]
        order = candidates(core, parameters, "saliency", images, everything=True)
    return np.asarray(order[parameters[order] != 0])


def descended(
    core: Engine, parameters: Vector, least: Vector, parts: Given, goal: int, seed: int
) -> tuple[Vector, Curve]:
    """The smallest network of a descent that begins with `parameters` [n] and still has `goal` held-out
    images right, zeroed once more weight by weight; or `least`, if that is smaller.
    """
    if not least.any():  # fewer than none there are not
        return least, []
    recipe = recipe_for(core.network.spec, parameters, least, len(parts.train))
    tensors, record = descend(
        "prune",
        "descent",
        recipe,
        seed,
        parts.train,
        parts.heldout,
        parts.digest,
        start=parameters,
        goal=goal,
    )
    rights = [run["heldout_correct"] for run in record["runs"]]
    curve: Curve = [
        ("retrained", int(mask.sum()), right / len(parts.heldout))
        for mask, right in zip(tensors["mask"], rights, strict=True)
    ]
    able = [k for k, right in enumerate(rights) if right >= goal]
    best = least
    for k in able[-2:]:
        made, more = zeroed(core, tensors["parameters"][k], parts, goal, "retrained and zeroed")
        if np.count_nonzero(made) < np.count_nonzero(best):
            best = made
            curve += more
    return best, curve


def recipe_for(spec: tuple[str, ...], parameters: Vector, least: Vector, images: int) -> Recipe:
    """A descent from a trained network: fast to what zeroing alone reached, and slowly on from there."""
    full, start = int(np.count_nonzero(parameters)), int(np.count_nonzero(least))
    repeats = max(1, min(4, round(20_000 / images)))  # few images make short epochs
    few = images < FEW
    last = max(1, start // 8)
    sizes = np.unique(np.round(np.geomspace(start, last, 30)).astype(int))[::-1]
    return Recipe(
        network=spec, batch=32 if few else 128, dense_epochs=1 * repeats, dense_rate=0.002,
        fast_to=start, fast_epochs=6 * repeats, slow_epochs=60 * repeats,
        sizes=tuple(int(size) for size in sizes if size <= full), settle=1 * repeats, rate=0.004,
        fisher_images=8000, penalty=0.0003, smoothing=0.1 if few else 0.0,
    )  # fmt: skip
