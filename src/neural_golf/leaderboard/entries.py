"""The leaderboard: leaderboard/<challenge>/<entry>/ with model.onnx and card.yaml, and tables made from them.

A card says who made the network, how, and what chose it; it never says how good it is. Every table is written
from a fresh verdict on every entry. Entries that were chosen on the test images are marked and ranked apart.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neural_golf.base.errors import GolfError
from neural_golf.base.files import parse_yaml
from neural_golf.referee.challenge import Challenge, load_challenge
from neural_golf.referee.sandbox import open_untrusted
from neural_golf.referee.verdict import LIMITS, Limits, Verdict, verify, verify_many

__all__ = [
    "MODEL",
    "Card",
    "Entry",
    "TestSet",
    "load_card",
    "submit",
    "verified_entries",
]

TestSet = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]

_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
_Link = Annotated[str, Field(max_length=300, pattern=r"^https://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+$")]
_ENTRY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MODEL, _CARD = "model.onnx", "card.yaml"
_CARD_BYTES = 1 << 16


class Card(BaseModel):
    """What a person says about an entry. `chosen_on` names the data that chose this network among others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    author: _Line
    method: Annotated[str, Field(min_length=1, max_length=2000)]
    chosen_on: Literal["train", "held-out", "test"]
    licence: _Line
    links: list[_Link] = []


@dataclass(frozen=True)
class Entry:
    """One folder of the leaderboard with the referee's fresh verdict on it."""

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
        raise GolfError(f"submit: {folder} exists already; choose another name, or add --replace")
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
        (made / MODEL).write_bytes(data)
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
            odd = {p.name for p in inside} ^ {MODEL, _CARD} or any(p.is_symlink() for p in [entry, *inside])
            if odd or not _ENTRY.fullmatch(entry.name):
                raise GolfError(f"leaderboard: {entry} must hold {MODEL} and {_CARD} and nothing else")
        cards = [load_card(entry / _CARD) for entry in entries]
        files = [e / MODEL for e in entries]
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
