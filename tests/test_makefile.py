"""The Makefile's own decisions, with stubs in place of everything that it calls."""

from __future__ import annotations

import os
import re
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


@pytest.fixture(params=["folder", "a folder"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The Makefile, where no name of Python stands for one: as pyenv's shims do, each exits with an error."""
    made = tmp_path / request.param
    made.mkdir()
    (made / "tests").mkdir()
    for name in ("Makefile", "requirements.lock", "tests/files.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, made / name)
    for name in ("python3.11", "python3.12", "python3.13", "python3", "python"):
        program(made / "bin" / name, "exit 127")
    return made


def python(path: Path, version: str, implementation: str = "cpython") -> None:
    """A stub that is asked what it is as the real one would be, and notes what else it is asked for."""
    numbers = ", ".join(version.split("."))
    program(
        path,
        f"""
        if [ "$1" = -c ]; then
            exec "{sys.executable}" -c "import sys; sys.version_info = ({numbers}, 0); \\
                sys.implementation.name = '{implementation}'; $2"
        fi
        echo "{version} $@" >> made
        exit 1""",
    )


@pytest.fixture
def ready(folder: Path) -> Path:
    """With an environment whose `golf` notes what it is asked for."""
    program(folder / ".venv/bin/golf", 'echo "$@" >> asked; [ "$*" != "data --check" ] || [ -e has-data ]')
    program(
        folder / ".venv/bin/snakemake", "echo snakemake >> asked; mkdir -p results; touch results/ladder.md"
    )
    (folder / ".venv/.ready").touch()
    return folder


@pytest.mark.parametrize(
    ("there", "chosen"),
    [
        ({"python3.11": "3.11", "python3.12": "3.12", "python3.13": "3.13"}, "3.11"),
        ({"python3.13": "3.13", "python3.12": "3.12"}, "3.12"),
        ({"python3.13": "3.13", "python3": "3.12"}, "3.13"),
        ({"python3": "3.10", "python": "3.13"}, "3.13"),
    ],
)
def test_python_is_the_first_that_will_do(folder: Path, there: dict[str, str], chosen: str) -> None:
    for name, version in there.items():
        python(folder / "bin" / name, version)
    make(folder, "lint")
    assert (folder / "made").read_text().split("\n")[0] == f"{chosen} -m venv .venv"


def test_without_python_one_line_says_what_to_do(folder: Path) -> None:
    done = make(folder, "lint")
    assert done.returncode
    assert done.stdout == ""
    assert re.fullmatch(
        r"Makefile:\d+: \*\*\* The path has no CPython 3.11, 3.12 or 3.13; say where one is: "
        r"make PYTHON=/path/to/python3.12\.  Stop\.\n",
        done.stderr,
    )


@pytest.mark.parametrize(
    ("version", "implementation"), [("3.10", "cpython"), ("3.14", "cpython"), ("3.11", "pypy")]
)
def test_another_python_is_refused_in_one_line_also_by_name(
    folder: Path, version: str, implementation: str
) -> None:
    python(folder / "bin/mine", version, implementation)
    done = make(folder, "lint", "PYTHON=mine")
    assert done.returncode
    assert "PYTHON=mine is not a CPython 3.11, 3.12 or 3.13; say where one is" in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert not (folder / "made").exists()


@pytest.mark.parametrize("left", ["killed", "3.10"])
def test_an_environment_that_was_killed_or_is_of_another_python_is_made_again(
    folder: Path, left: str
) -> None:
    if left == "killed":
        program(folder / ".venv/bin/python", "exit 1")  # there, but without pip
    else:
        program(folder / ".venv/bin/python", '[ "$1" = -m ]')  # not of the right version
    python(folder / "bin/mine", "3.12")
    make(folder, "lint", "PYTHON=mine")
    assert (folder / "made").read_text() == "3.12 -m venv .venv\n"
    assert not (folder / ".venv/bin").exists()


def test_an_environment_that_will_do_stays(folder: Path) -> None:
    program(folder / ".venv/bin/python", "exit 0")
    python(folder / "bin/python3.11", "3.11")
    make(folder, "lint")
    assert not (folder / "made").exists()
    assert (folder / ".venv/.ready").exists()


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


def test_the_dashboard_shows_the_study_itself_and_says_where_there_is_none(ready: Path) -> None:
    """By its whole path: with a relative one, the dashboard's lock would be a link to nowhere."""
    program(ready / ".venv/bin/optuna-dashboard", 'echo "shown: $1"')
    none = make(ready, "dashboard")
    assert none.returncode
    assert none.stdout == "No study has run in this folder: `golf tune` runs it.\n"
    journal = ready / ".golf/tune/0123abcd/journal.log"
    journal.parent.mkdir(parents=True)
    journal.write_text("trials")
    assert f"shown: {journal.resolve()}\n" in make(ready, "dashboard").stdout
    url = "postgresql+psycopg://me@host/golf"
    assert f"shown: {url}\n" in make(ready, "dashboard", f"STUDY={url}").stdout
