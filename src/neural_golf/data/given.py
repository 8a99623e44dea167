"""The data that a command is given: a file, a folder or a name of the table, in its parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.config.dataset import Dataset
from neural_golf.data import FACTS, Split, facts, read
from neural_golf.data.loaders import load
from neural_golf.data.stage import read_whole, split

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
    low: tuple[float, ...]  # for each channel, what a pixel of 0 stands for in the source
    high: tuple[float, ...]  # and one of 255


def given(source: str) -> Given:
    """The data set of an .npz or .csv file, of a folder of images, or of a name in params.yaml's table.

    Of a file or folder, a fifth of the training images is held out, at most 5,000; of the table's, as many as
    params.yaml says, and the same ones as in the stages. Raises GolfError where there are no such data.
    """
    path = Path(source)
    kind = "folder" if path.is_dir() else path.suffix.lower().removeprefix(".")
    if source and (path.exists() or kind in ("npz", "csv")):
        dataset = Dataset.model_validate({kind if kind in ("folder", "csv") else "npz": source})
        whole = load(source, dataset)
        classes = whole.classes
        held, seed = min(MOST, len(whole.train) // SHARE), 0
    else:
        if not Path("params.yaml").exists():  # outside a project a name can only be meant as a path
            raise GolfError(f"--data {source}: there is no such file or folder")
        settings = config.load()
        if FACTS.exists() and facts().dataset == source:  # what `golf data` made of it
            parts = [read(part) for part in ("train", "heldout")]
            known = facts()
            return Given(
                source, parts[0], parts[1], lambda: read("test"), known.classes, known.digest, known.low,
                known.high,
            )  # fmt: skip
        if source not in settings.datasets:
            have = ", ".join(settings.datasets)
            raise GolfError(
                f"--data {source}: no such file or folder, and no data set of params.yaml ({have})"
            )
        chosen = settings.data.model_copy(update={"dataset": source})
        whole = read_whole(settings.model_copy(update={"data": chosen}))
        classes = settings.datasets[source].classes or whole.classes
        held, seed = settings.data.heldout, settings.data.seed
    if not 0 < held < len(whole.train):
        raise GolfError(
            f"--data {source}: {len(whole.train)} training images are too few to hold {max(held, 1)} out"
        )
    train, heldout = split(whole.train, held, seed, last=False)  # as the stage `data` does
    hasher = hashlib.sha256()
    for part in (train, heldout):
        hasher.update(part.pixels.tobytes() + part.labels.tobytes())
    reader = None if (test := whole.test) is None else (lambda: test)
    return Given(source, train, heldout, reader, classes, hasher.hexdigest()[:16], whole.low, whole.high)
