"""Data sets: images in train, held-out and test parts, and what is known about them.

Each part is a file of its own, so that a stage's dependencies say what it may look at. A stage that chooses
something depends on train and heldout and has no way to see test.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import METRICS, read_json, read_tensors, write_json
from neural_golf.engine import Engine
from neural_golf.net.form import Form
from neural_golf.net.spec import Network

__all__ = [
    "FOLDER",
    "MOST_CLASSES",
    "Facts",
    "Loaded",
    "Split",
    "at_home",
    "digest",
    "facts",
    "network",
    "read",
    "score",
    "write_facts",
]

FOLDER = Path("data")
MOST_CLASSES = 1000
FACTS = METRICS / "data.json"


@dataclass(frozen=True)
class Split:
    """One part of a data set: images as uint8 [n, channels, height, width] and their labels [n].

    Label k is class k. A series of several channels is an image of height 1.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Split:
        return Split(np.ascontiguousarray(self.pixels[rows]), np.ascontiguousarray(self.labels[rows]))


@dataclass(frozen=True)
class Loaded:
    """A data set as its source gives it. `test` is None where the source has no test part.

    low, high: for each channel, which of the source's numbers the pixels 0 and 255 stand for.
    """

    train: Split
    test: Split | None
    classes: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Facts:
    """What `golf data` found out: names, the shape of an image, classes, normalisation, sizes and a digest.

    Inputs are (pixel / 255 - mean) / std; of `low` and `high` see `Loaded`. Unfinished work depends on
    `digest`, so changed data never continue it.
    """

    dataset: str
    title: str
    huggingface: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    mean: float
    std: float
    train: int
    heldout: int
    test: int
    digest: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    @property
    def series(self) -> bool:
        """Whether its images are series, that is of height 1."""
        return self.shape[1] == 1

    @property
    def input(self) -> str:
        """What a number of a network's input is, in words."""
        if not self.series and self.low == (0.0,) and self.high in ((255.0,), (1.0,)):
            return "pixel / 255, so 0 is background and 1 is ink"
        if not self.series and len(set(self.low)) == len(set(self.high)) == 1:
            low, high = self.low[0], self.high[0]
            return (
                "pixel / 255" if (low, high) == (0, 255) else
                "the pixels as they are, from 0 to 1" if (low, high) == (0, 1) else
                f"(pixel - {low:g}) / {high - low:g}, cut off at 0 and 1"
            )  # fmt: skip
        ranges = ", ".join(f"{low:g} to {high:g}" for low, high in zip(self.low, self.high, strict=True))
        return f"0 to 1 for the range of each channel, cut off beyond it: {ranges}"


def at_home(place: str) -> Path:
    """A path in which ~ is a home, and which is seen from the project where this folder is a copy of it.

    A home that there is not stays as it is written, and is then not found.
    """
    path = Path(os.path.expanduser(place))  # noqa: PTH111 (Path's raises RuntimeError instead)
    project = _copied_from(Path.cwd())
    if project and not path.exists() and (project / path).exists():
        return project / path
    return path


def _copied_from(folder: Path) -> Path | None:
    """The project that a folder is a copy of, by `dvc exp run --temp`, `--queue` or `git worktree`."""
    inside = next((outer for outer in folder.parents if outer.name == ".dvc"), None)
    if inside:
        return inside.parent
    link = folder / ".git"
    if not link.is_file():
        return None
    own = folder / link.read_text(encoding="utf-8").removeprefix("gitdir:").strip()  # .git/worktrees/NAME
    return own.parents[2] if own.parent.name == "worktrees" else None


def read(part: str) -> Split:
    """One part, train, heldout or test, as `golf data` wrote it. Raises GolfError if there is none."""
    tensors, _ = read_tensors(FOLDER / f"{part}.safetensors")
    return Split(tensors["images"], tensors["labels"])


def facts() -> Facts:
    """What the stage `data` wrote down. Raises GolfError if it has not run."""
    found = read_json(FACTS)
    try:
        lists = ("shape", "classes", "low", "high")
        return Facts(**{**found, **{name: tuple(found[name]) for name in lists}})
    except (TypeError, KeyError):
        raise GolfError(
            f"{FACTS} is of another version of this project: run the stage `data` again"
        ) from None


def write_facts(found: Facts) -> None:
    write_json(FACTS, asdict(found))


def digest() -> str:
    """The digest of the data that `golf data` wrote."""
    return facts().digest


def network(spec: Sequence[str], form: Form | None = None) -> Network:
    """A spec as a network for this run's data, which sees images in a form if it is given one.

    Raises GolfError where shape or classes do not fit.
    """
    found = facts()
    made = Network.parse(spec, found.shape, form)
    if made.classes != len(found.classes):
        raise GolfError(
            f"network {', '.join(spec)}: it has {made.classes} outputs, but {found.dataset} has "
            f"{len(found.classes)} classes"
        )
    return made


def score(core: Engine, parameters: NDArray[np.float32], **parts: Split) -> dict[str, Any]:
    """Correct images of each part, as {part}_correct, and near ties, as {part}_ties.

    A near tie is an image whose two best logits lie within 1e-4: another runtime, which adds in
    another order, may decide it the other way. `golf verify` allows that many differences, no more.
    """
    found: dict[str, Any] = {}
    for name, part in parts.items():
        logits = core.logits(parameters, part.pixels)
        best = np.sort(logits, axis=1)[:, -2:]
        found[f"{name}_correct"] = int((logits.argmax(axis=1) == part.labels).sum())
        found[f"{name}_ties"] = int((best[:, 1] - best[:, 0] < 1e-4).sum())
    return found
