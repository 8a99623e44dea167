"""Regrowth: some weights that were removed come back, where their absence costs most.

Recipe: `techniques: {regrowth: {share: 0.05, every: 4}}`. docs/handbook/regrowth.md.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neural_golf.compress.optimiser import FullAdam
from neural_golf.compress.plan import Epoch
from neural_golf.compress.surgeon import WHOLE, regain
from neural_golf.compress.technique import State, Technique
from neural_golf.config.recipe import MOST, Count

__all__ = ["Regrowth", "candidates"]


class Regrowth(Technique):
    """That share of the weights is given back, at 0, in every so many epochs of the full-matrix phase.

    They are trained for an epoch, in which the network is larger than the plan says. The next removal then
    takes as many more and decides anew. While a snapshot settles, nothing is given back.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    every: Count = 4  # epochs
    images: Annotated[int, Field(ge=8, le=MOST)] = 20000  # of the training part, which say what comes back

    def before_epoch(self, state: State, step: Epoch) -> None:
        count = int(self.share * step.size)
        most = min(state.recipe.full_below, WHOLE)  # larger ones have plain Adam, or blocks
        if not isinstance(state.full, FullAdam) or step.settles or state.epoch % self.every:
            return
        if not count or step.size + count > most:
            return
        rows = state.rng("regrow").permutation(len(state.train))
        images = min(len(rows), self.images, self.images * WHOLE // state.core.network.size)
        rows = rows[: images // 8 * 8]
        gradients = state.core.micro_gradients(state.whole(state.average), state.seen, state.targets, rows, 8)
        asked = candidates(gradients, state.alive)
        alive = np.searchsorted(asked, state.alive)
        if len(asked) < gradients.shape[1]:
            gradients = gradients[:, asked]
        found, second = regain(gradients, alive, count, state.recipe.damping, 8)
        together = np.concatenate([alive, found])
        order = np.argsort(together)
        state.full.grow(second[np.ix_(found, together)] * (8 / state.recipe.batch), order)
        state.alive = asked[together[order]]


def candidates(gradients: NDArray[np.float32], alive: NDArray[np.int64]) -> NDArray[np.int64]:
    """The weights that are asked whether they come back, and those `alive`, rising: all n if these are
    `WHOLE` or fewer, else as many, by the square of their mean gradient over its variance. gradients [m, n].
    """
    size = gradients.shape[1]
    if size <= WHOLE:
        return np.arange(size)
    merit = gradients.mean(axis=0) ** 2 / (gradients.var(axis=0) + 1e-12)
    merit[alive] = np.inf
    return np.sort(np.argsort(-merit, kind="stable")[:WHOLE])
