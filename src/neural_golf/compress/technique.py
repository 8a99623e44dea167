"""What a technique of techniques/ is, and how a recipe's are found: by the names of their files."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.compress import techniques
from neural_golf.compress.optimiser import BlockAdam, FullAdam
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.config.plain import typed
from neural_golf.config.recipe import Recipe
from neural_golf.engine import Engine

__all__ = ["State", "Technique", "check", "named", "techniques_of"]


class State(Protocol):
    """What a technique sees of a descent, and may change: weights, average, alive, full."""

    recipe: Recipe
    train: data.Split
    seen: NDArray[Any]  # the images of `train` as the layers see them
    targets: NDArray[Any]
    core: Engine
    epoch: int
    weights: NDArray[np.float64]  # [n], all parameters; removed ones are 0
    average: NDArray[np.float64]  # [n]
    alive: NDArray[np.int64]  # indices of those that are left
    full: FullAdam | BlockAdam | None  # None until the full-matrix phase

    def rng(self, purpose: str) -> np.random.Generator: ...

    def whole(self, weights: NDArray[np.float64]) -> NDArray[np.float32]: ...


class Technique(BaseModel):
    """One technique: its fields are its settings, and it does what it overrides.

    It keeps nothing from epoch to epoch, so that a killed descent goes on from its own state; and it
    draws from `state.rng(its name)`, so that no other draw moves.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def before_epoch(self, state: State, step: Epoch) -> None:
        """Called once weights have been removed for this epoch, before any image of it is seen. The network
        may be left larger than the plan says, if `step` does not settle: the next removal takes as many more.
        """

    def order(self, state: State, order: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """The images of an epoch, in their order [n]; `rng` drew it."""
        return order

    def slope(self, state: State) -> NDArray[np.float64] | float:
        """What is added to the gradient of the weights that are left [k], in the full-matrix phase."""
        return 0.0


def named() -> list[str]:
    """The techniques that there are."""
    return sorted(found.name for found in pkgutil.iter_modules(techniques.__path__))


def techniques_of(recipe: Recipe) -> list[Technique]:
    """Those that a recipe takes up. Raises GolfError for one that there is not, or for a wrong setting."""
    made: list[Technique] = []
    for name, settings in recipe.techniques.items():
        if name not in named():
            raise GolfError(f"techniques: {name} is not one of {', '.join(named())}")
        module = import_module(f"{techniques.__name__}.{name}")
        kinds = [k for k in vars(module).values() if isinstance(k, type) and k.__module__ == module.__name__]
        kind: type[Technique] = next(k for k in kinds if issubclass(k, Technique))
        try:
            made.append(typed(kind, settings))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, (name, *first["loc"])))
            raise GolfError(f"techniques.{where}: {first['msg']}") from None
    return made


def check(config: Config) -> None:
    """Raises GolfError with one line that names the key, if some recipe's techniques are wrong."""
    recipes = {f"{row}.recipe": config.settings(row).recipe for row in config.rows_by("descent")}
    if handbook := config.handbook:
        recipes |= {f"handbook.arms.{name}": handbook.arm(name) for name in handbook.arms}
    if config.search:
        recipes["search.recipe"] = config.search.recipe
    for key, recipe in recipes.items():
        try:
            techniques_of(recipe)
        except GolfError as error:
            raise GolfError(f"params.yaml: {key}.{error}") from None
