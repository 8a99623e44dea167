"""The benchmark runs on a small data set, and its table says what its record says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from neural_golf.base.files import write_tensors
from neural_golf.bench import line, main, multiply_adds, table
from neural_golf.bench.peers import PEERS
from neural_golf.net.spec import Network

pytest.importorskip("neural_golf.engine.compiled", reason="the compiled core is not built")


def test_multiply_adds_count_what_pooling_reads() -> None:
    network = Network.parse(["conv 2 k5", "relu", "maxpool 4", "linear 10"])
    assert multiply_adds(network) == 2 * 24 * 24 * 50 + 3 * 720
    fine = Network.parse(["conv 1 k4", "abs", "maxpool 2 s1", "conv 1 k3 d2", "maxpool 3 s2 p1", "gap"])
    assert multiply_adds(fine) == 2 * 25 * 25 * 16 + 3 * 20 * 20 * 9  # what a border adds is not computed
    cut = Network.parse(["conv 1 k4", "maxpool 2", "conv 1 k1", "gap"])  # 25 x 25, of which 24 x 24 are read
    assert multiply_adds(cut) == 2 * 24 * 24 * 16 + 3 * 12 * 12


def test_a_quick_benchmark_writes_its_record_and_its_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (256, 1, 28, 28)).astype(np.uint8)
    write_tensors(tmp_path / "train", {"images": images, "labels": rng.integers(0, 10, 256)})
    record = main(tmp_path / "train", tmp_path / "bench.json", quick=True)
    progress = capfd.readouterr().err
    assert "bench: training_128 on 1 thread\n" in progress and "bench: memory of sweep\n" in progress
    assert json.loads((tmp_path / "bench.json").read_text()) == record
    assert record["parameters"] == 820
    assert record["zeroing"]["candidates"] == 784
    text = table(record)
    assert "zeroing 784 weights" in text and "training epoch of 256 images | batch 128 |" in text
    shown = {row.split(" |")[0] for row in text.splitlines()}
    for name, peer in PEERS.items():
        told = [name for name in shown if name.startswith(f"| {peer.title}")]
        assert bool(told) != (f"{peer.title}: " in text), name  # measured, or left out and said
    assert "strongest" in line(record)
