"""The measured tables in docs/handbook: written by the stage, never by hand."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_golf.base.files import write_bytes
from neural_golf.base.statistics import Spread

__all__ = ["table", "update"]

FOLDER = Path("docs/handbook")
PLACE = re.compile(r"(<!-- measured: ([\w ]+) -->\n).*?(<!-- end of measured -->)", re.DOTALL)


def table(
    found: Mapping[str, Mapping[str, Any]], arms: Sequence[str], accuracies: Sequence[float], at: int
) -> str:
    """A Markdown table with a line per arm: sizes needed, accuracy at the size `at`, seconds."""
    names = [f"{accuracy:.4g}" for accuracy in accuracies]
    first = next(iter(found))
    needed = [f"non-zero needed for {100 * accuracy:.4g} %" for accuracy in accuracies]
    header = ["arm", *needed, f"accuracy at {at}", f"against {first}, by seed", "n", "seconds each"]
    lines = [f"| {' | '.join(header)} |", f"|---|{'--:|' * (len(header) - 1)}"]
    for arm in arms:
        record = found[arm]
        at_size, against = record[f"accuracy_at_{at}"], record["against_first"]
        cells = [
            arm,
            *(_needed(record["needed"][name]) for name in names),
            f"{Spread(**at_size).text(2, scale=100)} %" if at_size else "",
            f"{100 * against['mean']:+.2f} ± {100 * against['sd']:.2f}" if against and arm != first else "",
            str(len(record["needed"][names[0]])),
            f"{record['seconds']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


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
    found: Mapping[str, Mapping[str, Any]], accuracies: Sequence[float], at: int, folder: Path = FOLDER
) -> None:
    """Fill every `<!-- measured: ARM ARM -->` of the pages in `folder`, if there is one."""
    for path in sorted(folder.glob("*.md")):
        text = path.read_text(encoding="utf-8")

        def fill(place: re.Match[str]) -> str:
            return f"{place[1]}{table(found, place[2].split(), accuracies, at)}{place[3]}"

        changed = PLACE.sub(fill, text)
        if changed != text:
            write_bytes(path, changed.encode())
