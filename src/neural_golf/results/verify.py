"""The stage `verify`: every exported file scored by the referee, and held against its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, write_csv, write_json
from neural_golf.base.longwork import cores
from neural_golf.config import Config
from neural_golf.referee.verdict import LIMITS, Verdict, verify_many

__all__ = ["COLUMNS", "run"]

COLUMNS = (
    "name", "row", "judge", "order", "size", "entered", "seed", "parameters", "nonzero", "bits",
    "correct", "images", "heldout_correct", "heldout_images", "train_correct", "seconds", "sha256",
)  # fmt: skip


def run(config: Config) -> None:
    """Score every file of results/exported.json, from the ONNX file alone, on test and held-out images.

    In permuted batches: these files are our own. What is entered is scored as anybody's, image by image
    too and with rounded parameters, by `golf enter` and in every `make test`.

    Writes results/plots/verify.csv (a line per file) and results/metrics/verify.json (means per
    row). Raises GolfError, with nothing written, where the referee refuses a file or finds other
    counts than training recorded: of parameters, of non-zero ones, or of correct images, near ties
    (see train.score) allowed for.
    """
    listing: dict[str, dict[str, Any]] = read_json(Path("results/exported.json"))
    test, heldout = data.read("test"), data.read("heldout")
    names = sorted(listing)
    small = dataclasses.replace(LIMITS, file_bytes=config.verify.max_bytes)
    large = dataclasses.replace(
        LIMITS,
        file_bytes=config.verify.large_bytes,
        cpu_seconds=config.verify.large_seconds,
        wall_seconds=config.verify.large_seconds * 2,
    )
    verdicts: dict[str, list[Verdict]] = {name: [] for name in names}
    for limits, is_small in ((small, True), (large, False)):
        group = [n for n in names if (listing[n]["bytes"] <= config.verify.max_bytes) == is_small]
        if not group:
            continue
        paths = [listing[name]["path"] for name in group]
        for part in (test, heldout):
            found = verify_many(paths, part.pixels, part.labels, limits=limits, jobs=cores(), probes=False)
            for name, verdict in zip(group, found, strict=True):
                verdicts[name].append(verdict)
    problems = [p for name in names for p in compare(name, listing[name], *verdicts[name])]
    if problems:
        raise GolfError(
            f"{len(problems)} exported file(s) are not what training recorded: {'; '.join(problems[:3])}"
        )
    table = []
    for name in names:
        record, (on_test, on_heldout) = listing[name], verdicts[name]
        line = {
            "judge": "", "order": "", "size": "", "entered": True, "train_correct": "",  # if not recorded
            **record, "name": name, "parameters": on_test.parameters,
            "nonzero": on_test.nonzero, "bits": on_test.bits, "correct": on_test.correct,
            "images": on_test.images,
            "heldout_correct": on_heldout.correct, "heldout_images": on_heldout.images,
        }  # fmt: skip
        table.append([line[column] for column in COLUMNS])
    write_csv(Path("results/plots/verify.csv"), COLUMNS, table)
    write_json(Path("results/metrics/verify.json"), _means(table))
    print(f"verify: {len(names)} ONNX files scored, all as recorded")


def compare(name: str, record: dict[str, Any], on_test: Verdict, on_heldout: Verdict) -> list[str]:
    """What differs between the referee's verdict on a file and the record of its training."""
    if on_test.verdict == "REFUSED":
        return [f"{name}: refused: {on_test.reason}"]
    found = []
    checks: tuple[tuple[str, Any, Any, int], ...] = (
        ("parameters", on_test.parameters, record["parameters"], 0),
        ("non-zero parameters", on_test.nonzero, record["nonzero"], 0),
        ("held-out images right", on_heldout.correct, record["heldout_correct"], record["heldout_ties"]),
        (
            "test images right",
            on_test.correct,
            record.get("test_correct", on_test.correct),
            record.get("test_ties", 0),
        ),
        ("SHA-256", on_test.sha256, record["sha256"], 0),
    )
    for what, have, want, slack in checks:
        if have != want and not (slack and abs(have - want) <= slack):
            found.append(f"{name}: {have} {what}, {want} recorded")
    return found


def _means(table: Sequence[Sequence[Any]]) -> dict[str, dict[str, float]]:
    """Per row and variant: means over the seeds, for `dvc metrics`."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in table:
        entry = dict(zip(COLUMNS, line, strict=True))
        if not entry["entered"]:
            continue
        words = (entry["row"], entry["judge"], entry["order"], str(entry["size"] or ""))
        groups.setdefault("-".join(filter(None, words)), []).append(entry)
    return {
        name: {
            "accuracy": round(float(np.mean([e["correct"] / e["images"] for e in entries])), 6),
            "nonzero": round(float(np.mean([e["nonzero"] for e in entries])), 2),
            "runs": len(entries),
        }
        for name, entries in groups.items()
    }
