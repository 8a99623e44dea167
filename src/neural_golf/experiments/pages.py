"""What `golf handbook` writes into docs/handbook: the list of the pages, and the measured tables.

A page is a Markdown file that begins with its title and has a place for its arms, or for a table by name:

    <!-- measured: base decay -->
    <!-- end of measured -->

    <!-- seeds: written by `golf handbook` -->
    <!-- end of seeds -->
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_golf.base.files import write_bytes
from neural_golf.base.statistics import Spread

__all__ = ["contents", "grid", "table", "update"]

FOLDER = Path("docs/handbook")
PART = re.compile(r"(<!-- (\w+): written by `golf handbook` -->\n).*?(<!-- end of \2 -->)", re.DOTALL)
PLACE = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def contents(arms: Sequence[str], folder: Path = FOLDER) -> str:
    """The list of the pages as Markdown, in the order of the arms that they measure."""
    found = []
    for path in folder.glob("*.md"):
        text = path.read_text(encoding="utf-8")
        measured = [arm for place in PLACE.finditer(text) for arm in place[2].split()]
        # The first arm is the recipe itself, which all are compared with.
        places = [arms.index(arm) for arm in measured if arm in arms[1:]]
        if path.name != "README.md":
            title = text.partition("\n")[0].lstrip("# ")
            found.append((min(places, default=len(arms)), title, path.name))
    return "".join(f"- [{title}]({name})\n" for _, title, name in sorted(found))


def table(
    found: Mapping[str, Mapping[str, Any]], arms: Sequence[str], accuracies: Sequence[float], at: int
) -> str:
    """A Markdown table with a line per arm: sizes needed, accuracy at the size `at`."""
    names = [f"{accuracy:.4g}" for accuracy in accuracies]
    first = next(iter(found))
    needed = [f"non-zero needed for {100 * accuracy:.4g} %" for accuracy in accuracies]
    header = ["arm", *needed, f"accuracy at {at}", f"against {first}, by seed", "n"]
    lines = []
    for arm in arms:
        record = found[arm]
        at_size, against = record[f"accuracy_at_{at}"], record["against_first"]
        cells = [
            arm,
            *(_needed(record["needed"][name]) for name in names),
            f"{Spread(**at_size).text(2, scale=100)} %" if at_size else "",
            f"{100 * against['mean']:+.2f} ± {100 * against['sd']:.2f}" if against and arm != first else "",
            str(len(record["needed"][names[0]])),
        ]
        lines.append(cells)
    return grid(header, lines)


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are numbers, but for the first."""
    rows = [f"| {' | '.join(cells)} |\n" for cells in (header, *lines)]
    return "".join([rows[0], f"|---|{'--:|' * (len(header) - 1)}\n", *rows[1:]])


def _needed(values: Sequence[float | str]) -> str:
    """Mean and spread; where a seed gave only a bound, every value.

    >>> _needed([300.0, 275.2, "over 600", "over 600"])
    '275, 300, 2x over 600'
    """
    known = sorted(value for value in values if not isinstance(value, str))
    if len(known) == len(values):
        return Spread.of(known).text()
    bounds = Counter(value for value in values if isinstance(value, str))
    told = [f"{n}x {bound}" if n > 1 else bound for bound, n in sorted(bounds.items())]
    return ", ".join([*(f"{value:.0f}" for value in known), *told])


def update(
    found: Mapping[str, Mapping[str, Any]], accuracies: Sequence[float], at: int,
    tables: Mapping[str, str], folder: Path = FOLDER,
) -> None:  # fmt: skip
    """Write the list of the pages, the `tables` at their places, and every `<!-- measured: ARM ARM -->`;
    `all` stands for all arms.
    """
    arms = list(found)
    parts = {**tables, "pages": contents(arms, folder)}
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")

        def fill(place: re.Match[str]) -> str:
            wanted = arms if place[2] == "all" else place[2].split()
            if not set(wanted) <= set(found):  # of arms that params.yaml has no more
                return place[0]
            return f"{place[1]}{table(found, wanted, accuracies, at)}{place[3]}"

        written = PART.sub(
            lambda part: f"{part[1]}{parts[part[2]]}{part[3]}" if part[2] in parts else part[0], text
        )
        changed = PLACE.sub(fill, written)
        if changed != text:
            write_bytes(path, changed.encode())
