"""The leaderboard's tables, from fresh verdicts; everything that a stranger wrote is escaped."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_golf.base.files import write_bytes
from neural_golf.leaderboard.entries import GRAPHS, MODELS, TABLES, Broken, Card, Entry
from neural_golf.leaderboard.words import address, markdown, plain
from neural_golf.referee.challenge import Challenge, load_challenge
from neural_golf.results.on_device import COLUMNS, DEVICE, DeviceTable, read_device

__all__ = ["Table", "outdated", "render", "render_graphs", "tables", "write_tables"]


@dataclass(frozen=True)
class Table:
    """One challenge's entries with their ranks, those chosen on test images apart, and what is no entry."""

    challenge: Challenge
    ranked: tuple[tuple[int, Entry], ...]
    chosen_on_test: tuple[tuple[int, Entry], ...]
    broken: tuple[Broken, ...]


def tables(entries: Sequence[Entry | Broken]) -> dict[str, Table]:
    """The leaderboard by challenge. What lies beside the challenges is in none."""
    made: dict[str, Table] = {}
    for name in sorted({e.challenge for e in entries if e.challenge is not None}):
        here = [e for e in entries if e.challenge == name]
        passed = [e for e in here if isinstance(e, Entry)]
        made[name] = Table(
            load_challenge(name),
            _ranks(e for e in passed if e.ranked),
            _ranks(e for e in passed if not e.ranked),
            tuple(e for e in here if isinstance(e, Broken)),
        )
    return made


def _ranks(entries: Iterable[Entry]) -> tuple[tuple[int, Entry], ...]:
    """Ranks from 1; entries with as many non-zero parameters (or bytes) share one."""
    found: list[tuple[int, Entry]] = []
    for position, entry in enumerate(entries, 1):
        tie = found and found[-1][1].scored == entry.scored
        found.append((found[-1][0] if tie else position, entry))
    return tuple(found)


def _json(table: Table) -> dict[str, object]:
    """A table as the plain values of leaderboard.json."""

    def values(entry: Entry) -> dict[str, object]:
        size = ("bytes",) if table.challenge.score == "bytes" else ()
        counts = ("nonzero", "parameters", "bits", "nodes", "correct")
        kept = ("verdict", "reason", "division", *size, *counts, "sha256")
        verdict = entry.verdict.as_dict()
        told = {"reproducible": entry.reproducible, "card": _plain(entry.card), "flags": entry.flags}
        return {"entry": entry.name, **told, **{k: verdict[k] for k in kept}}

    score = {"score": table.challenge.score} if table.challenge.score != "nonzero" else {}
    return {
        "title": table.challenge.title,
        **score,
        "dataset": table.challenge.dataset,
        "threshold": table.challenge.threshold,
        "images": table.challenge.images,
        "ranked": [{"rank": rank} | values(entry) for rank, entry in table.ranked],
        "chosen_on_test": [{"rank": rank} | values(entry) for rank, entry in table.chosen_on_test],
        "broken": [{"entry": one.name, "verdict": one.verdict, "reason": one.reason} for one in table.broken],
    }


def _plain(card: Card) -> dict[str, object]:
    """A card's values, with text as it can be shown."""
    told: dict[str, object] = card.model_dump(exclude_none=True)
    return {key: plain(value) if isinstance(value, str) else value for key, value in told.items()}


def render(entries: Sequence[Entry | Broken], device: DeviceTable | None = None) -> str:
    """The leaderboard as a Markdown page. Everything that a stranger wrote is escaped.

    device: what networks need on a microcontroller; a table in which one has been measured has its columns.
    """
    device = device or DeviceTable()
    about = (
        "An entry is reproducible where its card names the code, the seed and the command that make it again."
    )
    lines = ["# Leaderboard", "", f"Written by `golf leaderboard`, which verified every entry again. {about}"]
    for name, table in tables(entries).items():
        asked = f"{table.challenge.threshold:,} of {table.challenge.images:,} test images"
        lines += ["", f"## {markdown(table.challenge.title)}", "", f"`{name}`: at least {asked} right."]
        if table.ranked:
            lines += ["", *_rows(table.ranked, device)]
        if table.chosen_on_test:
            what = "Chosen on the test images, so their accuracy is not a measurement; ranked apart:"
            lines += ["", what, "", *_rows(table.chosen_on_test, device)]
        lines += _told(table.broken)
    lines += _told([one for one in entries if isinstance(one, Broken) and one.challenge is None])
    return "\n".join(lines) + "\n"


def _told(broken: Sequence[Broken]) -> list[str]:
    return [
        line
        for one in broken
        for line in ("", f"**{one.verdict}**: {markdown(one.name)}: {markdown(one.reason)}")
    ]


def _rows(rows: Sequence[tuple[int, Entry]], device: DeviceTable) -> list[str]:
    score = rows[0][1].score
    ranked = ["bytes"] if score == "bytes" else []
    needs = COLUMNS if device.knows(entry.verdict.sha256 for _, entry in rows) else ()
    heads = [*ranked, "non-zero", "parameters", "bits", "nodes", "correct", *needs]
    words = ["chosen on", "author", "method", "look at"]
    lines = [
        f"| {' | '.join(['rank', 'entry', 'division', *heads, *words])} |",
        f"|--:|---|---|{'--:|' * len(heads)}{'---|' * len(words)}",
    ]
    for rank, entry in rows:
        card, verdict, challenge = entry.card, entry.verdict, entry.challenge
        links = [f"[{i}]({address(link)})" for i, link in enumerate(card.links, 1)]
        if card.code is not None and card.code.startswith("https://"):
            links.append(f"[code]({address(card.code)})")
        look_at = [*entry.flags, *([] if entry.reproducible else [_not_reproducible(card)])]
        cells = [
            str(rank),
            f"[{markdown(entry.name)}]({challenge}/{entry.name}/{MODELS[score]})",
            str(verdict.division),
            *([f"**{verdict.bytes:,}**", f"{verdict.nonzero:,}"] if ranked else [f"**{verdict.nonzero:,}**"]),
            f"{verdict.parameters:,}",
            f"{verdict.bits:,}",
            f"[{verdict.nodes}]({GRAPHS}#{challenge}-{entry.name})",
            f"{verdict.correct:,}",
            *(markdown(cell) for cell in device.cells(verdict.sha256).values() if needs),
            card.chosen_on,
            " ".join((markdown(card.author), *links)),
            markdown(card.method) + (f" Frozen in `{card.frozen}`." if card.frozen else ""),
            "; ".join(map(markdown, look_at)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _not_reproducible(card: Card) -> str:
    return f"not reproducible: the card names no {', no '.join(card.missing)}"


def _made_by(card: Card) -> str:
    """How an entry is made again, as the page of graphs says it."""
    if card.missing:
        return f"{_not_reproducible(card).capitalize()}."
    seeds = card.seed if isinstance(card.seed, list) else [card.seed]
    told = f"seed {', '.join(map(str, seeds))}; code: {markdown(card.code or '')}"
    told += f"; frozen in commit {card.frozen}" if card.frozen else ""
    return f"Made by: {markdown(card.command or '')} ({told})."


def render_graphs(entries: Sequence[Entry | Broken]) -> str:
    """A Markdown page that draws what every entry computes, because only a person can see some tricks."""
    lines = [
        "# What the entries compute",
        "",
        "Written by `golf leaderboard`: the nodes of each file as the referee read them. A box is a tensor "
        "that counts, with its non-zero numbers; shapes are left out. What to look for is in "
        "[the rules](../docs/rules.md#what-a-person-looks-at).",
    ]
    for entry in entries:
        if isinstance(entry, Entry):
            lines += [
                *(
                    "",
                    f'<a id="{entry.challenge}-{entry.name}"></a>',
                    "",
                    f"## {markdown(f'{entry.challenge}/{entry.name}')}",
                ),
                *("", f"{entry.verdict.nodes} nodes, {entry.verdict.integers} integers."),
                *("", _made_by(entry.card)),
                *("", "```mermaid", *entry.verdict.drawing, "```"),
            ]
    return "\n".join(lines) + "\n"


def write_tables(entries: Sequence[Entry | Broken], root: Path, device: DeviceTable | None = None) -> None:
    """root/README.md and root/graphs.md for people, and root/leaderboard.json for programs.

    device: what root/device.json has, unless given.
    """
    device = device or read_device(root / DEVICE.name)
    plain = {name: _json(table) for name, table in tables(entries).items()}
    texts = (
        render(entries, device),
        render_graphs(entries),
        json.dumps(plain, indent=2, ensure_ascii=True) + "\n",
    )
    for name, text in zip(TABLES, texts, strict=True):
        write_bytes(root / name, text.encode())


def outdated(entries: Sequence[Entry | Broken], root: Path) -> list[str]:
    """The names of the written tables that are not what `write_tables` would write now."""
    with tempfile.TemporaryDirectory() as folder:
        write_tables(entries, Path(folder), read_device(root / DEVICE.name))
        return [
            path.name
            for path in sorted(Path(folder).iterdir())
            if not (root / path.name).is_file() or (root / path.name).read_bytes() != path.read_bytes()
        ]
