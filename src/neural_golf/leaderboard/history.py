"""How the records fell: leaderboard/history.json, read from Git's history of the leaderboard.

    golf leaderboard --history

Each challenge has a list of steps: the day of the commit, the entry that led its table from then on, its author,
and what it was ranked by. A step is only where what the leader is ranked by became less.
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
    for day, content in _versions(root / "leaderboard.json"):
        for name, table in content.items():
            ranked = table.get("ranked") or []
            if not ranked:
                continue
            score = ranked[0].get(table.get("score", "nonzero")) or 0
            card = ranked[0].get("card") or {}
            steps = found.setdefault(name, [])
            if score and (not steps or score < steps[-1].score):
                if steps and steps[-1].day == day:
                    steps.pop()
                steps.append(Step(day, ranked[0]["entry"], card.get("author", ""), score))
    write_json(root / HISTORY, {name: [asdict(step) for step in steps] for name, steps in sorted(found.items())})
    return found


def _versions(path: Path) -> Iterator[tuple[str, dict[str, dict[str, list[dict[str, str]]]]]]:
    """The day and the content of each version that Git has of a JSON file, the oldest first."""
    log = _git(path, "log", "--reverse", "--format=%H %cs", "--", path.name).split()
    if not log:
        raise GolfError(f"{path}: Git has no version of it (a shallow clone has no history)")
    for commit, day in zip(log[::2], log[1::2], strict=True):
        try:
            yield day, json.loads(_git(path, "show", f"{commit}:./{path.name}"))
        except ValueError:  # half a merge is no JSON
            continue


def _git(path: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=path.parent, capture_output=True, encoding="utf-8", errors="replace", check=False
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
