"""The study: seeded, stopped early where hopeless, the same after a kill."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json
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
    study = optuna.create_study(direction="maximize")
    uniform = optuna.distributions.FloatDistribution(0, 1)
    for number, value in enumerate(values):
        params = dict.fromkeys(("batch", "learning_rate", "step", "gamma"), 0.1 * (number + 1))
        study.add_trial(
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


def test_a_study_judges_on_training_images_only(small: Config) -> None:
    Path("data/heldout.safetensors").unlink()
    Path("data/test.safetensors").unlink()
    tune.run(small)


def test_more_judging_images_than_there_are_is_refused(small: Config) -> None:
    wrong = small.model_copy(update={"tune": small.tune.model_copy(update={"validation": 10_000})})
    with pytest.raises(GolfError, match=r"tune\.validation = 10000: there are only"):
        tune.run(wrong)
