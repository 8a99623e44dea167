"""The networks that are looked into. They are read from verified ONNX files, never from training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.onnx import unpack
from neural_golf.net.spec import Network
from neural_golf.results.result import Result, by_variant, representative

__all__ = ["Subject", "choose", "read_subject"]


@dataclass(frozen=True)
class Subject:
    """One network: what its ONNX file holds, and the referee's word on it.

    parameters: float32 [n], in the order of `network`.
    """

    network: Network
    parameters: NDArray[np.float32]
    result: Result

    @property
    def name(self) -> str:
        return self.result.name

    @property
    def variant(self) -> str:
        """The row and variant of the ladder that it belongs to: baseline, pruned-test-index."""
        return self.result.variant.name

    @property
    def path(self) -> Path:
        return Path(self.result.path)

    @property
    def nonzero(self) -> int:
        """As the referee counts, that is with the numbers of a form."""
        return self.result.nonzero

    def written_out(self) -> Subject:
        """The same network with every turned kernel in each of its places.

        This is what it computes, not what counts.
        """
        if not self.network.equivariant:
            return self
        network, source = self.network.unrolled()
        return replace(self, network=network, parameters=self.parameters[source])


def choose(results: Sequence[Result], wanted: Sequence[str]) -> list[Result]:
    """The network that stands for each wanted variant.

    A size that was not entered may be asked for, too.

    Raises GolfError for a variant that this run does not have.
    """
    groups: dict[str, list[Result]] = {}
    for entered in (False, True):  # the entered ones take the place of others of the same name
        groups |= {variant.name: group for variant, group in by_variant(results, entered).items()}
    missing = [name for name in wanted if name not in groups]
    if missing:
        have = ", ".join(groups)
        raise GolfError(f"params.yaml: interpret.networks: {missing[0]} is not in this run; there are {have}")
    return [representative(groups[name]) for name in wanted]


def read_subject(result: Result) -> Subject:
    """The network of one result, from its ONNX file.

    Raises GolfError if the file is not the one that the referee scored, or does not say its layers.
    """
    path = Path(result.path)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != result.sha256:
        raise GolfError(f"{path} is not the file that the referee scored: run the stage verify again")
    network, parameters = unpack(content, path.name)
    return Subject(network, parameters, result)
