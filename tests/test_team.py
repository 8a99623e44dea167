"""Several people at one project: models from a remote of DVC, and experiments in a queue."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from test_jobs import BASELINE, ENVIRONMENT, snakemake, workspace


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def dvc(folder: Path, *words: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *words)


def in_git(folder: Path) -> Path:
    """A workspace as a project of its own in Git, which has what the real one has there."""
    (folder / ".gitignore").write_text(
        "__pycache__/\n*.so\n/.golf/\n.snakemake/\n/data/\n/results/models/\n/results/timings.csv\n"
    )
    settings = folder / ".dvc/config"
    settings.write_text(settings.read_text().replace("no_scm = true", ""))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
        run(folder, *git, *words)
    return folder


def test_a_clone_gets_the_models_from_the_remote_and_then_there_is_nothing_to_do(tmp_path: Path) -> None:
    first = workspace(tmp_path / "first")
    snakemake(first, BASELINE)
    in_git(first)
    dvc(first, "remote", "add", "-d", "team", str(tmp_path / "remote"))
    dvc(first, "push", "data", "baseline")
    run(first, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qam", "the remote")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(first), str(clone))
    assert not (clone / BASELINE).exists()
    dvc(clone, "pull", "data", "baseline")
    assert (clone / BASELINE).read_bytes() == (first / BASELINE).read_bytes()
    assert "Nothing to be done" in snakemake(clone, "-n", BASELINE)


def test_two_workers_run_the_experiments_of_a_queue(tmp_path: Path) -> None:
    pytest.importorskip("dvc_task")
    folder = in_git(workspace(tmp_path / "project"))
    for epochs in (1, 2):
        dvc(
            folder,
            "exp",
            "run",
            "--queue",
            "-n",
            f"epochs-{epochs}",
            "-S",
            f"baseline.epochs={epochs}",
            "baseline",
        )
    try:
        dvc(folder, "queue", "start", "--jobs", "2")
        until = time.monotonic() + 300
        while "Queued" in (status := dvc(folder, "queue", "status")) or "Running" in status:
            assert time.monotonic() < until, status
            time.sleep(1)
    finally:
        dvc(folder, "queue", "stop", "--kill")
    shown = json.loads(dvc(folder, "exp", "show", "--json"))
    text = json.dumps(shown)
    assert "epochs-1" in text and "epochs-2" in text
    branches = {}
    for epochs in (1, 2):
        made = run(
            folder,
            "git",
            "show",
            f"refs/exps/{_ref(folder, f'epochs-{epochs}')}:results/metrics/baseline.json",
        )
        branches[epochs] = json.loads(made)["settings"]["epochs"]
    assert branches == {1: 1, 2: 2}
    shutil.rmtree(folder / ".dvc/tmp/exps", ignore_errors=True)


def _ref(folder: Path, name: str) -> str:
    listed = run(folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
    (found,) = [line for line in listed.splitlines() if line.endswith(f"/{name}")]
    return found.removeprefix("refs/exps/")
