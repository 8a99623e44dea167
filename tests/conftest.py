"""Small things that several test files share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from neural_golf import config, data
from neural_golf.config import Config

ROOT = Path(__file__).parent.parent


@pytest.fixture
def raw() -> dict[str, object]:
    """params.yaml as plain values."""
    return yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def settings(raw: dict[str, object]) -> Config:
    """The demo's settings."""
    return Config.model_validate(config.merged(raw))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Config) -> Iterator[Path]:
    """An empty folder, entered, with the demo's data in it."""
    monkeypatch.chdir(tmp_path)
    data.run(settings)
    yield tmp_path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
