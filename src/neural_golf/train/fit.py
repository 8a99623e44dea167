"""The one training loop of tiny networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import NoResult, diverging
from neural_golf.engine import engine
from neural_golf.net.parameters import fold_normalisation, initialise
from neural_golf.net.spec import Network

__all__ = ["Settings", "Vector", "fit", "learning_rate"]

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980); the rate falls by `gamma` every `step` epochs."""

    epochs: int
    batch: int
    learning_rate: float
    step: int
    gamma: float
    mean: float
    std: float


def learning_rate(settings: Settings, epoch: int) -> float:
    """StepLR's rate in an epoch counted from 0: learning_rate · gamma ** floor(epoch / step)."""
    return settings.learning_rate * settings.gamma ** (epoch // settings.step)


def fit(
    network: Network,
    train: data.Split,
    settings: Settings,
    seed: int,
    each_epoch: Callable[[int, float, Vector], bool],
    state: Path | None = None,
    curve: list[list[float]] | None = None,
) -> Vector:
    """Train from the start; returns the parameters [n], for inputs in [0, 1].

    each_epoch(epoch, mean training loss, parameters for inputs in [0, 1]) is called after every
    epoch, counted from 0. Training stops early if it returns False. With `state`, a folder, a
    killed call goes on after the last whole epoch, to the same result: the order of the images
    is drawn from (seed, epoch). `curve` is what each_epoch writes down; it is kept with the state.
    """
    core = engine(network, mean=settings.mean, std=settings.std)
    parameters = initialise(network, np.random.default_rng(seed))
    moments = [np.zeros_like(parameters), np.zeros_like(parameters)]
    first = 0
    path = state / "epoch.safetensors" if state else None
    curve = [] if curve is None else curve
    if path and (found := longwork.kept(path)):
        saved, metadata = found
        parameters, moments, first = saved["parameters"], [saved["m"], saved["v"]], int(metadata["epochs"])
        curve[:] = json.loads(metadata["curve"])
    pixels = core.seen(train.pixels)
    steps = -(-len(train) // settings.batch)
    for epoch in range(first, settings.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(train))
        what = f"training diverged in epoch {epoch + 1} (seed {seed})"
        with diverging(what):
            loss = core.adam_epoch(
                parameters, moments[0], moments[1], epoch * steps, pixels, train.labels, order,
                batch=settings.batch, lr=learning_rate(settings, epoch),
            )  # fmt: skip
        if not np.isfinite(parameters).all():
            raise NoResult(f"{what}: lower the learning rate")
        go_on = each_epoch(epoch, loss, fold_normalisation(network, parameters, settings.mean, settings.std))
        if not go_on:
            break
        if path:
            tensors = {"parameters": parameters, "m": moments[0], "v": moments[1]}
            longwork.keep(path, tensors, {"epochs": str(epoch + 1), "curve": json.dumps(curve)})
    return fold_normalisation(network, parameters, settings.mean, settings.std)
