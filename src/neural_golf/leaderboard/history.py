"""How the records fell: leaderboard/history.json, read from Git's history of the leaderboard.

    golf leaderboard --history

Each challenge has a list of steps: the day of the commit, the entry that led its table from then on, its
author, and what it was ranked by. A step is only where what the leader is ranked by became less.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, write_json
from neural_golf.leaderboard.words import plain

__all__ = ["HISTORY", "Step", "read_history", "write_history"]

HISTORY = "history.json"


@dataclass(frozen=True)
class Step:
    """A record: the day, the entry, its author, and its non-zero parameters or bytes."""

    day: str
    entry: str
    author: str
    score: int


def write_history(root: Path) -> dict[str, list[Step]]:
    """Write history.json into the leaderboard's folder, from the versions of leaderboard.json that Git has.

    Raises GolfError where Git has none.
    """
    found: dict[str, list[Step]] = {}
    for day, leaders in _versions(root / "leaderboard.json"):
        for name, (entry, author, score) in leaders.items():
            steps = found.setdefault(name, [])
            if steps and score >= steps[-1].score:
                continue
            if steps and steps[-1].day == day:
                steps.pop()
            steps.append(Step(day, entry, author, score))
    told = {name: [asdict(step) for step in steps] for name, steps in sorted(found.items())}
    write_json(root / HISTORY, told)
    return found


def _versions(path: Path) -> Iterator[tuple[str, dict[str, tuple[str, str, int]]]]:
    """Of each version that Git has of leaderboard.json, the oldest first: its day, and of each challenge that
    has entries the first, its author, and what it is ranked by.
    """
    log = _git(path, "log", "--reverse", "--format=%H %cs", "--", path.name).split()
    if not log:
        raise GolfError(f"{path}: Git has no version of it (a shallow clone has no history)")
    for commit, day in zip(log[::2], log[1::2], strict=True):
        try:
            tables = json.loads(_git(path, "show", f"{commit}:./{path.name}"))
            leaders = {
                name: (first["entry"], first["card"]["author"], int(first[table.get("score", "nonzero")]))
                for name, table in tables.items()
                for first in table["ranked"][:1]
            }
        except (ValueError, KeyError, TypeError, AttributeError):  # half a merge, or another form
            continue
        yield day, leaders


def _git(path: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=path.parent,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise GolfError(f"git cannot be run: {error.strerror}") from None
    return done.stdout if done.returncode == 0 else ""


def read_history(root: Path) -> dict[str, list[Step]]:
    """What `write_history` wrote, without characters that show nothing; empty where there is no such file.

    Raises GolfError for a file of another form.
    """
    path = root / HISTORY
    if not path.exists():
        return {}
    try:
        return {
            name: [
                Step(plain(one["day"]), plain(one["entry"]), plain(one["author"]), int(one["score"]))
                for one in steps
            ]
            for name, steps in read_json(path).items()
        }
    except (TypeError, KeyError, ValueError, AttributeError):
        raise GolfError(f"{path} is of another form: `golf leaderboard --history` writes it anew") from None
