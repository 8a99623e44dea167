"""A network as a .golf file: whole numbers for its weights, and of the files that then compute the same the
smallest. `golf pack` and the rows by packing share this.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.config.sections import Pack
from neural_golf.engine import engine
from neural_golf.net.spec import Network
from neural_golf.packed.file import as_packed, contents, told_scales, write
from neural_golf.quantise.search import Quantised, Search, without_biases
from neural_golf.quantise.twins import twin

__all__ = ["prepared", "smallest", "whole"]

Vector = NDArray[np.float32]


def prepared(
    network: Network, parameters: Vector, train: data.Split, settings: Pack
) -> tuple[Network, Vector]:
    """The network as a file can say it, without biases if the settings drop them, and its parameters [n]."""
    if settings.biases == "drop":
        parameters = without_biases(engine(network), parameters, train, settings)
    return as_packed(network, parameters)


def whole(
    stage: str, piece: str, network: Network, parameters: Vector, train: data.Split, settings: Pack, most: int
) -> Vector:
    """The parameters [n] as whole numbers up to `most`, times a scale where the file tells one.

    The search is kept in .golf/`stage` and goes on where it was killed; `piece` is its name in what is said.
    """
    kept = settings.model_dump(exclude={"levels", "twins", "biases"})
    key = longwork.folder(
        stage, spec=network.spec, form=network.form, parameters=parameters.tobytes().hex(), settings=kept,
        most=most, data=data.digest(),
    )  # fmt: skip

    def compute(state: Path) -> longwork.Piece:
        def say(text: str) -> None:
            longwork.say(stage, piece, text)

        found = Search(engine(network), parameters, train, settings, most, say).run(state)
        return {"levels": found.levels, "scales": found.scales}, {}

    tensors, _ = longwork.finished(key, compute)
    return _canonical(network, Quantised(tensors["levels"], tensors["scales"]))


def _canonical(network: Network, quantised: Quantised) -> Vector:
    """The parameters [n]: levels times scales, or levels without common divisors where no scale is told."""
    made = quantised.levels.astype(np.float64)
    told = told_scales(network, quantised.levels != 0)
    for tensor, scale, scaled in zip(network.tensors, quantised.scales, told, strict=True):
        if scaled:
            made[tensor.slice] *= scale
        else:
            made[tensor.slice] /= max(1, int(np.gcd.reduce(quantised.levels[tensor.slice])))
    return made.astype(np.float32)


def smallest(stage: str, piece: str, network: Network, parameters: Vector, settings: Pack) -> bytes:
    """The smallest file among those of the network and of its twins."""
    rng = np.random.default_rng([settings.seed, *b"twins"])
    found = contents(network, parameters)
    first = content = write(found)
    for number in range(1, settings.twins + 1):
        levels = twin(network, found.levels, rng)
        content = min(content, write(replace(found, levels=levels)), key=len)
        if number % 500 == 0:
            longwork.say(stage, piece, f"{len(content)} bytes of {len(first)} after {number} twins")
    return content
