"""What was measured of each network, as it stands in results/interpret.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from neural_golf.base.files import read_json, write_json

__all__ = [
    "FINDINGS",
    "Channel",
    "Costly",
    "Features",
    "Findings",
    "Mistakes",
    "Pruning",
    "TensorSize",
    "Worth",
    "read_findings",
    "write_findings",
]

FINDINGS = Path("results/interpret.json")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class TensorSize(Part):
    size: int
    nonzero: int


class Channel(Part):
    """A channel of the first layer: which strokes and which pixels it answers to."""

    channel: int
    answers_to: str
    selectivity: float
    preferred_degrees: float
    agreement_with_ink: float
    inverted: bool


class Features(Part):
    """What the last layer reads. `excited_beyond_every_test_image` is absent where no image was made."""

    count: int
    silent: int
    digits_each_is_high_for: float
    high_for_one_digit_only: int
    nearest_mean_correct: int
    excited_beyond_every_test_image: int | None = None


class Mistakes(Part):
    """`commonest`: how often a digit was taken for another, as "4 → 9"."""

    wrong: int
    commonest: dict[str, int]


class Costly(Part):
    """A parameter, and how many images its removal costs."""

    parameter: str
    images_lost: int


class Worth(Part):
    """What removing one parameter alone costs, on held-out images."""

    images: int
    correct_with_all: int
    costs_nothing_alone: int
    helps_when_removed: int
    median_images_lost: float
    dearest: tuple[Costly, ...]


class Pruning(Part):
    """How many test images its zeroing lost and won. `source`: the network that it was made from."""

    source: str = Field(validation_alias="from", serialization_alias="from")
    lost: int
    won: int


class Findings(Part):
    """What was measured of one network. `pruning` is absent where it was not made from another."""

    name: str
    file: str
    network: str
    parameters: int
    nonzero: int
    test_correct: int
    test_images: int
    tensors: dict[str, TensorSize]
    channels: tuple[Channel, ...]
    features: Features
    mistakes: Mistakes
    worth: Worth
    pruning: Pruning | None = None


def write_findings(found: Mapping[str, Findings], path: Path = FINDINGS) -> None:
    """A JSON file with the findings by variant, in this order; what is absent is left out."""
    write_json(path, {name: one.model_dump(by_alias=True, exclude_none=True) for name, one in found.items()})


def read_findings(path: Path = FINDINGS) -> dict[str, Findings]:
    """What `write_findings` wrote."""
    return {name: Findings.model_validate(one) for name, one in read_json(path).items()}
