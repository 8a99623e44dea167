"""Writes the tables of docs/rules.md and docs/versions.md from the tests that prove them: python tests/rules_table.py"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from neural_golf.referee.counting import count
from neural_golf.referee.rules import OPERATORS
from test_counting import COUNTED

DOCS = Path(__file__).parents[1] / "docs"
RULES, COMPARED = DOCS / "rules.md", DOCS / "versions.md"
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


def stopped() -> str:
    """A row for each reason, and the attacks that it stops."""
    found: dict[str, list[str]] = {}
    for name, verdict in verdicts(2).items():
        found.setdefault(_stopped_by(verdict), []).append(name)
    rows = ["| what stops it | what is tried |", "|---|---|"]
    return "\n".join([*rows, *(f"| {reason} | {'; '.join(names)} |" for reason, names in found.items())])


def _stopped_by(found: dict[str, Any]) -> str:
    if found["verdict"] != "REFUSED":
        if found["count"] >= found["real"]:
            return "they are counted"
        return "few answers are right" if found["holds"] else "nothing"
    return "refused: " + re.sub(r"^\d+(?= wires)|\d+(?= image)|(?<=loses )[\d.]+", "N", _reason(found))


def _reason(found: dict[str, Any]) -> str:
    reason = re.sub(r" \(?'[^']*'\)?", "", found["reason"])  # names of tensors
    reason = reason.split(", so ")[0].split(": [ONNX")[0].split(": and")[0]
    return reason.replace("|", "\\|").replace("*", "\\*")


def attacks() -> str:
    """Each attack with what both versions said."""
    before, now = verdicts(1), verdicts(2)
    rows = ["| attack | real weights | version 1 | right | version 2 | right |", "|---|--:|---|--:|---|--:|"]
    for name, found in now.items():
        real = "any" if found["real"] >= 1_000_000 else f"{found['real']:,}"  # where no count would do
        said = " | ".join(_said(verdict) for verdict in (before[name], found))
        rows.append(f"| {name} | {real} | {said} |")
    return "\n".join(rows)


def _said(found: dict[str, Any]) -> str:
    if found["verdict"] == "REFUSED":
        return f"refused: {_reason(found)} | "
    return f"counts {found['count']:,} | {found['correct']:,}"


def operators() -> str:
    return f"{len(OPERATORS)} operators: " + ", ".join(sorted(OPERATORS)) + "."


def filled(page: Path) -> str:
    """A page with its generated parts written anew."""
    from strangers import strangers

    parts = {"counted": counted, "stopped": stopped, "operators": operators}
    if page == COMPARED:
        parts = {"attacks": attacks, "strangers": strangers}
    text = page.read_text(encoding="utf-8")
    for name, make in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        assert text.count(begin) == text.count(end) == 1
        part = re.compile(f"{begin}.*?{end}", re.DOTALL)
        made = f"{begin}\n{make()}\n{end}".replace("\\", r"\\")
        text = part.sub(made, text)
    return text


if __name__ == "__main__":
    for page in (RULES, COMPARED):
        page.write_text(filled(page), encoding="utf-8")
