"""dvc.yaml for other rows than the project's own: each stage is the project's, with other names in it."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from neural_golf.base.yaml12 import parse_yaml, yaml_text
from neural_golf.config import Config
from neural_golf.workspace import without_empty_folders

__all__ = ["stages_for"]

# The stages that do not belong to a row and come after all that do.
AFTER = ("export", "verify", "front", "ladder", "interpret", "site")
# What only the project itself has, or copies.
AT_HOME = ("src/", "docs", "package-lock.json")
CODE = "src/"


def stages_for(home: Mapping[str, Any], at_home: Config, config: Config) -> dict[str, Any]:
    """The tree of a dvc.yaml for the rows of `config`.

    home: the project's own dvc.yaml, and `at_home` its settings: a row has the stage of the first row there
    that is made in the same way. The code is no dependency in it: it is an installed package.
    """
    tree: dict[str, Any] = {"stages": {"data": copy.deepcopy(home["stages"]["data"])}, "artifacts": {}}
    stages = tree["stages"]
    if config.tune:
        stages["tune"] = copy.deepcopy(home["stages"]["tune"])
    for name, row in config.rows.items():
        model = at_home.rows_by(row.by)[0]
        of = at_home.rows[model].of
        text = re.sub(rf"\b{model}\b", name, yaml_text(home["stages"][model]))
        stages[name] = parse_yaml(re.sub(rf"\b{of}\b", str(row.of), text) if of else text)
        stages[name]["desc"] = row.title or name
        stages[name]["meta"]["threads"] = len(row.seeds or config.rows[str(row.of)].seeds)
        path = f"results/models/{name}.safetensors"
        tree["artifacts"][name.replace("_", "-")] = {"path": path, "type": "model", "desc": row.method}
    stages |= {name: copy.deepcopy(home["stages"][name]) for name in AFTER}
    gone = {
        out for name in home["stages"] if name not in AFTER and name != "data" for out in _outs(home, name)
    }
    for stage in AFTER:
        theirs = [dep for dep in stages[stage].get("deps", ()) if dep in gone]
        rows = [out for name in config.rows for out in _outs(tree, name)]
        kinds = {(dep.split("/")[1], "tune" in dep) for dep in theirs}
        own = [out for out in rows if (out.split("/")[1], False) in kinds]
        if stage == "interpret":  # the curves of rows that were trained or zeroed
            drawn = config.rows_by("reference", "training", "zeroing")
            own = [f"results/plots/{name}.csv" for name in drawn]
        own += [dep for dep in theirs if "tune" in dep and config.tune]
        stages[stage]["deps"] = [dep for dep in stages[stage].get("deps", ()) if dep not in gone] + own
        rest = [name for name in stages[stage].get("params", ()) if name.split(".")[0] not in at_home.rows]
        goals = [f"{name}.goal" for name in config.rows_by("descent", "packing")]
        stages[stage]["params"] = rest + (goals if stage in ("front", "ladder") else [])
    for stage in stages.values():
        stage["deps"] = [dep for dep in stage.get("deps", ()) if not dep.startswith(AT_HOME)]
    without_empty_folders(tree, {row.by for row in config.rows.values()})
    files = (config.dataset.npz, config.dataset.csv, config.dataset.folder)
    stages["data"]["deps"] = [path for path in files if path]
    tree["plots"] = [
        {
            "training": {
                "title": "Held-out accuracy after each epoch",
                "x": "epoch",
                "y": {
                    f"results/plots/{name}.csv": "heldout_accuracy"
                    for name in config.rows_by("reference", "training")
                },
            }
        },
        *(plot for plot in copy.deepcopy(home["plots"]) if "ladder" in plot),
    ]
    return tree


def _outs(tree: Mapping[str, Any], stage: str) -> list[str]:
    listed = (out for kind in ("outs", "metrics", "plots") for out in tree["stages"][stage].get(kind, ()))
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]
