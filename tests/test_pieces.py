"""Pieces of a stage computed one by one, in any order and by any process: the stage makes the same bits of them."""

from __future__ import annotations

import csv
import multiprocessing
import shutil
import threading
from pathlib import Path

import pytest
import yaml

from neural_golf import cli, config
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.config.pieces import table, waves

ROOT = Path(__file__).parent.parent
# Those with pieces, each after what it reads.
STAGES = ("baseline", "tune", "tuned", "pruned", "golf98", "bytes98", "handbook", "search")


def small() -> dict[str, object]:
    """The demo's settings, with less of everything."""
    raw = config.merged(config.read(ROOT / "params.yaml"), "demo")
    raw["baseline"]["epochs"] = raw["tuned"]["epochs"] = 6
    raw["tune"] |= {"trials": 5, "parallel": 2, "epochs": 3, "startup_trials": 2, "warmup_epochs": 0}
    raw["prune"] |= {"threshold": 0.3, "heldout_threshold": 0.3}
    for row in ("golf98", "open98"):
        raw[row]["recipe"] |= {"dense_epochs": 6, "fast_epochs": 3, "slow_epochs": 2, "settle": 1}
    raw["handbook"]["arms"] = {"base": {}, "magnitude": {"removal": "magnitude", "compensate": False}}
    raw["pack"] |= {"rounds": 1, "tries": 2, "twins": 2}
    return raw


def timed() -> list[str]:
    """The pieces that were computed here."""
    with longwork.TIMINGS.open(newline="") as file:
        return [line["piece"] for line in csv.DictReader(file) if line["piece"]]


def results(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.glob("results/**/*") if path.is_file() and path.name != "timings.csv")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with the same settings and data. In one the stages have run; in the other, nothing."""
    folders = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("pieces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folders[0])
        Path("params.yaml").write_text(yaml.safe_dump(small()))
        assert cli.main(["data"]) == 0
        shutil.copytree(folders[0], folders[1], dirs_exist_ok=True)
        patch.setattr(
            "neural_golf.experiments.pages.update", lambda *_: None
        )  # the document, which is not here
        for stage in (*STAGES[:5], "open98", *STAGES[5:]):
            assert cli.main([stage]) == 0
    return folders


def test_a_stage_makes_the_same_bits_of_pieces_that_were_computed_one_by_one(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, apart = two
    monkeypatch.chdir(apart)
    monkeypatch.setattr("neural_golf.experiments.pages.update", lambda *_: None)
    settings = config.load()
    for stage in (*STAGES[:5], "open98", *STAGES[5:]):
        for wave in waves(settings, stage):
            for key in reversed(wave):
                assert cli.main(["piece", stage, key]) == 0
        before = timed()
        assert cli.main([stage]) == 0
        # The tables of roundings, which the handbook shows too, are pieces of their own.
        assert stage == "handbook" or timed() == before, f"{stage} computed what was there"
    assert results(apart) == results(whole)


def test_every_piece_of_a_stage_is_on_its_list(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(two[0])
    settings = config.load()
    for stage in STAGES:
        listed = {key for wave in waves(settings, stage) for key in wave}
        row = settings.rows.get(stage)
        module = cli.MAKERS[row.by] if row else cli.STAGES[stage][0]
        made = pytest.importorskip(f"neural_golf.{module}").pieces(settings, *([stage] if row else []))
        # A zeroing is not made where its network is below the threshold.
        assert set(made) <= listed if row and row.by == "zeroing" else set(made) == listed


def test_the_list_says_what_each_piece_is(
    two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(two[0])
    assert cli.main(["piece", "tune"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split(None, 1) == ["trial-0", "a trial, after 0 rounds"]
    assert lines[2].split(None, 1) == ["trial-2", "a trial, after 1 round"]
    assert lines[-1].split(None, 1) == ["finalist-1-seed-1000", "a training of a finalist, after all trials"]
    settings = config.load()
    for stage in STAGES:
        assert all(len(line.split(None, 1)) == 2 for line in table(settings, stage).splitlines())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verify"], "verify has no pieces: it is one piece of work"),
        (["baseline", "seed-7"], "baseline has no piece seed-7; `golf piece baseline` lists them"),
        (["nothing"], "nothing has no pieces"),
    ],
)
def test_what_is_no_piece_is_told_in_one_line(
    words: list[str], told: str, two: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(two[0])
    assert cli.main(["piece", *words]) == 1
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1


def test_runs_of_one_stage_share_its_pieces_out_and_wait_for_none_while_others_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def piece(name: str, of: str) -> longwork.Piece:
        def compute(_: Path) -> longwork.Piece:
            if of == "the other run":
                begun.set()
                assert go_on.wait(60)
            done.append(f"{name} by {of}")
            if name == "b":
                go_on.set()  # only now does the other run end its piece
            return {}, {"name": name}

        return longwork.finished(Path(".golf/x", name), compute)

    other = threading.Thread(target=piece, args=("a", "the other run"))
    other.start()
    assert begun.wait(60)
    found = longwork.in_parallel(["a", "b"], lambda name: piece(name, "this run"), workers=1)
    other.join()
    assert [record["name"] for _, record in found] == ["a", "b"]
    assert done == ["b by this run", "a by the other run"]


def test_two_processes_that_ask_for_all_pieces_compute_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def work() -> None:
        def compute(_: Path) -> longwork.Piece:
            threading.Event().wait(0.05)
            return {}, {}

        names = [f"p{number}" for number in range(8)]
        longwork.in_parallel(names, lambda name: longwork.finished(Path(".golf/x", name), compute), workers=1)

    context = multiprocessing.get_context("fork")
    both = [context.Process(target=work) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(timed()) == [f"p{number}" for number in range(8)]


def test_an_error_of_a_piece_that_was_put_off_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tries: list[str] = []

    def work(name: str) -> None:
        tries.append(name)
        if len(tries) == 1:
            raise longwork.Elsewhere
        raise GolfError("it failed")

    with pytest.raises(GolfError, match="it failed"):
        longwork.in_parallel(["a"], work)
