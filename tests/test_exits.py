"""How `golf verify` ends: 0, 1 and 2 are verdicts and nothing else is."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nets import W10, mean_net
from neural_golf import cli
from neural_golf.referee import cli as referee
from neural_golf.referee.exits import NoVerdict
from test_hostile import alive, slow, tree

USAGE, UNWRITTEN = 64, 74


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A challenge of 30 images, its data, and networks that pass, fail and are refused."""
    made = tmp_path_factory.mktemp("exits")
    images = np.random.default_rng(0).integers(1, 256, (30, 28, 28), np.uint8)
    files = {}
    for name, array in (("images", images), ("labels", np.full(30, 9, np.uint8))):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (made / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes()))
        digest = hashlib.md5((made / f"{name}.gz").read_bytes(), usedforsecurity=False).hexdigest()
        files[name] = {"name": f"{name}.gz", "md5": digest}
    tree = {"name": "tiny", "title": "Tiny", "dataset": "noise", "split": "test", "files": files}
    tree |= {"images": 30, "threshold": 30, "score": "nonzero"}
    (made / "tiny.yaml").write_text(json.dumps(tree))
    (made / "good.onnx").write_bytes(mean_net().SerializeToString())
    (made / "poor.onnx").write_bytes(mean_net(constants={"w": -W10}).SerializeToString())
    (made / "bad.onnx").write_bytes(b"no model")
    (made / "slow.onnx").write_bytes(slow())
    return made


ABOUT = ("--challenge", "tiny.yaml", "--data", ".")


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in which $GOLF is the command."""
    golf = f"{sys.executable} -m neural_golf.cli"
    environment = {**os.environ, "GOLF": golf, "ABOUT": " ".join(ABOUT)}
    environment.pop("PYTHONUNBUFFERED", None)  # with it, nothing is left to be written at the end
    command = ["bash", "-c", line]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$GOLF verify good.onnx $ABOUT", 0, ""),
        ("$GOLF verify poor.onnx $ABOUT", 1, ""),
        ("$GOLF verify bad.onnx $ABOUT", 2, ""),
        ("$GOLF verify absent.onnx $ABOUT", 2, ""),
        ("$GOLF verify good.onnx --challenge tiny.yaml --data absent", 3, "no images.gz in absent"),
        ("$GOLF verify good.onnx --challenge mnist-97", 3, "'mnist-97' does not exist"),
        ("$GOLF verify good.onnx --challenge absent.yaml", 3, "'absent.yaml': the file cannot be opened"),
        ('$GOLF verify ""', USAGE, "the file's name is empty"),
        ('$GOLF verify " " $ABOUT', USAGE, "the file's name is empty"),
        ("$GOLF verify --json", USAGE, "--json needs an ONNX file"),
        ("$GOLF verify $ABOUT", USAGE, "needs an ONNX file"),
        ("$GOLF verify good.onnx bad.onnx", USAGE, "unrecognized arguments"),
        ("$GOLF verify good.onnx --jsonn", USAGE, "unrecognized arguments"),
        ("$GOLF verify good.onnx --data", USAGE, "expected one argument"),
        ("$GOLF verfy good.onnx", USAGE, "invalid choice"),
        ("cd / && $GOLF baseline", USAGE, "there is no params.yaml here"),
        ("$GOLF", USAGE, "required"),
        ("$GOLF submit good.onnx", USAGE, "required"),
        ("$GOLF verify good.onnx $ABOUT >/dev/full", UNWRITTEN, "the verdict cannot be written"),
        ("$GOLF verify good.onnx $ABOUT --json >/dev/full", UNWRITTEN, "the verdict cannot be written"),
        ("$GOLF verify poor.onnx $ABOUT >&-", UNWRITTEN, "the verdict cannot be written"),
        ("$GOLF verify good.onnx $ABOUT >/dev/full 2>/dev/full", UNWRITTEN, ""),
        ("$GOLF verify good.onnx $ABOUT >/dev/full 2>&-", UNWRITTEN, ""),
        ("$GOLF verify good.onnx $ABOUT --graph | true; exit ${PIPESTATUS[0]}", UNWRITTEN, "cannot be written"),
        ("$GOLF verify bad.onnx $ABOUT --json | true; exit ${PIPESTATUS[0]}", UNWRITTEN, "cannot be written"),
        ("$GOLF verify absent.onnx --challenge mnist-97 2>/dev/full", 3, ""),
        ("$GOLF verify '' 2>/dev/full", USAGE, ""),
        ("ulimit -n 10; $GOLF verify good.onnx $ABOUT", 3, ""),
        ("$GOLF submit good.onnx --name a --card absent.yaml", 3, "the file cannot be opened"),
        ("$GOLF leaderboard --leaderboard absent", 3, "absent: it is not a folder"),
    ],
)  # fmt: skip
def test_every_way_to_end_has_its_code(folder: Path, line: str, code: int, said: str) -> None:
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    run = shell(folder, line)
    assert run.returncode == code, run.stderr
    assert said in run.stderr
    if code not in (0, 1, 2):
        assert not run.stdout.startswith(("PASS", "FAIL", "REFUSED"))
    if code == UNWRITTEN and run.stderr:
        assert run.stderr == "golf: verify: the verdict cannot be written\n"


def test_without_a_file_verify_is_the_stage(folder: Path) -> None:
    run = shell(folder, "$GOLF verify")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr == "golf verify: params.yaml is missing: run this in the project's folder\n"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_no_verdict_and_leaves_nothing_running(folder: Path, number: signal.Signals) -> None:
    # A test that runs in the background or under nohup has been told to ignore two of these signals.
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    heard += "; signal.signal(signal.SIGINT, signal.default_int_handler)"
    call = f"import sys; from neural_golf.cli import main; {heard}; sys.exit(main())"
    command = [sys.executable, "-c", call, "verify", "slow.onnx", *ABOUT]
    judge = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begin = time.monotonic()
    while len(tree(judge.pid)) < 3:  # the child and its fork
        assert judge.poll() is None and time.monotonic() - begin < 60
        time.sleep(0.01)
    everything = tree(judge.pid)
    judge.send_signal(number)
    out, said = judge.communicate(timeout=10)
    assert out == ""
    assert judge.returncode == (130 if number == signal.SIGINT else -number)
    assert said == ("golf verify: stopped\n" if number == signal.SIGINT else "")
    begin = time.monotonic()
    while any(map(alive, everything)):
        assert time.monotonic() - begin < 5
        time.sleep(0.01)


@pytest.mark.parametrize(
    "error", [NoVerdict("verify: no verdict"), KeyError("x"), MemoryError(), OSError(5, "x")]
)
def test_a_fault_of_the_referee_is_no_verdict(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(referee, "verify", fail)
    with contextlib.chdir(folder):
        assert cli.main(["verify", "good.onnx", *ABOUT]) == 3
    said = capsys.readouterr().err
    if isinstance(error, NoVerdict | OSError):  # a message, and an error of the system: one line
        assert said.count("\n") == 1
    else:
        assert type(error).__name__ in said


def test_a_package_that_is_missing_is_no_verdict(folder: Path) -> None:
    code = "import sys; sys.modules['onnx'] = None; from neural_golf.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "verify", "good.onnx", *ABOUT]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert run.returncode == 3
    assert run.stderr.startswith("golf verify: onnx is not installed")


@pytest.mark.parametrize("command", ["verify", "submit"])
def test_the_help_names_the_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for part in (
        "0: PASS",
        "1: FAIL",
        "2: REFUSED",
        "3: no verdict",
        f"{USAGE}: the command",
        f"{UNWRITTEN}: the",
    ):
        assert part in said
