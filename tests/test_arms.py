"""Every arm of the handbook can differ from the recipe that it changes: its network has other bits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from neural_golf import config
from neural_golf.compress.descent import Descent
from neural_golf.compress.plan import Epoch
from neural_golf.config.recipe import Recipe
from neural_golf.data import Split

RAW = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
HANDBOOK = config.check(RAW).handbook
FIRST, *OTHERS = HANDBOOK.arms
TECHNIQUES = [arm for arm, change in HANDBOOK.arms.items() if "techniques" in change]
TINY: dict[str, Any] = {
    "batch": 50, "dense_epochs": 1, "fast_to": 100, "fast_epochs": 1, "slow_epochs": 6, "sizes": [50],
    "settle": 1, "fisher_images": 200,
}  # fmt: skip
Change = Mapping[str, Any]


@pytest.fixture(scope="module")
def split(digits: tuple[np.ndarray, np.ndarray]) -> Split:
    images, labels = digits
    return Split(np.ascontiguousarray(images[:200]), labels[:200])


@pytest.fixture(scope="module")
def first(split: Split) -> bytes:
    return network(descent(HANDBOOK.arms[FIRST], split))


def narrow(spec: tuple[str, ...]) -> tuple[str, ...]:
    """The network with as few channels as kernels in all their positions need."""
    return tuple(re.sub(r"^conv \d+", "conv 8" if "mirrors" in text else "conv 4", text) for text in spec)


def descent(change: Change, split: Split) -> Descent:
    """A tiny one by the handbook's recipe with this change."""
    recipe = Recipe(**{**HANDBOOK.recipe.model_dump(), **TINY, **change, "start_epochs": 1})
    teacher = np.random.default_rng(0).dirichlet(np.ones(10), len(split)).astype(np.float32)
    narrowed = {"network": narrow(recipe.network), "kept_as": recipe.kept_as and narrow(recipe.kept_as)}
    return Descent(recipe.model_copy(update=narrowed), split, 0, teacher)


def silent(step: Epoch, epoch: int, loss: float) -> None:
    pass


def network(one: Descent, state: Path | None = None) -> bytes:
    """The bits of the last snapshot."""
    last = one.run(silent, state, every=1)[-1]
    return last.parameters.tobytes() + last.mask.tobytes()


@pytest.mark.parametrize("arm", OTHERS)
def test_the_network_of_an_arm_is_not_that_of_the_first(arm: str, first: bytes, split: Split) -> None:
    assert network(descent(HANDBOOK.arms[arm], split)) != first


@pytest.mark.parametrize(
    "change", [{}, {"techniques": {"regrowth": {"share": 0.001}}}, {"form": None}, {"distil": 0.0}]
)
def test_an_arm_that_changes_nothing_would_be_found(change: Change, first: bytes, split: Split) -> None:
    assert network(descent(change, split)) == first


@pytest.mark.parametrize("arm", TECHNIQUES)
def test_a_technique_looks_at_the_images_that_were_brought_into_form_once(arm: str, split: Split) -> None:
    change = {**HANDBOOK.arms[arm], "augment": {}, "form": {}}
    one, other = descent(change, split), descent(change, split)
    other.train = Split(np.zeros_like(split.pixels), split.labels)
    assert network(one) == network(other)


@pytest.mark.parametrize("arm", TECHNIQUES)
def test_a_descent_with_a_technique_goes_on_where_it_was_killed(
    arm: str, split: Split, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(step: Epoch, epoch: int, loss: float) -> None:
        if epoch == 6:  # the state that was written is that after epoch 5, in which weights came back
            raise Killed

    change = HANDBOOK.arms[arm]
    with pytest.raises(Killed):
        descent(change, split).run(kill, tmp_path, every=1)
    assert network(descent(change, split), tmp_path) == network(descent(change, split))


def test_weights_that_come_back_are_trained_before_any_is_removed(split: Split) -> None:
    long = {"batch": 10, "rate": 0.02, "average": 0.0}  # steps that lead somewhere in an epoch
    one = descent({**long, "techniques": {"regrowth": {"share": 0.1, "every": 2}}}, split)
    left, returned, stayed = set[int](), set[int](), 0

    def watch(step: Epoch, epoch: int, loss: float) -> None:
        nonlocal left, returned, stayed
        now = set(one.alive.tolist())
        stayed += len(returned & now)
        returned = now - left if epoch > 1 else set()
        assert len(now) == step.size + len(returned)
        assert all(one.average[k] != 0 for k in returned)
        assert not (returned and step.settles)
        left = now

    one.run(watch)
    assert stayed > 0
