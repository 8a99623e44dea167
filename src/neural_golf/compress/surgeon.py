"""The exact Optimal Brain Surgeon: it removes the weight whose loss hurts least once all others moved."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine import Engine
from neural_golf.net.spec import Network

__all__ = ["BLOCK", "WHOLE", "blocks", "choose", "fisher", "fisher_blocks", "operate", "regain"]

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]
Blocks = Matrix | Sequence[Matrix]  # a matrix, or its blocks along the diagonal

WHOLE = 2500  # up to so many weights there is one matrix; it takes n² numbers and n³ operations
BLOCK = 1000  # beyond, there is one for each layer, or for so many weights of it
LATE = 64  # from 400 to 1,700 weights, within a tenth of the fastest of 16 to 128


def blocks(network: Network, alive: NDArray[np.int64]) -> list[slice]:
    """Which of the weights `alive` [k], rising indices, share a matrix: all of them up to `WHOLE`, and beyond
    those of one layer, in pieces of nearly the same size of at most `BLOCK`. None is empty.

    Without the curvature between blocks, memory grows as k · `BLOCK` and time as k · `BLOCK`². WoodFisher
    (Singh & Alistarh 2020, arXiv:2004.14340) cuts the same matrix in the same way.
    """
    if len(alive) <= WHOLE:
        return [slice(0, len(alive))]
    starts = sorted({t.slice.start for t in network.tensors if t.name.endswith(".weight")})
    layers = [0, *np.searchsorted(alive, starts[1:]).tolist(), len(alive)]
    cuts = [0]
    for first, last in pairwise(layers):
        pieces = -(-(last - first) // BLOCK)
        cuts += [first + (last - first) * (k + 1) // pieces for k in range(pieces)]
    return [slice(first, last) for first, last in pairwise(cuts)]


def fisher(
    core: Engine, parameters: NDArray[np.float32], alive: NDArray[np.int64], pixels: NDArray[Any],
    rows: NDArray[np.int64], rng: np.random.Generator,
) -> Matrix:  # fmt: skip
    """The Fisher matrix [k, k] over the k parameters `alive`, from the images in `rows`.

    F = E[g gᵀ] with g the gradient of −log p(y) for a label y drawn from the network's own output
    (by the Gumbel-max trick): for softmax this is the Gauss-Newton matrix, the Hessian without the
    terms that training makes small (Martens 2014, arXiv:1412.1193).
    """
    return fisher_blocks(core, parameters, alive, pixels, rows, rng, [slice(0, len(alive))])[0]


def fisher_blocks(
    core: Engine, parameters: NDArray[np.float32], alive: NDArray[np.int64], pixels: NDArray[Any],
    rows: NDArray[np.int64], rng: np.random.Generator, parts: Sequence[slice],
) -> list[Matrix]:  # fmt: skip
    """The blocks of the Fisher matrix on its diagonal, one [b, b] for each of `parts` of `alive`."""
    logits = core.logits(parameters, pixels, rows)
    labels = np.zeros(len(pixels), np.int64)
    labels[rows] = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    mask = np.zeros(core.network.size, bool)
    mask[alive] = True
    total = [np.zeros((part.stop - part.start,) * 2) for part in parts]
    some = min(4096, max(1, 4096 * WHOLE // core.network.size))  # gradients at a time, 41 MB at most
    for start in range(0, len(rows), some):
        g = core.micro_gradients(parameters, pixels, labels, rows[start : start + some], 1, mask)
        g = g[:, alive]
        for matrix, part in zip(total, parts, strict=True):
            matrix += g[:, part].T @ g[:, part]
    return [matrix / len(rows) for matrix in total]


def _matrices(hessian: Blocks) -> Sequence[Matrix]:
    return [hessian] if isinstance(hessian, np.ndarray) else hessian


def _damped(hessian: Matrix, damping: float) -> Matrix:
    size = len(hessian)
    return np.asarray(hessian + (damping * np.trace(hessian) / size + 1e-12) * np.eye(size))


def operate(
    weights: Matrix, hessian: Blocks, count: int, damping: float, among: Mask | None = None
) -> tuple[Matrix, Mask]:
    """Remove `count` of the weights [k]; returns (weights after, kept [k]).

    Hassibi & Stork 1993: removing weight q and moving the others by
        δw = − w_q / [H⁻¹]_qq · H⁻¹ e_q
    costs ½ w_q² / [H⁻¹]_qq, the least possible. The cheapest q is removed, H⁻¹ loses its row and column
        H⁻¹ ← H⁻¹ − H⁻¹ e_q e_qᵀ H⁻¹ / [H⁻¹]_qq
    and the next one follows. These updates of rank one are collected, and `LATE` of them are taken into
    H⁻¹ at once, as one product of matrices; until then only its diagonal and the rows asked for are
    brought up to date. The diagonal is damped by `damping` times its mean. With `among`, only those
    weights may be removed. `hessian` [k, k], or its blocks along the diagonal: of these, each time the one
    that has the cheapest weight loses it, and only its weights move.
    """
    matrices = _matrices(hessian)
    cuts = np.cumsum([0, *map(len, matrices)])
    able = np.ones(len(weights), bool) if among is None else among
    patients = []
    for matrix, first, last in zip(matrices, cuts[:-1], cuts[1:], strict=True):
        most = min(LATE, count)
        patients.append(_Patient(weights[first:last], matrix, damping, able[first:last], most))
    costs = [patient.cheapest() for patient in patients] if count else []
    for done in range(count):
        k = int(np.argmin(costs))
        patients[k].remove()
        if done + 1 < count:
            costs[k] = patients[k].cheapest()
    return np.concatenate([p.w for p in patients]), np.concatenate([p.kept for p in patients])


class _Patient:
    """A block of weights with its inverse curvature, from which one weight after the other is removed."""

    def __init__(self, weights: Matrix, hessian: Matrix, damping: float, able: Mask, most: int) -> None:
        self.w = weights.astype(np.float64)
        self.kept = np.ones(len(weights), bool)
        self.inverse = np.linalg.inv(_damped(hessian, damping))
        self.diagonal = np.diag(self.inverse).copy()
        self.rows = np.arange(len(weights))  # which weights the rows of `inverse` belong to
        self.able = able.copy()
        self.late = np.empty(
            (most, len(weights))
        )  # H⁻¹ is inverse − lateᵀ late, over the rows that are filled
        self.filled = self.q = 0

    def cheapest(self) -> float:
        """What the cheapest weight costs, twice; it is the next one to go."""
        if self.filled == LATE:
            left = self.kept[self.rows]  # removed weights need not be carried along
            self.inverse = (self.inverse - self.late.T @ self.late)[np.ix_(left, left)]
            self.rows, self.diagonal, self.able = self.rows[left], self.diagonal[left], self.able[left]
            self.late = self.late[:, : len(self.rows)].copy()
            self.filled = 0
        if not self.able.any():
            return np.inf
        cost = np.where(self.able, self.w[self.rows] ** 2 / np.where(self.able, self.diagonal, 1.0), np.inf)
        self.q = int(np.argmin(cost))
        return float(cost[self.q])

    def remove(self) -> None:
        q, late, rows = self.q, self.late[: self.filled], self.rows
        row = self.inverse[q] - late[:, q] @ late
        self.w[rows] -= self.w[rows[q]] / row[q] * row
        self.late[self.filled] = row / np.sqrt(row[q])
        self.diagonal -= self.late[self.filled] ** 2
        self.filled += 1
        self.able[q] = self.kept[rows[q]] = False
        self.w[~self.kept] = 0.0


def choose(how: str, weights: Matrix, hessian: Blocks, count: int) -> tuple[Matrix, Mask]:
    """The simpler choices, which look at each weight alone: by |w|, or by the saliency ½ w_q² H_qq.

    Magnitude: Han et al. 2015, arXiv:1506.02626. Saliency: Optimal Brain Damage, LeCun, Denker &
    Solla 1990. Returns (weights after, kept [k]) as `operate` does; exactly `count` go.
    """
    own = np.concatenate([np.diag(matrix) for matrix in _matrices(hessian)])
    score = weights**2 * (own if how == "saliency" else 1.0)
    kept = np.ones(len(weights), bool)
    kept[np.argsort(score, kind="stable")[:count]] = False
    return np.where(kept, weights, 0.0), kept


def regain(
    gradients: NDArray[np.float32], alive: NDArray[np.int64], count: int, damping: float, micro_batch: int
) -> tuple[NDArray[np.int64], Matrix]:
    """The `count` removed weights that would help most if they came back: the inverse of what `operate` asks.

    gradients [m, n] of micro-batches, for all n parameters. A weight q at 0 that is let go, with the
    others following, lowers the loss by ½ g_q² / s_q, where g is the mean gradient with what the
    others can do about it taken out, and s the Schur complement of the curvature:
        g_q − H_qA H_AA⁻¹ g_A,    s_q = H_qq − H_qA H_AA⁻¹ H_Aq
    RigL (Evci et al. 2020, arXiv:1911.11134) regrows by |g_q| alone. Returns (found, H [n, n] of
    single images).
    """
    mean = gradients.mean(axis=0, dtype=np.float64)
    h = (gradients.T @ gradients).astype(np.float64) / len(gradients) - np.outer(mean, mean)
    h *= micro_batch
    dead = np.setdiff1d(np.arange(gradients.shape[1]), alive)
    solved = np.linalg.solve(_damped(h[np.ix_(alive, alive)], damping), h[np.ix_(alive, dead)])
    own = np.diag(h)[dead]
    schur = own - (h[np.ix_(alive, dead)] * solved).sum(axis=0)
    left = mean[dead] - solved.T @ mean[alive]
    useful = (schur > 1e-3 * own) & (own > 1e-8)
    gain = np.where(useful, 0.5 * left**2 / np.where(useful, schur, 1.0), 0.0)
    best = np.argsort(-gain, kind="stable")[:count]
    return np.sort(dead[best[gain[best] > 0]]), h
