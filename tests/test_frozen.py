"""Rows that claim a record were written down, in the commit that they name, before any of them was scored."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.results.result import VERIFIED, Result, read_results, write_results
from test_results import result

ROOT = Path(__file__).parent.parent
RAW = config.read(ROOT / "params.yaml")
# For each workspace, "" being the project itself: its frozen rows and their commits.
ROWS = [
    (where, name, str(row["frozen"]))
    for where in ("", *RAW.get("workspaces", {}))
    for name, row in config.merged(RAW, where)["rows"].items()
    if row.get("frozen")
]


def git(folder: Path, *words: str) -> str | None:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def written_down(raw: dict[str, Any], row: str) -> dict[str, Any]:
    """What decides about a row's networks, in a tree of params.yaml. A null in a recipe is as good as nothing:
    it takes out what came with a merge.
    """
    line, settings = raw.get("rows", {}).get(row, {}), raw.get(row)
    if settings and "recipe" in settings:
        recipe = {key: value for key, value in settings["recipe"].items() if value is not None}
        settings = {**settings, "recipe": recipe}
    found = {"seeds": line.get("seeds"), "of": line.get("of"), "settings": settings}
    return found | {"pack": raw.get("pack")} if line.get("by") == "packing" else found


def broken_promises(folder: Path, row: str, commit: str, workspace: str = "") -> list[str]:
    """What of a row is other than the commit says, or was scored by then. The scores of workspaces are not
    committed.
    """
    then = git(folder, "show", f"{commit}:params.yaml")
    if then is None:
        return [f"{row}: there is no commit {commit} with a params.yaml"]
    if git(folder, "merge-base", "--is-ancestor", commit, "HEAD") is None:
        return [f"{row}: {commit} is not in the history of this commit"]
    old = written_down(config.merged(yaml.safe_load(then), workspace), row)
    new = written_down(config.merged(config.read(folder / "params.yaml"), workspace), row)
    found = [f"{row}: {what} is not as {commit} has it" for what in new if new[what] != old.get(what)]
    if workspace:
        return found
    scored = git(folder, "show", f"{commit}:{VERIFIED.as_posix()}") or ""
    files = {line.get("sha256") for line in csv.DictReader(io.StringIO(scored))}
    if any(r.row == row and r.sha256 in files for r in read_results(folder / VERIFIED)):
        found.append(f"{row}: some of its networks had been scored in {commit}")
    return found


def whole_history(folder: Path) -> bool:
    return git(folder, "rev-parse", "--is-shallow-repository") == "false\n"


@pytest.mark.parametrize(("workspace", "row", "commit"), ROWS)
def test_a_frozen_row_is_as_its_commit_says(workspace: str, row: str, commit: str) -> None:
    if not whole_history(ROOT):
        pytest.skip("there is no Git history here, or not all of it")
    assert broken_promises(ROOT, row, commit, workspace) == []


@pytest.fixture
def project(tmp_path: Path, raw: dict[str, Any]) -> Callable[..., str]:
    """A repository with params.yaml and verify.csv: each call writes both, and commits them."""
    git(tmp_path, "init", "-q")

    def commit(lines: list[Result], **change: Any) -> str:
        for key, value in change.items():
            raw[key] = {**raw[key], **value}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
        write_results(lines, tmp_path / VERIFIED)
        git(tmp_path, "add", ".")
        told = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        git(tmp_path, *told, "commit", "-q", "--allow-empty", "-m", "a")
        return (git(tmp_path, "rev-parse", "HEAD") or "").strip()

    return commit


SCORED = [
    result("open98", seed=0, size=80, sha256="a" * 64),
    result("bytes98", seed=0, size=80, sha256="b" * 64),
]


def test_a_row_that_was_written_down_before_it_was_scored_keeps_its_promise(
    project: Callable[..., str], tmp_path: Path
) -> None:
    """Whatever else has changed: other rows, the site, networks of the same name that were made before."""
    commit = project([result("open98", seed=0, size=80, sha256="0" * 64)])
    project(SCORED, golf98={"enter": [200]}, site={"samples": 1})
    for row in ("open98", "bytes98"):
        assert broken_promises(tmp_path, row, commit[:7]) == broken_promises(tmp_path, row, commit) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"open98": {"enter": [160]}}, {"open98": "open98: settings is not as"}),
        ({"bytes98": {"levels": 3}}, {"bytes98": "bytes98: settings is not as"}),
        ({"pack": {"rounds": 9}}, {"bytes98": "bytes98: pack is not as"}),
        (
            {"rows": {"open98": {"by": "descent", "seeds": [7], "method": "m"}}},
            {"open98": "open98: seeds is not as"},
        ),
        (
            {"rows": {"bytes98": {"by": "packing", "of": "golf98", "method": "m"}}},
            {"bytes98": "bytes98: of is not as"},
        ),
    ],
)
def test_a_row_that_was_changed_afterwards_breaks_it(
    project: Callable[..., str], tmp_path: Path, change: dict[str, Any], told: dict[str, str]
) -> None:
    commit = project([])
    project(SCORED, **change)
    for row in ("open98", "bytes98"):
        found = broken_promises(tmp_path, row, commit)
        assert [text.startswith(told[row]) for text in found] == [True] if row in told else found == []


def test_a_row_of_a_workspace_keeps_its_promise_too(
    project: Callable[..., str], tmp_path: Path, raw: dict[str, Any]
) -> None:
    commit = project([])
    assert broken_promises(tmp_path, "golf98", commit, "fashion") == []
    fashion = raw["workspaces"]["fashion"]
    project([], workspaces={"fashion": {**fashion, "golf98": {**fashion["golf98"], "enter": [160]}}})
    (text,) = broken_promises(tmp_path, "golf98", commit, "fashion")
    assert text.startswith("golf98: settings is not as")


def test_a_row_that_was_scored_by_then_breaks_it(project: Callable[..., str], tmp_path: Path) -> None:
    commit = project(SCORED)
    assert broken_promises(tmp_path, "open98", commit) == [
        f"open98: some of its networks had been scored in {commit}"
    ]
    (text,) = broken_promises(tmp_path, "open98", "0123abc")
    assert text == "open98: there is no commit 0123abc with a params.yaml"


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("0123ABC", "rows.open98.frozen = '0123ABC': String should match pattern"),
        ("012345", "rows.open98.frozen = '012345': String should match"),
        (1234567, "rows.open98.frozen = 1234567: YAML reads this as a number; write the commit in quotes"),
        (12e45, "rows.open98.frozen = 1.2e+46: YAML reads this as a number"),
    ],
)
def test_a_commit_that_is_none_is_one_line(raw: dict[str, Any], value: object, named: str) -> None:
    raw["rows"]["open98"]["frozen"] = value
    with pytest.raises(GolfError) as caught:
        config.check(raw)
    assert named in str(caught.value) and "\n" not in str(caught.value)
