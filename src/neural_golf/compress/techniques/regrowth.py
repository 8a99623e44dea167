"""Regrowth: some weights that were removed come back, where their absence costs most.

Recipe: `techniques: {regrowth: {share: 0.05, every: 4}}`. docs/handbook/regrowth.md.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from neural_golf.compress.plan import Epoch
from neural_golf.compress.surgeon import regain
from neural_golf.compress.technique import State, Technique

__all__ = ["Regrowth"]


class Regrowth(Technique):
    """That share of the weights is given back, at 0, in every so many epochs of the full-matrix phase.

    They are trained for an epoch, in which the network is larger than the plan says. The next removal then
    takes as many more and decides anew. While a snapshot settles, nothing is given back.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    every: Annotated[int, Field(ge=1)] = 4  # epochs
    images: Annotated[int, Field(ge=8)] = 20000  # of the training part, which say what comes back

    def before_epoch(self, state: State, step: Epoch) -> None:
        count = int(self.share * step.size)
        full_again = step.size + count <= state.recipe.full_below  # larger ones are trained by plain Adam
        if state.full is None or step.settles or state.epoch % self.every or not count or not full_again:
            return
        rows = state.rng("regrow").permutation(len(state.train))
        rows = rows[: min(len(rows), self.images) // 8 * 8]
        gradients = state.core.micro_gradients(state.whole(state.average), state.seen, state.targets, rows, 8)
        found, second = regain(gradients, state.alive, count, state.recipe.damping, 8)
        together = np.concatenate([state.alive, found])
        order = np.argsort(together)
        state.full.grow(second[np.ix_(found, together)] * (8 / state.recipe.batch), order)
        state.alive = together[order]
