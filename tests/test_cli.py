"""The command line: every command explains itself."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neural_golf import cli, config
from neural_golf.base.files import read_tensors, write_bytes


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


@pytest.mark.parametrize(
    ("number", "told", "code"),
    [
        (errno.ENOSPC, "cannot be written: No space left on device", 74),
        (errno.EACCES, "cannot be read or written: Permission denied", 1),
        (errno.EROFS, "cannot be read or written: Read-only file system", 1),
        (errno.EIO, "cannot be read or written: Input/output error", 1),
    ],
)
def test_an_error_of_the_system_is_one_line_that_names_the_file_and_goes_away(
    number: int, told: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], raw: dict[str, object],
) -> None:  # fmt: skip
    def fails(self: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))  # as a write does, which does not name its file

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(config.merged(raw, "demo")))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        assert cli.main(["data"]) == code
    said = capsys.readouterr().err
    assert said == f"golf data: data/train.safetensors {told}\n"
    assert not list((tmp_path / "data").iterdir())
    assert cli.main(["data"]) == 0


def test_what_a_killed_write_left_goes_with_a_later_one(tmp_path: Path) -> None:
    left, young = tmp_path / ".a.json.0123abcd", tmp_path / ".a.json.4567abcd"
    for path in (left, young):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    write_bytes(tmp_path / "a.json", b"{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "a.json"]


def test_a_write_may_find_that_another_has_just_renamed_its_temporary_file(tmp_path: Path) -> None:
    gone = tmp_path / ".a.json.0123abcd"
    gone.symlink_to("nowhere")  # listed, and not there any more when it is looked at
    write_bytes(tmp_path / "a.json", b"{}")
    assert (tmp_path / "a.json").read_bytes() == b"{}"
