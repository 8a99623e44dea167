"""`golf handbook`: what each technique is worth while everything else stays equal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.files import write_csv, write_json
from neural_golf.base.statistics import Spread
from neural_golf.compress import technique
from neural_golf.compress.descent import Descent
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.experiments import judges, pages, rounding
from neural_golf.experiments.teacher import probabilities

__all__ = ["fold", "pieces", "run", "size_needed"]

Curve = Sequence[tuple[int, float]]  # (size, accuracy)


def fold(everything: data.Split, number: int, folds: int) -> tuple[data.Split, data.Split]:
    """The images to train on and those to judge by. As in cross-validation, each image judges in one fold."""
    judged = np.arange(len(everything)) % folds == number
    return everything[np.flatnonzero(~judged)], everything[np.flatnonzero(judged)]


def size_needed(curve: Curve, accuracy: float) -> float | str:
    """The size at which a curve falls below `accuracy`, interpolated on a logarithmic scale between
    snapshots.

    The curve is read from its largest size down to the last snapshot that is good enough. Where none is, or
    where the smallest still is, only a bound is known.

    >>> size_needed([(400, 0.985), (200, 0.975)], 0.98)
    282.8
    >>> size_needed([(400, 0.985), (200, 0.981)], 0.98)
    'under 200'
    """
    falling = sorted(curve, reverse=True)
    good = [k for k, (_, value) in enumerate(falling) if value >= accuracy]
    if not good:
        return f"over {falling[0][0]}"
    if good[-1] == len(falling) - 1:
        return f"under {falling[-1][0]}"
    (above, high), (below, low) = falling[good[-1]], falling[good[-1] + 1]
    share = (high - accuracy) / (high - low)
    return round(float(above * (below / above) ** share), 1)


def run(config: Config) -> None:
    """Every arm with every seed; seed k trains on all but fold k of the training images."""
    technique.check(config)
    rounded = rounding.tables(config)  # first, because results that cannot be read should be told at once
    section = config.needed("handbook")
    made = [record for _, record in longwork.computed(pieces(config)).values()]
    records = {name: made[at :: len(section.arms)] for at, name in enumerate(section.arms)}
    lines = [
        (name, seed, size, accuracy)
        for name, runs in records.items()
        for seed, record in enumerate(runs)
        for size, accuracy in record["curve"]
    ]
    write_csv(Path("results/plots/handbook.csv"), ("arm", "seed", "nonzero", "accuracy"), lines)
    first = next(iter(records.values()))
    found = {name: summary(runs, first, section.accuracies, section.at) for name, runs in records.items()}
    write_json(Path("results/metrics/handbook.json"), found)
    pages.update(found, section.accuracies, section.at, {**rounded, **judges.tables(config, found)})


def pieces(config: Config) -> longwork.Pieces:
    """The curve of each arm with each seed: seed by seed, so that a run that is stopped has some of all."""
    section = config.needed("handbook")
    parts = [data.read("train"), data.read("heldout")]
    everything = data.Split(
        np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts])
    )

    def one(name: str, seed: int) -> longwork.Piece:
        recipe = section.arm(name)

        def compute(state: Path) -> longwork.Piece:
            train, judged = fold(everything, seed, section.seeds)
            descent = Descent(
                recipe, train, seed, probabilities(section.teacher, train) if recipe.distil else None
            )

            def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
                if step.snapshot:
                    longwork.say("handbook", f"{name} seed {seed}", f"{step.size} left, loss {loss:.4f}")

            core = engine(descent.kept)
            curve = [
                (shot.size, core.correct(shot.parameters, judged.pixels, judged.labels) / len(judged))
                for shot in descent.run(each_epoch, state)
            ]
            return {}, {"curve": curve}

        key = longwork.folder("handbook", recipe=recipe.model_dump(), seed=seed, data=data.digest())
        return longwork.finished(key, compute)

    return {
        f"{name}-seed-{seed}": partial(one, name, seed)
        for seed in range(section.seeds)
        for name in section.arms
    }


def summary(
    runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]], accuracies: Sequence[float], at: int
) -> dict[str, Any]:
    """The size that each seed needed for each accuracy, and the accuracy at the size `at`.

    The accuracy is also given as the difference from the first arm's, seed by seed, because both were judged
    by the same fold, and folds differ more than arms.
    """

    def there(records: Sequence[dict[str, Any]]) -> list[float]:
        return [value for record in records for size, value in record["curve"] if size == at]

    own, other = there(runs), there(first)
    differences = [a - b for a, b in zip(own, other, strict=True)] if len(own) == len(other) else []
    return {
        "needed": {f"{a:.4g}": [size_needed(record["curve"], a) for record in runs] for a in accuracies},
        f"accuracy_at_{at}": vars(Spread.of(own)) if own else None,
        "against_first": vars(Spread.of(differences)) if differences else None,
    }
