"""The stages golf98 and golf99: one descent per seed, a snapshot at every size, some of them entered."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.files import write_csv, write_json
from neural_golf.compress.descent import Descent
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.config.recipe import Recipe
from neural_golf.engine import engine
from neural_golf.experiments.teacher import probabilities
from neural_golf.net.checkpoint import Checkpoint, write_checkpoint
from neural_golf.net.spec import Network
from neural_golf.train.fit import METRICS, MODELS, PLOTS, score

__all__ = ["descend", "run"]


def descend(
    stage: str, name: str, recipe: Recipe, seed: int, train: data.Split, heldout: data.Split
) -> longwork.Piece:
    """One descent, kept in .golf: arrays parameters and mask [snapshots, n], a record per snapshot."""
    core = engine(Network.parse(recipe.network))

    def compute(state: Path) -> longwork.Piece:
        start = time.perf_counter()
        teacher = probabilities(train) if recipe.distil else None
        descent = Descent(recipe, train, seed, teacher)
        total = len(descent.plan)

        def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
            if step.snapshot or epoch % 10 == 0:
                text = f"epoch {epoch}/{total}, {step.size} parameters left, loss {loss:.4f}"
                longwork.say(stage, name, text)

        snapshots = descent.run(each_epoch, state)
        seconds = round(time.perf_counter() - start, 2)
        records = [
            {
                "judge": "heldout",
                "size": snapshot.size,
                "seed": seed,
                **score(core, snapshot.parameters, train=train, heldout=heldout),
                "seconds": seconds,
            }
            for snapshot in snapshots
        ]
        tensors = {
            "parameters": np.stack([snapshot.parameters for snapshot in snapshots]),
            "mask": np.stack([snapshot.mask for snapshot in snapshots]),
        }
        return tensors, {"runs": records}

    key = longwork.folder(stage, recipe=recipe.model_dump(), seed=seed, data=data.digest())
    return longwork.finished(key, compute)


def run(config: Config, stage: str) -> None:
    """Descend once per seed of the roster; write every snapshot, and which of them are entered."""
    section = getattr(config, stage)
    train, heldout = data.read("train"), data.read("heldout")
    seeds = getattr(config.roster, stage)
    results = longwork.in_parallel(
        seeds, lambda seed: descend(stage, f"seed {seed}", section.recipe, seed, train, heldout)
    )
    # Which sizes are entered stands in params.yaml before anything is trained: no score decides it.
    runs = [
        {**run, "entered": run["size"] in section.enter} for _, record in results for run in record["runs"]
    ]
    parameters = np.concatenate([tensors["parameters"] for tensors, _ in results])
    masks = np.concatenate([tensors["mask"] for tensors, _ in results]).astype(bool)
    network = Network.parse(section.recipe.network)
    write_checkpoint(MODELS / f"{stage}.safetensors", Checkpoint(network, parameters, masks, tuple(runs)))
    columns = ("seed", "size", "entered")
    lines = [
        (*(run[c] for c in columns), run["train_correct"] / len(train), run["heldout_correct"] / len(heldout))
        for run in runs
    ]
    header = ("seed", "nonzero", "entered", "train_accuracy", "heldout_accuracy")
    write_csv(PLOTS / f"{stage}.csv", header, lines)
    at = {size: [run["heldout_correct"] for run in runs if run["size"] == size] for size in section.enter}
    write_json(
        METRICS / f"{stage}.json",
        {
            "parameters": network.size,
            "runs": len(results),
            "heldout_accuracy": {
                str(size): round(float(np.mean(correct)) / len(heldout), 6) for size, correct in at.items()
            },
        },
    )
