"""The stage `handbook`: what each technique is worth, everything else equal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf import data, longwork
from neural_golf.config import Config
from neural_golf.golf import pages
from neural_golf.golf.descent import Descent
from neural_golf.golf.plan import Epoch
from neural_golf.golf.recipe import Recipe
from neural_golf.golf.teacher import probabilities
from neural_golf.records import write_csv, write_json
from neural_golf.report import Spread

__all__ = ["fold", "run", "size_needed"]

Curve = Sequence[tuple[int, float]]  # (size, accuracy)


def fold(everything: data.Images, number: int, folds: int) -> tuple[data.Images, data.Images]:
    """Images to train on and to judge by: cross-validation, each image judges in one seed."""
    judged = np.arange(len(everything)) % folds == number
    return everything[np.flatnonzero(~judged)], everything[np.flatnonzero(judged)]


def size_needed(curve: Curve, accuracy: float) -> float | None:
    """The size at which the accuracy falls below `accuracy`, linear in the logarithm between snapshots.

    The curve is read from its largest size down to the last snapshot that is good enough. None if
    the largest is not good enough, or the smallest still is: then the curve does not say.

    >>> size_needed([(400, 0.985), (200, 0.975)], 0.98)
    282.8
    """
    falling = sorted(curve, reverse=True)
    good = [k for k, (_, value) in enumerate(falling) if value >= accuracy]
    if not good or good[-1] == len(falling) - 1:
        return None
    (above, high), (below, low) = falling[good[-1]], falling[good[-1] + 1]
    share = (high - accuracy) / (high - low)
    return round(float(above * (below / above) ** share), 1)


def run(config: Config) -> None:
    """Every arm with every seed; seed k trains on all but fold k of the training images."""
    section = config.handbook
    parts = [data.read("train"), data.read("heldout")]
    everything = data.Images(
        np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts])
    )
    base = section.recipe.model_dump()
    recipes = {name: Recipe(**{**base, **change}) for name, change in section.arms.items()}
    # Seed by seed, so that a run that is stopped early has something of every arm.
    jobs = [(name, seed) for seed in range(section.seeds) for name in recipes]

    def one(job: tuple[str, int]) -> longwork.Piece:
        name, seed = job
        recipe = recipes[name]

        def compute(state: Path) -> longwork.Piece:
            train, judged = fold(everything, seed, section.seeds)
            start = time.perf_counter()
            descent = Descent(recipe, train, seed, probabilities(train) if recipe.distil else None)

            def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
                if step.snapshot:
                    longwork.say("handbook", f"{name} seed {seed}", f"{step.size} left, loss {loss:.4f}")

            curve = [
                (shot.size, descent.core.correct(shot.parameters, judged.pixels, judged.labels) / len(judged))
                for shot in descent.run(each_epoch, state)
            ]
            return {}, {"curve": curve, "seconds": round(time.perf_counter() - start, 2)}

        key = longwork.folder(
            "golf98", what="handbook", recipe=recipe.model_dump(), seed=seed, data=data.digest()
        )
        return longwork.finished(key, compute)

    results = longwork.in_parallel(jobs, one)
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in recipes}
    for (name, _), (_, record) in zip(jobs, results, strict=True):
        records[name].append(record)
    lines = [
        (name, seed, size, accuracy)
        for name, runs in records.items()
        for seed, record in enumerate(runs)
        for size, accuracy in record["curve"]
    ]
    write_csv(Path("results/plots/handbook.csv"), ("arm", "seed", "nonzero", "accuracy"), lines)
    found = {name: summary(runs, section.accuracy, section.at) for name, runs in records.items()}
    write_json(Path("results/metrics/handbook.json"), found)
    pages.update(found, section.accuracy, section.at)


def summary(runs: Sequence[dict[str, Any]], accuracy: float, at: int) -> dict[str, Any]:
    """Mean and spread of the size needed and of the accuracy at the size `at`; all values of the first."""
    needed = [size_needed(record["curve"], accuracy) for record in runs]
    known = [value for value in needed if value is not None]
    there = [value for record in runs for size, value in record["curve"] if size == at]
    return {
        "needed": needed,
        "needed_spread": vars(Spread.of(known)) if len(known) == len(needed) else None,
        f"accuracy_at_{at}": vars(Spread.of(there)) if there else None,
        "seconds": round(float(np.mean([record["seconds"] for record in runs])), 1),
    }
