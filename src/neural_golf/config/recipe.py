"""The settings of a descent; params.yaml is read into these."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

from neural_golf.base.errors import GolfError
from neural_golf.net.spec import Network

__all__ = ["Augment", "Recipe", "readable"]

Count = Annotated[int, Field(ge=1)]
Zero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


# An image that is no obstacle: as large as anybody's, and with channels that groups of 1 to 16 divide.
ROOMY = (720720, 4096, 4096)


def readable(spec: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a spec only; whether its shapes fit is known when those of the data are.

    Raises ValueError that tells of MNIST's shape, in which most networks here are thought.
    """
    try:
        Network.parse(spec, (1, 28, 28))
    except GolfError as error:
        try:
            Network.parse(spec, ROOMY)
        except GolfError:
            raise ValueError(str(error)) from None
    return spec


class Augment(BaseModel):
    """The largest changes of an image. They are drawn anew for every image and epoch; where all are 0,
    nothing changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    shift: Annotated[float, Field(ge=0)] = 0.0  # pixels
    turn: Annotated[float, Field(ge=0)] = 0.0  # degrees
    scale: Share = 0.0
    elastic: Annotated[float, Field(ge=0)] = 0.0  # pixels, at 5 by 5 knots

    @property
    def on(self) -> bool:
        return any((self.shift, self.turn, self.scale, self.elastic))


class Recipe(BaseModel):
    """The settings of one descent: a field for each part of it, and techniques by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    network: tuple[str, ...]
    batch: Count
    dense_epochs: Count  # before the first weight is removed
    dense_rate: Positive
    fast_to: Count  # until this size, weights are removed fast
    fast_epochs: Count
    slow_epochs: Zero  # from there to the last of `sizes`
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)]  # a snapshot is kept at each; falling
    settle: Zero  # epochs of falling rate before every snapshot
    rate: Positive  # at 500 parameters and more; below, it falls as size^0.75
    optimiser: Literal["full", "diagonal"] = "full"
    every: Count = 50  # steps between two eigendecompositions
    beta2: Share = 0.998
    full_below: Count = 600  # the optimiser is `full` from this size downwards
    removal: Literal["surgeon", "saliency", "magnitude"] = "surgeon"
    compensate: bool = True  # move the weights that stay
    damping: Positive = 1e-3
    fisher_images: Count = 16000
    average: Share = 0.998  # exponential average of the weights, per step; 0: off
    penalty: Annotated[float, Field(ge=0)] = 0.0  # price of a weight in the full-matrix phase
    smoothing: Share = 0.0
    distil: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the teacher's answer in the targets
    augment: Augment = Augment()
    # More of them by the names of their files in compress/techniques, each with its settings.
    techniques: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    _check = field_validator("network")(readable)

    @model_validator(mode="after")
    def _falling(self) -> Recipe:
        if list(self.sizes) != sorted(set(self.sizes), reverse=True):
            raise ValueError("sizes must fall: each one below the one before, none twice")
        return self
