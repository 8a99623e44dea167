"""The settings of a descent; params.yaml is read into these."""

from __future__ import annotations

import functools
from itertools import zip_longest
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from neural_golf.base.errors import GolfError
from neural_golf.net.form import Form
from neural_golf.net.spec import Network

__all__ = ["MOST", "Augment", "Canonical", "Count", "Formed", "Recipe", "Zero", "readable"]

MOST = 10**9  # of anything that is counted; larger numbers are slips, and some of them no machine can hold
Count = Annotated[int, Field(ge=1, le=MOST)]
Zero = Annotated[int, Field(ge=0, le=MOST)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


# An image that is no obstacle: as large as anybody's, and with channels that groups of 1 to 16 divide.
ROOMY = (720720, 4096, 4096)


def readable(spec: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The words of a spec only; whether its shapes fit is known when those of the data are.

    Raises ValueError that tells of MNIST's shape, in which most networks here are thought.
    """
    return None if spec is None else _readable(spec)


@functools.cache
def _readable(spec: tuple[str, ...]) -> tuple[str, ...]:
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


class Canonical(BaseModel):
    """The canonical form of an image (`net.form.Form`): the spreads that it aims at, as shares of half the
    image, and how far it goes there. With an exponent of 1 every image gets them; towards 0 it keeps its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    width: Annotated[float, Field(gt=0, le=1)] = Form.width
    height: Annotated[float, Field(gt=0, le=1)] = Form.height
    width_exponent: Annotated[float, Field(gt=0, le=1)] = Form.width_exponent
    height_exponent: Annotated[float, Field(gt=0, le=1)] = Form.height_exponent


# Settings that came after files were made, each with the value that stands for what was done until then.
_LATER = {"form": None, "fisher_every": 1, "kept_as": None}


class Formed(BaseModel):
    """Settings with a network that may see images in a form."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    form: Canonical | None = None

    @property
    def seen_in(self) -> Form | None:
        """The form in which the network sees images, if in any."""
        return Form(**self.form.model_dump()) if self.form else None

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Settings have the digests that they had before there was a setting of `_LATER`."""
        found: dict[str, Any] = handler(self)
        return {key: value for key, value in found.items() if key not in _LATER or value != _LATER[key]}


class Recipe(Formed):
    """The settings of one descent: a field for each part of it, and techniques by name."""

    network: tuple[str, ...]
    kept_as: tuple[str, ...] | None = None  # what a snapshot becomes: it has the same parameters
    batch: Count
    dense_epochs: Count  # before the first weight is removed
    dense_rate: Positive
    starts: Count = 1  # networks that begin; the one that learns fastest goes on
    start_epochs: Count = 4  # of each, where there are several
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
    fisher_every: Count = 1  # so many removals share a Fisher matrix
    average: Share = 0.998  # exponential average of the weights, per step; 0: off
    penalty: Annotated[float, Field(ge=0)] = 0.0  # price of a weight in the full-matrix phase
    smoothing: Share = 0.0
    distil: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of the teacher's answer in the targets
    augment: Augment = Augment()
    # More of them by the names of their files in compress/techniques, each with its settings.
    techniques: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    _check = field_validator("network", "kept_as")(readable)

    def networks(self, shape: tuple[int, int, int]) -> tuple[Network, Network]:
        """The network that is trained and the one that a snapshot becomes, for images [c, height, width].

        Raises GolfError where one of them does not fit the images, or where their parameters differ.
        """
        trained = Network.parse(self.network, shape, self.seen_in)
        if self.kept_as is None:
            return trained, trained
        kept = Network.parse(self.kept_as, shape, self.seen_in)
        for own, other in zip_longest(trained.tensors, kept.tensors):
            if own != other:
                told = [f"{t.name} {list(t.shape)}" if t else "nothing" for t in (own, other)]
                raise GolfError(
                    f"it must have the parameters of `network`, but has {told[1]} instead of {told[0]}"
                )
        if trained.classes != kept.classes:
            raise GolfError(f"it has {kept.classes} outputs, but `network` has {trained.classes}")
        return trained, kept

    @model_validator(mode="after")
    def _falling(self) -> Recipe:
        if self.starts > 1 and self.start_epochs > self.dense_epochs:
            raise ValueError("start_epochs: at most as many as dense_epochs")
        if list(self.sizes) != sorted(set(self.sizes), reverse=True):
            raise ValueError("sizes must fall: each one below the one before, none twice")
        return self
