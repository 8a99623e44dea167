"""Types of the compiled module; binding.cpp is its source."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.engine.interface import Floats, Integers, Mask, Pixels, Progress

interface: int

def instruction_sets() -> list[str]: ...
def peak(rounds: int, instructions: str) -> int: ...

class Core:
    instructions: str
    sparse_below: float
    def __init__(
        self,
        layers: list[tuple[Any, ...]],
        parameters: int,
        source: NDArray[np.int32] | None,
        stored: int,
        mean: float,
        std: float,
        threads: int,
        instructions: str,
    ) -> None: ...
    def logits(self, parameters: Floats, images: Pixels, index: Integers | None, out: Floats) -> None: ...
    def correct(self, parameters: Floats, images: Pixels, labels: Integers) -> int: ...
    def loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        smoothing: float,
        mask: Mask | None,
        out: Floats,
    ) -> float: ...
    def micro_gradients(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        micro_batch: int,
        mask: Mask | None,
        out: Floats,
    ) -> None: ...
    def adam_epoch(
        self,
        parameters: Floats,
        m: Floats,
        v: Floats,
        step: int,
        images: Pixels,
        targets: NDArray[Any],
        order: Integers,
        batch: int,
        rates: NDArray[np.float64],
        beta1: float,
        beta2: float,
        eps: float,
        mask: Mask | None,
        smoothing: float,
    ) -> float: ...
    def zero_one_by_one(
        self,
        parameters: Floats,
        candidates: Integers,
        images: Pixels,
        labels: Integers,
        threshold: int,
        progress: Progress | None,
        every: int,
        most_bytes: int,
        mask: Mask,
    ) -> None: ...
    def zero_alone(
        self,
        parameters: Floats,
        candidates: Integers,
        images: Pixels,
        labels: Integers,
        correct: Integers,
        loss: NDArray[np.float64],
    ) -> None: ...

def warp(
    images: NDArray[np.uint8],
    index: Integers,
    affine: Floats,
    grid: Floats | None,
    out: NDArray[np.uint8],
    threads: int,
    instructions: str,
) -> None: ...
def bring_into_form(
    images: Pixels,
    index: Integers | None,
    form: tuple[float, float, float, float, float],
    scale: float,
    shift: float,
    out: Floats,
    threads: int,
    instructions: str,
) -> None: ...
