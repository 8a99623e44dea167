"""docs/walk-through.md: its commands, run as they stand there, say what it shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

import tasks_made as made

TEXT = (made.ROOT / "docs/walk-through.md").read_text(encoding="utf-8")


def shown() -> dict[str, list[str]]:
    """For each command in the document the lines that it says."""
    found: dict[str, list[str]] = {}
    for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL):
        for one in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, said = one.partition("\n")
            found[command] = said.splitlines()
    return found


def test_the_walk_through_says_what_the_commands_say(tmp_path: Path) -> None:
    """All but the descent with its many sizes: it has as few here as `made.shrink` leaves, so that what is told of
    its rows is not compared, only that the same commands are there for it.
    """
    pytest.importorskip("sklearn", reason="scikit-learn brings the digits")
    commands = shown()
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    made.python(tmp_path, script)
    (new,) = (command for command in commands if command.startswith("golf new"))
    assert made.golf(tmp_path, new.removeprefix("golf ")).splitlines() == commands[new]
    task = tmp_path / "tiny-digits"
    chosen = yaml.safe_load((task / "params.yaml").read_text())["baseline"]
    made.shrink(task, baseline={"epochs": chosen["epochs"]})
    prune, retrain = (command for command in commands if command.startswith("golf prune"))
    said = made.golf(
        task, "data", "baseline", "smallest", "export", *(c.removeprefix("golf ") for c in (prune, retrain))
    )
    for line in commands[prune] + commands[retrain]:
        assert line in said.splitlines()
    verify, to_c, device = (
        next(command for command in commands if command.startswith(f"golf {word}"))
        for word in ("verify", "c ", "device")
    )
    (model,) = {command.split()[2] for command in (verify, to_c, device)}
    assert re.fullmatch(r"results/onnx/smallest-\d+-\d\.onnx", model)
    assert set(commands) == {
        new,
        prune,
        retrain,
        verify,
        to_c,
        device,
        "cd tiny-digits",
        "snakemake",
        "cat results/ladder.md",
    }
