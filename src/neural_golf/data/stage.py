"""The stage `data`: it makes train, held-out and test tensors from a data set of the table."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_tensors
from neural_golf.config import Config
from neural_golf.data import FOLDER, Facts, Loaded, Split, write_facts
from neural_golf.data.loaders import LOADERS

__all__ = ["check", "read_whole", "run", "split"]


def check(config: Config) -> None:
    """Raise GolfError if the data set cannot be had. What was fetched is kept for `run`."""
    read_whole(config)


def run(config: Config) -> None:
    """Fetch, check, split by seed, write data/*.safetensors and results/metrics/data.json."""
    section, name = config.dataset, config.data.dataset
    whole = read_whole(config)
    everything, test = whole.train, whole.test
    assert test is not None
    if section.classes and len(section.classes) != len(whole.classes):
        raise GolfError(
            f"params.yaml: datasets.{name}.classes: {len(section.classes)} names for {len(whole.classes)} "
            "classes"
        )
    channels, height, width = everything.pixels.shape[1:]
    if section.shape not in (None, (channels, height, width)):
        raise GolfError(
            f"params.yaml: datasets.{name}.shape = {list(section.shape or ())}, but its images are "
            f"{[channels, height, width]}"
        )
    if config.data.heldout >= len(everything):
        raise GolfError(
            f"params.yaml: data.heldout = {config.data.heldout}: there are only {len(everything)} "
            "training images"
        )
    train, heldout = split(everything, config.data.heldout, config.data.seed, last=False)
    _say_what_is_missing(name, len(whole.classes), train=train, heldout=heldout, test=test)
    mean, std = _moments(train.pixels)
    mean = mean if section.mean is None else section.mean
    std = std if section.std is None else section.std
    if not std:
        raise GolfError(f"data set {name}: all training images are alike, so nothing can be learnt from them")
    hasher = hashlib.sha256()
    for part, images in (("train", train), ("heldout", heldout), ("test", test)):
        hasher.update(images.pixels.data)
        hasher.update(images.labels.data)
        write_tensors(FOLDER / f"{part}.safetensors", {"images": images.pixels, "labels": images.labels})
    write_facts(
        Facts(
            dataset=name,
            title=section.title or name,
            huggingface=section.huggingface,
            shape=(channels, height, width),
            classes=section.classes or whole.classes,
            mean=mean,
            std=std,
            train=len(train),
            heldout=len(heldout),
            test=len(test),
            digest=hasher.hexdigest()[:16],
            low=whole.low,
            high=whole.high,
        )
    )


def split(images: Split, count: int, seed: int, last: bool) -> tuple[Split, Split]:
    """What is left, and `count` images that are split off: those that come first, or last, in a seeded order.

    A class that would have no image left keeps its first one, for which the class that has most of them
    gives its first: nothing could learn it else.
    """
    order = np.random.default_rng(seed).permutation(len(images))
    taken, left = (order[-count:], order[:-count]) if last else (order[:count], order[count:])
    classes = int(images.labels.max(initial=0)) + 1
    have = np.bincount(images.labels[left], minlength=classes)
    for label in np.flatnonzero((have == 0) & (np.bincount(images.labels, minlength=classes) > 0)):
        most = int(have.argmax())
        if have[most] < 2:
            break
        back = int(np.flatnonzero(images.labels[taken] == label)[0])
        given = int(np.flatnonzero(images.labels[left] == most)[0])
        taken[back], left[given] = left[given], taken[back]
        have[label], have[most] = 1, have[most] - 1
    return images[left], images[taken]


def _say_what_is_missing(name: str, classes: int, **parts: Split) -> None:
    for part, images in parts.items():
        absent = classes - len(np.unique(images.labels))
        if absent:
            print(f"data: {absent} of the {classes} classes of {name} have no image in the part {part}")


def _moments(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    """Mean and standard deviation of pixel / 255, to four digits."""
    counts = np.zeros(256)
    for start in range(0, len(pixels), 1024):
        counts += np.bincount(pixels[start : start + 1024].ravel(), minlength=256)
    unit = np.arange(256) / 255
    mean = float(counts @ unit / counts.sum())
    return round(mean, 4), round(float(np.sqrt(counts @ (unit - mean) ** 2 / counts.sum())), 4)


def read_whole(config: Config) -> Loaded:
    """The data set with a test part. If the source has none, the last `test` images of a seeded order are
    it.
    """
    name, section = config.data.dataset, config.dataset
    with longwork.alone(Path(".golf/data.lock"), "the data set"):  # what is fetched has one place
        found = LOADERS[section.source](name, section)
    if found.test is not None:
        return found
    if section.test is None:
        raise GolfError(
            f"params.yaml: datasets.{name}: it has no test part; say with `test` how many images to split off"
        )
    if section.test >= len(found.train):
        raise GolfError(
            f"params.yaml: datasets.{name}.test = {section.test}: there are only {len(found.train)} images"
        )
    train, test = split(found.train, section.test, config.data.seed, last=True)
    return replace(found, train=train, test=test)
