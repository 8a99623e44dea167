"""Full-matrix preconditioned Adam: it uses the whole second moment of the gradient, not only the diagonal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockAdam", "FullAdam", "restored"]

Matrix = NDArray[np.float64]


class FullAdam:
    """Adam in the eigenbasis of the gradient's second moment, over the parameters that survive.

        m ← β₁ m + (1 − β₁) g        C ← β₂ C + (1 − β₂) g gᵀ  =  Q Λ Qᵀ
        v ← β₂ v + (1 − β₂) (Qᵀ g)²  (v = diag Λ whenever Q is renewed)
        p ← p − η Q clip(Qᵀ m / √v)

    With Q and v always fresh this is p − η C^(−1/2) m, full-matrix AdaGrad (Duchi, Hazan & Singer 2011) with
    Adam's averages. Shampoo (Gupta, Koren & Singer 2018, arXiv:1802.09568) and SOAP (Vyas et al. 2024,
    arXiv:2409.11321) approximate it by Kronecker factors because their n is millions. Here n is a few
    hundred, and an eigendecomposition costs milliseconds. Q is renewed every `every` steps; above 300
    parameters it is renewed more rarely, in proportion to n². Between two renewals v follows the gradient,
    which keeps a direction that was flat from running away, and a coordinate moves at most η.

    `size` is the number n of parameters in use, and all vectors are [n].
    """

    def __init__(self, size: int, beta1: float = 0.9, beta2: float = 0.998, every: int = 50) -> None:
        self.beta1, self.beta2, self.every, self.eps = beta1, beta2, every, 1e-8
        self.m = np.zeros(size)
        self.c: Matrix = np.zeros((size, size))
        self.q = np.eye(size, dtype=np.float32)
        self.v = np.zeros(size)
        self.steps = 0  # for the correction of m
        self.seen = 0.0  # weight of all gradients in c, for the correction of v
        self.fresh = False
        self._waiting: list[Matrix] = []

    def direction(self, gradient: NDArray[np.floating[Any]]) -> Matrix:
        """The step for one more gradient [n], to be multiplied by −learning rate."""
        g = gradient.astype(np.float64)
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.steps += 1
        self._waiting.append(g)
        if not self.fresh or len(self._waiting) >= self.every * max(1.0, (len(g) / 300) ** 2):
            self._renew()
        turned, mean = np.stack([g, self.m]).astype(np.float32) @ self.q
        self.v = self.beta2 * self.v + (1 - self.beta2) * turned**2
        u = mean / (1 - self.beta1**self.steps) / (np.sqrt(self.v / self.seen) + self.eps)
        return np.asarray(self.q @ np.clip(u, -1, 1).astype(np.float32))

    def warm(self, gradients: NDArray[np.floating[Any]], batch_ratio: float) -> None:
        """Start C from gradients [k, n] of micro-batches, `batch_ratio` times smaller than batches."""
        g = gradients.astype(np.float64)
        mean = g.mean(axis=0)
        g -= mean
        self.c = g.T @ g / (len(g) * batch_ratio) + np.outer(mean, mean)
        self.seen, self.fresh = 1.0, False

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Forget the parameters that are not in kept [n]."""
        self.rest()
        self.m = self.m[kept]
        self.c = self.c[np.ix_(kept, kept)]

    def grow(self, rows: Matrix, order: NDArray[np.int64]) -> None:
        """Take in k more parameters, with their rows [k, n + k] of C; all are then put in `order` [n + k]."""
        self.rest()
        k = len(rows)
        wide = np.block([[self.c, rows[:, : len(self.c)].T], [rows]])
        self.c = wide[np.ix_(order, order)]
        self.m = np.concatenate([self.m, np.zeros(k)])[order]

    def rest(self) -> None:
        """Take all gradients into C; the next step begins with a fresh eigenbasis."""
        if self._waiting:
            g = np.array(self._waiting)  # [k, n]
            share = (1 - self.beta2) * self.beta2 ** np.arange(len(g) - 1, -1, -1.0)
            g *= np.sqrt(share)[:, None]
            self.c = self.beta2 ** len(g) * self.c + g.T @ g
            self.seen = self.beta2 ** len(g) * self.seen + float(share.sum())
            self._waiting = []
        self.fresh = False

    def _renew(self) -> None:
        self.rest()
        values, vectors = np.linalg.eigh(self.c)
        self.q = np.ascontiguousarray(vectors, np.float32)
        self.v = np.maximum(values, 1e-7 * max(values[-1], 0.0))
        self.fresh = True

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the optimiser needs to go on after a `rest`, as arrays."""
        return {"m": self.m, "c": self.c, "numbers": np.array([self.steps, self.seen])}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.m, self.c = state["m"], state["c"]
        self.steps, self.seen = int(state["numbers"][0]), float(state["numbers"][1])
        self.fresh = False


class BlockAdam:
    """`FullAdam` for each of several blocks of the parameters, which lie one after another: what they have to
    do with each other is left out. For more parameters than one matrix is made for.

    SOAP (Vyas et al. 2024, arXiv:2409.11321) and K-FAC (Martens & Grosse 2015, arXiv:1503.05671) cut by
    layers too, and write each block as a Kronecker product; blocks here are small enough to be kept whole.
    """

    def __init__(self, sizes: Sequence[int], beta2: float = 0.998, every: int = 50) -> None:
        self.parts = [FullAdam(size, beta2=beta2, every=every) for size in sizes]

    @property
    def steps(self) -> int:
        return self.parts[0].steps

    def _cut(self, array: NDArray[Any]) -> list[NDArray[Any]]:
        """The blocks of array [..., n]."""
        return np.split(array, np.cumsum([len(part.m) for part in self.parts])[:-1], axis=-1)

    def direction(self, gradient: NDArray[np.floating[Any]]) -> Matrix:
        """As `FullAdam` says."""
        pairs = zip(self.parts, self._cut(gradient), strict=True)
        return np.concatenate([part.direction(own) for part, own in pairs])

    def warm(self, gradients: NDArray[np.floating[Any]], batch_ratio: float) -> None:
        """As `FullAdam` says."""
        for part, own in zip(self.parts, self._cut(gradients), strict=True):
            part.warm(own, batch_ratio)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """As `FullAdam` says."""
        for part, own in zip(self.parts, self._cut(kept), strict=True):
            part.keep(own)
        self.parts = [part for part in self.parts if len(part.m)]

    def rest(self) -> None:
        """As `FullAdam` says."""
        for part in self.parts:
            part.rest()

    def joined(self) -> FullAdam:
        """One for all parameters, which learns from now on what the blocks have to do with each other."""
        self.rest()
        whole, first = FullAdam(0, beta2=self.parts[0].beta2, every=self.parts[0].every), self.parts[0]
        whole.m = np.concatenate([part.m for part in self.parts])
        whole.c = np.zeros((len(whole.m),) * 2)
        at = 0
        for part in self.parts:
            there = slice(at, at := at + len(part.m))
            whole.c[there, there] = part.c
        whole.steps, whole.seen = first.steps, first.seen
        return whole

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that the optimiser needs to go on after a `rest`, as arrays."""
        return {
            f"{k}.{name}": array for k, part in enumerate(self.parts) for name, array in part.state().items()
        }


def restored(state: Mapping[str, NDArray[Any]], beta2: float, every: int) -> FullAdam | BlockAdam:
    """The optimiser that has this `state`."""
    if "m" in state:
        full = FullAdam(len(state["m"]), beta2=beta2, every=every)
        full.restore(dict(state))
        return full
    count = sum(name.endswith(".m") for name in state)
    found = BlockAdam([len(state[f"{k}.m"]) for k in range(count)], beta2, every)
    for k, part in enumerate(found.parts):
        part.restore({name: state[f"{k}.{name}"] for name in ("m", "c", "numbers")})
    return found
