"""The leaderboard's tables, from fresh verdicts; everything that a stranger wrote is escaped."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_golf.base.files import write_bytes
from neural_golf.leaderboard.entries import MODEL, Entry
from neural_golf.referee.challenge import Challenge, load_challenge

__all__ = ["Table", "outdated", "render", "render_graphs", "tables", "write_tables"]

_GRAPHS = "graphs.md"


@dataclass(frozen=True)
class Table:
    """One challenge's entries with their ranks, those chosen on test images apart, and those that fail."""

    challenge: Challenge
    ranked: tuple[tuple[int, Entry], ...]
    chosen_on_test: tuple[tuple[int, Entry], ...]
    broken: tuple[Entry, ...]


def tables(entries: Sequence[Entry]) -> dict[str, Table]:
    """The leaderboard by challenge."""
    made: dict[str, Table] = {}
    for name in sorted({e.challenge for e in entries}):
        here = [e for e in entries if e.challenge == name]
        passed = [e for e in here if e.verdict.verdict == "PASS"]
        made[name] = Table(
            load_challenge(name),
            _ranks(e for e in passed if e.ranked),
            _ranks(e for e in passed if not e.ranked),
            tuple(e for e in here if e.verdict.verdict != "PASS"),
        )
    return made


def _ranks(entries: Iterable[Entry]) -> tuple[tuple[int, Entry], ...]:
    """Ranks from 1; entries with as many non-zero parameters share one."""
    found: list[tuple[int, Entry]] = []
    for position, entry in enumerate(entries, 1):
        tie = found and found[-1][1].verdict.nonzero == entry.verdict.nonzero
        found.append((found[-1][0] if tie else position, entry))
    return tuple(found)


def _json(table: Table) -> dict[str, object]:
    """A table as the plain values of leaderboard.json."""

    def plain(entry: Entry) -> dict[str, object]:
        kept = ("verdict", "reason", "nonzero", "parameters", "bits", "nodes", "correct", "flags", "sha256")
        verdict = entry.verdict.as_dict()
        return {"entry": entry.name, "card": entry.card.model_dump(), **{k: verdict[k] for k in kept}}

    return {
        "title": table.challenge.title,
        "dataset": table.challenge.dataset,
        "threshold": table.challenge.threshold,
        "images": table.challenge.images,
        "ranked": [{"rank": rank} | plain(entry) for rank, entry in table.ranked],
        "chosen_on_test": [{"rank": rank} | plain(entry) for rank, entry in table.chosen_on_test],
        "broken": [plain(entry) for entry in table.broken],
    }


def render(entries: Sequence[Entry]) -> str:
    """The leaderboard as a Markdown page. Everything that a stranger wrote is escaped."""
    lines = ["# Leaderboard", "", "Written by `golf leaderboard`, which verified every entry again."]
    for name, table in tables(entries).items():
        asked = f"{table.challenge.threshold:,} of {table.challenge.images:,} test images"
        lines += ["", f"## {_escape(table.challenge.title)}", "", f"`{name}`: at least {asked} right."]
        if table.ranked:
            lines += ["", *_rows(table.ranked)]
        if table.chosen_on_test:
            what = "Chosen on the test images, so their accuracy is not a measurement; ranked apart:"
            lines += ["", what, "", *_rows(table.chosen_on_test)]
        for entry in table.broken:
            verdict = entry.verdict
            lines += ["", f"**{verdict.verdict}**: {_escape(entry.name)}: {_escape(verdict.reason)}"]
    return "\n".join(lines) + "\n"


def _rows(rows: Sequence[tuple[int, Entry]]) -> list[str]:
    lines = [
        "| rank | entry | non-zero | parameters | bits | nodes | correct | chosen on | author | method "
        "| look at |",
        "|--:|---|--:|--:|--:|--:|--:|---|---|---|---|",
    ]
    for rank, entry in rows:
        card, verdict, challenge = entry.card, entry.verdict, entry.challenge
        links = " ".join(f"[{i}](<{html.escape(link)}>)" for i, link in enumerate(card.links, 1))
        cells = [
            str(rank),
            f"[{entry.name}]({challenge}/{entry.name}/{MODEL})",
            f"**{verdict.nonzero:,}**",
            f"{verdict.parameters:,}",
            f"{verdict.bits:,}",
            f"[{verdict.nodes}]({_GRAPHS}#{challenge}-{entry.name})",
            f"{verdict.correct:,}",
            card.chosen_on,
            " ".join(filter(None, (_escape(card.author), links))),
            _escape(card.method),
            "; ".join(_escape(flag) for flag in verdict.flags),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def render_graphs(entries: Sequence[Entry]) -> str:
    """A Markdown page that draws what every entry computes, because only a person can see some tricks."""
    lines = [
        "# What the entries compute",
        "",
        "Written by `golf leaderboard`: the nodes of each file as the referee read them. A box is a tensor "
        "that counts, with its non-zero numbers; shapes are left out. What to look for is in "
        "[the rules](../docs/rules.md#what-a-person-looks-at).",
    ]
    for entry in entries:
        if entry.verdict.verdict == "PASS":
            lines += [
                *(
                    "",
                    f'<a id="{entry.challenge}-{entry.name}"></a>',
                    "",
                    f"## {entry.challenge}/{entry.name}",
                ),
                *("", f"{entry.verdict.nodes} nodes, {entry.verdict.integers} free integers."),
                *("", "```mermaid", *entry.verdict.drawing, "```"),
            ]
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    """Text that a cell of a Markdown table shows as it is: one line in which nothing acts as HTML or
    Markdown.
    """
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", html.escape(one_line, quote=False))


def write_tables(entries: Sequence[Entry], root: Path) -> None:
    """root/README.md and root/graphs.md for people, and root/leaderboard.json for programs."""
    write_bytes(root / "README.md", render(entries).encode())
    write_bytes(root / _GRAPHS, render_graphs(entries).encode())
    plain = {name: _json(table) for name, table in tables(entries).items()}
    text = json.dumps(plain, indent=2, ensure_ascii=True) + "\n"
    write_bytes(root / "leaderboard.json", text.encode())


def outdated(entries: Sequence[Entry], root: Path) -> list[str]:
    """The names of the written tables that are not what `write_tables` would write now."""
    with tempfile.TemporaryDirectory() as folder:
        write_tables(entries, Path(folder))
        return [
            path.name
            for path in sorted(Path(folder).iterdir())
            if not (root / path.name).is_file() or (root / path.name).read_bytes() != path.read_bytes()
        ]
