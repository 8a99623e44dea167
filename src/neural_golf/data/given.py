"""The data that a command is given: a file, a folder or a name of the table, in its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.config.sections import Dataset
from neural_golf.data import FACTS, Split, facts, read
from neural_golf.data.loaders import LOADERS
from neural_golf.data.stage import whole_and_test

__all__ = ["Given", "given"]

SHARE, MOST = 5, 5000  # of a file or folder, every fifth training image is held out, and at most so many


@dataclass(frozen=True)
class Given:
    """A data set in its parts. `test` reads the test part when it is called, or is None where there is
    none.
    """

    name: str
    train: Split
    heldout: Split
    test: Callable[[], Split] | None
    classes: tuple[str, ...]
    digest: str
    low: float = 0.0  # what a pixel of 0 and one of 255 stand for in the source
    high: float = 1.0


def given(source: str) -> Given:
    """The data set of a .npz file, of a folder of images, or of a name in params.yaml's table of data sets.

    Of a file or folder, a fifth of the training images is held out, at most 5,000; of the table's, as many as
    params.yaml says, and the same ones as in the stages. Raises GolfError where there are no such data.
    """
    path = Path(source)
    if path.is_dir() or path.is_file() or path.suffix == ".npz":
        dataset = Dataset(folder=source) if path.is_dir() else Dataset(npz=source)
        whole, test, classes = LOADERS[dataset.source](source, dataset)
        held, seed = min(MOST, len(whole) // SHARE), 0
    else:
        settings = config.load()
        if FACTS.exists() and facts().dataset == source:  # what `golf data` made of it
            parts = [read(part) for part in ("train", "heldout")]
            return Given(source, parts[0], parts[1], lambda: read("test"), facts().classes, facts().digest)
        if source not in settings.datasets:
            have = ", ".join(settings.datasets)
            raise GolfError(
                f"--data {source}: no such file or folder, and no data set of params.yaml ({have})"
            )
        chosen = settings.data.model_copy(update={"dataset": source})
        found = whole_and_test(settings.model_copy(update={"data": chosen}))
        whole, test, classes = found[0], found[1], settings.datasets[source].classes or found[2]
        held, seed = settings.data.heldout, settings.data.seed
    if not 0 < held < len(whole):
        raise GolfError(
            f"--data {source}: {len(whole)} training images are too few to hold {max(held, 1)} out"
        )
    order = np.random.default_rng(seed).permutation(len(whole))  # as the stage `data` has it
    train, heldout = whole[order[held:]], whole[order[:held]]
    hasher = hashlib.sha256()
    for part in (train, heldout):
        hasher.update(part.pixels.tobytes() + part.labels.tobytes())
    reader = None if test is None else (lambda: test)
    return Given(source, train, heldout, reader, classes, hasher.hexdigest()[:16])
