"""The sections of params.yaml. They are frozen and typed, and unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from neural_golf.config.plain import typed
from neural_golf.config.recipe import MOST, Augment, Count, Formed, Recipe, Zero, readable

__all__ = [
    "Blog",
    "Commit",
    "Data",
    "DescentSettings",
    "Excite",
    "Handbook",
    "Interpret",
    "Ladder",
    "Pack",
    "PackingSettings",
    "Prune",
    "Record",
    "Reference",
    "Row",
    "Search",
    "Section",
    "Site",
    "Strokes",
    "Teacher",
    "Training",
    "Tune",
    "Verify",
]

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Range = tuple[Positive, Positive]
Level = Annotated[int, Field(ge=1, le=255)]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the lower end {value[0]} is above the upper end {value[1]}")
    return value


def _among(enter: tuple[int, ...], sizes: tuple[int, ...], name: str) -> None:
    for size in enter:
        if size not in sizes:
            raise ValueError(f"enter: {size} is not one of {name}")


class Data(Section):
    """Which data set of the table, and how its training part is split."""

    dataset: str
    heldout: Count
    seed: Seed


class Blog(Section):
    """What the blog reports for one row."""

    parameters: Count
    nonzero: Count
    accuracy: Fraction | None = None


class Row(Section):
    """One row of the ladder: what makes it, its seeds, and what is said about it.

    The settings are in the section of the row's name; rows made by zeroing share the section `prune`.
    """

    by: Literal["reference", "training", "zeroing", "descent", "packing"]
    of: str | None = None  # the row whose networks are zeroed or packed
    seeds: tuple[Seed, ...] = ()
    title: str = ""  # as the ladder shows it; without one, its name
    method: str  # how its networks came about, for the model cards and the leaderboard
    # The commit that wrote down its settings and seeds before any of its networks was scored on test.
    frozen: Commit | None = None
    blog: Blog | None = None

    @field_validator("frozen", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        if isinstance(value, int | float):
            raise ValueError("YAML reads this as a number; write the commit in quotes")
        return value

    @field_validator("seeds")
    @classmethod
    def _unique(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice in the list")
        return seeds

    @model_validator(mode="after")
    def _fits(self) -> Self:
        made_of_another = self.by in ("zeroing", "packing")
        if made_of_another != (self.of is not None):
            raise ValueError(
                "`of` names the row that is zeroed or packed, and only rows by zeroing and packing have it"
            )
        if made_of_another == bool(self.seeds):
            raise ValueError(
                "a row needs at least one seed, and a row by zeroing or packing has those of its source"
            )
        return self


class Reference(Section):
    """PyTorch's MNIST example; the learning rate falls to 0 linearly."""

    network: tuple[str, ...]
    epochs: Count
    batch: Count
    learning_rate: Positive
    precision: Literal["float32", "bfloat16"]
    device: Literal["cpu", "gpu"] = "cpu"  # "gpu": one where there is one. Its bits are not those of the CPU

    _check = field_validator("network")(readable)


class Training(Formed, Section):
    """A network trained by Adam with a step-wise falling learning rate.

    Either all of batch, learning_rate, step and gamma are given, or none of them, and then the study chooses.
    """

    network: tuple[str, ...]
    epochs: Count
    batch: Count | None = None
    learning_rate: Positive | None = None
    step: Count | None = None
    gamma: Annotated[float, Field(gt=0, le=1)] | None = None

    _check = field_validator("network")(readable)

    @property
    def chosen(self) -> dict[str, int | float]:
        """The four settings; empty where the study chooses them."""
        return {
            k: v for k in ("batch", "learning_rate", "step", "gamma") if (v := getattr(self, k)) is not None
        }

    @model_validator(mode="after")
    def _all_or_none(self) -> Self:
        if len(self.chosen) not in (0, 4):
            raise ValueError(
                "give all of batch, learning_rate, step and gamma, or none (the study then chooses)"
            )
        return self


class Tune(Section):
    network: tuple[str, ...]
    trials: Count
    epochs: Count
    validation: Count
    parallel: Count
    batch: tuple[Count, Count]
    learning_rate: Range
    step: tuple[Count, Count]
    gamma: tuple[Fraction, Fraction]
    startup_trials: Zero
    warmup_epochs: Zero
    finalists: Count
    finalist_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    seed: Seed
    # "pieces" (each trial a piece, planned in rounds), "journal", or the URL of a PostgreSQL database
    storage: Annotated[str, Field(pattern=r"^(pieces|journal|postgresql(\+\w+)?://.*)$")] = "pieces"

    _check = field_validator("network")(readable)
    _order = field_validator("batch", "learning_rate", "step", "gamma")(_ascending)


class Prune(Section):
    threshold: Fraction
    heldout_threshold: Fraction
    judges: Annotated[tuple[Literal["test", "heldout"], ...], Field(min_length=1)]
    orders: Annotated[tuple[Literal["index", "saliency"], ...], Field(min_length=1)]
    saliency_images: Count


class DescentSettings(Section):
    """One descent per seed. `enter` lists the sizes of the recipe that are entered; held-out images choose
    the seeds.
    """

    goal: Fraction  # the accuracy that the descent is made for
    enter: Annotated[tuple[Count, ...], Field(min_length=1)]
    recipe: Recipe

    @model_validator(mode="after")
    def _has_them(self) -> Self:
        _among(self.enter, self.recipe.sizes, "recipe.sizes")
        return self


class PackingSettings(Section):
    """One .golf file for each seed and size of a descent; the rest of how it is made stands in `pack`.

    `enter` lists the sizes that are entered; held-out images choose the seeds.
    """

    goal: Fraction  # the accuracy that the files are made for
    sizes: Annotated[tuple[Count, ...], Field(min_length=1)]  # of the descent's recipe, those that are packed
    levels: Level  # the largest on either side of 0
    augment: Augment | None = None  # instead of pack.augment
    enter: Annotated[tuple[Count, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _has_them(self) -> Self:
        if list(self.sizes) != sorted(set(self.sizes), reverse=True):
            raise ValueError("sizes must fall: each one below the one before, none twice")
        _among(self.enter, self.sizes, "sizes")
        return self


class Teacher(Section):
    """A large network, trained on transformed images, from which recipes with `distil` above 0 learn."""

    network: tuple[str, ...]
    epochs: Count
    batch: Count
    rate: Positive
    augment: Augment
    seed: Seed

    _check = field_validator("network")(readable)


class Handbook(Section):
    """`arms` says what each arm changes in the recipe. The others are compared with the first one."""

    accuracies: Annotated[tuple[Fraction, ...], Field(min_length=1)]  # the sizes needed for these are told
    at: Count  # size at which accuracies are compared too; one of the recipe's
    seeds: Annotated[int, Field(ge=2, le=MOST)]
    teacher: Teacher
    recipe: Recipe
    arms: dict[str, dict[str, Any]]

    def arm(self, name: str) -> Recipe:
        """The recipe of an arm."""
        return typed(Recipe, {**self.recipe.model_dump(mode="json"), **self.arms[name]})

    @model_validator(mode="after")
    def _arms(self) -> Self:
        for name in self.arms:
            try:
                self.arm(name)
            except ValidationError as error:
                first = error.errors()[0]
                key = ".".join(map(str, ("arms", name, *first["loc"])))
                raise ValueError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None
        return self


class Search(Section):
    """Ranges of the study; the rest of each trial is `recipe`."""

    trials: Count
    parallel: Count
    startup_trials: Zero
    channels: tuple[Count, Count]  # multiples of 8, so that kernels can be turned and mirrored
    kernel: tuple[Count, Count]  # of the first convolution
    rate: Range
    penalty: Range
    size: tuple[Count, Count]
    recipe: Recipe
    seed: Seed

    _order = field_validator("channels", "kernel", "rate", "penalty", "size")(_ascending)

    @field_validator("recipe")
    @classmethod
    def _is_kept(cls, value: Recipe) -> Recipe:
        if value.kept_as is not None:
            raise ValueError("kept_as: leave it out, because every trial has a network of its own")
        return value

    @field_validator("channels")
    @classmethod
    def _eights(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] % 8 or value[1] % 8:
            raise ValueError("channels must be multiples of 8, so that kernels can be turned and mirrored")
        return value


class Verify(Section):
    max_bytes: Count
    large_bytes: Count
    large_seconds: Count


class Record(Section):
    """A public record, as its author states it."""

    name: str
    nonzero: Count
    accuracy: Fraction
    source: str


class Ladder(Section):
    """What the model cards and our entries on the leaderboard say, and whom we compare ourselves with."""

    author: str
    licence: str
    links: tuple[str, ...]
    blog_dataset: str  # the data set that the blog's figures are about, and the public records
    # The rule of a record: over so many seeds the mean is above the goal, with a p below this.
    record_seeds: Annotated[int, Field(ge=2, le=MOST)]
    record_p: Annotated[float, Field(gt=0, le=0.5)]
    records: tuple[Record, ...]


class Strokes(Section):
    """The strokes that first-layer channels are shown, to see which angle they answer to."""

    angles: Annotated[int, Field(ge=1, le=3600)]
    width: Positive
    radius: Positive
    shift: Zero
    selective: Fraction


class Excite(Section):
    """Gradient ascent on the input image."""

    steps: Count
    rate: Positive
    ink: Annotated[float, Field(ge=0)]
    smooth: Annotated[float, Field(ge=0)]
    jitter: Zero
    seed: Seed


class Interpret(Section):
    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    sample_seed: Seed
    worst: Count
    strokes: Strokes
    excite: Excite


class Pack(Section):
    """How `golf pack`, and the rows by packing, turn weights into whole numbers."""

    levels: Annotated[tuple[Level, ...], Field(min_length=1)]
    biases: Literal["drop", "keep"]
    rounds: Count
    epochs: Zero
    rate: Positive
    batch: Count
    augment: Augment = Augment()
    fisher_images: Count
    step_images: Count
    price: Annotated[float, Field(ge=0)]
    sweeps: Zero
    tries: Count
    twins: Zero
    seed: Seed

    @field_validator("levels")
    @classmethod
    def _ascend(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if list(levels) != sorted(set(levels)):
            raise ValueError("the numbers of levels must ascend, because the first that is enough is taken")
        return levels


class Site(Section):
    inference: bool
    goals: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    samples: Count
