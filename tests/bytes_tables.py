"""Writes the tables of docs/bytes.md from the code: python tests/bytes_tables.py"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from neural_golf.packed.grammar import AFTER, FIELDS, KNOWN, NAMES

PAGE = Path(__file__).parents[1] / "docs" / "bytes.md"


def kinds() -> str:
    rows = ["| after | usual kinds |", "|---|---|"]
    names = {"start": "(at the start)", "activation": "`relu`, `abs`, `leaky`, `prelu`", "pool": "a pool"}
    for name, usual in AFTER.items():
        rows.append(
            f"| {names.get(name, f'`{name}`')} | {_told({f'`{kind}`': n for kind, n in usual.items()})} |"
        )
    return "\n".join(rows)


def fields() -> str:
    rows = ["| kind | field | usual values | version |", "|---|---|---|---|"]
    for kind, its in FIELDS.items():
        since = KNOWN[1] <= NAMES.index(kind)  # the kind itself is one of version 2
        rows += [
            f"| `{kind}` | `{field.name}` | {_told(field.usual)} | {max(field.since, 1 + since)} |"
            for field in its
        ]
    return "\n".join(rows)


def _told(usual: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{value} ({more})" for value, more in usual.items())


def written(text: str) -> str:
    """The page with its tables written anew."""
    for name, table in {"kinds": kinds(), "fields": fields()}.items():
        begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
        text = re.sub(
            f"{re.escape(begin)}.*?{re.escape(end)}",
            lambda _, t=begin + table + end: t,
            text,
            flags=re.DOTALL,
        )  # type: ignore[misc]
    return text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
