"""The one training loop, and the stages that use it: baseline, tuned, prelu."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, read_tensors, write_csv, write_json, write_tensors
from neural_golf.config import Config
from neural_golf.engine import Engine, engine
from neural_golf.net.checkpoint import Checkpoint, write_checkpoint
from neural_golf.net.parameters import fold_normalisation, initialise
from neural_golf.net.spec import Network

__all__ = ["Settings", "fit", "learning_rate", "run", "save", "score"]

Vector = NDArray[np.float32]
MODELS = Path("results/models")
METRICS = Path("results/metrics")
PLOTS = Path("results/plots")


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
) -> Vector:
    """Train from the start; returns the parameters [n], for inputs in [0, 1].

    each_epoch(epoch, mean training loss, parameters for inputs in [0, 1]) is called after every
    epoch, counted from 0; training stops early where it returns False. With `state`, a folder, a
    killed call goes on after the last whole epoch, to the same result: the order of the images
    is drawn from (seed, epoch).
    """
    core = engine(network, mean=settings.mean, std=settings.std)
    parameters = initialise(network, np.random.default_rng(seed))
    moments = [np.zeros_like(parameters), np.zeros_like(parameters)]
    first = 0
    path = state / "epoch.safetensors" if state else None
    if path and path.exists():
        saved, metadata = read_tensors(path)
        parameters, moments, first = saved["parameters"], [saved["m"], saved["v"]], int(metadata["epochs"])
    steps = -(-len(train) // settings.batch)
    for epoch in range(first, settings.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(train))
        loss = core.adam_epoch(
            parameters, moments[0], moments[1], epoch * steps, train.pixels, train.labels, order,
            batch=settings.batch, lr=learning_rate(settings, epoch),
        )  # fmt: skip
        if not np.isfinite(parameters).all():
            raise GolfError(f"training diverged in epoch {epoch + 1} (seed {seed}): lower the learning rate")
        go_on = each_epoch(epoch, loss, fold_normalisation(network, parameters, settings.mean, settings.std))
        if not go_on:
            break
        if path:  # after each_epoch: what it keeps may be one epoch ahead of the state, never behind
            tensors = {"parameters": parameters, "m": moments[0], "v": moments[1]}
            write_tensors(path, tensors, {"epochs": str(epoch + 1)})
    return fold_normalisation(network, parameters, settings.mean, settings.std)


def score(core: Engine, parameters: Vector, **parts: data.Split) -> dict[str, int]:
    """Correct images of each part, as {part}_correct, and near ties, as {part}_ties.

    A near tie is an image whose two best logits lie within 1e-4: another runtime, which adds in
    another order, may decide it the other way. `golf verify` allows that many differences, no more.
    """
    found = {}
    for name, part in parts.items():
        logits = core.logits(parameters, part.pixels)
        best = np.sort(logits, axis=1)[:, -2:]
        found[f"{name}_correct"] = int((logits.argmax(axis=1) == part.labels).sum())
        found[f"{name}_ties"] = int((best[:, 1] - best[:, 0] < 1e-4).sum())
    return found


def run(config: Config, stage: str) -> None:
    """A stage that trains one network once per seed of its roster: baseline, tuned or prelu."""
    section = getattr(config, stage)
    network = Network.parse(section.network)
    fields = section.model_dump(exclude={"network"})
    if stage != "baseline":  # the study chose what the section leaves open
        fields |= read_json(METRICS / "tune.json")["best"]
    settings = Settings(**fields)
    train, heldout = data.read("train"), data.read("heldout")
    core = engine(network)

    def one(seed: int) -> longwork.Piece:
        def compute(state: Path) -> longwork.Piece:
            curve_path = state / "curve.json"
            curve: list[list[float]] = read_json(curve_path)["curve"] if curve_path.exists() else []
            before = curve[-1][2] if curve else 0.0  # seconds spent before a kill
            start = time.perf_counter() - before

            def each_epoch(epoch: int, loss: float, parameters: Vector) -> bool:
                correct = core.correct(parameters, heldout.pixels, heldout.labels)
                seconds = time.perf_counter() - start
                curve[epoch:] = [[loss, correct / len(heldout), seconds]]
                write_json(curve_path, {"curve": curve})
                done = f"epoch {epoch + 1}/{settings.epochs}"
                text = f"{done}, loss {loss:.4f}, held-out {correct / len(heldout):.2%}"
                longwork.say(stage, f"seed {seed}", text)
                return True

            parameters = fit(network, train, settings, seed, each_epoch, state)
            seconds = time.perf_counter() - start
            record = {
                "seed": seed,
                **score(core, parameters, train=train, heldout=heldout),
                "seconds": round(seconds, 2),
                "curve": [[round(loss, 6), accuracy] for loss, accuracy, _ in curve],
            }
            return {"parameters": parameters}, record

        key = longwork.folder(
            stage, network=network.spec, settings=asdict(settings), seed=seed, data=data.digest()
        )
        return longwork.finished(key, compute)

    save(
        stage,
        network,
        longwork.in_parallel(getattr(config.roster, stage), one),
        asdict(settings),
        len(heldout),
    )


def save(
    stage: str, network: Network, results: Sequence[longwork.Piece], settings: dict[str, Any], heldout: int
) -> None:
    """Write what a training stage leaves: the checkpoint, its metrics, its training curves."""
    parameters = np.stack([tensors["parameters"] for tensors, _ in results])
    runs = tuple({k: v for k, v in record.items() if k != "curve"} for _, record in results)
    write_checkpoint(
        MODELS / f"{stage}.safetensors",
        Checkpoint(network, parameters, np.ones(parameters.shape, bool), runs),
    )
    curves = [
        (record["seed"], epoch + 1, loss, accuracy)
        for _, record in results
        for epoch, (loss, accuracy) in enumerate(record["curve"])
    ]
    write_csv(PLOTS / f"{stage}.csv", ("seed", "epoch", "loss", "heldout_accuracy"), curves)
    accuracy = np.array([run["heldout_correct"] for run in runs]) / heldout
    write_json(
        METRICS / f"{stage}.json",
        {
            "parameters": network.size,
            "heldout_accuracy": round(float(accuracy.mean()), 6),
            "runs": len(runs),
            "settings": settings,
        },
    )
