"""Active sampling: images that the network finds hard come more often.

Recipe: `techniques: {active_sampling: {share: 0.3}}`. docs/handbook/active-sampling.md.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from neural_golf.compress.technique import State, Technique

__all__ = ["ActiveSampling"]


class ActiveSampling(Technique):
    """That share of an epoch is drawn by how wrong the network is.

    Importance sampling without the correction (cf. Katharopoulos & Fleuret 2018, arXiv:1803.00942): an
    image counts as often as it is drawn, hard ones more.
    """

    share: Annotated[float, Field(gt=0, lt=1)]

    def order(self, state: State, order: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        n = len(order)
        hard = int(self.share * n)
        if not hard:
            return order
        logits = state.core.logits(state.whole(state.average), state.seen).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        wrong = 1 - odds[np.arange(n), state.train.labels] / odds.sum(axis=1)
        drawn = rng.choice(n, hard, p=(wrong + 1e-6) / (wrong + 1e-6).sum())
        return rng.permutation(np.concatenate([order[: n - hard], drawn]))
