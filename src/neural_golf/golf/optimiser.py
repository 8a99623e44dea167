"""Full-matrix preconditioned Adam: the whole second moment of the gradient, not its diagonal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FullAdam"]

Matrix = NDArray[np.float64]


class FullAdam:
    """Adam in the eigenbasis of the gradient's second moment, over the parameters that survive.

        m ← β₁ m + (1 − β₁) g        C ← β₂ C + (1 − β₂) g gᵀ  =  Q Λ Qᵀ
        v ← β₂ v + (1 − β₂) (Qᵀ g)²  (v = diag Λ whenever Q is renewed)
        p ← p − η Q clip(Qᵀ m / √v)

    With Q and v always fresh this is p − η C^(−1/2) m, full-matrix AdaGrad (Duchi, Hazan & Singer
    2011) with Adam's averages. Shampoo (Gupta, Koren & Singer 2018, arXiv:1802.09568) and SOAP (Vyas
    et al. 2024, arXiv:2409.11321) approximate it by Kronecker factors because their n is millions.
    Here n is a few hundred and an eigendecomposition costs milliseconds: Q is renewed every `every`
    steps, and more rarely, as n², above 300 parameters. Between two renewals v follows the gradient, which keeps a direction that was flat from
    running away, and a coordinate moves at most η. With `diagonal`, Q is the identity: plain Adam.

    `size` is the number n of parameters in use; all vectors are [n].
    """

    def __init__(
        self, size: int, beta1: float = 0.9, beta2: float = 0.998, every: int = 50, eps: float = 1e-8,
        diagonal: bool = False,
    ) -> None:  # fmt: skip
        self.beta1, self.beta2, self.every, self.eps, self.diagonal = beta1, beta2, every, eps, diagonal
        self.m = np.zeros(size)
        self.c: Matrix = np.zeros((size, size))  # not used if diagonal
        self.q = np.eye(size, dtype=np.float32)
        self.v = np.zeros(size)
        self.steps = 0  # for the correction of m
        self.seen = 0.0  # weight of all gradients in c and v, for their correction
        self.fresh = False
        self._waiting: list[Matrix] = []

    def direction(self, gradient: NDArray[np.floating]) -> Matrix:
        """The step for one more gradient [n], to be multiplied by −learning rate."""
        g = gradient.astype(np.float64)
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.steps += 1
        if not self.diagonal:
            self._waiting.append(g)
            if not self.fresh or len(self._waiting) >= self.every * max(1.0, (len(g) / 300) ** 2):
                self._renew()
        both = np.stack([g, self.m])
        if not self.diagonal:
            both = both.astype(np.float32) @ self.q
        self.v = self.beta2 * self.v + (1 - self.beta2) * both[0] ** 2
        self.seen = self.beta2 * self.seen + 1 - self.beta2
        u = both[1] / (1 - self.beta1**self.steps) / (np.sqrt(self.v / self.seen) + self.eps)
        u = np.clip(u, -1, 1)
        return u if self.diagonal else self.q @ u.astype(np.float32)

    def warm(self, gradients: NDArray[np.floating], batch_ratio: float) -> None:
        """Start from gradients [k, n] of micro-batches, `batch_ratio` times smaller than the batches to come."""
        g = gradients.astype(np.float64)
        mean = g.mean(axis=0)
        g -= mean
        if self.diagonal:
            self.v = (g**2).mean(axis=0) / batch_ratio + mean**2
        else:
            self.c = g.T @ g / (len(g) * batch_ratio) + np.outer(mean, mean)
        self.seen, self.fresh = 1.0, False

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Forget the parameters that are not in kept [n]."""
        self._absorb()
        self.m = self.m[kept]
        if self.diagonal:
            self.v = self.v[kept]
        else:
            self.c = self.c[np.ix_(kept, kept)]
            self.fresh = False

    def _absorb(self) -> None:
        if not self._waiting:
            return
        g = np.array(self._waiting)  # [k, n]
        share = (1 - self.beta2) * self.beta2 ** np.arange(len(g) - 1, -1, -1.0)
        g *= np.sqrt(share)[:, None]
        self.c = self.beta2 ** len(g) * self.c + g.T @ g
        self._waiting = []

    def _renew(self) -> None:
        self._absorb()
        values, vectors = np.linalg.eigh(self.c)
        self.q = np.ascontiguousarray(vectors, np.float32)
        self.v = np.maximum(values, 1e-7 * max(values[-1], 0.0))
        self.fresh = True
