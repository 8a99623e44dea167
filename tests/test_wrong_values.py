"""Every key of params.yaml with a dozen wrong values: one line that names the key, before any work.

`python tests/test_wrong_values.py` writes the table of docs/reliability.md.
"""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disturb import write_down
from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.base.yaml12 import parse_yaml
from neural_golf.compress import technique

ROOT = Path(__file__).parent.parent
Key = tuple[str | int, ...]

# Written as a person would write them. What is right for some key is left out for the keys of that kind. The last one is
# too large for any whole number.
VALUES = (
    "", "'10'", "ten", "yes", "true", "-1", "1:30", ".inf", ".nan", "1e999", "2024-02-30x", "2024-01-01", "1.5",
    "[]", "{}", "[[1]]", "{odd: 1}", "!!binary aGk=", "'a\\nb'", "99999999999999999999",
)  # fmt: skip


def keys(tree: Any, at: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key with its value, from the outermost inwards; of a list, its first element stands for all."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree[:1]) if isinstance(tree, list) else ()
    for name, value in inner:
        yield (*at, name), value
        yield from keys(value, (*at, name))


def replaced(tree: Any, at: Key, value: Any) -> Any:
    made = copy.copy(tree)
    made[at[0]] = replaced(tree[at[0]], at[1:], value) if at[1:] else value
    return made


def load(raw: dict[str, Any]) -> None:
    """What the Snakefile does before any job, but for the workspaces."""
    technique.check(config.check(raw))


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "switch"
    if isinstance(value, int | float):
        return "number"
    return {str: "text", list: "list", dict: "section"}.get(type(value), "nothing")


def wrong(old: Any) -> list[str]:
    """The values that are of another kind than the one that stands there."""
    same = {kind(old)} | ({"nothing"} if old is None else set())
    found = []
    for text in VALUES:
        with contextlib.suppress(GolfError):
            if (
                kind(parse_yaml(text)) in same
                and not (same == {"number"} and text in (".inf", ".nan", "1e999"))
                and not (isinstance(old, int) and text == VALUES[-1])
            ):
                continue
        found.append(text)
    return found


def outcome(raw: dict[str, Any], at: Key, text: str) -> str:
    """`named` where one line names the key; `accepted` where nothing may stand; or what went wrong instead."""
    try:
        load(replaced(raw, at, parse_yaml(text)))
    except GolfError as error:
        told = str(error)
        names = [str(part) for part in at if isinstance(part, str)]
        if "\n" in told:
            return f"several lines: {told}"
        return "named" if any(name in told for name in names[-2:]) else f"names another: {told}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "accepted" if parse_yaml(text) in (None, [], {}) else "taken as something"


def settings() -> dict[str, Any]:
    raw = config.read(ROOT / "params.yaml")
    raw.pop("workspaces")
    return raw


def outcomes(every: int = 1) -> Iterator[tuple[Key, str, str]]:
    raw = settings()
    for number, (at, old) in enumerate(keys(raw)):
        if number % every == 0:
            for text in wrong(old):
                yield at, text, outcome(raw, at, text)


def test_every_wrong_value_of_every_key_is_one_line_that_names_it() -> None:
    odd = [(at, text, what) for at, text, what in outcomes() if what not in ("named", "accepted")]
    assert not odd


def main() -> None:
    counted: Counter[str] = Counter()
    for at, text, what in outcomes():
        counted[what if what in ("named", "accepted") else "odd"] += 1
        if what != "named":
            print(".".join(map(str, at)), "=", text, "->", what[:200])
    lines = [
        "| keys | wrong values | one line that names the key | taken as nothing, where nothing may stand | anything else |",
        "|--:|--:|--:|--:|--:|",
        f"| {len(list(keys(settings())))} | {counted.total()} | {counted['named']} | {counted['accepted']} | {counted['odd']} |",
    ]
    write_down("wrong", "python tests/test_wrong_values.py", "\n".join(lines))


if __name__ == "__main__":
    main()
