"""The leaderboard: leaderboard/<challenge>/<entry>/ with model.onnx and card.yaml, and tables made from them.

A card says who, how and what chose the network; it never says how good it is. Every table is written from
a fresh verdict on every entry. Entries chosen on the test images are shown as such and ranked apart.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neural_golf.challenge import Challenge, load_challenge
from neural_golf.errors import GolfError
from neural_golf.records import parse_yaml, write_bytes
from neural_golf.referee.sandbox import open_untrusted
from neural_golf.verify import LIMITS, Limits, Verdict, verify, verify_many

__all__ = [
    "Card",
    "Entry",
    "TestSet",
    "load_card",
    "outdated",
    "render",
    "render_graphs",
    "submit",
    "tables",
    "verified_entries",
    "write_tables",
]

TestSet = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]

_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
_Link = Annotated[str, Field(max_length=300, pattern=r"^https://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+$")]
_ENTRY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MODEL, _CARD = "model.onnx", "card.yaml"
_GRAPHS = "graphs.md"
_CARD_BYTES = 1 << 16


class Card(BaseModel):
    """What a person says about an entry. `chosen_on`: the data that chose this network among others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    author: _Line
    method: Annotated[str, Field(min_length=1, max_length=2000)]
    chosen_on: Literal["train", "held-out", "test"]
    licence: _Line
    links: list[_Link] = []


@dataclass(frozen=True)
class Entry:
    """One folder of the leaderboard with the referee's fresh word on it."""

    challenge: str
    name: str
    card: Card
    verdict: Verdict

    @property
    def ranked(self) -> bool:
        """Whether it competes: passed, and not chosen on the test images."""
        return self.verdict.verdict == "PASS" and self.card.chosen_on != "test"

    def order(self) -> tuple[int, int, int, str]:
        """Fewest non-zero first, then fewest parameters, then most correct."""
        v = self.verdict
        return (v.nonzero or 0, v.parameters or 0, -(v.correct or 0), self.name)


def load_card(path: Path) -> Card:
    """A card.yaml. Raises GolfError that names the field."""
    try:
        if path.stat().st_size > _CARD_BYTES:
            raise GolfError(f"longer than {_CARD_BYTES} bytes")
        return Card.model_validate(parse_yaml(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise GolfError(f"card {path}: cannot be read ({error})") from error
    except GolfError as error:
        raise GolfError(f"card {path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "card"
        raise GolfError(f"card {path}: {where}: {first['msg']}") from error


def submit(
    file: Path,
    name: str,
    card: Card,
    challenge: Challenge,
    test_set: TestSet,
    root: Path,
    *,
    replace: bool = False,
    limits: Limits = LIMITS,
) -> Entry:
    """Verify a file and, if it passes, write its entry under root/<challenge>/<name>/.

    Raises GolfError if it does not pass, or if there is such an entry and `replace` is not set.
    """
    if not _ENTRY.fullmatch(name):
        raise GolfError(f"submit: the entry's name {name!r} must be of a-z, 0-9, dot, dash, and underscore")
    folder = root / challenge.name / name
    if folder.exists() and not replace:
        raise GolfError(f"submit: {folder} exists already; choose another name, or say --replace")
    verdict = verify(file, *test_set, challenge, limits=limits)
    if verdict.verdict != "PASS":
        raise GolfError(f"submit: {verdict.path} is not an entry of {challenge.name}: {verdict.reason}")
    data = _read(file, limits)
    if hashlib.sha256(data).hexdigest() != verdict.sha256:
        raise GolfError(f"submit: {verdict.path} changed while it was judged; try again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        made.chmod(0o755)
        (made / _MODEL).write_bytes(data)
        text = yaml.safe_dump(card.model_dump(), sort_keys=False, allow_unicode=True)
        (made / _CARD).write_text(text, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Entry(challenge.name, name, card, verdict)


def _read(path: Path, limits: Limits) -> bytes:
    descriptor = open_untrusted(path, limits)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limits.file_bytes + 1)


def verified_entries(
    root: Path, test_set: Callable[[Challenge], TestSet], limits: Limits = LIMITS
) -> list[Entry]:
    """Every entry under `root`, verified now, by challenge and rank. Raises GolfError for an odd folder."""
    found: list[Entry] = []
    for folder in _folders(root):
        challenge = load_challenge(folder.name)
        entries = _folders(folder)
        for entry in entries:
            inside = list(entry.iterdir())
            odd = {p.name for p in inside} ^ {_MODEL, _CARD} or any(p.is_symlink() for p in [entry, *inside])
            if odd or not _ENTRY.fullmatch(entry.name):
                raise GolfError(f"leaderboard: {entry} must hold {_MODEL} and {_CARD} and nothing else")
        cards = [load_card(entry / _CARD) for entry in entries]
        files = [e / _MODEL for e in entries]
        verdicts = verify_many(files, *test_set(challenge), challenge, limits=limits, fresh=True)
        made = [
            Entry(challenge.name, entry.name, card, verdict)
            for entry, card, verdict in zip(entries, cards, verdicts, strict=True)
        ]
        found += sorted(made, key=Entry.order)
    return found


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        raise GolfError(f"leaderboard: {path} is not a folder")
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


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
            f"[{row['entry']}]({challenge}/{row['entry']}/{_MODEL})",
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
    """What every entry computes, drawn, as a Markdown page: some tricks only a person can see."""
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
    """Text as it is, in a cell of a Markdown table: no HTML, no Markdown, one line."""
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
