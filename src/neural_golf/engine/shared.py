"""Networks whose kernels stand in several places: the plain engine, with the sharing around it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine.base import Engine, Floats, Images, Integers
from neural_golf.model import Network

__all__ = ["Shared"]


class Shared(Engine):
    """An engine for `network` that computes with `inner`, an engine for `network.unrolled()`.

    The gradient of a parameter is the sum over the places where it stands.
    """

    def __init__(self, network: Network, inner: Engine, source: Integers) -> None:
        super().__init__(network, inner.mean, inner.std, inner.threads)
        self.core = inner.core
        self.inner, self.source = inner, source
        # Sorted by parameter, the places of each are a run: its sum is one step of reduceat.
        self._order = np.argsort(source, kind="stable")
        self._starts = np.searchsorted(source[self._order], np.arange(network.size))

    def _wide(self, parameters: Floats) -> Floats:
        return np.ascontiguousarray(parameters[self.source])

    def _sum(self, gradient: Floats) -> Floats:
        """[..., n_full] to [..., n]."""
        summed: Floats = np.add.reduceat(gradient[..., self._order], self._starts, axis=-1)
        return np.ascontiguousarray(summed, np.float32)

    def _logits(self, parameters: Floats, images: Images, index: Integers | None) -> Floats:
        return self.inner._logits(self._wide(parameters), images, index)

    def _correct(self, parameters: Floats, images: Images, labels: Integers) -> int:
        return self.inner._correct(self._wide(parameters), images, labels)

    def _loss_gradient(
        self,
        parameters: Floats,
        images: Images,
        targets: NDArray[Any],
        index: Integers | None,
        smoothing: float,
    ) -> tuple[float, Floats]:
        loss, gradient = self.inner._loss_gradient(self._wide(parameters), images, targets, index, smoothing)
        return loss, self._sum(gradient)

    def _micro_gradients(
        self,
        parameters: Floats,
        images: Images,
        targets: NDArray[Any],
        index: Integers | None,
        micro_batch: int,
    ) -> Floats:
        return self._sum(
            self.inner._micro_gradients(self._wide(parameters), images, targets, index, micro_batch)
        )
