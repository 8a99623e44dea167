"""docs/walk-through.md: `golf new` and `golf prune` say what it shows, and the other commands fit to them."""

from __future__ import annotations

import re
import shutil
import subprocess
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
    """The descent has as few sizes here as `made.shrink` leaves, so that what is told of its networks is not
    compared; but they have to be among those of the ladder that is shown.
    """
    pytest.importorskip("sklearn", reason="scikit-learn brings the digits")
    said = shown()
    (script,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    made.python(tmp_path, script)
    new, prune, verify, to_c, device = (
        next(command for command in said if command.startswith(f"golf {word} "))
        for word in ("new", "prune", "verify", "c", "device")
    )
    ladder = "head -11 results/ladder.md"
    compiled, read = (next(command for command in said if word in command) for word in ("gcc", "gzip"))
    assert set(said) == {
        new, "cd tiny-digits", "snakemake", ladder, prune, verify, to_c, compiled, read, device,
    }  # fmt: skip
    assert made.golf(tmp_path, new.removeprefix("golf ")).splitlines() == said[new]
    task = tmp_path / "tiny-digits"
    tree = yaml.safe_load((task / "params.yaml").read_text())
    size, seed = re.findall(r"smallest-(\d+)-(\d)\.onnx", verify)[0]
    assert int(size) in tree["smallest"]["enter"] and int(seed) in tree["rows"]["smallest"]["seeds"]
    assert all(f"results/onnx/smallest-{size}-{seed}.onnx" in command for command in (to_c, device))
    (row,) = (line for line in said[ladder] if line.startswith(f"| smallest, size {size} "))
    assert row.split("|")[-2].strip() == "yes"
    made.shrink(task, baseline={"epochs": tree["baseline"]["epochs"]})
    told = made.golf(
        task, "data", "baseline", "smallest", "export", "verify", "ladder", prune.removeprefix("golf ")
    )
    assert set(said[prune]) <= set(told.splitlines())
    if shutil.which("gcc"):  # the program that is shown, around a network that is not
        (program,) = re.findall(r"```c\n(.*?)```", TEXT, re.DOTALL)
        (task / "main.c").write_text(program)
        made.golf(task, "c results/onnx/baseline-0.onnx -o net.c")
        answers = subprocess.run(
            f"{compiled} && {read}", cwd=task, shell=True, check=True, capture_output=True, text=True
        )
        assert [re.fullmatch(r"class \d", line) is not None for line in answers.stdout.splitlines()] == [
            True
        ] * 3
    columns = [[cell.strip() for cell in lines[0].split("|")] for lines in
               ((task / "results/ladder.md").read_text().splitlines(), said[ladder])]  # fmt: skip
    assert columns[0] == columns[1]
