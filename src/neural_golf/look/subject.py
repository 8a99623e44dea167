"""The networks to look into: read from verified ONNX files, never from training."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json
from neural_golf.net.onnx import unpack
from neural_golf.net.spec import Network
from neural_golf.results import model_cards

__all__ = ["Line", "Subject", "choose", "group", "read_lines", "read_subject"]

Line = dict[str, str]  # a line of results/plots/verify.csv
VERIFIED = Path("results/plots/verify.csv")


@dataclass(frozen=True)
class Subject:
    """One network: its group in the ladder, its ONNX file, and what the file holds.

    parameters: float32 [n], in the order of `network`; line: the referee's words on the file.
    """

    group: str
    name: str
    path: Path
    network: Network
    parameters: NDArray[np.float32]
    line: Line

    @property
    def nonzero(self) -> int:
        return int(np.count_nonzero(self.parameters))

    def written_out(self) -> Subject:
        """The same network with every turned kernel in each of its places: what it does, not what counts."""
        if not self.network.equivariant:
            return self
        network, source = self.network.unrolled()
        return replace(self, network=network, parameters=self.parameters[source])


def read_lines(path: Path = VERIFIED) -> list[Line]:
    """The referee's lines, one per exported file. Raises GolfError if there are none."""
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise GolfError(f"{path} is missing: the stage verify has not run (`snakemake` runs it)") from None


def group(line: model_cards.Line) -> str:
    """The row and variant of the ladder that a file belongs to: baseline, pruned-test-index."""
    return model_cards.name_of(model_cards.variant_of(line))


def choose(lines: Sequence[Line], wanted: Sequence[str]) -> list[Line]:
    """One line per wanted group: the fewest non-zero parameters, then the most held-out images right.

    Of a row that enters some of its networks only, one that was entered, if any was. Nothing here
    looks at test images. Raises GolfError for a group that this run has not.
    """
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(group(line), []).append(line)
    missing = [name for name in wanted if name not in groups]
    if missing:
        raise GolfError(
            f"params.yaml: interpret.networks: {missing[0]} is not in this run; there are {', '.join(groups)}"
        )

    def rank(line: Line) -> tuple[int, int, int]:
        return int(line["nonzero"]), -int(line["heldout_correct"]), int(line["seed"])

    entered = {name: [x for x in some if x.get("entered") != "False"] for name, some in groups.items()}
    return [min(entered[name] or groups[name], key=rank) for name in wanted]


def read_subject(line: Line) -> Subject:
    """The network of one line, from its ONNX file.

    Raises GolfError if the file is not the one that the referee scored, or does not say its layers.
    """
    listing: dict[str, dict[str, Any]] = read_json(Path("results/exported.json"))
    path = Path(listing[line["name"]]["path"])
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != line["sha256"]:
        raise GolfError(f"{path} is not the file that the referee scored: run the stage verify again")
    network, parameters = unpack(content, path.name)
    return Subject(group(line), line["name"], path, network, parameters, line)
