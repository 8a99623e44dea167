"""The training loop: learns, goes on where it was killed, says when it diverges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neural_golf import data
from neural_golf.base.errors import GolfError, NoResult
from neural_golf.base.files import read_json, write_json
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net.checkpoint import read_checkpoint
from neural_golf.net.spec import Network
from neural_golf.train import fit, stage
from neural_golf.train.fit import Settings

SPEC = ["conv 3 k5", "relu", "maxpool 4", "linear 10"]
SETTINGS = Settings(epochs=4, batch=16, learning_rate=0.01, step=2, gamma=0.5, mean=0.13, std=0.31)


class Killed(BaseException):
    pass


def keep_going(epoch: int, loss: float, parameters: object) -> bool:
    return True


def test_the_rate_falls_in_steps() -> None:
    rates = [fit.learning_rate(SETTINGS, epoch) for epoch in range(5)]
    assert rates == [0.01, 0.01, 0.005, 0.005, 0.0025]


def test_training_learns(workplace: Path) -> None:
    network, images = Network.parse(SPEC), data.read("train")
    losses: list[float] = []

    def note(epoch: int, loss: float, parameters: object) -> bool:
        losses.append(loss)
        return True

    parameters = fit.fit(network, images, SETTINGS, 0, note)
    assert losses[-1] < losses[0] / 2
    test = data.read("test")
    assert engine(network).correct(parameters, test.pixels, test.labels) > 0.8 * len(test)


def test_a_killed_training_goes_on_to_the_same_bits(workplace: Path) -> None:
    network, images = Network.parse(SPEC), data.read("train")
    want = fit.fit(network, images, SETTINGS, 3, keep_going)

    def kill_in_the_second(epoch: int, loss: float, parameters: object) -> bool:
        if epoch == 1:
            raise Killed
        return True

    state = workplace / "state"
    with pytest.raises(Killed):
        fit.fit(network, images, SETTINGS, 3, kill_in_the_second, state)
    epochs: list[int] = []

    def note(epoch: int, loss: float, parameters: object) -> bool:
        epochs.append(epoch)
        return True

    assert np.array_equal(fit.fit(network, images, SETTINGS, 3, note, state), want)
    assert epochs == [1, 2, 3]  # the first, which was whole, was not trained again


def test_seeds_differ(workplace: Path) -> None:
    network, images = Network.parse(SPEC), data.read("train")
    one, other = (fit.fit(network, images, SETTINGS, seed, keep_going) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("rate", [1e7, 1e30, 1e37])  # the first spoils Adam's moments before the loss
def test_divergence_is_said(rate: float, workplace: Path) -> None:
    deep = [
        "conv 4 k4",
        "relu",
        "maxpool 2",
        "conv 5 k3",
        "relu",
        "maxpool 2",
        "conv 4 k3",
        "relu",
        "linear 10",
    ]
    wild = Settings(**{**vars(SETTINGS), "learning_rate": rate})
    with pytest.raises(NoResult, match=r"^training diverged in epoch \d+ .*: lower the learning rate"):
        fit.fit(Network.parse(deep), data.read("train"), wild, 0, keep_going)


def test_the_stage_writes_one_run_per_seed_and_trains_only_new_seeds(
    workplace: Path, settings: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    small = with_seeds(settings, "baseline", (4, 2), epochs=2)
    stage.run(small, "baseline")
    path = Path("results/models/baseline.safetensors")
    before = read_checkpoint(path)
    assert [run.seed for run in before.runs] == [4, 2]
    assert read_json(Path("results/metrics/baseline.json"))["parameters"] == 1055
    capsys.readouterr()
    stage.run(with_seeds(small, "baseline", (4, 2, 9)), "baseline")
    log = capsys.readouterr().err
    assert "seed 9: epoch 2/2" in log
    assert "seed 4" not in log and "seed 2" not in log
    after = read_checkpoint(path)
    assert np.array_equal(after.parameters[:2], before.parameters)


def with_seeds(settings: Config, row: str, seeds: tuple[int, ...], **change: object) -> Config:
    """Other seeds for a row, and other settings."""
    rows = {**settings.rows, row: settings.rows[row].model_copy(update={"seeds": seeds})}
    section = settings.settings(row).model_copy(update=change)
    return settings.model_copy(update={"rows": rows, row: section})


def test_tuned_takes_its_settings_from_the_study(workplace: Path, settings: Config) -> None:
    best = {"batch": 32, "learning_rate": 0.003, "step": 1, "gamma": 0.5}
    write_json(Path("results/metrics/tune.json"), {"best": best})
    stage.run(with_seeds(settings, "tuned", (0,), epochs=1), "tuned")
    assert read_json(Path("results/metrics/tuned.json"))["settings"] == {
        **best, "epochs": 1, "mean": settings.dataset.mean, "std": settings.dataset.std,
    }  # fmt: skip


def test_the_recorded_counts_are_those_of_the_network_that_is_written(
    workplace: Path, settings: Config
) -> None:
    stage.run(with_seeds(settings, "baseline", (0,), epochs=1), "baseline")
    found = read_checkpoint(Path("results/models/baseline.safetensors"))
    (run,) = found.runs
    core = engine(found.network)
    for part, correct in (("train", run.train_correct), ("heldout", run.heldout_correct)):
        images = data.read(part)
        assert core.correct(found.baked(0), images.pixels, images.labels) == correct
    assert run.test_correct is None


def test_a_network_that_does_not_fit_the_data_is_one_line(workplace: Path, settings: Config) -> None:
    wrong = with_seeds(settings, "baseline", (0,), network=("conv 2 k4", "relu", "linear 9"))
    with pytest.raises(GolfError, match="it has 9 outputs, but digits has 10 classes"):
        stage.run(wrong, "baseline")


def test_score_counts_near_ties(workplace: Path) -> None:
    network = Network.parse(SPEC)
    images = data.read("heldout")
    found = data.score(engine(network), np.zeros(network.size, np.float32), heldout=images)
    assert found == {"heldout_correct": int((images.labels == 0).sum()), "heldout_ties": len(images)}
