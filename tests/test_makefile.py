"""The Makefile's own decisions, with stubs in place of everything that it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")}
    environment = {**inherited, "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
    command = [str(shutil.which("make")), *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for name in ("python3.11", "python3", "python"):
        program(tmp_path / "bin" / name, "exit 1")
    return tmp_path


@pytest.fixture
def ready(folder: Path) -> Path:
    """With an environment whose `golf` notes what it is asked for."""
    program(folder / ".venv/bin/golf", 'echo "$@" >> asked; [ "$*" != "data --check" ] || [ -e has-data ]')
    program(
        folder / ".venv/bin/snakemake", "echo snakemake >> asked; mkdir -p results; touch results/ladder.md"
    )
    (folder / ".venv/.ready").touch()
    return folder


def test_python_is_found_under_another_name(folder: Path) -> None:
    program(folder / "bin/python3", f'exec "{sys.executable}" "$@"')
    asked = make(folder, "-n", "lint").stdout
    right = sys.version_info[:2] == (3, 11)
    assert (" python3 -m venv .venv" in asked) == right


def test_without_python_it_says_what_to_do(folder: Path) -> None:
    done = make(folder, "lint")
    assert done.returncode
    assert "make PYTHON=/path/to/python3.11" in done.stdout


def test_an_environment_whose_making_was_killed_is_made_again(folder: Path) -> None:
    program(folder / ".venv/bin/python", "exit 1")  # there, but without pip
    program(folder / "bin/mine", "echo made > made; exit 1")
    make(folder, "lint", "PYTHON=mine")
    assert (folder / "made").exists()


def test_plain_make_is_the_results_and_the_demo_where_there_is_no_data(ready: Path) -> None:
    done = make(ready)
    assert (ready / "asked").read_text().split("\n") == ["data --check", "demo", ""]
    assert "Running the demo instead" in done.stdout
    (ready / "asked").unlink()
    (ready / "has-data").touch()
    assert make(ready).returncode == 0
    assert (ready / "asked").read_text().split("\n") == ["data --check", "snakemake", ""]


def test_a_dry_run_fetches_nothing(ready: Path) -> None:
    done = make(ready, "-n")
    assert done.returncode == 0
    assert not (ready / "asked").exists()


def test_the_dashboard_shows_a_copy_of_the_study_and_says_where_there_is_none(ready: Path) -> None:
    program(ready / ".venv/bin/optuna-dashboard", 'cat "$1"; echo changed > "$1"')
    none = make(ready, "dashboard")
    assert none.returncode
    assert none.stdout == "No results/models/tune-journal.log here: `make results` makes it.\n"
    journal = ready / "results/models/tune-journal.log"
    journal.parent.mkdir(parents=True)
    journal.write_text("trials")
    assert "trials" in make(ready, "dashboard").stdout
    assert journal.read_text() == "trials"
