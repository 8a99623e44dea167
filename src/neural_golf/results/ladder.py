"""The stage `ladder`: one table of all networks, as JSON, CSV, and Markdown for the README."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, write_bytes, write_csv, write_json
from neural_golf.base.statistics import Spread
from neural_golf.config import Blog, Config, Prune
from neural_golf.results import model_cards

__all__ = ["rows", "run", "update_readme"]

RESULTS = Path("results")
ORDER = ("reference", "baseline", "tuned", "pruned", "prelu", "prelu_pruned", "golf98", "golf99")


def run(config: Config) -> None:
    """Read results/plots/verify.csv; write results/ladder.json, .csv and .md, the table in README.md,
    and the model cards.

    DVC always runs this stage where it is out of date, as its outputs are not in the cache, so the
    README never lags behind. In a workspace without a README (the demo's) there is none to change.
    """
    with (RESULTS / "plots/verify.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    blog = config.ladder.blog if config.data.dataset == "mnist" else {}
    table = rows(lines, blog)
    sizes = read_json(RESULTS / "metrics/data.json")
    write_json(RESULTS / "ladder.json", {row["name"]: row for row in table})
    flat = [_flat(row) for row in table]
    header = list(dict.fromkeys(key for row in flat for key in row))
    write_csv(RESULTS / "ladder.csv", header, [[row.get(key, "") for key in header] for row in flat])
    markdown = _markdown(table, sizes, config.prune) + _snapshots(lines)
    write_bytes(RESULTS / "ladder.md", markdown.encode())
    listing = read_json(RESULTS / "exported.json")
    model_cards.write(RESULTS / "cards", config.data.dataset, config.ladder, lines, listing)
    if Path("README.md").exists():
        update_readme("ladder", RESULTS / "ladder.md")


def rows(lines: Sequence[Mapping[str, str]], blog: Mapping[str, Blog]) -> list[dict[str, Any]]:
    """One record per row and variant of the ladder, from the referee's lines.

    `untouched` is the accuracy on images that chose nothing about the row: the test images, except
    where these judged the zeroing; there the held-out images, which then chose nothing.
    """
    groups = model_cards.by_variant(lines)
    judges = ("", "test", "heldout")
    table = []

    def place(key: model_cards.Variant) -> tuple[int, int, int, str]:
        row, judge, rest = key
        size = -int(rest) if rest.isdecimal() else 0
        return ORDER.index(row), judges.index(judge), size, rest

    for key in sorted(groups, key=place):
        row, judge, order = key
        group = groups[key]
        test = Spread.of([int(line["correct"]) / int(line["images"]) for line in group])
        heldout = Spread.of([int(line["heldout_correct"]) / int(line["heldout_images"]) for line in group])
        entry: dict[str, Any] = {
            "name": model_cards.name_of(key),
            "row": row,
            "parameters": int(group[0]["parameters"]),
            "nonzero": vars(Spread.of([int(line["nonzero"]) for line in group])),
            "test_correct": vars(Spread.of([int(line["correct"]) for line in group])),
            "test_images": int(group[0]["images"]),
            "test_accuracy": vars(test),
            "heldout_accuracy": vars(heldout),
            "untouched_on": "held-out" if judge == "test" else "test",
            "untouched": vars(heldout if judge == "test" else test),
            "chosen_on": {"": "nothing", "test": "test", "heldout": "held-out"}[judge],
            "order": order if order in model_cards.TRIED else "",
            "size": int(order) if order.isdecimal() else None,
            "seeds": [int(line["seed"]) for line in group],
            "seconds": round(float(np.mean([float(line["seconds"]) for line in group])), 2),
        }
        if judge in ("", "test") and order in ("", "index") and row in blog:
            entry["blog"] = blog[row].model_dump()
        table.append(entry)
    return table


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{key}_{inner}": v for inner, v in value.items()}
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list) else value
    return flat


LABELS = {
    "reference": "reference (PyTorch's example)",
    "baseline": "baseline 8-5-4",
    "tuned": "tuned 4-5-4",
    "pruned": "pruned",
    "prelu": "prelu 4-5-4",
    "prelu_pruned": "prelu_pruned",
}

CHOSEN = {"nothing": "", "test": "**test** (blog's protocol)", "held-out": "held-out"}


def _markdown(table: Sequence[Mapping[str, Any]], sizes: Mapping[str, Any], prune: Prune) -> str:
    lines = [
        f"| network | parameters | non-zero | test, correct of {sizes['test']:,} "
        "| on images that chose nothing | zeros chosen on | n | seconds | the blog |",
        "|---|--:|--:|--:|--:|---|--:|--:|--:|",
    ]
    for row in table:
        spread = {key: Spread(**row[key]) for key in ("nonzero", "test_correct", "untouched")}
        name = LABELS.get(row["row"], row["row"]) if sizes["dataset"] == "mnist" else row["row"]
        which = f", {row['order']} order" if row["order"] else f" at {row['size']}" if row["size"] else ""
        blog = row.get("blog")
        told = f"{blog['nonzero']:,}" if blog else ""
        if blog and blog["accuracy"]:
            told += f" at {blog['accuracy']:.2%}"
        cells = (
            name + which,
            f"{row['parameters']:,}",
            _fewest(spread["nonzero"]),
            spread["test_correct"].text(),
            f"{spread['untouched'].text(2, scale=100)} % ({row['untouched_on']})",
            CHOSEN[row["chosen_on"]],
            str(spread["nonzero"].n),
            f"{row['seconds']:.1f}",
            told,
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Data: {sizes['dataset']}; {sizes['train']:,} images to train on, {sizes['heldout']:,} held out, "
        f"{sizes['test']:,} to test. Zeroing keeps at least {prune.threshold:.4g} of the test images right, "
        f"or {prune.heldout_threshold:.4g} of the held-out images where these judge. "
        "Mean ± standard deviation over n seeds; "
        "seconds per network, all its epochs or its whole pass of zeroing.",
        "",
    ]
    return "\n".join(lines)


def _fewest(nonzero: Spread) -> str:
    """`616 ± 14, fewest 602`: a single network is what the blog and the leaderboard show."""
    fewest = "" if nonzero.least == nonzero.greatest else f", fewest {nonzero.least:,.0f}"
    return nonzero.text() + fewest


def _snapshots(lines: Sequence[Mapping[str, str]]) -> str:
    """Every size at which a descent was exported, entered or not: none is dropped for its test score."""
    groups: dict[tuple[str, int], list[Mapping[str, str]]] = {}
    for line in lines:
        if line.get("size"):
            groups.setdefault((line["row"], int(line["size"])), []).append(line)
    if not groups:
        return ""
    table = [
        "",
        "Every size of our own descents, each scored once on the test images, entered or not:",
        "",
        "| descent | non-zero | test, correct, by seed | held-out, mean | entered |",
        "|---|--:|--:|--:|---|",
    ]
    for (row, size), group in sorted(groups.items(), key=lambda item: (item[0][0], -item[0][1])):
        heldout = np.mean([int(line["heldout_correct"]) / int(line["heldout_images"]) for line in group])
        correct = ", ".join(f"{int(line['correct']):,}" for line in group)
        entered = ", ".join(f"seed {line['seed']}" for line in group if line["entered"] == "True")
        table.append(f"| {row} | {size:,} | {correct} | {heldout:.2%} | {entered} |")
    return "\n".join([*table, ""])


def update_readme(block: str, source: Path, path: Path = Path("README.md")) -> None:
    """Put a generated file between the README's markers of that block. Raises GolfError without markers."""
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {block}: written by `golf {block}` -->", f"<!-- end of {block} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise GolfError(f"{path} has no place for it: {begin} … {end}")
    content = source.read_text(encoding="utf-8").strip()
    write_bytes(path, pattern.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text).encode())
