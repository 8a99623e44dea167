"""Figures of a training while it runs: only where they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from neural_golf.base import watch
from neural_golf.config import Config
from neural_golf.train import stage
from test_train import with_seeds


def test_nothing_is_written_unless_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GOLF_WATCH", raising=False)
    watch.note("baseline", "seed 3", 1, loss=0.5)
    monkeypatch.setenv("GOLF_WATCH", "0")
    watch.note("baseline", "seed 3", 1, loss=0.5)
    assert not watch.FOLDER.exists()


def test_a_training_writes_its_figures_and_comes_out_the_same(
    settings: Config, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX")
    small = with_seeds(settings, "baseline", (3,), epochs=2)
    model = Path("results/models/baseline.safetensors")
    stage.run(small, "baseline")
    want = model.read_bytes()
    for path in Path(".golf/baseline").rglob("finished.safetensors"):
        path.unlink()
    for path in Path(".golf/baseline").rglob("epoch.safetensors"):
        path.unlink()
    monkeypatch.setenv("GOLF_WATCH", "1")
    stage.run(small, "baseline")
    assert model.read_bytes() == want
    (events,) = (watch.FOLDER / "baseline/seed-3").glob("events.out.tfevents.*")
    assert b"heldout_accuracy" in events.read_bytes()
