"""A finished run in miniature: two small networks and a zeroed one, through the real stages, in seconds."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neural_golf import config, data
from neural_golf.base.files import METRICS, MODELS, PLOTS, write_csv, write_json
from neural_golf.config import Config
from neural_golf.data import stage
from neural_golf.net.checkpoint import Checkpoint, Run, write_checkpoint
from neural_golf.results import export, ladder, verify
from neural_golf.results.result import Result
from neural_golf.train.fit import Settings, Vector, fit

ROOT = Path(__file__).parent.parent
ROWS = ("baseline", "prelu", "prelu_pruned")
NETWORKS = ("baseline", "prelu", "prelu_pruned-test-index")


def settings(steps: int = 2, **site: Any) -> Config:
    """The demo's settings, with three rows only, the first of which sees images in their canonical form.

    steps: of the gradient ascent on images.
    """
    raw = config.merged(yaml.safe_load((ROOT / "params.yaml").read_text()), "demo")
    for row in set(raw["rows"]) - set(ROWS):
        del raw["rows"][row]
        raw.pop(row, None)
    raw["baseline"]["form"] = {}
    raw["interpret"] |= {"networks": list(NETWORKS), "worst": 5}
    raw["interpret"]["excite"]["steps"] = steps
    raw["site"] |= site
    return config.check(raw)


def result(nonzero: int, correct: int, judge: str = "", row: str = "a", **more: Any) -> Result:
    """A made-up result: `correct` of 10,000 test images right, and half as many of 5,000 held-out ones."""
    told = {
        "name": f"{row}-{nonzero}", "order": "", "size": None, "entered": True, "seed": 0,
        "parameters": nonzero, "bits": 32 * nonzero, "images": 10_000, "heldout_correct": correct // 2,
        "heldout_images": 5_000, "train_correct": None, "path": "results/onnx/a.onnx", "sha256": "",
    }  # fmt: skip
    return Result(**(told | {"row": row, "nonzero": nonzero, "correct": correct, "judge": judge} | more))


def build(folder: Path, settings: Config) -> None:
    """Everything that `interpret` and `site` read, in `folder`."""
    with contextlib.chdir(folder):
        stage.run(settings)
        _train(settings, "baseline")
        _zero(settings, _train(settings, "prelu"))
        _study()
        export.run(settings)
        verify.run(settings)
        ladder.run(settings)


def _train(settings: Config, row: str) -> Vector:
    """A checkpoint of one seed, after a few epochs, and its curve."""
    section = settings.settings(row)
    facts, network = data.facts(), data.network(section.network, section.seen_in)
    chosen = Settings(
        epochs=6, batch=32, learning_rate=0.005, step=3, gamma=0.5, mean=facts.mean, std=facts.std
    )
    curve: list[tuple[int, int, float, float]] = []

    def note(epoch: int, loss: float, _: Vector) -> bool:
        curve.append((0, epoch + 1, loss, 0.5 + epoch / 20))
        return True

    trained = fit(network, data.read("train"), chosen, 0, note)
    write_csv(PLOTS / f"{row}.csv", ("seed", "epoch", "loss", "heldout_accuracy"), curve)
    mask = np.ones((1, network.size), np.bool_)
    write_checkpoint(MODELS / f"{row}.safetensors", Checkpoint(network, trained[None], mask, (Run(0),)))
    return trained


def _zero(settings: Config, trained: Vector) -> None:
    """The trained network without its 300 smallest weights, and a curve as zeroing would leave it."""
    network = data.network(settings.prelu.network)
    weights = network.weights()
    mask = np.ones((1, network.size), np.bool_)
    mask[0, weights[np.argsort(np.abs(trained[weights]))[:300]]] = False
    run = Run(0, "test", "index")
    write_checkpoint(MODELS / "prelu_pruned.safetensors", Checkpoint(network, trained[None], mask, (run,)))
    curve = [("test-index", 0, network.size - k, 0.97 - k / 10_000) for k in range(300)]
    write_csv(PLOTS / "prelu_pruned.csv", ("variant", "seed", "nonzero", "accuracy"), curve)


def _study() -> None:
    """Four trials that were never run, as `tune` would leave them."""
    names = ("batch", "learning_rate", "step", "gamma")
    table = []
    for k, (batch, rate) in enumerate([(8, 1e-4), (16, 1e-3), (24, 5e-3), (32, 1e-2)]):
        value = 0.9 + k / 100
        table.append((k, "complete", value, value, 8, batch, rate, k + 1, 0.2 * (k + 1)))
    header = ("trial", "state", "accuracy", "best_accuracy", "epochs", *names)
    write_csv(PLOTS / "tune.csv", header, table)
    parts = dict(zip(names, (0.4, 0.3, 0.2, 0.1), strict=True))
    write_json(METRICS / "tune.json", {"importance": parts})
