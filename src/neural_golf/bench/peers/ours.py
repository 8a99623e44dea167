"""This project's engine, all of an epoch."""

from __future__ import annotations

import numpy as np

from neural_golf.bench.peers.peer import NORMAL, Evaluation, Training, Work
from neural_golf.engine import engine

__all__ = ["evaluate", "train"]


def train(task: Training) -> Work:
    core = engine(task.network, mean=NORMAL[0], std=NORMAL[1], threads=task.threads, core="compiled")
    images, labels = task.data

    def epoch() -> np.ndarray:
        p, m, v = task.start.copy(), np.zeros_like(task.start), np.zeros_like(task.start)
        core.adam_epoch(p, m, v, 0, images, labels, task.rows, task.batch, task.rate)
        return p

    return Work(epoch, steps=task.epoch)


def evaluate(task: Evaluation, batch: int) -> Work:
    """The engine chooses its batches itself."""
    core = engine(task.network, mean=NORMAL[0], std=NORMAL[1], threads=task.threads, core="compiled")
    return Work(lambda: core.correct(task.parameters, *task.data))
