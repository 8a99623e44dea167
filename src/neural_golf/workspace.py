"""Workspaces: folders where the whole pipeline runs with other settings or fewer rows, such as the demo."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from neural_golf import config
from neural_golf.base.files import write_bytes
from neural_golf.base.yaml12 import read_yaml, yaml_text
from neural_golf.workflow import dvc_init, name_of

__all__ = ["make_workspace", "seen_from", "without_empty_folders"]

# The folders of the stage `export` that are empty unless there is a row made in this way.
FILLED_BY = {"results/golf": "packing", "results/onnx-large": "reference"}


def make_workspace(target: Path, root: Path = Path(), workspace: str = "demo") -> Path:
    """A folder in which the whole pipeline runs with other settings, apart from the real results.

    Copies what a run depends on (only what has changed, so that a second run goes on), and lays the
    workspace's section over params.yaml. The folders and files that data sets come from are given as seen
    from the root, and the copy names them as seen from the workspace. Without torch, the rows that only it
    can make are left out. Git sees nothing of the folder, whatever the workspace is called.
    """
    write_bytes(target / ".gitignore", b"*\n")
    for pattern in (
        "Snakefile",
        ".dvcignore",
        "package*.json",
        "leaderboard/leaderboard.json",
        "leaderboard/device.json",
        "docs/**/*",
        "profiles/**/*",
        "src/neural_golf/**/*",
    ):
        for source in root.glob(pattern):
            if source.is_dir() or source.suffix in (".so", ".pyc"):
                continue
            copy = target / source.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if not copy.exists() or copy.read_bytes() != source.read_bytes():
                shutil.copyfile(source, copy)
    whole = config.read(root / "params.yaml")
    raw = config.merged(whole, workspace)
    taken_out = [row for row in whole["rows"] if row not in raw["rows"]]
    for dataset in raw["datasets"].values():
        for key in ("npz", "csv", "folder"):
            if key in dataset:
                dataset[key] = seen_from(target, root, dataset[key])
        if "places" in dataset:
            dataset["places"] = [seen_from(target, root, place) for place in dataset["places"]]
    stages = read_yaml(root / "dvc.yaml")
    if importlib.util.find_spec("torch") is None:
        for row in [name for name, row in raw["rows"].items() if row["by"] == "reference"]:
            print(f"golf: without torch the row {row} is left out (pip install '.[torch]' brings it)")
            _leave_out(row, raw, stages)
    for row in taken_out:
        _leave_out(row, raw, stages)
    raw["interpret"]["networks"] = raw["interpret"]["networks"] or _any_network(raw)
    write_bytes(target / "dvc.yaml", yaml_text(stages).encode())
    write_bytes(target / "params.yaml", yaml_text(raw).encode())
    if not (target / ".dvc").exists():
        dvc_init(target, "--no-scm")
    settings = (root / ".dvc/config").read_text(encoding="utf-8")
    write_bytes(target / ".dvc/config", settings.replace("[core]\n", "[core]\n    no_scm = true\n").encode())
    return target


def _leave_out(row: str, raw: dict[str, Any], stages: dict[str, Any]) -> None:
    """Take a row out of the settings and the stages, and out of what other stages depend on."""
    raw["rows"].pop(row, None)
    raw.pop(row, None)
    wanted = [name for name in raw["interpret"]["networks"] if name.partition("-")[0] != row]
    raw["interpret"]["networks"] = wanted
    own = stages["stages"].pop(row, {})
    gone = {name_of(o) for kind in ("outs", "metrics", "plots") for o in own.get(kind, ())}
    for stage in stages["stages"].values():
        stage["deps"] = [dep for dep in stage.get("deps", ()) if dep not in gone]
        stage["params"] = [name for name in stage.get("params", ()) if name.partition(".")[0] != row]
    stages["artifacts"] = {k: v for k, v in stages["artifacts"].items() if v["path"] not in gone}
    for plot in (plot for plots in stages["plots"] for plot in plots.values()):
        plot["y"] = {path: column for path, column in plot["y"].items() if path not in gone}
    without_empty_folders(stages, {line["by"] for line in raw["rows"].values()})


def without_empty_folders(stages: dict[str, Any], made_by: set[str]) -> None:
    """Take the folders that stay empty out of what stages make and depend on: DVC warns of such folders at
    every run. made_by: how the rows are made.
    """
    empty = {folder for folder, kind in FILLED_BY.items() if kind not in made_by}
    for stage in stages["stages"].values():
        for key in ("deps", "outs"):
            if key in stage:
                stage[key] = [one for one in stage[key] if name_of(one) not in empty]


def _any_network(raw: dict[str, Any]) -> list[str]:
    """A network that is still made, where every one that was to be drawn is left out.

    Rows that are made of others need no look: those that they are made from are there too.
    """
    for name, row in raw["rows"].items():
        if row["by"] == "descent":
            return [f"{name}-heldout-{min(raw[name]['enter'])}"]
        if "of" not in row:
            return [name]
    return []


def seen_from(target: Path, root: Path, place: str) -> str:
    """A data set's place as seen from a workspace. Addresses and absolute folders stay as they are.

    The path is the shortest between the real folders, so that a workspace may lie anywhere.
    """
    if urlsplit(place).scheme or Path(place).is_absolute() or place.startswith("~"):
        return place
    return Path(os.path.relpath((root / place).resolve(), target.resolve())).as_posix()
