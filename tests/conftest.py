"""Small things that several test files share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from neural_golf import config
from neural_golf.base import longwork
from neural_golf.config import Config
from neural_golf.data import stage

ROOT = Path(__file__).parent.parent
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


# A shell ignores Ctrl-C for what it runs in the background, and processes hand that on: the tests send it to some.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_is_stopped() -> None:
    """A test in which a piece fails tells all pieces to stop; the next test begins anew, as a process would."""
    longwork._stop.clear()


@pytest.fixture
def raw() -> dict[str, object]:
    """params.yaml as plain values."""
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def settings(raw: dict[str, object]) -> Config:
    """The demo's settings."""
    return config.check(config.merged(raw, "demo"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Config) -> Iterator[Path]:
    """An empty folder, entered, with the demo's data in it."""
    monkeypatch.chdir(tmp_path)
    stage.run(settings)
    yield tmp_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits() -> Digits:
    """1,797 digits as uint8 images [n, 1, 28, 28] with labels [n]."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn brings the digits")
    found = datasets.load_digits()
    small = (found.images * 15.9375).astype(np.uint8)  # 0 to 16 becomes 0 to 255
    large = np.kron(small, np.ones((1, 3, 3), np.uint8))
    images = np.pad(large, ((0, 0), (2, 2), (2, 2)))[:, None]
    return images, found.target.astype(np.uint8)
