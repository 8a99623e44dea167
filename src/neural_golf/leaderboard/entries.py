"""The leaderboard: leaderboard/<challenge>/<entry>/ with the model and card.yaml, and tables made from them.

A card says who made the network, how, and what chose it; it never says how good it is. Every table is written
from a fresh verdict on every entry. Entries that were chosen on the test images are marked and ranked apart.
What is no entry, or does not pass, is shown with the reason; the other entries stay.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neural_golf.base.errors import GolfError
from neural_golf.base.yaml12 import yaml_text
from neural_golf.config.sections import Commit
from neural_golf.leaderboard.history import HISTORY
from neural_golf.leaderboard.judged import Case, TestSet, judged
from neural_golf.leaderboard.words import suspicions
from neural_golf.referee.challenge import Challenge, load_challenge
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.sandbox import read_untrusted
from neural_golf.referee.strict import read_strict
from neural_golf.referee.unpacking import is_packed
from neural_golf.referee.verdict import LIMITS, Limits, Verdict, verify
from neural_golf.results.on_device import DEVICE

__all__ = [
    "GRAPHS",
    "MODELS",
    "TABLES",
    "Broken",
    "Card",
    "Entry",
    "Failed",
    "TestSet",
    "card_text",
    "enter",
    "load_card",
    "submit",
    "verified_entries",
]

_Line = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$")]
_PATH = r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*"  # one step of it; `..` is none
_URL = r"https://[A-Za-z0-9.-]+(:[0-9]+)?([/?#][A-Za-z0-9._~:/?#@!$&*+,;=%-]*)?"
_Link = Annotated[str, Field(max_length=300, pattern=rf"^{_URL}$")]
_Code = Annotated[str, Field(max_length=300, pattern=rf"^({_URL}|{_PATH}(/{_PATH})*/?)$")]
_Seed = Annotated[int, Field(ge=0, lt=1 << 64)]
_ENTRY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MODELS = {"nonzero": "model.onnx", "bytes": "model.golf"}  # by what the challenge makes small
GRAPHS = "graphs.md"
TABLES = ("README.md", GRAPHS, "leaderboard.json")  # what is written beside the challenges
_CARD = "card.yaml"


class Card(BaseModel):
    """What a person says about an entry. `chosen_on` names the data that chose this network among others.

    `code`, `seed` and `command` say how anybody can make it again: a link or a path of this repository, what
    the random numbers began with, and what to run. `frozen` is the commit of the code in which all of this
    was written down before any network of it was scored on test images.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    author: _Line
    method: Annotated[str, Field(min_length=1, max_length=2000)]
    chosen_on: Literal["train", "held-out", "test"]
    licence: _Line
    links: Annotated[list[_Link], Field(max_length=10)] = []
    code: _Code | None = None
    seed: _Seed | Annotated[list[_Seed], Field(min_length=1, max_length=100)] | None = None
    command: _Line | None = None
    frozen: Commit | None = None

    @property
    def missing(self) -> list[str]:
        """Which of the three that say how the network is made again are not there."""
        return [name for name in ("code", "seed", "command") if getattr(self, name) is None]


@dataclass(frozen=True)
class Entry:
    """One folder of the leaderboard with the referee's fresh verdict on it: it passes."""

    challenge: str
    name: str
    card: Card
    verdict: Verdict
    score: Literal["nonzero", "bytes"] = "nonzero"  # what the challenge makes small

    @property
    def scored(self) -> int:
        """What it is ranked by."""
        return getattr(self.verdict, self.score) or 0

    @property
    def place(self) -> str:
        """Where it lies in the leaderboard's folder."""
        return f"{self.challenge}/{self.name}"

    @property
    def ranked(self) -> bool:
        """Whether it competes: not chosen on the test images."""
        return self.card.chosen_on != "test"

    @property
    def reproducible(self) -> bool:
        """Whether its card says how it is made again."""
        return not self.card.missing

    @property
    def flags(self) -> list[str]:
        """What a person should look at, in the file and in the card."""
        told = {"author": self.card.author, "method": self.card.method, "licence": self.card.licence}
        told["command"] = self.card.command or ""
        return [
            *self.verdict.flags,
            *(flag for what, text in told.items() for flag in suspicions(what, text)),
        ]

    def order(self) -> tuple[int, int, int, int, str]:
        """What the challenge makes small first, then fewest non-zero, fewest parameters, most correct."""
        v = self.verdict
        return (self.scored, v.nonzero or 0, v.parameters or 0, -(v.correct or 0), self.name)


@dataclass(frozen=True)
class Broken:
    """What is no entry that passes, or lies beside the challenges and is none (`challenge` is None); and why,
    in printable ASCII.
    """

    challenge: str | None
    name: str
    verdict: Literal["FAIL", "REFUSED", "BROKEN"]
    reason: str

    @property
    def place(self) -> str:
        """Where it lies in the leaderboard's folder."""
        return self.name if self.challenge is None else f"{self.challenge}/{self.name}"


class Failed(GolfError):
    """A file that is no entry, because of the referee's verdict on it."""

    def __init__(self, message: str, verdict: Verdict) -> None:
        super().__init__(message)
        self.verdict = verdict


def load_card(path: Path) -> Card:
    """A card.yaml. Raises GolfError that names the field, in one line, and NoVerdict where this machine
    cannot open it.
    """
    try:
        return _card(path)
    except NoVerdict:
        raise
    except GolfError as error:
        raise GolfError(f"card {path}: {error}") from error


def _card(path: Path) -> Card:
    try:
        return Card.model_validate(read_strict(path))
    except ValidationError as error:
        first = error.errors()[0]
        loc = first["loc"][:1] if first["loc"][:1] == ("seed",) else first["loc"]  # else the kind of seed too
        where = ".".join(map(str, loc)) or "card"
        raise GolfError(
            f"{ascii(where)[1:-1]}: {_plainly(first['type'], first['loc'], first['msg'])}"
        ) from error


def _plainly(kind: str, where: Sequence[object], words: str) -> str:
    """What is wrong with a field of a card, where pydantic says it in its own language."""
    if kind == "extra_forbidden":
        return f"no such key; a card has {', '.join(Card.model_fields)}"
    if kind == "model_type":
        return "it must have lines of the form `key: value`"
    if where[0] == "frozen":
        return "it must be a commit, 7 to 40 digits of a-f and 0-9, in quotes if all of them are 0-9"
    if kind == "string_pattern_mismatch":
        path = " or a path of this repository" if where[0] == "code" else ""
        links = where[0] in ("code", "links")
        return (
            f"it must be an https link{path}" if links else "it must be one line without control characters"
        )
    return words


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

    Raises Failed if it does not pass, GolfError if there is such an entry and `replace` is not set, and
    NoVerdict where the referee cannot tell.
    """
    if not _ENTRY.fullmatch(name):
        raise GolfError(f"submit: the entry's name {name!r} must be of a-z, 0-9, dot, dash, and underscore")
    folder = root / challenge.name / name
    if folder.exists() and not replace:
        raise GolfError(f"submit: {folder} exists already; choose another name, or add --replace")
    if is_packed(file) and challenge.score != "bytes":
        raise GolfError(f"submit: {challenge.name} takes ONNX files; `golf unpack` makes one of this file")
    return enter(file, name, card, challenge, verify(file, *test_set, challenge, limits=limits), root, limits)


def enter(
    file: Path,
    name: str,
    card: Card,
    challenge: Challenge,
    verdict: Verdict,
    root: Path,
    limits: Limits = LIMITS,
) -> Entry:
    """Write the entry of a file on which there is this verdict, in place of one of that name.

    Raises Failed if it does not pass, and GolfError where the file is no longer the one that was judged.
    """
    folder = root / challenge.name / name
    if verdict.verdict != "PASS":
        why = f"submit: {verdict.path} is not an entry of {challenge.name}: {verdict.reason}"
        raise Failed(why, verdict)
    data = read_untrusted(file, limits)
    if hashlib.sha256(data).hexdigest() != verdict.sha256:
        raise GolfError(f"submit: {verdict.path} changed while it was judged; try again")
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        made.chmod(0o755)
        (made / MODELS[challenge.score]).write_bytes(data)
        (made / _CARD).write_text(card_text(card), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Entry(challenge.name, name, card, verdict, challenge.score)


def card_text(card: Card) -> str:
    """A card.yaml, without what it does not say."""
    return yaml_text(card.model_dump(exclude_none=True))


def verified_entries(
    root: Path, test_set: Callable[[Challenge], TestSet], limits: Limits = LIMITS
) -> list[Entry | Broken]:
    """Every entry under `root`, verified now, by challenge and rank; what is no entry follows, by its name.

    Says a line on each as it is judged (`leaderboard/judged.py`). Raises GolfError where `root` is no
    folder, and NoVerdict where the referee cannot tell about one file: then there is no table.
    """
    challenges, lost = _challenges(root)
    read = [(challenge, *_read_entries(challenge, folders)) for challenge, folders in challenges]
    cases = [
        Case(challenge, folder / MODELS[challenge.score], folder.name)
        for challenge, whole, _ in read
        for folder in whole
    ]
    told = iter(judged("leaderboard", cases, test_set, limits))
    found: list[Entry | Broken] = []
    for challenge, whole, broken in read:
        passed = []
        for folder, card in whole.items():
            verdict = next(told)
            if verdict.verdict == "PASS":
                passed.append(Entry(challenge.name, folder.name, card, verdict, challenge.score))
            else:
                broken.append(Broken(challenge.name, folder.name, verdict.verdict, verdict.reason))
        passed.sort(key=Entry.order)
        broken.sort(key=lambda one: one.name)
        found += [*passed, *broken]
    return found + lost


def _challenges(root: Path) -> tuple[list[tuple[Challenge, list[Path]]], list[Broken]]:
    """The challenges that have a folder under `root`, with what lies in it, and what beside them is none."""
    challenges, lost = [], []
    try:
        paths = _inside(root)
    except GolfError as error:
        raise GolfError(f"leaderboard: {ascii(str(root))[1:-1]}: {error}") from error
    for path in paths:
        if path.name in (*TABLES, DEVICE.name, HISTORY):
            continue
        try:
            challenge = load_challenge(path.name)
            _must_be_no_link(path)
            challenges.append((challenge, _inside(path)))
        except GolfError as error:
            lost.append(Broken(None, _shown(path), "BROKEN", str(error)))
    return challenges, lost


def _read_entries(challenge: Challenge, folders: Sequence[Path]) -> tuple[dict[Path, Card], list[Broken]]:
    """The cards of what can be an entry, by its folder, and the rest."""
    whole: dict[Path, Card] = {}
    broken = []
    for folder in folders:
        try:
            whole[folder] = _card_of(folder, MODELS[challenge.score])
        except NoVerdict:
            raise
        except GolfError as error:
            broken.append(Broken(challenge.name, _shown(folder), "BROKEN", str(error)))
    return whole, broken


def _card_of(folder: Path, model: str) -> Card:
    """The card of an entry. Raises GolfError for an odd folder, and as `load_card` does."""
    if not _ENTRY.fullmatch(folder.name):
        raise GolfError("its name must be of a-z, 0-9, dot, dash, and underscore")
    _must_be_no_link(folder)
    inside = _inside(folder, hidden=True, most=3)
    if {p.name for p in inside} != {model, _CARD} or any(p.is_symlink() for p in inside):
        raise GolfError(f"it must hold {model} and {_CARD} and nothing else")
    return _card(folder / _CARD)


def _must_be_no_link(path: Path) -> None:
    if path.is_symlink():
        raise GolfError("it is a symbolic link")


def _inside(folder: Path, hidden: bool = False, most: int | None = None) -> list[Path]:
    """What lies in a folder, at most so much. Raises GolfError for what is no folder that can be read."""
    if not folder.is_dir():
        raise GolfError("it is not a folder")
    try:
        paths = (path for path in folder.iterdir() if hidden or not path.name.startswith("."))
        return sorted(islice(paths, most))
    except OSError as error:
        raise GolfError(f"it cannot be read: {error.strerror}") from error


def _shown(path: Path) -> str:
    return ascii(path.name[:100])[1:-1]
