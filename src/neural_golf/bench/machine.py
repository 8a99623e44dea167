"""What the benchmark times with, and what it times on."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.files import read_tensors
from neural_golf.engine import Engine
from neural_golf.net.parameters import initialise

__all__ = ["BLOG", "JUDGED", "Clock", "Set", "busy", "in_turns", "peak", "read", "trained"]

BLOG = (
    "conv 4 k4", "prelu", "maxpool 2", "conv 5 k3", "prelu", "maxpool 2", "conv 4 k3", "prelu", "linear 10",
)  # fmt: skip

JUDGED = 10_000  # training images that evaluation and zeroing look at: nobody's accuracy is measured
Clock = Callable[[], float]
Set = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images [N, 1, 28, 28], labels [N]


def in_turns(
    runs: dict[str, tuple[Callable[[], object], float]], rounds: int, clock: Clock
) -> dict[str, float]:
    """The median seconds of each, times its scale. All are run once per round, in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, scale) in runs.items():
            begin = clock()
            run()
            times[name].append((clock() - begin) * scale)
    return {name: statistics.median(each) for name, each in times.items()}


def peak(instructions: str, rounds: int) -> float:
    """The most multiply-adds per second that one core can do when all its operands are in registers."""
    from neural_golf.engine import _core

    best = 0.0
    for _ in range(rounds):
        begin = time.process_time()
        count = _core.peak(10_000_000, instructions)
        best = max(best, count / (time.process_time() - begin))
    return best


def busy() -> bool:
    """Whether other work would spoil seconds on the wall: threads that wait for each other stall."""
    return os.getloadavg()[0] > 0.5 + 0.5 * (os.cpu_count() or 1)


def trained(core: Engine, train: Set, epochs: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    parameters = initialise(core.network, rng)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    images, labels = train
    steps = -(-len(images) // 64)
    for epoch in range(epochs):
        rate = 6e-3 * 0.7**epoch
        core.adam_epoch(
            parameters, m, v, epoch * steps, images, labels, rng.permutation(len(images)), 64, rate
        )
    return parameters


def read(path: Path, most: int | None = None) -> Set:
    """The images of a file and their labels, or the first of them."""
    tensors, _ = read_tensors(path)
    return tensors["images"][:most], tensors["labels"][:most].astype(np.int64)
