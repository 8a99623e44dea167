"""The exact Optimal Brain Surgeon: it removes the weight whose loss hurts least once all others moved."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine import Engine

__all__ = ["choose", "fisher", "operate", "regain"]

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

LATE = 64  # from 400 to 1,700 weights, within a tenth of the fastest of 16 to 128


def fisher(
    core: Engine, parameters: NDArray[np.float32], alive: NDArray[np.int64], pixels: NDArray[Any],
    rows: NDArray[np.int64], rng: np.random.Generator,
) -> Matrix:  # fmt: skip
    """The Fisher matrix [k, k] over the k parameters `alive`, from the images in `rows`.

    F = E[g gᵀ] with g the gradient of −log p(y) for a label y drawn from the network's own output
    (by the Gumbel-max trick): for softmax this is the Gauss-Newton matrix, the Hessian without the
    terms that training makes small (Martens 2014, arXiv:1412.1193).
    """
    logits = core.logits(parameters, pixels, rows)
    labels = np.zeros(len(pixels), np.int64)
    labels[rows] = np.argmax(logits + rng.gumbel(size=logits.shape), axis=1)
    mask = np.zeros(core.network.size, bool)
    mask[alive] = True
    total = np.zeros((len(alive), len(alive)))
    for start in range(0, len(rows), 4096):
        g = core.micro_gradients(parameters, pixels, labels, rows[start : start + 4096], 1, mask)
        g = g[:, alive]
        total += g.T @ g
    return total / len(rows)


def _damped(hessian: Matrix, damping: float) -> Matrix:
    size = len(hessian)
    return np.asarray(hessian + (damping * np.trace(hessian) / size + 1e-12) * np.eye(size))


def operate(
    weights: Matrix, hessian: Matrix, count: int, damping: float, among: Mask | None = None
) -> tuple[Matrix, Mask]:
    """Remove `count` of the weights [k]; returns (weights after, kept [k]).

    Hassibi & Stork 1993: removing weight q and moving the others by
        δw = − w_q / [H⁻¹]_qq · H⁻¹ e_q
    costs ½ w_q² / [H⁻¹]_qq, the least possible. The cheapest q is removed, H⁻¹ loses its row and column
        H⁻¹ ← H⁻¹ − H⁻¹ e_q e_qᵀ H⁻¹ / [H⁻¹]_qq
    and the next one follows. These updates of rank one are collected, and `LATE` of them are taken into
    H⁻¹ at once, as one product of matrices; until then only its diagonal and the rows asked for are
    brought up to date. The diagonal is damped by `damping` times its mean. With `among`, only those
    weights may be removed.
    """
    w = weights.astype(np.float64)
    kept = np.ones(len(w), bool)
    inverse = np.linalg.inv(_damped(hessian, damping))
    diagonal = np.diag(inverse).copy()
    rows = np.arange(len(w))  # which weights the rows of `inverse` belong to
    able = np.ones(len(w), bool) if among is None else among.copy()
    late = np.empty((min(LATE, count), len(w)))  # H⁻¹ is inverse − lateᵀ late, over the rows that are filled
    for done in range(count):
        filled = done % LATE
        if done and not filled:
            left = kept[rows]  # removed weights need not be carried along
            inverse = (inverse - late.T @ late)[np.ix_(left, left)]
            rows, diagonal, able = rows[left], diagonal[left], able[left]
            late = late[:, : len(rows)].copy()
        cost = np.where(able, w[rows] ** 2 / np.where(able, diagonal, 1.0), np.inf)
        q = int(np.argmin(cost))
        row = inverse[q] - late[:filled, q] @ late[:filled]
        w[rows] -= w[rows[q]] / row[q] * row
        late[filled] = row / np.sqrt(row[q])
        diagonal -= late[filled] ** 2
        able[q] = kept[rows[q]] = False
        w[~kept] = 0.0
    return w, kept


def choose(how: str, weights: Matrix, hessian: Matrix, count: int) -> tuple[Matrix, Mask]:
    """The simpler choices, which look at each weight alone: by |w|, or by the saliency ½ w_q² H_qq.

    Magnitude: Han et al. 2015, arXiv:1506.02626. Saliency: Optimal Brain Damage, LeCun, Denker &
    Solla 1990. Returns (weights after, kept [k]) as `operate` does; exactly `count` go.
    """
    score = weights**2 * (np.diag(hessian) if how == "saliency" else 1.0)
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
