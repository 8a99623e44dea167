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
    before, now = verdicts(1), verdicts(2)
    rows = ["| what is tried | real | version 1 | version 2 |", "|---|--:|---|---|"]
    for name, found in now.items():
        rows.append(f"| {name} | {_real(found)} | {_said(before[name])} | {_said(found)} |")
    return "\n".join(rows)


def _real(found: dict[str, Any]) -> str:
    return "" if found["real"] >= 1_000_000 else f"{found['real']:,}"  # where no count would do


def _said(found: dict[str, Any]) -> str:
    if found["verdict"] != "REFUSED":
        return f"counts {found['count']:,}"
    reason = re.sub(r" \(?'[^']*'\)?", "", found["reason"])  # names of tensors
    return "refused: " + reason.split(", so ")[0].split(": [ONNX")[0].replace("|", "\\|").replace("*", "\\*")


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
