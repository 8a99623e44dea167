"""Long work: pieces that go on where they were killed, and the one file that knows of time."""

from __future__ import annotations

import csv
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neural_golf import cli
from neural_golf.base import longwork
from neural_golf.config import Config
from neural_golf.train import stage
from test_train import with_seeds


def timings() -> list[dict[str, str]]:
    with longwork.TIMINGS.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder but the one that may differ, and empty ones that are locked."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "timings.csv")
    found = (path for path in found if path.suffix != ".lock" and path.name != "lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_a_finished_piece_is_not_computed_again(here: Path) -> None:
    calls: list[Path] = []

    def compute(state: Path) -> longwork.Piece:
        calls.append(state)
        return {"x": np.arange(3)}, {"n": 3, "curve": [[0.1, 2]]}

    state = longwork.folder("tuned", seed=0)
    for _ in range(3):
        tensors, record = longwork.finished(state, compute)
        assert tensors["x"].tolist() == [0, 1, 2] and record == {"n": 3, "curve": [[0.1, 2]]}
    assert calls == [state]
    assert [(line["stage"], line["piece"]) for line in timings()] == [("tuned", state.name)]


def test_a_piece_that_was_killed_leaves_no_result(here: Path) -> None:
    def compute(state: Path) -> longwork.Piece:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        longwork.finished(longwork.folder("tuned", seed=0), compute)
    assert not list(here.rglob("finished.safetensors")) and not longwork.TIMINGS.exists()


def test_seconds_have_one_file_with_one_header(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(longwork, "processor", lambda: "Core, the 7th")
    for seconds in (1.234, 5.0):
        longwork.note_seconds("tuned", "ab", seconds)
    assert [line["seconds"] for line in timings()] == ["1.23", "5.00"]
    assert {line["processor"] for line in timings()} == {"Core, the 7th"}
    assert list(timings()[0]) == ["finished", "stage", "piece", "seconds", "host", "processor"]
    assert files(here) == {}


def test_pieces_that_end_together_write_one_header(here: Path) -> None:
    longwork.in_parallel(range(40), lambda k: longwork.note_seconds("tuned", str(k), k), workers=8)
    assert sorted(int(line["piece"]) for line in timings()) == list(range(40))


def test_what_a_stage_leaves_does_not_depend_on_the_clock(
    workplace: Path, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the second run is wild; every byte but those of timings.csv is the same."""
    small = with_seeds(settings, "baseline", (0, 1), epochs=2)
    cli._timed("baseline", "train.stage", small, "baseline")
    first = files(workplace)
    assert any(name.startswith(".golf/") and name.endswith("finished.safetensors") for name in first)
    assert len(timings()) == 3  # two seeds and the stage
    for name in first:
        if not name.startswith(("data/", "results/metrics/data")):
            (workplace / name).unlink()
    ticks = iter(range(1, 10_000_000, 977))
    for name in ("perf_counter", "time", "monotonic", "process_time"):
        monkeypatch.setattr(time, name, lambda: float(next(ticks)))
    stage.run(small, "baseline")
    monkeypatch.undo()
    found = {
        name: (workplace / name).read_bytes() for name in first if not name.startswith("results/metrics/data")
    }
    assert found == {name: first[name] for name in found}
    for name, content in found.items():
        assert b"seconds" not in content, name


def test_the_key_of_a_piece_tells_settings_and_sources_apart(here: Path) -> None:
    one = longwork.folder("tuned", seed=0)
    assert longwork.folder("tuned", seed=0) == one != longwork.folder("tuned", seed=1)
    source = here / "src/neural_golf/train/fit.py"
    source.parent.mkdir(parents=True)
    source.write_text("a = 1")
    (here / "dvc.yaml").write_text("stages: {tuned: {deps: [src/neural_golf/train, data/train.safetensors]}}")
    before = longwork.folder("tuned", seed=0)
    source.write_text("a = 2")
    assert longwork.folder("tuned", seed=0) != before
    (here / "src/neural_golf/look.py").write_text("a drawing")  # no room of this stage
    source.write_text("a = 1")
    assert longwork.folder("tuned", seed=0) == before


def test_work_that_is_no_stage_depends_on_the_whole_package(here: Path) -> None:
    """As the handbook and the search, which dvc.yaml does not list: no name of a row stands for them."""
    (here / "dvc.yaml").write_text("stages: {tuned: {deps: [src/neural_golf/train]}}")
    whole = Path(longwork.__file__).parents[1]
    assert {whole / "look/subject.py", whole / "compress/surgeon.py"} <= set(longwork._modules("handbook"))
    assert longwork.folder("handbook", seed=0).parent == Path(".golf/handbook")


def test_results_come_in_the_order_of_the_pieces(here: Path) -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (5 - number))
        return number * number

    assert longwork.in_parallel(range(5), work, workers=3) == [0, 1, 4, 9, 16]


def test_the_first_error_ends_what_the_others_wait_for(here: Path) -> None:
    ended = threading.Event()

    def work(number: int) -> bool:
        if number == 1:
            raise ValueError
        return ended.wait(30)

    begin = time.monotonic()
    with pytest.raises(ValueError):
        longwork.in_parallel(range(2), work, workers=2, stop=ended.set)
    assert ended.is_set() and time.monotonic() - begin < 10


def test_what_is_forgotten_is_computed_again(here: Path) -> None:
    named = longwork.folders("tuned")
    assert named(seed=0) == longwork.folder("tuned", seed=0) != named(seed=1)
    calls = []
    for _ in range(2):
        longwork.finished(named(seed=0), lambda _: ({}, {"n": calls.append(1)}))
        longwork.forget(named(seed=0))
    assert len(calls) == 2


def test_the_first_error_stops_the_others_where_they_next_speak(here: Path) -> None:
    stopped: list[int] = []

    def work(number: int) -> Any:
        if number == 0:
            raise ValueError("wrong")
        try:
            for _ in range(1000):
                time.sleep(0.005)
                longwork.say("tuned", str(number), "at work")
        except longwork.Stopped:
            stopped.append(number)
            raise

    with pytest.raises(ValueError, match="wrong"):
        longwork.in_parallel([1, 0, 2, 3], work, workers=2)
    assert stopped == [1]


@pytest.mark.parametrize("cut", [0, 7, 60, -20, -1])
def test_state_that_was_cut_or_altered_anywhere_is_told_and_taken_for_none(
    cut: int, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = here / "state.safetensors"
    tensors = {"x": np.arange(40, dtype=np.float64), "empty": np.empty((0, 2)), "mask": np.ones(3, bool)}
    tensors |= {"one number": np.array(2.5), "other order": np.arange(6.0).reshape(2, 3).T}
    longwork.keep(path, tensors, {"epochs": "3"})
    found = longwork.kept(path)
    assert found is not None and found[1] == {"epochs": "3"}
    assert all(np.array_equal(found[0][name], tensors[name]) for name in tensors)
    whole = path.read_bytes()
    for content in (
        whole[:cut],
        whole[:cut] + bytes(len(whole[cut:])),
        whole[:cut] + b"\xff" + whole[cut:][1:],
    ):
        path.write_bytes(content)
        assert longwork.kept(path) is None or content == whole
    assert f"{path} is damaged, so what it held is computed again" in capsys.readouterr().err
    path.unlink()
    assert longwork.kept(path) is None


def test_a_damaged_piece_is_computed_again(here: Path) -> None:
    calls: list[Path] = []

    def compute(state: Path) -> longwork.Piece:
        calls.append(state)
        return {"x": np.arange(3)}, {"n": 3}

    state = longwork.folder("tuned", seed=0)
    longwork.finished(state, compute)
    (state / "finished.safetensors").write_bytes(b"half")
    tensors, record = longwork.finished(state, compute)
    assert tensors["x"].tolist() == [0, 1, 2] and record == {"n": 3}
    assert len(calls) == 2


def test_a_piece_that_several_want_at_once_is_computed_once(here: Path) -> None:
    calls: list[int] = []

    def compute(state: Path) -> longwork.Piece:
        time.sleep(0.1)
        calls.append(1)
        return {}, {"n": len(calls)}

    state = longwork.folder("tuned", seed=0)
    found = longwork.in_parallel(range(6), lambda _: longwork.finished(state, compute)[1]["n"], workers=6)
    assert found == [1] * 6 and calls == [1]


def test_the_lock_of_a_piece_ends_with_a_holder_that_is_killed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from neural_golf.base import longwork\n"
        "with longwork.alone(Path('lock'), 'it'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        killer = threading.Timer(1.5, holder.kill)
        killer.start()
        with longwork.alone(Path("lock"), "the piece"):
            pass
        killer.join()
    assert "waiting for another run, which is at the piece" in capsys.readouterr().err
