"""How well images and seeds tell networks apart, by the results that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neural_golf import data
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.experiments.pages import grid
from neural_golf.results.result import VERIFIED, Result, read_results

__all__ = ["error", "tables"]

SEEDS = (1, 2, 5, 10, 20, 40)


def error(share: float, images: int) -> float:
    """Standard error of the share of so many images that are right: √(p (1 − p) / n).

    >>> round(100 * error(0.98, 10_000), 2)
    0.14
    """
    return float(np.sqrt(share * (1 - share) / images))


def tables(config: Config, found: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The tables `seeds` (none where nothing has been verified), `images` and `differences` as Markdown.

    found: the handbook's summary of each arm.
    """
    facts, section = data.facts(), config.needed("handbook")
    fold = (facts.train + facts.heldout) // section.seeds
    judges = {
        "held-out": facts.heldout,
        "test": facts.test,
        "a fold of the handbook": fold,
        "train": facts.train,
    }
    results = [r for r in read_results() if r.size] if VERIFIED.exists() else []
    return {
        "seeds": seeds(results, facts.train) if results else "",
        "images": images(judges, section.accuracies),
        "differences": differences([record["against_first"] for record in found.values()]),
    }


def seeds(results: Sequence[Result], train: int) -> str:
    """A line per row and size: how far its seeds lie apart on each part, and the error of one network."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        groups.setdefault((result.row, result.nonzero), []).append(result)
    lines = []
    for (row, size), group in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1])):
        first = group[0]
        parts = {
            "train": [(r.train_correct or 0) / train for r in group],
            "heldout": [r.heldout_accuracy for r in group],
            "test": [r.accuracy for r in group],
        }
        spreads = {name: Spread.of(values) for name, values in parts.items()}
        alone = (
            error(spreads["heldout"].mean, first.heldout_images), error(spreads["test"].mean, first.images),
        )  # fmt: skip
        told = [*(spread.sd for spread in spreads.values()), *alone]
        lines.append([row, str(size), *(f"{100 * value:.2f}" for value in told), str(len(group))])
    between = [f"seeds apart, {part}" for part in ("train", "held-out", "test")]
    return grid(["row", "size", *between, "error, held-out", "error, test", "n"], lines)


def images(judges: Mapping[str, int], accuracies: Sequence[float]) -> str:
    """A line per judge: the standard error of one accuracy, in points."""
    lines = [
        [name, f"{n:,}", *(f"{100 * error(share, n):.2f}" for share in accuracies)]
        for name, n in judges.items()
    ]
    return grid(["judge", "images", *(f"error at {100 * share:.4g} %" for share in accuracies)], lines)


def differences(against: Sequence[Mapping[str, float] | None]) -> str:
    """A line per number of seeds: the standard error of the mean difference between an arm and the first.

    The spread of these differences is the median over the arms.
    """
    spreads = [record["sd"] for record in against if record and record["sd"]]
    if not spreads:
        return ""
    one = 100 * float(np.median(spreads))
    return grid(
        ["seeds", "standard error of a difference"], [[str(n), f"{one / np.sqrt(n):.2f}"] for n in SEEDS]
    )
