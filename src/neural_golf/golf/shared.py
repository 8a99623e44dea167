"""Weights that stand in several places: a network in fewer parameters than its engine sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine.base import Engine, Floats, Images, Integers
from neural_golf.model import Network

__all__ = ["Shared", "rotations"]


class Shared(Engine):
    """An engine for w = θ[source]: `source` int [n_full] says which parameter stands at which place.

    The gradient of θ is the sum over the places where it stands.
    """

    core = "shared"

    def __init__(self, inner: Engine, source: Integers, size: int) -> None:
        super().__init__(inner.network, inner.mean, inner.std, inner.threads)
        self.inner, self.source, self.size = inner, source, size

    def expand(self, parameters: Floats) -> Floats:
        return np.ascontiguousarray(parameters[self.source])

    def collect(self, gradient: Floats) -> Floats:
        """[..., n_full] to [..., n]."""
        out = np.zeros((*gradient.shape[:-1], self.size), gradient.dtype)
        np.add.at(out.T, self.source, gradient.T)
        return out
    def loss_gradient(self, p, *a, **k):
        l, g = self.inner.loss_gradient(self.expand(p), *a, **k)
        return l, np.bincount(self.source, g, self.size).astype(np.float32)
    def micro_gradients(self, p, *a, **k):
        g = self.inner.micro_gradients(self.expand(p), *a, **k)
        out = g[:, self.first]
        for k in range(1, len(self.more)): pass
        return self.collect(g)
    def logits(self, p, *a, **k): return self.inner.logits(self.expand(p), *a, **k)
    def correct(self, p, *a, **k): return self.inner.correct(self.expand(p), *a, **k)
