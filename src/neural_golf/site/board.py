"""Who holds which record and what chose it: records of this run, of the leaderboard, and public ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_golf.base.files import read_json
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.config.sections import Ladder, Record
from neural_golf.leaderboard.words import plain
from neural_golf.referee.challenge import challenge_names, load_challenge, own_challenges
from neural_golf.results.on_device import DeviceTable, read_device
from neural_golf.results.result import Result, Variant, by_variant, holds, representative

__all__ = ["Challenge", "Entry", "Holder", "Hole", "all_challenges", "challenges", "holes", "record"]


@dataclass(frozen=True)
class Entry:
    """One line of the leaderboard. The words are a stranger's, without what shows nothing."""

    rank: int
    name: str
    nonzero: int
    parameters: int
    correct: int
    chosen_on: str
    author: str
    method: str
    flags: tuple[str, ...]
    bytes: int | None = None  # the file's length, where the challenge ranks by it
    reproducible: bool = False  # whether its card names the code, the seed and the command
    division: str = "plain"  # open: it resamples, as the image says
    frozen: str | None = None  # the commit that wrote it down before it was scored, as its card says
    needs: tuple[
        str, ...
    ] = ()  # on a microcontroller: `on_device.COLUMNS`, if some entry of its table is known
    sha256: str = ""
    bits: int | None = None
    nodes: int | None = None
    licence: str = ""
    links: tuple[str, ...] = ()
    code: str = ""
    seed: str = ""
    command: str = ""


@dataclass(frozen=True)
class Challenge:
    """The entries for one goal on one data set. Those that the test images chose stand apart."""

    name: str
    title: str
    threshold: int
    images: int
    ranked: tuple[Entry, ...]
    chosen_on_test: tuple[Entry, ...]
    score: str = "nonzero"  # what is made small: nonzero or bytes
    dataset: str = ""


@dataclass(frozen=True)
class Holder:
    """Who reached a goal with the fewest non-zero parameters while the test images chose nothing.

    `mean` is the accuracy over the seeds of a recipe of ours, and None for other people's entries.
    """

    who: str
    network: str
    nonzero: int
    correct: int
    images: int
    mean: Spread | None = None


@dataclass(frozen=True)
class Hole:
    """A goal, who holds its record, and the smallest public network, which test images helped to choose."""

    goal: float
    holder: Holder | None
    rival: Record | None


def all_challenges(path: Path, config: Config) -> list[Challenge]:
    """Every challenge with its entries, those about this run's data first, and those without an entry too.

    Where the data are not those that the game is about, only the challenges about them are here.
    """
    own, everything = config.data.dataset, config.as_the_blog
    told = challenges(path, None if everything else own, read_device())
    names = [*own_challenges(), *challenge_names()]
    known = {one.name for one in told}
    without = [load_challenge(name) for name in names if name not in known]
    told += [
        Challenge(one.name, one.title, one.threshold, one.images, (), (), one.score, one.dataset)
        for one in without
        if one.dataset == own or everything
    ]
    return sorted(told, key=lambda one: (one.dataset != own, one.dataset, one.score != "nonzero"))


def challenges(path: Path, dataset: str | None, device: DeviceTable | None = None) -> list[Challenge]:
    """The challenges on a data set, or on any, as `golf leaderboard` wrote them, and what `golf device`
    measured.
    """
    device = device or DeviceTable()
    tables = read_json(path) if path.exists() else {}
    return [
        Challenge(
            name, table["title"], table["threshold"], table["images"],
            _entries(table["ranked"], device), _entries(table["chosen_on_test"], device),
            table.get("score", "nonzero"), table["dataset"],
        )
        for name, table in tables.items()
        if dataset in (None, table["dataset"])
    ]  # fmt: skip


def _entries(rows: Sequence[dict[str, Any]], device: DeviceTable) -> tuple[Entry, ...]:
    measured = device.knows(row.get("sha256") for row in rows)
    return tuple(
        Entry(
            row["rank"], plain(row["entry"]), row["nonzero"], row["parameters"], row["correct"],
            row["card"]["chosen_on"], plain(row["card"]["author"]), plain(row["card"]["method"]),
            tuple(map(plain, row["flags"])), row.get("bytes"), row.get("reproducible", False),
            row.get("division", "plain"), row["card"].get("frozen"),
            tuple(map(plain, device.cells(row.get("sha256")).values())) if measured else (),
            row.get("sha256") or "", row.get("bits"), row.get("nodes"),
            plain(row["card"].get("licence") or ""),
            tuple(map(plain, row["card"].get("links") or ())), plain(row["card"].get("code") or ""),
            _seeds(row["card"].get("seed")), plain(row["card"].get("command") or ""),
        )
        for row in rows
    )  # fmt: skip


def _seeds(told: object) -> str:
    """What random numbers began with, as text; empty where a card does not tell."""
    return ", ".join(map(str, told)) if isinstance(told, list) else "" if told is None else str(told)


def record(results: Sequence[Result], goal: float, rule: Ladder) -> Result | None:
    """The fewest non-zero parameters, entered or not, whose recipe holds an accuracy (`holds`), if any does.

    If the seed that stands for a row misses the goal, no other seed takes its place. Rows by packing are left
    out: they compete in bytes.
    """
    able = [representative(group) for group in _able(results, goal, rule).values()]
    return min(able, key=lambda one: (one.nonzero, -one.heldout_correct, one.seed), default=None)


def _able(results: Sequence[Result], goal: float, rule: Ladder) -> dict[Variant, list[Result]]:
    """What holds a goal and competes in non-zero parameters."""
    return {
        variant: group
        for variant, group in _all_sizes(results).items()
        if group[0].honest and group[0].bytes is None and holds(group, goal, rule)
    }


def _all_sizes(results: Sequence[Result]) -> dict[Variant, list[Result]]:
    """The results by variant, entered or not: what a recipe holds does not depend on what was entered."""
    return by_variant(results, entered=False) | by_variant(results)


def holes(
    goals: Sequence[float],
    us: str,
    results: Sequence[Result],
    board: Sequence[Challenge],
    public: Sequence[Record],
    rule: Ladder,
) -> list[Hole]:
    """Every goal with its record, of this run or the leaderboard (a tie is the leaderboard's), and its rival.

    `us`: the author whose entries on the leaderboard are this project's. Those that stand for a size of this
    run that does not hold the goal are passed over.
    """
    found = []
    for goal in goals:
        held = _able(results, goal, rule)
        missed = {variant.name for variant in _all_sizes(results).keys() - held.keys()}
        means = {v.name: Spread.of([r.accuracy for r in group]) for v, group in held.items()}
        able = [
            _holder(challenge, entry, us, means)
            for challenge in board
            if challenge.score == "nonzero" and abs(challenge.threshold / challenge.images - goal) < 1e-9
            for entry in challenge.ranked
            if entry.author != us or entry.name not in missed
        ]
        if ours := record(results, goal, rule):
            name = ours.variant.name
            able.append(
                Holder("this project", name, ours.nonzero, ours.correct, ours.images, means[name])
            )  # fmt: skip
        rivals = [other for other in public if other.accuracy >= goal]
        holder = min(able, key=lambda one: one.nonzero, default=None)
        found.append(Hole(goal, holder, min(rivals, key=lambda one: one.nonzero, default=None)))
    return found


def _holder(challenge: Challenge, entry: Entry, us: str, means: Mapping[str, Spread]) -> Holder:
    mine = entry.author == us
    return Holder(
        "this project" if mine else entry.author, entry.name, entry.nonzero, entry.correct, challenge.images,
        means.get(entry.name) if mine else None,
    )  # fmt: skip
