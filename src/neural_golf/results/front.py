"""The stage `front`: accuracy against size, the spread of both, and what honesty costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from neural_golf import data
from neural_golf.base.files import METRICS, PLOTS, write_bytes, write_json
from neural_golf.base.statistics import Spread, interval
from neural_golf.config import Config
from neural_golf.results.result import Result, by_variant, read_results, representative

__all__ = ["Price", "points", "price_of_honesty", "run"]


@dataclass(frozen=True)
class Price:
    """For each descent the smallest size that has the accuracy asked for, according to one judge.

    `best` is the smallest of all seeds; on the test images, this is what a paper would report.
    """

    row: str
    goal: float
    judge: Literal["test", "heldout"]
    seeds: int
    nonzero: Spread | None
    best: int | None
    test_correct: Spread | None


def run(config: Config) -> None:
    """Read the referee's results/plots/verify.csv; write plots/front.csv, metrics/front.json and front.md."""
    results = [result for result in read_results() if result.size]
    facts = data.facts()
    table = points(results, facts.train)
    write_bytes(PLOTS / "front.csv", table.to_csv(index=False, lineterminator="\n").encode())
    prices = [
        price_of_honesty([r for r in results if r.row == row], row, config.settings(row).goal, judge)
        for row in config.rows_by("descent")
        for judge in ("test", "heldout")
    ]
    rng = np.random.default_rng(0)
    entries = [(r, interval(r.correct, r.images, rng)) for r in results if r.entered]
    told = [
        {
            "name": r.name, "nonzero": r.nonzero, "test_correct": r.correct, "test_interval": within,
            "heldout_correct": r.heldout_correct, "train_correct": r.train_correct,
        }
        for r, within in entries
    ]  # fmt: skip
    write_json(METRICS / "front.json", {"entries": told, "honesty": [asdict(price) for price in prices]})
    write_bytes(Path("results/front.md"), markdown(entries, prices, facts).encode())


def points(results: Sequence[Result], train: int) -> pd.DataFrame:
    """One line per row and size: mean and spread over the seeds, largest first."""
    table = pd.DataFrame(
        {
            "row": r.row, "size": r.nonzero, "test": r.accuracy, "heldout": r.heldout_accuracy,
            "train": (r.train_correct or 0) / train,
        }
        for r in results
    )  # fmt: skip
    found = table.groupby(["row", "size"]).agg(
        n=("test", "size"),
        test_mean=("test", "mean"), test_sd=("test", "std"),
        test_least=("test", "min"), test_greatest=("test", "max"),
        heldout_mean=("heldout", "mean"), heldout_sd=("heldout", "std"),
        train_mean=("train", "mean"), train_sd=("train", "std"),
    )  # fmt: skip
    found = found.fillna(0.0).round(6).reset_index()
    return found.sort_values(["row", "size"], ascending=[True, False])


def price_of_honesty(
    results: Sequence[Result], row: str, goal: float, judge: Literal["test", "heldout"]
) -> Price:
    """One rule: take the smallest snapshot of a descent that reaches the goal on the judge's images."""
    per_seed: dict[int, Result] = {}
    for result in sorted(results, key=lambda r: -r.nonzero):
        if result.reaches(goal, judge):
            per_seed[result.seed] = result  # the smallest comes last
    sizes = [result.nonzero for result in per_seed.values()]
    correct = [result.correct for result in per_seed.values()]
    return Price(
        row, goal, judge, len(sizes),
        Spread.of(sizes) if sizes else None,
        min(sizes, default=None),
        Spread.of(correct) if correct else None,
    )  # fmt: skip


def markdown(entries: Sequence[tuple[Result, list[int]]], prices: Sequence[Price], facts: data.Facts) -> str:
    """For readers: every entry on all images, and the price of honesty."""
    groups = by_variant(result for result, _ in entries)
    chosen = {representative(group).name for group in groups.values()}
    seeds = pd.DataFrame(
        {
            "network": f"**{r.name}**" if r.name in chosen else r.name,
            "non-zero": str(r.nonzero),
            f"test, correct of {facts.test:,}": f"{r.correct:,} ({low:,} to {high:,})",
            "held-out": f"{r.heldout_accuracy:.2%}",
            "train": f"{(r.train_correct or 0) / facts.train:.2%}",
        }
        for r, (low, high) in entries
    )
    judges = pd.DataFrame(
        {
            "descents": f"{p.row}, {p.goal:.0%}",
            "judge": {"test": "test", "heldout": "held-out"}[p.judge],
            "seeds with one": str(p.seeds),
            "non-zero": p.nonzero.text() if p.nonzero else "",
            "smallest": str(p.best or ""),
            "test, correct": p.test_correct.text() if p.test_correct else "",
        }
        for p in prices
    )
    aligned = ("left", *["right"] * 4)
    return f"""# Our entries, and what choosing on the test images is worth

Written by `golf front`. Every size of every descent: [plots/front.csv](plots/front.csv).

## Every seed of every size that is entered
Bold: the seed that the held-out images choose. In brackets: 95 % bootstrap interval.

{seeds.to_markdown(index=False, colalign=aligned, disable_numparse=True)}

## The price of honesty
One rule, two judges: of every descent, the smallest size that still has the accuracy. With the test images as
the judge, as is usual elsewhere, the smallest of all seeds is what a paper would report, and its accuracy
estimates nothing. With the held-out images as the judge, it may be claimed, because nobody looked at the
test images.

{judges.to_markdown(index=False, colalign=("left", "left", *["right"] * 4), disable_numparse=True)}
"""
