"""The only reader of params.yaml: a frozen, typed tree, checked before any work starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neural_golf.base.errors import GolfError
from neural_golf.base.files import parse_yaml
from neural_golf.config.recipe import Augment, Recipe
from neural_golf.net.spec import Network

__all__ = [
    "WORKSPACES",
    "Blog",
    "Config",
    "Data",
    "Excite",
    "Golf",
    "Handbook",
    "Interpret",
    "Ladder",
    "Page",
    "Prune",
    "Record",
    "Reference",
    "Roster",
    "Search",
    "Strokes",
    "Teacher",
    "Train",
    "Tune",
    "Tuned",
    "load",
    "merged",
    "variants",
]

# Sections that are no stage's, with what they are for: `golf NAME` runs the whole pipeline in
# results/NAME, with the section NAME laid over the other ones.
WORKSPACES = {"demo": "scikit-learn's digits", "fashion": "Fashion-MNIST"}

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[tuple[Seed, ...], Field(min_length=1)]
Range = tuple[Positive, Positive]
Dataset = Literal["mnist", "fashion-mnist", "digits"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the lower end {value[0]} is above the upper end {value[1]}")
    return value


def _network(spec: tuple[str, ...]) -> tuple[str, ...]:
    try:
        Network.parse(spec)
    except GolfError as error:
        raise ValueError(str(error)) from None
    return spec


class Data(Section):
    dataset: Dataset
    places: dict[Dataset, tuple[str, ...]]
    heldout: Count
    digits_test: Count
    seed: Seed


class Roster(Section):
    reference: Seeds
    baseline: Seeds
    tuned: Seeds
    prelu: Seeds
    golf98: Seeds
    golf99: Seeds

    @field_validator("*")
    @classmethod
    def _unique(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice in the list")
        return seeds


class Reference(Section):
    network: tuple[str, ...]
    epochs: Count
    batch: Count
    learning_rate: Positive
    gamma: Annotated[float, Field(gt=0, le=1)]
    precision: Literal["float32", "bfloat16"]
    mean: float
    std: Positive

    _check = field_validator("network")(_network)


class Tuned(Section):
    """A network and how long it is trained; batch, learning rate, step and gamma come from the study."""

    network: tuple[str, ...]
    epochs: Count
    mean: float
    std: Positive

    _check = field_validator("network")(_network)


class Train(Tuned):
    """The same with its own settings: Adam with a step-wise falling learning rate."""

    batch: Count
    learning_rate: Positive
    step: Count
    gamma: Annotated[float, Field(gt=0, le=1)]


class Tune(Section):
    network: tuple[str, ...]
    trials: Count
    epochs: Count
    validation: Count
    parallel: Count
    batch: tuple[Count, Count]
    batch_step: Count
    learning_rate: Range
    step: tuple[Count, Count]
    gamma: tuple[Fraction, Fraction]
    startup_trials: Annotated[int, Field(ge=0)]
    warmup_epochs: Annotated[int, Field(ge=0)]
    finalists: Count
    finalist_seeds: Seeds
    mean: float
    std: Positive
    seed: Seed

    _check = field_validator("network")(_network)
    _order = field_validator("batch", "learning_rate", "step", "gamma")(_ascending)

    @field_validator("batch_step")
    @classmethod
    def _divides(cls, step: int, info: ValidationInfo) -> int:
        low, high = info.data.get("batch", (0, 0))
        if (high - low) % step:
            raise ValueError(f"from {low} to {high} is not a whole number of steps of {step}")
        return step


class Prune(Section):
    threshold: Fraction
    heldout_threshold: Fraction
    judges: Annotated[tuple[Literal["test", "heldout"], ...], Field(min_length=1)]
    orders: Annotated[tuple[Literal["index", "saliency"], ...], Field(min_length=1)]
    saliency_images: Count


class Golf(Section):
    """One descent per seed. `enter`: sizes of the recipe that are entered; held-out images choose seeds."""

    enter: Annotated[tuple[Count, ...], Field(min_length=1)]
    recipe: Recipe

    @model_validator(mode="after")
    def _has_them(self) -> Self:
        for size in self.enter:
            if size not in self.recipe.sizes:
                raise ValueError(f"enter: {size} is not one of recipe.sizes")
        return self


class Handbook(Section):
    """`arms`: what each arm changes of the recipe; the first is what the others are compared with."""

    accuracies: Annotated[tuple[Fraction, ...], Field(min_length=1)]  # for which the size needed is told
    at: Count  # size at which accuracies are compared too; one of the recipe's
    seeds: Annotated[int, Field(ge=2)]
    recipe: Recipe
    arms: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _arms(self) -> Self:
        for name, change in self.arms.items():
            try:
                Recipe(**{**self.recipe.model_dump(), **change})
            except ValidationError as error:
                raise ValueError(f"arm {name}: {error.errors()[0]['msg']}") from None
        return self


class Search(Section):
    """Ranges of the study; the rest of each trial is `recipe`."""

    trials: Count
    parallel: Count
    startup_trials: Annotated[int, Field(ge=0)]
    channels: tuple[Count, Count]  # multiples of 8, so that kernels can be turned and mirrored
    kernel: tuple[Count, Count]  # of the first convolution
    rate: Range
    penalty: Range
    size: tuple[Count, Count]
    recipe: Recipe
    seed: Seed

    _order = field_validator("channels", "kernel", "rate", "penalty", "size")(_ascending)


class Teacher(Section):
    network: tuple[str, ...]
    epochs: Count
    batch: Count
    rate: Positive
    augment: Augment
    seed: Seed

    _check = field_validator("network")(_network)


class Blog(Section):
    """What the blog reports for one row."""

    parameters: Count
    nonzero: Count
    accuracy: Fraction | None = None


class Verify(Section):
    max_bytes: Count
    large_bytes: Count
    large_seconds: Count


class Ladder(Section):
    """Beside the table: what the model cards and our entries on the leaderboard say."""

    blog: dict[str, Blog]
    author: str
    licence: str
    links: tuple[str, ...]
    methods: dict[str, str]


class Strokes(Section):
    """The strokes that first-layer channels are shown, to see which angle they answer to."""

    angles: Count
    width: Positive
    radius: Positive
    shift: Annotated[int, Field(ge=0)]
    selective: Fraction


class Excite(Section):
    """Gradient ascent on the input image."""

    steps: Count
    rate: Positive
    ink: Annotated[float, Field(ge=0)]
    smooth: Annotated[float, Field(ge=0)]
    jitter: Annotated[int, Field(ge=0)]
    seed: Seed


class Record(Section):
    """A public record, for the comparison."""

    name: str
    nonzero: Count
    accuracy: Fraction
    source: str


class Interpret(Section):
    networks: Annotated[tuple[str, ...], Field(min_length=1)]
    sample_seed: Seed
    worst: Count
    strokes: Strokes
    excite: Excite
    records: tuple[Record, ...]


class Page(Section):
    inference: bool
    goals: Annotated[tuple[Fraction, ...], Field(min_length=1)]
    samples: Count


class Config(Section):
    data: Data
    roster: Roster
    reference: Reference
    baseline: Train
    tune: Tune
    tuned: Tuned
    prelu: Tuned
    prune: Prune
    teacher: Teacher
    golf98: Golf
    golf99: Golf
    handbook: Handbook
    search: Search
    verify: Verify
    ladder: Ladder
    interpret: Interpret
    page: Page
    demo: dict[str, Any] = {}
    fashion: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.data.dataset != "digits" and not self.data.places.get(self.data.dataset):
            raise ValueError(f"data.places names no place for {self.data.dataset}")
        return self


def load(path: Path = Path("params.yaml")) -> Config:
    """Read and check params.yaml, and what the workspaces lay over it.

    Raises GolfError with one line that names the key.
    """
    raw = _read(path)
    config = _checked(raw, path.name)
    absent = [name for name in config.interpret.networks if name not in variants(config)]
    if absent:
        have = ", ".join(variants(config))
        raise GolfError(f"{path.name}: interpret.networks: {absent[0]} is not in this run; there are {have}")
    for name in WORKSPACES:
        if getattr(config, name):
            _checked(merged(raw, name), f"{path.name} (with its {name} section)")
    return config


def variants(config: Config) -> list[str]:
    """The names of all rows and variants that a run with these settings brings forth."""
    zeroed = [f"{judge}-{order}" for judge in config.prune.judges for order in config.prune.orders]
    descents = {"golf98": config.golf98, "golf99": config.golf99}
    return [
        *("reference", "baseline", "tuned", "prelu"),
        *(f"{row}-{variant}" for row in ("pruned", "prelu_pruned") for variant in zeroed),
        *(f"{row}-heldout-{size}" for row, golf in descents.items() for size in golf.recipe.sizes),
    ]


def merged(raw: Mapping[str, Any], workspace: str = "demo") -> dict[str, Any]:
    """The raw tree with the workspace's section laid over it, key by key, and no workspaces any more."""

    def over(base: Any, top: Any) -> Any:
        if isinstance(base, dict) and isinstance(top, dict):
            return {**base, **{key: over(base.get(key), value) for key, value in top.items()}}
        return top

    tree = {key: value for key, value in raw.items() if key not in WORKSPACES}
    result: dict[str, Any] = over(tree, raw.get(workspace, {}))
    return result


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GolfError(f"{path} is missing: run this in the project's folder") from None
    except (OSError, UnicodeDecodeError, GolfError) as error:
        raise GolfError(f"{path} cannot be read: {error}") from None
    if not isinstance(raw, dict):
        raise GolfError(f"{path} should be a tree of sections")
    return raw


def _checked(raw: Mapping[str, Any], source: str) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        # A mistyped key is an unknown one and a missing one: the first of the two says what to do.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"]) or "the whole"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _siblings(first["loc"]), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise GolfError(f"{source}: {key} is not a known key{hint}{more}") from None
        message = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        if first["type"] == "less_than" and first["ctx"]["lt"] == 1 and 1 < first["input"] <= 100:
            message += f"; {first['input']:g} % is {first['input'] / 100:g}"
        raise GolfError(f"{source}: {key}{value}: {message}{more}") from None


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    model: Any = Config
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return list(getattr(model, "model_fields", {}))
