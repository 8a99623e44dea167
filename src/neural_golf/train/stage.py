"""The stages of the rows made by training: one network, trained once per seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf import data
from neural_golf.base import longwork, watch
from neural_golf.base.files import METRICS, MODELS, PLOTS, read_json, write_csv, write_json
from neural_golf.config import Config
from neural_golf.config.sections import Training
from neural_golf.engine import engine
from neural_golf.net.checkpoint import Checkpoint, Run, write_checkpoint
from neural_golf.net.spec import Network
from neural_golf.train.fit import Settings, Vector, fit

__all__ = ["Trained", "pieces", "run", "save"]

Trained = tuple[Vector, Run, list[list[float]]]  # parameters [n], record, curve of (loss, held-out accuracy)


def run(config: Config, row: str) -> None:
    """Train the row's network once per seed. Settings that its section leaves open come from the study."""
    network, settings = _told(config, row)
    save(row, network, longwork.computed(pieces(config, row)), asdict(settings))


def _told(config: Config, row: str) -> tuple[Network, Settings]:
    section: Training = config.settings(row)
    facts = data.facts()
    chosen = section.chosen or read_json(METRICS / "tune.json")["best"]
    settings = Settings(epochs=section.epochs, mean=facts.mean, std=facts.std, **chosen)
    return data.network(section.network, section.seen_in), settings


def pieces(config: Config, row: str) -> longwork.Pieces:
    """The row's trainings, one per seed: the parameters [n], and a record with the run and its curve."""
    network, settings = _told(config, row)
    train, heldout, digest = data.read("train"), data.read("heldout"), data.digest()
    core = engine(network)

    def one(seed: int) -> longwork.Piece:
        def compute(state: Path) -> longwork.Piece:
            curve: list[list[float]] = []

            def each_epoch(epoch: int, loss: float, parameters: Vector) -> bool:
                accuracy = core.correct(parameters, heldout.pixels, heldout.labels) / len(heldout)
                curve.append([round(loss, 6), accuracy])
                text = f"epoch {epoch + 1}/{settings.epochs}, loss {loss:.4f}, held-out {accuracy:.2%}"
                longwork.say(row, f"seed {seed}", text)
                watch.note(row, f"seed {seed}", epoch + 1, loss=loss, heldout_accuracy=accuracy)
                return True

            parameters = fit(network, train, settings, seed, each_epoch, state, curve)
            record = Run(seed, **data.score(core, parameters, train=train, heldout=heldout))
            return {"parameters": parameters}, {"run": asdict(record), "curve": curve}

        key = longwork.folder(
            row,
            network=network.spec,
            settings=asdict(settings),
            seed=seed,
            data=digest,
            **({"form": asdict(network.form)} if network.form else {}),
        )
        return longwork.finished(key, compute)

    return {f"seed-{seed}": partial(one, seed) for seed in config.rows[row].seeds}


def save(row: str, network: Network, pieces: Mapping[str, longwork.Piece], settings: dict[str, Any]) -> None:
    """Write the results of a training stage: the checkpoint, its metrics and its training curves."""
    results: list[Trained] = [
        (tensors["parameters"], Run(**found["run"]), found["curve"]) for tensors, found in pieces.values()
    ]
    parameters = np.stack([vector for vector, _, _ in results])
    runs = tuple(record for _, record, _ in results)
    masks = np.ones(parameters.shape, bool)
    write_checkpoint(MODELS / f"{row}.safetensors", Checkpoint(network, parameters, masks, runs))
    curves = [
        (record.seed, epoch + 1, loss, accuracy)
        for _, record, curve in results
        for epoch, (loss, accuracy) in enumerate(curve)
    ]
    write_csv(PLOTS / f"{row}.csv", ("seed", "epoch", "loss", "heldout_accuracy"), curves)
    accuracy = np.array([record.heldout_correct for record in runs]) / data.facts().heldout
    write_json(
        METRICS / f"{row}.json",
        {
            "parameters": network.size,
            "heldout_accuracy": round(float(accuracy.mean()), 6),
            "runs": len(runs),
            "settings": settings,
        },
    )
