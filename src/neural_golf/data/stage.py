"""The stage `data`: it makes train, held-out and test tensors from a data set of the table."""

from __future__ import annotations

import hashlib

import numpy as np

from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_tensors
from neural_golf.config import Config
from neural_golf.data import FOLDER, Facts, Split, write_facts
from neural_golf.data.loaders import LOADERS

__all__ = ["check", "run", "whole_and_test"]


def check(config: Config) -> None:
    """Raise GolfError if the data set cannot be had. What was fetched is kept for `run`."""
    whole_and_test(config)


def run(config: Config) -> None:
    """Fetch, check, split by seed, write data/*.safetensors and results/metrics/data.json."""
    section, name = config.dataset, config.data.dataset
    everything, test, labels = whole_and_test(config)
    if section.classes and len(section.classes) != len(labels):
        raise GolfError(
            f"params.yaml: datasets.{name}.classes: {len(section.classes)} names for {len(labels)} classes"
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
    order = np.random.default_rng(config.data.seed).permutation(len(everything))
    parts = {
        "train": everything[order[config.data.heldout :]],
        "heldout": everything[order[: config.data.heldout]],
        "test": test,
    }
    unit = parts["train"].pixels / np.float32(255)
    mean = round(float(unit.mean(dtype=np.float64)), 4) if section.mean is None else section.mean
    std = round(float(unit.std(dtype=np.float64)), 4) if section.std is None else section.std
    if not std:
        raise GolfError(f"data set {name}: all training images are alike, so nothing can be learnt from them")
    hasher = hashlib.sha256()
    for part, images in parts.items():
        hasher.update(images.pixels.tobytes() + images.labels.tobytes())
        write_tensors(FOLDER / f"{part}.safetensors", {"images": images.pixels, "labels": images.labels})
    write_facts(
        Facts(
            dataset=name,
            title=section.title or name,
            huggingface=section.huggingface,
            shape=(channels, height, width),
            classes=section.classes or labels,
            mean=mean,
            std=std,
            **{part: len(images) for part, images in parts.items()},
            digest=hasher.hexdigest()[:16],
        )
    )


def whole_and_test(config: Config) -> tuple[Split, Split, tuple[str, ...]]:
    """Training and test images. If the source has no test part, the last `test` images of a seeded order are
    it.
    """
    name, section = config.data.dataset, config.dataset
    everything, test, labels = LOADERS[section.source](name, section)
    if test is None:
        if section.test is None:
            raise GolfError(
                f"params.yaml: datasets.{name}: it has no test part; say with `test` how many "
                "images to split off"
            )
        if section.test >= len(everything):
            raise GolfError(
                f"params.yaml: datasets.{name}.test = {section.test}: there are only {len(everything)} images"
            )
        order = np.random.default_rng(config.data.seed).permutation(len(everything))
        cut = len(everything) - section.test
        everything, test = everything[order[:cut]], everything[order[cut:]]
    return everything, test, labels
