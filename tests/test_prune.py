"""Zeroing one weight at a time: the naive loop's decisions, resumed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import needed
from neural_golf.compress import zeroing
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from neural_golf.net.spec import Network
from neural_golf.train import fit

SPEC = ["conv 3 k5", "relu", "maxpool 4", "linear 10"]
SETTINGS = fit.Settings(epochs=6, batch=16, learning_rate=0.01, step=3, gamma=0.5, mean=0.13, std=0.31)


@pytest.fixture
def dense(workplace: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return fit.fit(Network.parse(SPEC), data.read("train"), SETTINGS, 0, lambda *_: True)


def naive(parameters: np.ndarray, order: np.ndarray, images: data.Split, threshold: int) -> np.ndarray:
    core = engine(Network.parse(SPEC))
    now = parameters.copy()
    for q in order:
        before, now[q] = now[q], 0
        if core.correct(now, images.pixels, images.labels) < threshold:
            now[q] = before
    return now


def test_the_pass_decides_as_the_naive_loop_and_never_below_the_threshold(
    dense: np.ndarray, tmp_path: Path
) -> None:
    network, test = Network.parse(SPEC), data.read("test")
    core = engine(network)
    threshold = core.correct(dense, test.pixels, test.labels) - 20
    order = network.weights()
    tensors, _ = zeroing.zero("pruned", "x", core, dense, order, test, threshold, tmp_path / "s")
    want = naive(dense, order, test, threshold)
    assert np.array_equal(np.where(tensors["mask"], dense, 0), want)
    assert core.correct(want, test.pixels, test.labels) >= threshold
    assert 0 < (~tensors["mask"]).sum() < len(order)
    assert tensors["curve"][-1].tolist() == [
        (~tensors["mask"]).sum(),
        core.correct(want, test.pixels, test.labels),
    ]
    assert tensors["mask"][np.setdiff1d(np.arange(network.size), order)].all()  # no bias, no slope


def test_a_killed_pass_goes_on_to_the_same_mask(
    dense: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, test = Network.parse(SPEC), data.read("test")
    core, order = engine(network), network.weights()
    threshold = core.correct(dense, test.pixels, test.labels) - 20
    want, _ = zeroing.zero("pruned", "x", core, dense, order, test, threshold, tmp_path / "a")

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(zeroing.longwork, "say", kill)
        with pytest.raises(Killed):
            zeroing.zero("pruned", "x", core, dense, order, test, threshold, tmp_path / "b")
    have, _ = zeroing.zero("pruned", "x", core, dense, order, test, threshold, tmp_path / "b")
    assert np.array_equal(have["mask"], want["mask"])
    assert np.array_equal(have["curve"], want["curve"])


def test_saliency_is_the_diagonal_fisher(dense: np.ndarray) -> None:
    network = Network.parse(SPEC)
    core, images = engine(network), data.read("train")[:50]
    square = np.zeros(network.size)
    for row in range(50):
        _, gradient = core.loss_gradient(dense, images.pixels, images.labels, np.array([row]))
        square += gradient.astype(np.float64) ** 2
    np.testing.assert_allclose(
        zeroing.saliency(core, dense, images), dense**2 * square / 50 / 2, rtol=1e-3, atol=1e-12
    )


def stage_files(settings: Config, parameters: np.ndarray) -> Config:
    """The settings and the dense checkpoint of a `tuned` of this file's small network."""
    network = Network.parse(SPEC)
    runs = (Run(0),)
    whole = Checkpoint(network, parameters[None], np.ones((1, network.size), bool), runs)
    write_checkpoint(Path("results/models/tuned.safetensors"), whole)
    return settings.model_copy(update={"tuned": settings.tuned.model_copy(update={"network": tuple(SPEC)})})


def test_the_stage_prunes_by_every_judge_in_every_order(dense: np.ndarray, settings: Config) -> None:
    zeroing.run(stage_files(settings, dense), "pruned")
    found = read_checkpoint(Path("results/models/pruned.safetensors"))
    assert [(run.judge, run.order) for run in found.runs] == [
        ("test", "index"), ("test", "saliency"), ("heldout", "index"), ("heldout", "saliency"),
    ]  # fmt: skip
    thresholds = {"test": settings.prune.threshold, "heldout": settings.prune.heldout_threshold}
    for number, run in enumerate(found.runs):
        images = data.read(run.judge)
        have = engine(found.network).correct(found.baked(number), images.pixels, images.labels)
        goal = needed(thresholds[run.judge], len(images))
        assert have == getattr(run, f"{run.judge}_correct") >= goal
        assert (run.test_correct is None) == (run.judge == "heldout"), "test images only where they judge"


def test_a_network_below_the_threshold_has_nothing_to_prune_and_that_is_said(
    settings: Config, workplace: Path
) -> None:
    network = Network.parse(SPEC)
    poor = stage_files(settings, np.zeros(network.size, np.float32))
    with pytest.raises(
        GolfError,
        match=r"no tuned network reaches prune\.threshold = 0\.85 on the test images.*nothing to prune",
    ):
        zeroing.run(poor, "pruned")
    assert not Path("results/models/pruned.safetensors").exists()


def test_a_checkpoint_of_another_architecture_is_refused(dense: np.ndarray, settings: Config) -> None:
    stage_files(settings, dense)
    with pytest.raises(GolfError, match="another architecture"):
        zeroing.run(settings, "pruned")
