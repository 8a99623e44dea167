"""Data sets: images in train, held-out and test parts, and what is known about them.

Each part is a file of its own, so that a stage's dependencies say what it may look at. A stage that chooses
something depends on train and heldout and has no way to see test.
"""

from __future__ import annotations

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

__all__ = ["FOLDER", "Facts", "Split", "digest", "facts", "network", "read", "score", "write_facts"]

FOLDER = Path("data")
FACTS = METRICS / "data.json"


@dataclass(frozen=True)
class Split:
    """One part of a data set: images as uint8 [n, channels, height, width] and their labels [n].

    0 is background; label k is class k.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Split:
        return Split(np.ascontiguousarray(self.pixels[rows]), np.ascontiguousarray(self.labels[rows]))


@dataclass(frozen=True)
class Facts:
    """What `golf data` found out: names, the shape of an image, classes, normalisation, sizes and a digest.

    Inputs are (pixel / 255 - mean) / std. Unfinished work depends on `digest`, so changed data never continue
    it.
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


def read(part: str) -> Split:
    """One part, train, heldout or test, as `golf data` wrote it. Raises GolfError if there is none."""
    tensors, _ = read_tensors(FOLDER / f"{part}.safetensors")
    return Split(tensors["images"], tensors["labels"])


def facts() -> Facts:
    """What the stage `data` wrote down. Raises GolfError if it has not run."""
    found = read_json(FACTS)
    try:
        return Facts(**{**found, "shape": tuple(found["shape"]), "classes": tuple(found["classes"])})
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
