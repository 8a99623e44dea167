"""The measured tables in docs/handbook: written by the stage, never by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_golf.records import write_bytes
from neural_golf.report import Spread

__all__ = ["table", "update"]

FOLDER = Path("docs/handbook")
PLACE = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def table(found: Mapping[str, Mapping[str, Any]], arms: Sequence[str], accuracy: float, at: int) -> str:
    """A Markdown table with a line per arm: size needed, accuracy at the size `at`, seconds."""
    lines = [
        f"| arm | non-zero needed for {accuracy:.4g} | accuracy at {at} | n | seconds each |",
        "|---|--:|--:|--:|--:|",
    ]
    for arm in arms:
        record = found[arm]
        at_size = record[f"accuracy_at_{at}"]
        there = f"{Spread(**at_size).text(2, scale=100)} %" if at_size else ""
        lines.append(
            f"| {arm} | {_needed(record)} | {there} | {len(record['needed'])} | {record['seconds']:.0f} |"
        )
    return "\n".join([*lines, ""])


def _needed(record: Mapping[str, Any]) -> str:
    """Mean and spread, or how many seeds reached the accuracy between two snapshots."""
    if record["needed_spread"]:
        return Spread(**record["needed_spread"]).text()
    known = [value for value in record["needed"] if value is not None]
    return f"{len(known)} of {len(record['needed'])} seeds: " + (
        ", ".join(f"{v:.0f}" for v in known) or "none"
    )


def update(found: Mapping[str, Mapping[str, Any]], accuracy: float, at: int, folder: Path = FOLDER) -> None:
    """Fill every `<!-- measured: ARM ARM -->` of the pages in `folder`, if there is one."""
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")

        def fill(place: re.Match[str]) -> str:
            return f"{place[1]}{table(found, place[2].split(), accuracy, at)}{place[3]}"

        changed = PLACE.sub(fill, text)
        if changed != text:
            write_bytes(path, changed.encode())
