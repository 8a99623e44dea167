"""Writes the tables of docs/rules.md from the tests that prove them: python tests/rules_table.py"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from neural_golf.referee.counting import count
from neural_golf.referee.rules import OPERATORS
from test_counting import COUNTED

RULES = Path(__file__).parents[1] / "docs" / "rules.md"
VERDICTS = Path(__file__).parent / "attacking"  # version1.json and version2.json, by `attacks.py --json`


def counted() -> str:
    rows = ["| example | parameters | non-zero | bits | integers |", "|---|--:|--:|--:|--:|"]
    for name, (build, *_) in COUNTED.items():
        c = count(build())
        rows.append(f"| {name} | {c.parameters:,} | {c.nonzero:,} | {c.bits:,} | {c.integers:,} |")
    return "\n".join(rows)


def verdicts(version: int) -> dict[str, dict[str, Any]]:
    """What a version of the rules said of each attack."""
    found: dict[str, dict[str, Any]] = json.loads((VERDICTS / f"version{version}.json").read_text())[
        "attacks"
    ]
    return found


def attacks() -> str:
    """A row for each reason, and the attacks that it stops, with the figures of both versions."""
    before, now = verdicts(1), verdicts(2)
    stopped: dict[str, list[str]] = {}
    for name, found in now.items():
        stopped.setdefault(_stopped_by(found), []).append(f"{name} ({_figures(found, before[name])})")
    rows = ["| what stops it | what is tried (real weights; counted by version 1, and now) |", "|---|---|"]
    return "\n".join([*rows, *(f"| {reason} | {'; '.join(names)} |" for reason, names in stopped.items())])


def _stopped_by(found: dict[str, Any]) -> str:
    if found["verdict"] != "REFUSED":
        if found["count"] >= found["real"]:
            return "they are counted"
        return "few answers are right" if found["holds"] else "nothing"
    reason = re.sub(r" \(?'[^']*'\)?", "", found["reason"])  # names of tensors
    reason = reason.split(", so ")[0].split(": [ONNX")[0].split(": and")[0]
    reason = re.sub(r"^\d+(?= wires)|\d+(?= image)|(?<=loses )[\d.]+", "N", reason)
    return "refused: " + reason.replace("|", "\\|").replace("*", "\\*")


def _figures(found: dict[str, Any], before: dict[str, Any]) -> str:
    real = "any" if found["real"] >= 1_000_000 else f"{found['real']:,}"  # where no count would do
    said = "refused" if before["verdict"] == "REFUSED" else f"{before['count']:,}"
    if found["verdict"] == "REFUSED":
        return f"{real}; {said}"
    right = "" if found["count"] >= found["real"] else f", {found['correct']:,} of 10,000 right"
    return f"{real}; {said}, {found['count']:,}{right}"


def operators() -> str:
    return f"{len(OPERATORS)} operators: " + ", ".join(sorted(OPERATORS)) + "."


def filled(text: str) -> str:
    """The page with its generated parts written anew."""
    from strangers import strangers

    parts = {"counted": counted, "attacks": attacks, "strangers": strangers, "operators": operators}
    for name, make in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        assert text.count(begin) == text.count(end) == 1
        part = re.compile(f"{begin}.*?{end}", re.DOTALL)
        made = f"{begin}\n{make()}\n{end}".replace("\\", r"\\")
        text = part.sub(made, text)
    return text


if __name__ == "__main__":
    RULES.write_text(filled(RULES.read_text(encoding="utf-8")), encoding="utf-8")
