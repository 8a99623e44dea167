"""The leaderboard's tables, from fresh verdicts; everything that a stranger wrote is escaped."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from neural_golf.base.files import write_bytes
from neural_golf.leaderboard.entries import MODEL, Entry
from neural_golf.referee.challenge import load_challenge

__all__ = ["outdated", "render", "render_graphs", "tables", "write_tables"]

_GRAPHS = "graphs.md"


def tables(entries: Sequence[Entry]) -> dict[str, Any]:
    """The leaderboard as plain values, for JSON and the page, by challenge."""
    made: dict[str, Any] = {}
    for name in sorted({e.challenge for e in entries}):
        here = [e for e in entries if e.challenge == name]
        challenge = load_challenge(name)
        made[name] = {
            "title": challenge.title,
            "threshold": challenge.threshold,
            "images": challenge.images,
            "ranked": _ranked(e for e in here if e.ranked),
            "chosen_on_test": _ranked(e for e in here if not e.ranked and e.verdict.verdict == "PASS"),
            "broken": [_plain(e) for e in here if e.verdict.verdict != "PASS"],
        }
    return made


def _ranked(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for position, entry in enumerate(entries, 1):
        row = {"rank": position} | _plain(entry)
        if rows and rows[-1]["nonzero"] == row["nonzero"]:
            row["rank"] = rows[-1]["rank"]
        rows.append(row)
    return rows


def _plain(entry: Entry) -> dict[str, Any]:
    kept = ("verdict", "reason", "nonzero", "parameters", "bits", "nodes", "correct", "flags", "sha256")
    verdict = entry.verdict.as_dict()
    return {"entry": entry.name, "card": entry.card.model_dump(), **{k: verdict[k] for k in kept}}


def render(entries: Sequence[Entry]) -> str:
    """The leaderboard as a Markdown page. Everything that a stranger wrote is escaped."""
    lines = ["# Leaderboard", "", "Written by `golf leaderboard`, which verified every entry again."]
    for name, table in tables(entries).items():
        asked = f"{table['threshold']:,} of {table['images']:,} test images"
        lines += ["", f"## {_escape(table['title'])}", "", f"`{name}`: at least {asked} right."]
        if table["ranked"]:
            lines += ["", *_rows(name, table["ranked"])]
        if table["chosen_on_test"]:
            what = "Chosen on the test images, so their accuracy is not a measurement; ranked apart:"
            lines += ["", what, "", *_rows(name, table["chosen_on_test"])]
        for row in table["broken"]:
            lines += ["", f"**{row['verdict']}**: {_escape(row['entry'])}: {_escape(row['reason'])}"]
    return "\n".join(lines) + "\n"


def _rows(challenge: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| rank | entry | non-zero | parameters | bits | nodes | correct | chosen on | author | method "
        "| look at |",
        "|--:|---|--:|--:|--:|--:|--:|---|---|---|---|",
    ]
    for row in rows:
        card = row["card"]
        links = " ".join(f"[{i}](<{html.escape(link)}>)" for i, link in enumerate(card["links"], 1))
        cells = [
            str(row["rank"]),
            f"[{row['entry']}]({challenge}/{row['entry']}/{MODEL})",
            f"**{row['nonzero']:,}**",
            f"{row['parameters']:,}",
            f"{row['bits']:,}",
            f"[{row['nodes']}]({_GRAPHS}#{challenge}-{row['entry']})",
            f"{row['correct']:,}",
            card["chosen_on"],
            " ".join(filter(None, (_escape(card["author"]), links))),
            _escape(card["method"]),
            "; ".join(_escape(flag) for flag in row["flags"]),
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
    text = json.dumps(tables(entries), indent=2, ensure_ascii=True) + "\n"
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
