"""Writes the examples of docs/rules.md from the tests that prove them: python tests/rules_table.py"""

from __future__ import annotations

import re
from pathlib import Path

from neural_golf.referee.rules import OPERATORS, Refused
from neural_golf.referee.counting import count
from test_counting import COUNTED, REFUSED

RULES_VERSION = Path(__file__).parents[1] / "docs" / "rules.md"


def counted() -> str:
    rows = ["| example | parameters | non-zero | bits | free integers |", "|---|--:|--:|--:|--:|"]
    for name, (build, *_) in COUNTED.items():
        c = count(build())
        rows.append(f"| {name} | {c.parameters:,} | {c.nonzero:,} | {c.bits:,} | {c.integers:,} |")
    return "\n".join(rows)


def refused() -> str:
    rows = ["| example | what the referee says |", "|---|---|"]
    for name, (build, _) in REFUSED.items():
        try:
            count(build())
        except Refused as reason:
            rows.append(f"| {name} | {str(reason).replace('|', chr(92) + '|').replace('*', chr(92) + '*')} |")
    return "\n".join(rows)


def operators() -> str:
    return f"{len(OPERATORS)} operators: " + ", ".join(sorted(OPERATORS)) + "."


def filled(text: str) -> str:
    """The page with its three generated parts written anew."""
    for name, made in (("counted", counted()), ("refused", refused()), ("operators", operators())):
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        assert text.count(begin) == text.count(end) == 1
        part = re.compile(f"{begin}.*?{end}", re.DOTALL)
        text = part.sub(lambda _, b=begin, m=made, e=end: f"{b}\n{m}\n{e}", text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    RULES_VERSION.write_text(filled(RULES_VERSION.read_text(encoding="utf-8")), encoding="utf-8")
