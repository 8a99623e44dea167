"""The only reader of params.yaml, which becomes a frozen, typed tree and is checked before any work starts.

It has two tables, one of data sets and one of the rows of the ladder. A row has its settings in the section
of its name, and the type of that section follows from what makes the row (`SETTINGS`).
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, Self, get_args

from pydantic import Field, ValidationError, create_model, model_validator

from neural_golf.base.errors import GolfError
from neural_golf.base.yaml12 import parse_yaml, read_yaml
from neural_golf.config.dataset import Dataset
from neural_golf.config.plain import refuse_odd, typed
from neural_golf.config.recipe import Recipe
from neural_golf.config.sections import (
    Data,
    DescentSettings,
    Handbook,
    Interpret,
    Ladder,
    Pack,
    PackingSettings,
    Prune,
    Reference,
    Row,
    Search,
    Section,
    Site,
    Training,
    Tune,
    Verify,
)
from neural_golf.net.spec import Network

__all__ = ["COMMANDS", "SETTINGS", "Config", "check", "load", "merged", "read"]

SETTINGS: dict[str, type[Section]] = {
    "reference": Reference,
    "training": Training,
    "descent": DescentSettings,
    "packing": PackingSettings,
}
# Commands of `golf` that are no section: no row and no workspace may have these names.
COMMANDS = frozenset(
    {
        "bench",
        "c",
        "device",
        "enter",
        "export",
        "front",
        "leaderboard",
        "new",
        "piece",
        "stage",
        "submit",
        "unpack",
    }
)


class Config(Section):
    """params.yaml. Besides these fields it has one for the settings of each row; see `settings`."""

    data: Data
    datasets: dict[str, Dataset]
    rows: dict[str, Row]
    tune: Tune | None = None  # a run in which no row needs the study may be without it
    prune: Prune
    handbook: Handbook | None = None
    search: Search | None = None
    pack: Pack
    verify: Verify
    ladder: Ladder
    interpret: Interpret
    site: Site
    workspaces: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def settings(self, row: str) -> Any:
        """A row's settings: Reference, Training, DescentSettings or PackingSettings; by zeroing, Prune."""
        return self.prune if self.rows[row].by == "zeroing" else getattr(self, row)

    @property
    def dataset(self) -> Dataset:
        """The data set that this run uses."""
        return self.datasets[self.data.dataset]

    def needed(self, name: Literal["tune", "handbook", "search"]) -> Any:
        """A section that a run may be without. Raises GolfError where this one is."""
        if (found := getattr(self, name)) is None:
            raise GolfError(f"params.yaml: there is no section {name}, which `golf {name}` is told by")
        return found

    def rows_by(self, *makers: str) -> list[str]:
        """The names of the rows that are made by one of `makers`, in the ladder's order."""
        return [name for name, row in self.rows.items() if row.by in makers]

    def variants(self) -> list[str]:
        """The names of all rows and variants that a run with these settings makes."""
        zeroed = [f"{judge}-{order}" for judge in self.prune.judges for order in self.prune.orders]
        found: list[str] = []
        for name, row in self.rows.items():
            match row.by:
                case "zeroing":
                    found += [f"{name}-{variant}" for variant in zeroed]
                case "descent":
                    found += [f"{name}-heldout-{size}" for size in self.settings(name).recipe.sizes]
                case "packing":
                    found += [f"{name}-heldout-{size}" for size in self.settings(name).sizes]
                case _:
                    found.append(name)
        return found

    @property
    def as_the_blog(self) -> bool:
        """Whether this run is about the blog's data set, so that its figures can stand beside the blog's."""
        return self.data.dataset == self.ladder.blog_dataset

    def __reduce__(self) -> tuple[Any, ...]:
        """To pickle it: its class is made when params.yaml is read, and again in the process that gets it."""
        return check, (self.model_dump(mode="json", exclude_unset=True),)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.data.dataset not in self.datasets:
            have = ", ".join(self.datasets)
            raise ValueError(f"data.dataset = {self.data.dataset!r} is not in datasets; there are {have}")
        self._sources_fit()
        self._networks_fit()
        untold = [name for name in self.rows_by("training") if not self.settings(name).chosen]
        if untold and not self.tune:
            raise ValueError(
                f"{untold[0]}: give batch, learning_rate, step and gamma, or a section tune, whose study "
                "chooses them"
            )
        taken = {*COMMANDS, *type(self).model_fields, *self.rows} & set(self.workspaces)
        if taken:
            raise ValueError(
                f"workspaces.{min(taken)}: a workspace may not have the name of a command or row"
            )
        absent = [name for name in self.interpret.networks if name not in self.variants()]
        if absent:
            have = ", ".join(self.variants())
            raise ValueError(f"interpret.networks: {absent[0]} is not in this run; there are {have}")
        return self

    def _sources_fit(self) -> None:
        """Rows are zeroed that training made; and packed, at some of their sizes, those by descent."""
        for name, row in self.rows.items():
            if not row.of:
                continue
            by = "training" if row.by == "zeroing" else "descent"
            if row.of not in self.rows_by(by):
                raise ValueError(f"rows.{name}.of = {row.of!r} is not a row made by {by}")
            sizes = self.settings(name).sizes if row.by == "packing" else ()
            absent = [size for size in sizes if size not in self.settings(row.of).recipe.sizes]
            if absent:
                raise ValueError(f"{name}.sizes: {absent[0]} is not one of {row.of}.recipe.sizes")

    def _networks_fit(self) -> None:
        """Where the table tells the images' shape: a network that does not fit is found before any work."""
        if self.dataset.shape is None:
            return
        told: dict[str, Any] = {"tune": self.tune} if self.tune else {}
        told |= {row: self.settings(row) for row in self.rows_by("reference", "training", "descent")}
        for name, section in told.items():
            owner, key = (section.recipe, f"{name}.recipe") if hasattr(section, "recipe") else (section, name)
            self._fits_images(owner.network, f"{key}.network")
            if isinstance(owner, Recipe):
                self._keeps(owner, f"{key}.kept_as")
        if book := self.handbook:
            for name, change in book.arms.items():
                if book.recipe.kept_as or change.get("kept_as"):
                    self._keeps(book.arm(name), f"handbook.arms.{name}.kept_as")

    def _keeps(self, recipe: Recipe, key: str) -> None:
        """What a snapshot becomes must fit the images too, and have the parameters of what is trained."""
        assert self.dataset.shape is not None
        if recipe.kept_as is None:
            return
        self._fits_images(recipe.kept_as, key)
        try:
            recipe.networks(self.dataset.shape)
        except GolfError as error:
            raise ValueError(f"{key}: {error}") from None

    def _fits_images(self, spec: tuple[str, ...], key: str) -> None:
        assert self.dataset.shape is not None
        try:
            made = Network.parse(spec, self.dataset.shape)
        except GolfError as error:
            raise ValueError(f"{key}: {error}") from None
        if self.dataset.classes and made.classes != len(self.dataset.classes):
            raise ValueError(
                f"{key}: it has {made.classes} outputs, but {self.data.dataset} has "
                f"{len(self.dataset.classes)} classes"
            )


def load(path: Path = Path("params.yaml")) -> Config:
    """Read and check params.yaml, and what the workspaces lay over it.

    Raises GolfError with one line that names the key.
    """
    raw = read(path)
    config = check(raw, path.name)
    for name in config.workspaces:
        check(merged(raw, name), f"{path.name} (with workspaces.{name})")
    return config


def merged(raw: Mapping[str, Any], workspace: str) -> dict[str, Any]:
    """The raw tree with a workspace's changes laid over it, key by key, and without the workspaces
    themselves.

    A key whose change is null is taken out.
    """

    def over(base: Any, top: Any) -> Any:
        if isinstance(top, dict):
            base = base if isinstance(base, dict) else {}
            tree = {**base, **{key: over(base.get(key), value) for key, value in top.items()}}
            return {key: value for key, value in tree.items() if value is not None}
        return top

    tree = {key: value for key, value in raw.items() if key != "workspaces"}
    result: dict[str, Any] = over(tree, (raw.get("workspaces") or {}).get(workspace, {}))
    return result


def read(path: Path) -> dict[str, Any]:
    """params.yaml as plain values. Raises GolfError if the file is missing, cannot be read or is no tree."""
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise GolfError(f"{path} should be a tree of sections")
    return raw


def check(raw: Mapping[str, Any], source: str = "params.yaml") -> Config:
    """The tree as a Config. Raises GolfError with one line that names the key."""
    try:
        refuse_odd(raw)
    except GolfError as error:
        raise GolfError(f"{source}: {error}") from None
    model = _with_settings(raw, source)
    try:
        return typed(model, raw)
    except ValidationError as error:
        first = _first(error)
        key = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _siblings(model, first["loc"]), 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise GolfError(f"{source}: {key} is not a known key{hint}{more}") from None
        message = first["msg"].removeprefix("Value error, ")
        value = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        if (
            first["type"] == "less_than"
            and first["ctx"]["lt"] == 1
            and isinstance(first["input"], int | float)
            and 1 < first["input"] <= 100
        ):
            message += f"; {first['input']:g} % is {first['input'] / 100:g}"
        if first["type"] in ("int_type", "float_type") and _is_number(first["input"]):
            message += "; take the quotes away"
        told = f"{key}{value}: " if key else ""
        raise GolfError(f"{source}: {told}{message}{more}") from None


def _is_number(value: object) -> bool:
    """Whether a text would be a number without its quotes."""
    try:
        return isinstance(value, str) and isinstance(parse_yaml(value), int | float)
    except GolfError:
        return False


def _first(error: ValidationError) -> Any:
    """The error that says what to do.

    A mistyped key is an unknown one and a missing one, so unknown ones come first; but the section of a row
    whose line is wrong is unknown for that reason only.
    """
    errors = error.errors()
    if table := [e for e in errors if e["loc"] == ("rows",)]:  # without it, no section of a row is known
        return table[0]
    wrong = {e["loc"][1] for e in errors if len(e["loc"]) > 1 and e["loc"][0] == "rows"}
    told = [e for e in errors if not (e["type"] == "extra_forbidden" and set(e["loc"]) <= wrong)]
    return min(told, key=lambda e: e["type"] != "extra_forbidden")


def _with_settings(raw: Mapping[str, Any], source: str) -> type[Config]:
    """Config with a field for every row that has a section of its own."""
    rows = raw.get("rows")
    fields: dict[str, Any] = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise GolfError(f"{source}: rows.{name}: a row's name is of a-z, 0-9 and underscores")
        if name in COMMANDS or hasattr(Config, name) or name in Config.model_fields:
            raise GolfError(f"{source}: rows.{name}: a row may not have the name of a section or command")
        made_by = row.get("by") if isinstance(row, dict) else None
        if isinstance(made_by, str) and made_by in SETTINGS:
            fields[name] = (SETTINGS[made_by], ...)
    return _model(tuple(fields.items()))


@functools.cache
def _model(fields: tuple[tuple[str, Any], ...]) -> type[Config]:
    made: type[Config] = create_model("Config", __base__=Config, **dict(fields))
    return made


def _siblings(model: Any, loc: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    for part in loc[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        if field is not None:
            kinds = get_args(field.annotation)  # of a section that may be missing: its type, and None's
            model = kinds[0] if NoneType in kinds else field.annotation
        else:  # a key of a table: its values have one type
            arguments = getattr(model, "__args__", ())
            model = arguments[-1] if arguments else None
    return list(getattr(model, "model_fields", {}))
