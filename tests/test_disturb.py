"""Five of the disturbed runs of `make disturb`."""

from __future__ import annotations

from pathlib import Path

import pytest

import disturb

Undisturbed = tuple[Path, dict[str, str], float]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return disturb.undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("seed", range(5))
def test_a_disturbed_run_goes_on_to_the_same_bytes(seed: int, undisturbed: Undisturbed) -> None:
    disturb.disturb(seed, *undisturbed)
