"""The stage `front`: accuracy against size and its spread, what the recipes hold, and what honesty costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from neural_golf import data
from neural_golf.base.files import METRICS, write_bytes, write_json
from neural_golf.base.statistics import Spread, interval
from neural_golf.config import Config
from neural_golf.results.result import Result, by_variant, read_results, representative
from neural_golf.results.sizes import (
    Size,
    cut_off,
    fewest,
    points,
    rule,
    shown_interval,
    shown_p,
    sizes,
    write_points,
)

__all__ = ["Price", "held_table", "price_of_honesty", "run"]


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
    found = sizes(config, results)
    write_points(points(found, facts.train))
    prices = [
        price_of_honesty([r for r in results if r.row == row], row, config.settings(row).goal, judge)
        for row in config.rows_by("descent")
        for judge in ("test", "heldout")
    ]
    rng = np.random.default_rng(0)
    entries = [(r, interval(r.correct, r.images, rng)) for r in results if r.entered]
    told = [
        {
            "name": r.name, "nonzero": r.nonzero, "bytes": r.bytes, "test_correct": r.correct,
            "test_interval": within, "heldout_correct": r.heldout_correct, "train_correct": r.train_correct,
        }
        for r, within in entries
    ]  # fmt: skip
    rows = {row: fewest(found, row) for row in config.rows_by("descent", "packing")}
    held = {row: size and {**asdict(size), "chosen": size.chosen.name} for row, size in rows.items()}
    write_json(
        METRICS / "front.json",
        {"held": held, "entries": told, "honesty": [asdict(price) for price in prices]},
    )
    text = markdown(entries, prices, facts, held_table(config, found))
    write_bytes(Path("results/front.md"), text.encode())


def held_table(config: Config, found: Sequence[Size]) -> str:
    """Of each row with sizes, the smallest that its recipe holds."""
    rows, shown = [], []
    for row in config.rows_by("descent", "packing"):
        mine, size = [s for s in found if s.row == row], fewest(found, row)
        if not mine:
            continue
        told = {"row": row, "division": mine[0].division, "goal": f"{mine[0].goal:.4g}"}
        if size is None:
            n = max(s.accuracy.n for s in mine)
            nothing = dict.fromkeys(("bytes", "right on test", "95 % interval"), "")
            rows.append({**told, "non-zero": "none", **nothing, "n": str(n), "p": "", "seed": ""})
            continue
        shown.append(size.accuracy)
        rows.append(
            {
                **told,
                "non-zero": f"**{size.nonzero.text()}**",
                "bytes": f"**{size.bytes.text()}**" if size.bytes else "",
                "right on test": f"{size.accuracy.text(2, scale=100)} %",
                "95 % interval": shown_interval(size.accuracy),
                "n": str(size.accuracy.n),
                "p": shown_p(size.p),
                "seed": size.chosen.name + ("" if size.entered else " (no entry)"),
            }
        )
    if not any(row["bytes"] for row in rows):
        rows = [{key: value for key, value in row.items() if key != "bytes"} for row in rows]
    aligned = [
        "left" if name in ("row", "division", "seed") else "right" for name in (rows[0] if rows else ())
    ]
    text: str = pd.DataFrame(rows).to_markdown(index=False, colalign=aligned, disable_numparse=True)
    return f"""{rule(config.ladder)}
This is the smallest size that each row holds. Non-zero is what the referee counts. A network of the division
"open" resamples the image, to bring it into a canonical form; one of "plain" does not.

{text}{cut_off(shown)}"""


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


def markdown(
    entries: Sequence[tuple[Result, list[int]]], prices: Sequence[Price], facts: data.Facts, held: str
) -> str:
    """For readers: what the recipes hold, every entry on all images, and the price of honesty."""
    groups = by_variant(result for result, _ in entries)
    chosen = {representative(group).name for group in groups.values()}
    packed = any(r.bytes for r, _ in entries)
    seeds = pd.DataFrame(
        {
            "network": f"**{r.name}**" if r.name in chosen else r.name,
            "non-zero": str(r.nonzero),
            **({"bytes": str(r.bytes or "")} if packed else {}),
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
    aligned = ("left", *["right"] * (5 if packed else 4))
    return f"""# What our recipes hold, our entries, and what choosing on the test images is worth

Written by `golf front`. Every size of every row: [plots/front.csv](plots/front.csv).

## What the recipes hold
{held}

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
