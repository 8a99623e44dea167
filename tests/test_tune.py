"""The study: seeded, stopped early where hopeless, the same after a kill."""

from __future__ import annotations

import csv
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError, NoResult
from neural_golf.base.files import read_json
from neural_golf.base.study import Study
from neural_golf.config import Config
from neural_golf.look import overview
from neural_golf.look.style import applied
from neural_golf.train import tune

TABLE = Path("results/plots/tune.csv")
METRICS = Path("results/metrics/tune.json")


@pytest.fixture
def small(settings: Config, workplace: Path) -> Config:
    changes = {"network": ("conv 3 k5", "relu", "maxpool 4", "linear 10"), "trials": 8, "epochs": 3,
               "startup_trials": 2, "warmup_epochs": 0, "parallel": 2, "finalists": 2,
               "finalist_seeds": (5, 6)}  # fmt: skip
    return settings.model_copy(update={"tune": settings.tune.model_copy(update=changes)})


def forget() -> None:
    """Delete all unfinished and finished work."""
    for path in sorted(Path(".golf").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_study_writes_its_table_best_settings_and_what_explains_them(small: Config) -> None:
    tune.run(small)
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    complete = [row for row in rows if row["state"] == "complete"]
    first_two = sorted((float(row["accuracy"]) for row in complete), reverse=True)[:2]
    finalists = [row for row in rows if row["finalist_accuracy"]]
    assert sorted((float(row["accuracy"]) for row in finalists), reverse=True) == first_two
    best = max(finalists, key=lambda row: float(row["finalist_accuracy"]))
    metrics = read_json(METRICS)
    assert metrics["accuracy"] == float(best["finalist_accuracy"])
    assert metrics["best"]["batch"] == int(best["batch"])
    parts = metrics["importance"]
    assert parts == {} or (set(parts) == set(metrics["best"]) and sum(parts.values()) == pytest.approx(1))
    assert not Path("results/figures").exists() and not Path("results/models").exists()


def test_the_same_seed_gives_the_same_study(small: Config) -> None:
    tune.run(small)
    want = TABLE.read_bytes(), METRICS.read_bytes()
    forget()
    tune.run(small)
    assert (TABLE.read_bytes(), METRICS.read_bytes()) == want


@pytest.mark.parametrize("values", [(0.5,), (0.5, 0.5, 0.5), (0.5, 0.6)])
def test_a_study_whose_trials_hardly_differ_has_a_result(
    values: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    optuna = pytest.importorskip("optuna")
    study = Study(Path(".golf/tune/0"), ["maximize"])
    uniform = optuna.distributions.FloatDistribution(0, 1)
    for number, value in enumerate(values):
        params = dict.fromkeys(("batch", "learning_rate", "step", "gamma"), 0.1 * (number + 1))
        study.optuna.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=dict.fromkeys(params, uniform), value=value
            )
        )
    tune.report(study, {0: 0.5})
    parts = read_json(METRICS)["importance"]
    assert parts == {} if len(set(values)) == 1 else all(part >= 0 for part in parts.values())
    with applied():
        assert overview.study(overview.read(TABLE), parts) and overview.slices(overview.read(TABLE))


def test_a_killed_study_goes_on_to_the_same_result(small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    tune.run(small)
    want = TABLE.read_bytes()
    forget()

    class Killed(BaseException):
        pass

    said: list[str] = []
    say = longwork.say

    def kill_in_the_third_round(stage: str, piece: str, text: str) -> None:
        said.append(piece)
        if piece == "trial 4":
            raise Killed
        say(stage, piece, text)

    with monkeypatch.context() as patch:
        patch.setattr(tune.longwork, "say", kill_in_the_third_round)
        with pytest.raises(Killed):
            tune.run(small)
    assert "trial 4" in said
    said.clear()
    monkeypatch.setattr(tune.longwork, "say", lambda stage, piece, text: said.append(piece))
    tune.run(small)
    assert not {"trial 0", "trial 1", "trial 2", "trial 3"} & set(said)  # these were finished
    assert TABLE.read_bytes() == want


def pieces() -> list[Path]:
    """What a study leaves of its trials and finalists."""
    return sorted(Path(".golf/tune").glob("*/finished.safetensors"))


def test_a_study_is_the_same_whichever_of_its_files_are_cut_altered_or_gone(small: Config) -> None:
    """Also where some trials of a round are known and others are not: they must not learn from one another."""
    tune.run(small)
    want = TABLE.read_bytes(), METRICS.read_bytes()
    damage = (
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(path.read_bytes() + bytes(4096)),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xff"),
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
    )
    for number, path in enumerate(pieces()):
        damage[number % len(damage)](path)
    for path in Path(".golf/tune").glob("*/journal.log"):
        path.write_bytes(b'{"op_code"' + bytes(20))
        path.with_name("journal.log.lock").symlink_to("journal.log")  # as Optuna's own lock was left
    tune.run(small)
    assert (TABLE.read_bytes(), METRICS.read_bytes()) == want


def test_two_runs_of_one_study_join_and_compute_no_trial_twice(small: Config) -> None:
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=tune.run, args=(small,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    with longwork.TIMINGS.open(newline="") as file:
        timed = [row["piece"] for row in csv.DictReader(file)]
    assert len(timed) == len(set(timed)) == len(pieces())
    want = TABLE.read_bytes()
    forget()
    tune.run(small)
    assert TABLE.read_bytes() == want


def with_rates(settings: Config, *rates: float) -> Config:
    changed = settings.tune.model_copy(update={"learning_rate": rates, "trials": 4})
    return settings.model_copy(update={"tune": changed})


def test_a_study_in_which_all_trials_diverge_says_so_and_names_the_key(
    small: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GolfError, match=r"no trial .*; training diverged .*tune\.learning_rate") as caught:
        tune.run(with_rates(small, 1e36, 1e37))
    assert "\n" not in str(caught.value)
    assert "trial 0: training diverged" in capsys.readouterr().err


def test_a_finalist_that_diverges_counts_as_nothing_and_is_told(
    small: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = tune.fit

    def one_diverges(network: Any, train: Any, settings: Any, seed: int, *more: Any) -> Any:
        if seed in (5, 6) and settings.batch == best["batch"]:
            raise NoResult("training diverged in epoch 1: lower the learning rate")
        return fit(network, train, settings, seed, *more)

    tune.run(small)
    best = read_json(METRICS)["best"]
    forget()
    monkeypatch.setattr(tune, "fit", one_diverges)
    tune.run(small)
    assert "seed 5: training diverged" in capsys.readouterr().err
    assert read_json(METRICS)["best"] != best


def test_an_error_in_a_trial_is_told_in_its_own_words(small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise GolfError("the images have another shape")

    monkeypatch.setattr(tune, "fit", wrong)
    with pytest.raises(GolfError, match="the images have another shape"):
        tune.run(small)


def test_a_study_judges_on_training_images_only(small: Config) -> None:
    Path("data/heldout.safetensors").unlink()
    Path("data/test.safetensors").unlink()
    tune.run(small)


def test_more_judging_images_than_there_are_is_refused(small: Config) -> None:
    wrong = small.model_copy(update={"tune": small.tune.model_copy(update={"validation": 10_000})})
    with pytest.raises(GolfError, match=r"tune\.validation = 10000: there are only"):
        tune.run(wrong)
