"""The compiled core behind the interface of `Engine`. docs/engine.md explains how it works."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.engine import _core
from neural_golf.engine.interface import Engine, Floats, Integers, Mask, Pixels, Progress
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

__all__ = ["Compiled", "instruction_sets"]

INTERFACE = 5  # raised by one, here and in binding.cpp, whenever what passes between the two changes
if getattr(_core, "interface", 1) != INTERFACE:
    raise GolfError("the compiled core is older or newer than the code: `pip install -e .` builds it again")


def instruction_sets() -> list[str]:
    """Names of the instruction sets that are compiled in and that this machine has, widest first."""
    return list(_core.instruction_sets())


class Compiled(Engine):
    """Network compiled to stages over groups of 16 images.

    `instructions` forces one of `instruction_sets()`; so does the environment variable
    GOLF_INSTRUCTIONS.
    """

    core = "compiled"

    def __init__(
        self,
        network: Network,
        mean: float = 0.0,
        std: float = 1.0,
        threads: int = 1,
        instructions: str | None = None,
    ) -> None:
        super().__init__(network, mean, std, threads)
        wanted = os.environ.get("GOLF_INSTRUCTIONS", "") if instructions is None else instructions
        plain, source = network.unrolled() if network.equivariant else (network, None)
        places = {layer.name: place for place, layer in enumerate(plain.layers)}
        layers = [_as_tuple(layer, places.get(layer.adds, -1)) for layer in plain.layers]
        sources = None if source is None else source.astype(np.int32)
        self._core = _core.Core(layers, plain.size, sources, network.size, mean, std, threads, wanted)
        self.sweep_bytes = 4 << 30  # memory for the maps of zero_one_by_one; beyond it, it is slower
        self.instructions: str = self._core.instructions

    def _logits(self, parameters: Floats, images: Pixels, index: Integers | None) -> Floats:
        out = np.empty((len(images) if index is None else len(index), self.network.classes), np.float32)
        self._core.logits(parameters, images, index, out)
        return out

    def _correct(self, parameters: Floats, images: Pixels, labels: Integers) -> int:
        return int(self._core.correct(parameters, images, labels))

    def _loss_gradient(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        smoothing: float,
        mask: Mask | None = None,
    ) -> tuple[float, Floats]:
        gradient = np.empty(self.network.size, np.float32)
        loss = self._core.loss_gradient(parameters, images, targets, index, smoothing, mask, gradient)
        return loss, gradient

    def _micro_gradients(
        self,
        parameters: Floats,
        images: Pixels,
        targets: NDArray[Any],
        index: Integers | None,
        micro_batch: int,
        mask: Mask | None = None,
    ) -> Floats:
        out = np.empty((len(targets) // micro_batch, self.network.size), np.float32)
        self._core.micro_gradients(parameters, images, targets, index, micro_batch, mask, out)
        return out

    def _adam_epoch(
        self,
        parameters: Floats,
        m: Floats,
        v: Floats,
        step: int,
        images: Pixels,
        targets: NDArray[Any],
        order: Integers,
        batch: int,
        lr: NDArray[np.float64],
        betas: tuple[float, float],
        eps: float,
        mask: Mask | None,
        smoothing: float,
    ) -> float:
        return float(
            self._core.adam_epoch(
                parameters, m, v, step, images, targets, order, batch, lr, *betas, eps, mask, smoothing
            )
        )

    def _zero_one_by_one(
        self,
        parameters: Floats,
        candidates: Integers,
        images: Pixels,
        labels: Integers,
        threshold: int,
        progress: Progress | None,
        every: int,
    ) -> Mask:
        if self.network.equivariant:  # a parameter may stand in many positions, but a sweep knows only one
            return super()._zero_one_by_one(
                parameters, candidates, images, labels, threshold, progress, every
            )
        mask = np.ones(self.network.size, np.bool_)
        self._core.zero_one_by_one(
            parameters, candidates, images, labels, threshold, progress, every, self.sweep_bytes, mask
        )
        return mask

    def _zero_alone(
        self, parameters: Floats, candidates: Integers, images: Pixels, labels: Integers
    ) -> tuple[Integers, NDArray[np.float64]]:
        if self.network.equivariant:
            return super()._zero_alone(parameters, candidates, images, labels)
        correct = np.empty(len(candidates), np.int64)
        loss = np.empty(len(candidates), np.float64)
        self._core.zero_alone(parameters, candidates, images, labels, correct, loss)
        return correct, loss


def _as_tuple(layer: Layer, adds: int) -> tuple[Any, ...]:
    return (
        KINDS[layer.kind].core,
        layer.kernel,
        layer.pad,
        layer.stride,
        layer.dilation,
        layer.groups,
        layer.value,
        layer.weight.offset if layer.weight else -1,
        layer.bias.offset if layer.bias else -1,
        layer.in_shape,
        layer.out_shape,
        adds,
    )
