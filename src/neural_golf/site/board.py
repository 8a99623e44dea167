"""Records and the leaderboard on the page: who holds what, and by which images it was chosen."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_golf.base.files import read_json
from neural_golf.config import Config
from neural_golf.look.subject import Line, group
from neural_golf.site import words

__all__ = ["Holder", "challenges", "leaderboard", "records", "score"]

NUMBER = ' class="num"'

Table = Mapping[str, Any]  # a challenge in leaderboard/leaderboard.json


@dataclass(frozen=True)
class Holder:
    """Who reached a goal with how few numbers. `honest`: the test images chose nothing."""

    count: int
    who: str
    note: str
    honest: bool


def challenges(path: Path, dataset: str) -> dict[str, Table]:
    """The challenges on a data set, as `golf leaderboard` wrote them: mnist-98 is one on mnist."""
    tables: dict[str, Table] = read_json(path) if path.exists() else {}
    return {name: table for name, table in tables.items() if name.rpartition("-")[0] == dataset}


def records(config: Config, lines: Sequence[Line], tables: Mapping[str, Table]) -> dict[float, list[Holder]]:
    """By goal: the record that chose nothing on test images, then the smallest public one that did."""
    return {
        goal: [*_honest(config, lines, tables, goal), *_public(config, goal)] for goal in config.page.goals
    }


def _honest(config: Config, lines: Sequence[Line], tables: Mapping[str, Table], goal: float) -> list[Holder]:
    """Of this run's entries and of the leaderboard's, the smallest; a tie is the leaderboard's."""
    able = [
        _of_entry(config, table, table["ranked"][0])
        for table in tables.values()
        if table["ranked"] and abs(table["threshold"] / table["images"] - goal) < 1e-9
    ]
    ours = words.record(lines, goal)
    if ours:
        right = f"{group(ours)}: {int(ours['correct']):,} of {int(ours['images']):,} right"
        able.append(Holder(int(ours["nonzero"]), "this project", right, True))
    return [min(able, key=lambda h: h.count)] if able else []


def _of_entry(config: Config, table: Table, entry: Mapping[str, Any]) -> Holder:
    author = entry["card"]["author"]
    who = "this project" if author == config.ladder.author else author
    right = f"{entry['entry']}: {entry['correct']:,} of {table['images']:,} right"
    return Holder(entry["nonzero"], who, right, True)


def _public(config: Config, goal: float) -> list[Holder]:
    """The smallest of the blog's and of other public networks, by their authors' figures."""
    if config.data.dataset != "mnist":
        return []
    known = [
        Holder(blog.nonzero, "the blog", f"{blog.accuracy:.2%} by its author", False)
        for blog in config.ladder.blog.values()
        if blog.accuracy and blog.accuracy >= goal
    ]
    known += [
        Holder(r.nonzero, r.source, f"{r.name}, {r.accuracy:.2%} by its author", False)
        for r in config.interpret.records
        if r.accuracy >= goal
    ]
    return [min(known, key=lambda h: h.count)] if known else []


def score(found: Mapping[float, Sequence[Holder]]) -> str:
    """The holes with their records, in large numbers, for the first screen."""
    parts = []
    for goal, holders in found.items():
        cells = "".join(
            f"<div class='{'best' if h.honest else 'rival'}'><dt>{_label(h, holders[0].honest)}</dt><dd>{h.count:,}</dd></div>"
            for h in holders
        )
        cells = cells or "<div><dt>Nobody has holed it yet.</dt><dd>?</dd></div>"
        parts.append(f"<div class='hole'><h2>{words.percent(goal)} right</h2><dl>{cells}</dl></div>")
    return "".join(parts)


def _label(holder: Holder, held: bool) -> str:
    who, note = html.escape(holder.who), html.escape(holder.note)
    if holder.honest:
        return f"<b>The record, held by {who}.</b> {note}; test images chose nothing."
    when = "Before" if held else "To beat"  # where nobody holds a record yet, nothing came after it
    return f"<b>{when}: {who}.</b> {note}; test images had a say in the choice."


def leaderboard(tables: Mapping[str, Table]) -> str:
    """The leaderboard's tables, those chosen on test images apart. What strangers wrote is escaped."""
    if not any(table["ranked"] or table["chosen_on_test"] for table in tables.values()):
        return ""
    parts = []
    for name, table in tables.items():
        title = html.escape(table["title"])
        parts.append(f"<h3>{title}</h3>")
        parts.append(
            f"<p class='hint'><code>{html.escape(name)}</code>: at least {table['threshold']:,} of {table['images']:,} test images right.</p>"
        )
        parts.append(_rows(table["ranked"], f"{title}, ranked"))
        if table["chosen_on_test"]:
            parts.append(
                "<p class='hint'>Chosen on the test images, so their accuracy is not a measurement; ranked apart:</p>"
            )
            parts.append(_rows(table["chosen_on_test"], f"{title}, chosen on the test images"))
    return (
        '<section id="leaderboard" class="wide" aria-labelledby="leaderboard-title">'
        '<h2 id="leaderboard-title">The leaderboard</h2>'
        "<p>Anybody's networks, each verified again by <code>golf leaderboard</code> from its ONNX file alone; the fewest numbers "
        "that are not zero win.</p>" + "".join(parts) + "</section>"
    )


def _rows(rows: Sequence[Mapping[str, Any]], label: str) -> str:
    if not rows:
        return "<p>No entry yet. The first one is the record.</p>"
    head = (
        ("rank", True), ("entry", False), ("non-zero", True), ("parameters", True), ("right", True),
        ("chosen on", False), ("author", False), ("method", False),
    )  # fmt: skip
    header = "".join(f'<th scope="col"{NUMBER if number else ""}>{text}</th>' for text, number in head)
    body = ""
    for row in rows:
        card = row["card"]
        method = "; ".join([card["method"], *row["flags"]])
        cells = (
            str(row["rank"]), row["entry"], f"{row['nonzero']:,}", f"{row['parameters']:,}", f"{row['correct']:,}",
            card["chosen_on"], card["author"], method,
        )  # fmt: skip
        body += "<tr>"
        for (text, number), cell in zip(head, cells, strict=True):
            tag, scope = ("th", ' scope="row"') if text == "entry" else ("td", "")
            css = NUMBER if number else ' class="method"' if text == "method" else ""
            body += f"<{tag}{scope}{css}>{html.escape(cell)}</{tag}>"
        body += "</tr>"
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(label)}"><table><thead><tr>{header}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
