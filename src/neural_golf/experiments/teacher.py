"""A large network whose answers teach small ones, in recipes with `distil` above 0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.compress.augmentation import augmented
from neural_golf.config.sections import Teacher
from neural_golf.engine import engine
from neural_golf.net.parameters import initialise

__all__ = ["probabilities"]


def probabilities(section: Teacher, images: data.Split) -> NDArray[np.float32]:
    """The teacher's softmax [n, classes] on these images. The teacher is trained once, on the training part.

    Every epoch sees newly transformed images.
    """
    train = data.read("train")
    network = data.network(section.network)

    def compute(state: Path) -> longwork.Piece:
        core = engine(network, threads=longwork.cores())
        vector = initialise(network, np.random.default_rng(section.seed))
        arrays = {"p": vector, "m": np.zeros_like(vector), "v": np.zeros_like(vector)}
        first, path = 0, state / "epoch.safetensors"
        if found := longwork.kept(path):
            saved, metadata = found
            arrays, first = {name: array.copy() for name, array in saved.items()}, int(metadata["epochs"])
        steps = -(-len(train) // section.batch)
        for epoch in range(first, section.epochs):
            rng = np.random.default_rng([section.seed, epoch])
            order = rng.permutation(len(train))
            pixels = augmented(train.pixels, order, section.augment, rng)
            done = np.linspace(epoch, epoch + 1, steps, endpoint=False) / section.epochs
            loss = core.adam_epoch(
                arrays["p"], arrays["m"], arrays["v"], epoch * steps, pixels, train.labels[order],
                np.arange(len(order)), section.batch, section.rate * (1 - done),
            )  # fmt: skip
            longwork.keep(path, arrays, {"epochs": str(epoch + 1)})
            longwork.say("teacher", "", f"epoch {epoch + 1}/{section.epochs}, loss {loss:.4f}")
        return {"parameters": arrays["p"]}, {}

    key = longwork.folder("teacher", settings=section.model_dump(), data=data.digest())
    tensors, _ = longwork.finished(key, compute)
    logits = engine(network).logits(tensors["parameters"], images.pixels).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
