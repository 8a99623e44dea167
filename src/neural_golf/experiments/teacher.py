"""The stage `teacher`: a large network whose answers small ones can be taught with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.files import read_tensors, write_json, write_tensors
from neural_golf.compress.augmentation import augmented
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.train.fit import METRICS, MODELS, score

__all__ = ["probabilities", "run"]

PATH = MODELS / "teacher.safetensors"


def run(config: Config) -> None:
    """Train the teacher on the training part, every epoch on newly transformed images."""
    section = config.teacher
    train, heldout = data.read("train"), data.read("heldout")
    network = Network.parse(section.network)

    def compute(state: Path) -> longwork.Piece:
        start = time.perf_counter()
        core = engine(network, threads=longwork.cores())
        vector = initialise(network, np.random.default_rng(section.seed))
        arrays = {"p": vector, "m": np.zeros_like(vector), "v": np.zeros_like(vector)}
        first, path = 0, state / "epoch.safetensors"
        if path.exists():
            saved, metadata = read_tensors(path)
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
            write_tensors(path, arrays, {"epochs": str(epoch + 1)})
            longwork.say("teacher", "", f"epoch {epoch + 1}/{section.epochs}, loss {loss:.4f}")
        record = {
            "seed": section.seed,
            **score(core, arrays["p"], train=train, heldout=heldout),
            "seconds": round(time.perf_counter() - start, 2),
        }
        return {"parameters": arrays["p"]}, record

    key = longwork.folder("teacher", settings=section.model_dump(), data=data.digest())
    tensors, record = longwork.finished(key, compute)
    parameters = tensors["parameters"][None]
    write_checkpoint(PATH, Checkpoint(network, parameters, np.ones(parameters.shape, bool), (record,)))
    write_json(
        METRICS / "teacher.json",
        {"parameters": network.size, "heldout_accuracy": record["heldout_correct"] / len(heldout)},
    )


def probabilities(images: data.Split) -> NDArray[Any]:
    """The teacher's softmax on images, float32 [n, classes]."""
    teacher = read_checkpoint(PATH)
    logits = engine(teacher.network).logits(teacher.parameters[0], images.pixels).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)
