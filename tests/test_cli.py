"""The command line: every command explains itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neural_golf import cli, config
from neural_golf.base.files import read_tensors


@pytest.mark.parametrize(
    "command", [[], ["data"], ["verify"], ["submit"], ["leaderboard"], ["bench"], ["demo"]]
)
def test_help_is_printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([*command, "--help"])
    assert end.value.code == 0
    assert "usage: golf" in capsys.readouterr().out


def test_every_stage_has_a_command_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    for stage in cli.STAGES:
        assert stage in shown


def test_a_descent_does_not_depend_on_the_threads_of_blas(workplace: Path, raw: dict[str, object]) -> None:
    """Snakemake sets them to the cores; `dvc repro` leaves them to the machine."""
    (workplace / "params.yaml").write_text(yaml.safe_dump(config.merged(raw, "demo")))
    found = []
    for threads in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "VECLIB_MAXIMUM_THREADS": threads}
        command = [sys.executable, "-m", "neural_golf.cli", "golf98"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        (workplace / ".golf").rename(workplace / f".golf-{threads}")
        found.append(read_tensors(Path("results/models/golf98.safetensors"))[0])
    assert all((found[0][name] == found[1][name]).all() for name in found[0])
