"""The stage `front`: accuracy against size, the spread of both, and what it costs to be honest."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf.base.files import read_json, write_bytes, write_csv, write_json
from neural_golf.base.statistics import Spread, interval, needed
from neural_golf.config import Config
from neural_golf.results import model_cards

__all__ = ["markdown", "points", "price_of_honesty", "run"]

Line = Mapping[str, str]
GOALS = {"golf98": 0.98, "golf99": 0.99}
HEADER = (
    "row", "size", "n", "test_mean", "test_sd", "test_least", "test_greatest",
    "heldout_mean", "heldout_sd", "train_mean", "train_sd",
)  # fmt: skip


def run(config: Config) -> None:
    """Read the referee's results/plots/verify.csv; write plots/front.csv, metrics/front.json and front.md."""
    with Path("results/plots/verify.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["size"]]
    train = int(read_json(Path("results/metrics/data.json"))["train"])
    table = points(lines, train)
    write_csv(Path("results/plots/front.csv"), HEADER, [[point[key] for key in HEADER] for point in table])
    rng = np.random.default_rng(0)
    entries = [
        {
            "name": line["name"],
            "nonzero": int(line["nonzero"]),
            "test_correct": int(line["correct"]),
            "heldout_correct": int(line["heldout_correct"]),
            "train_correct": int(line["train_correct"]),
            "test_interval": interval(int(line["correct"]), int(line["images"]), rng),
        }
        for line in lines
        if line["entered"] == "True"
    ]
    honesty = {
        row: price_of_honesty([line for line in lines if line["row"] == row], accuracy)
        for row, accuracy in GOALS.items()
    }
    write_json(Path("results/metrics/front.json"), {"entries": entries, "honesty": honesty})
    chosen = {model_cards.chosen(group)["name"] for group in model_cards.by_variant(lines).values()}
    images = {
        part: int(lines[0][column]) for part, column in (("test", "images"), ("heldout", "heldout_images"))
    }
    text = markdown(entries, chosen, honesty, images | {"train": train})
    write_bytes(Path("results/front.md"), text.encode())


def markdown(
    entries: Sequence[Mapping[str, Any]],
    chosen: set[str],
    honesty: Mapping[str, Any],
    images: Mapping[str, int],
) -> str:
    """What front.json says, for readers: every entry on all images, and the price of honesty."""
    rows = [
        "# Our entries, and what choosing on the test images is worth",
        "",
        "Written by `golf front`. Every size of every descent: [plots/front.csv](plots/front.csv).",
        "",
        "## Every seed of every size that is entered",
        "Bold: the seed that the held-out images choose. In brackets: 95 % bootstrap interval.",
        "",
        f"| network | non-zero | test, correct of {images['test']:,} | held-out | train |",
        "|---|--:|--:|--:|--:|",
    ]
    for entry in entries:
        low, high = entry["test_interval"]
        name = f"**{entry['name']}**" if entry["name"] in chosen else entry["name"]
        heldout, train = (entry[f"{part}_correct"] / images[part] for part in ("heldout", "train"))
        rows.append(
            f"| {name} | {entry['nonzero']} | {entry['test_correct']:,} ({low:,} to {high:,}) "
            f"| {heldout:.2%} | {train:.2%} |"
        )
    rows += [
        "",
        "## The price of honesty",
        "One rule, by two judges: of every descent the smallest size that still has the accuracy. On the",
        "test images, as usual elsewhere: the smallest of all seeds is what a paper would report, and its",
        "accuracy estimates nothing. On the held-out images: what may be claimed without having looked.",
        "",
        "| descents | judge | seeds with one | non-zero | smallest | test, correct |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row, prices in honesty.items():
        for judge, price in prices.items():
            size, correct = (
                Spread(**price[key]).text() if price[key] else "" for key in ("nonzero", "test_correct")
            )
            name = f"{row}, {GOALS[row]:.0%}"
            what = judge.removeprefix("chosen_on_").replace("heldout", "held-out")
            rows.append(
                f"| {name} | {what} | {price['seeds']} | {size} | {price['best'] or ''} | {correct} |"
            )
    return "\n".join([*rows, ""])


def points(lines: Iterable[Line], train: int) -> list[dict[str, Any]]:
    """One record per row and size: mean and spread over the seeds, largest first."""
    groups: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        groups.setdefault((line["row"], int(line["nonzero"])), []).append(line)
    table = []
    for (row, size), group in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1])):
        test = Spread.of([int(line["correct"]) / int(line["images"]) for line in group])
        heldout = Spread.of([int(line["heldout_correct"]) / int(line["heldout_images"]) for line in group])
        on_train = Spread.of([int(line["train_correct"]) / train for line in group])
        table.append(
            {
                "row": row,
                "size": size,
                "n": test.n,
                "test_mean": round(test.mean, 6),
                "test_sd": round(test.sd, 6),
                "test_least": test.least,
                "test_greatest": test.greatest,
                "heldout_mean": round(heldout.mean, 6),
                "heldout_sd": round(heldout.sd, 6),
                "train_mean": round(on_train.mean, 6),
                "train_sd": round(on_train.sd, 6),
            }
        )
    return table


def price_of_honesty(lines: Sequence[Line], accuracy: float) -> dict[str, Any]:
    """One rule, the smallest snapshot of a descent with this accuracy, by two judges.

    On the test images, as usual elsewhere: `best`, the smallest of all seeds, is what a paper would
    report. And on the held-out images: what one may claim without having looked.
    """
    found: dict[str, Any] = {}
    for name, able in (
        ("chosen_on_test", _able(lines, accuracy, "correct", "images")),
        ("chosen_on_heldout", _able(lines, accuracy, "heldout_correct", "heldout_images")),
    ):
        per_seed: dict[str, Line] = {}
        for line in sorted(able, key=lambda ln: -int(ln["nonzero"])):
            per_seed[line["seed"]] = line  # the smallest comes last
        sizes = [int(line["nonzero"]) for line in per_seed.values()]
        correct = [int(line["correct"]) for line in per_seed.values()]
        found[name] = {
            "seeds": len(sizes),
            "nonzero": vars(Spread.of(sizes)) if sizes else None,
            "best": min(sizes, default=None),
            "test_correct": vars(Spread.of(correct)) if correct else None,
        }
    return found


def _able(lines: Sequence[Line], accuracy: float, correct: str, images: str) -> list[Line]:
    return [line for line in lines if int(line[correct]) >= needed(accuracy, int(line[images]))]
