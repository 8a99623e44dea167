"""Trained networks on disk: all runs of one row of the ladder in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_tensors, write_tensors
from neural_golf.net.parameters import masked
from neural_golf.net.spec import Network

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """The runs of one row of the ladder: one network, trained or pruned once per run.

    parameters: float32 [runs, n], for inputs in [0, 1] (the normalisation is folded in).
    masks: bool [runs, n], False where a parameter was pruned.
    runs: one record per run (seed, and what its stage measured: counts of correct images, seconds …).
    """

    network: Network
    parameters: NDArray[np.float32]
    masks: NDArray[np.bool_]
    runs: tuple[dict[str, Any], ...]

    def baked(self, run: int) -> NDArray[np.float32]:
        """The parameters [n] of one run with its mask applied."""
        return masked(self.parameters[run], self.masks[run])


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Named tensors [runs, …] and their masks; spec and runs as metadata. Never pickle."""
    network = checkpoint.network
    tensors: dict[str, NDArray[Any]] = {}
    for tensor in network.tensors:
        shape = (len(checkpoint.runs), *tensor.shape)
        tensors[tensor.name] = checkpoint.parameters[:, tensor.slice].reshape(shape)
        tensors[f"{tensor.name}.mask"] = checkpoint.masks[:, tensor.slice].reshape(shape)
    metadata = {"network": json.dumps(network.spec), "runs": json.dumps(checkpoint.runs)}
    write_tensors(path, tensors, metadata)


def read_checkpoint(path: Path, network: Network | None = None) -> Checkpoint:
    """Raises GolfError if the file is not a checkpoint, or is one of another architecture than `network`."""
    tensors, metadata = read_tensors(path)
    try:
        found = Network.parse(json.loads(metadata["network"]))
        runs = tuple(json.loads(metadata["runs"]))
    except (KeyError, ValueError, TypeError):
        raise GolfError(
            f"{path} is not a checkpoint of this project: its metadata names no network and runs"
        ) from None
    if network is not None and found.spec != network.spec:
        raise GolfError(
            f"{path} is of another architecture: {', '.join(found.spec)}; expected {', '.join(network.spec)} "
            "(`snakemake` makes it anew)"
        )
    parameters = np.empty((len(runs), found.size), np.float32)
    masks = np.empty((len(runs), found.size), np.bool_)
    for tensor in found.tensors:
        for target, name in ((parameters, tensor.name), (masks, f"{tensor.name}.mask")):
            have = tensors.get(name)
            if have is None or have.shape != (len(runs), *tensor.shape):
                raise GolfError(
                    f"{path} is of another architecture: {name} is {getattr(have, 'shape', 'missing')}"
                )
            target[:, tensor.slice] = have.reshape(len(runs), -1)
    return Checkpoint(found, parameters, masks, runs)
