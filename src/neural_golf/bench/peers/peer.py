"""What a peer is: something else that trains, or evaluates, the same network."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.bench.machine import Set
from neural_golf.net.spec import Network

__all__ = ["Evaluation", "Peer", "Training", "Work"]

Vector = NDArray[np.float32]
NORMAL = (0.1307, 0.3081)  # the blog's mean and deviation


@dataclass(frozen=True)
class Training:
    """An epoch of Adam: `start` [n] are the first parameters, `rows` [images] the order of the images."""

    network: Network
    start: Vector
    data: Set
    rows: NDArray[np.int64]
    batch: int
    steps: int  # of the epoch, that a peer does; it is scaled up
    threads: int
    rate: float = 1e-3

    @property
    def epoch(self) -> int:
        """The steps of a whole epoch."""
        return -(-len(self.rows) // self.batch)


@dataclass(frozen=True)
class Evaluation:
    """Counting the images that a network with parameters [n] gets right."""

    network: Network
    parameters: Vector
    data: Set
    threads: int


@dataclass(frozen=True)
class Work:
    """What is timed. It does the same each time, and it returns the parameters [n] after `steps` steps, or
    how many images are right.
    """

    run: Callable[[], Vector | int]
    scale: float = 1.0  # of its seconds to those of the whole task for one network
    steps: int | None = None


@dataclass(frozen=True)
class Peer:
    """A line of the table `PEERS`."""

    title: str
    needs: str  # the module without which it is left out
    train: Callable[[Training], Work] | None = None
    evaluate: Callable[[Evaluation, int], Work] | None = None
    batches: Sequence[int] = ()  # in which it evaluates, each measured
    extra: str = "torch"  # of pyproject.toml, which brings what it needs
    compiles: bool = False  # for so long that a quick run leaves it out

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None
