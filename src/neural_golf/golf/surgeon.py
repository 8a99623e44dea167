"""Optimal Brain Surgeon, exact: which weight the loss misses least once all others have moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine import Engine

__all__ = ["fisher", "operate"]

Matrix = NDArray[np.float64]


def sampled_labels(logits: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """One label per row, drawn from softmax(logits): by the Gumbel-max trick, int64 [n]."""
    return np.argmax(logits + rng.gumbel(size=logits.shape), axis=1).astype(np.int64)


def fisher(
    core: Engine, parameters: NDArray[np.float32], alive: NDArray[np.int64], pixels: NDArray[np.uint8],
    rows: NDArray[np.int64], rng: np.random.Generator, micro_batch: int = 1,
) -> Matrix:  # fmt: skip
    """The Fisher matrix [k, k] over the k parameters `alive`, from the images in `rows`.

    F = E[g gᵀ] with g the gradient of −log p(y) for a label y drawn from the network's own output:
    for softmax this is the Gauss-Newton matrix, the Hessian without the terms that training makes
    small (Martens 2014, arXiv:1412.1193). Gradients of means of `micro_batch` images give F / micro_batch.
    """
    rows = rows[: len(rows) // micro_batch * micro_batch]
    labels = np.zeros(len(pixels), np.int64)
    labels[rows] = sampled_labels(core.logits(parameters, pixels, rows), rng)
    total = np.zeros((len(alive), len(alive)))
    for part in np.array_split(rows, max(1, len(rows) // (micro_batch * 4096))):
        part = part[: len(part) // micro_batch * micro_batch]
        g = core.micro_gradients(parameters, pixels, labels, part, micro_batch)[:, alive]
        total += (g.T @ g) * (micro_batch**2)
    return total / len(rows)


def operate(
    weights: Matrix, hessian: Matrix, count: int, damping: float, protected: NDArray[np.bool_] | None = None
) -> tuple[Matrix, NDArray[np.bool_]]:
    """Remove `count` of the weights [k]; returns (weights after, kept [k]).

    Hassibi & Stork 1993: removing weight q and moving the others by
        δw = − w_q / [H⁻¹]_qq · H⁻¹ e_q
    costs ½ w_q² / [H⁻¹]_qq, the least possible; the cheapest q goes, H⁻¹ loses its row and column
        H⁻¹ ← H⁻¹ − H⁻¹ e_q e_qᵀ H⁻¹ / [H⁻¹]_qq
    and so on. The diagonal is damped by `damping` times its mean.
    """
    w = weights.astype(np.float64).copy()
    kept = np.ones(len(w), bool)
    size = len(w)
    inverse = np.linalg.inv(hessian + damping * np.trace(hessian) / size * np.eye(size))
    for _ in range(count):
        diagonal = np.where(kept, np.diag(inverse), 1.0)
        cost = np.where(kept, w**2 / diagonal, np.inf)
        if protected is not None:
            cost[protected] = np.inf
        q = int(np.argmin(cost))
        column = inverse[:, q].copy()
        w -= w[q] / column[q] * column
        inverse -= np.outer(column, column) / column[q]
        kept[q] = False
        w[~kept] = 0.0
    return w, kept
