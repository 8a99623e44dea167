"""Trained networks on disk: all runs of one row of the ladder in one safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_tensors, write_tensors
from neural_golf.net.form import Form
from neural_golf.net.parameters import masked
from neural_golf.net.spec import Network

__all__ = ["Checkpoint", "Judge", "Order", "Run", "read_checkpoint", "write_checkpoint"]

Judge = Literal["", "test", "heldout"]
Order = Literal["", "index", "saliency"]


@dataclass(frozen=True)
class Run:
    """What a stage recorded about one network: how it came about, and how many images it got right.

    `judge` and `order` are those of zeroing, `size` and `entered` those of a descent. Ties are images whose
    two best logits lie within 1e-4 (see `data.score`). None stands for what was not measured.
    """

    seed: int
    judge: Judge = ""
    order: Order = ""
    size: int | None = None
    entered: bool = True
    train_correct: int | None = None
    train_ties: int | None = None
    heldout_correct: int | None = None
    heldout_ties: int | None = None
    test_correct: int | None = None
    test_ties: int | None = None

    def name(self, row: str) -> str:
        """The readable name of a run: baseline-3, pruned-test-index-0, golf98-200-3."""
        words = (str(self.size),) if self.size else (self.judge, self.order)
        return "-".join(filter(None, (row, *words, str(self.seed))))


@dataclass(frozen=True)
class Checkpoint:
    """The runs of one row of the ladder: one network, trained or pruned once per run.

    network: its form, if it has one, is that of the images which it was trained on and must be shown.
    parameters: float32 [runs, n], for inputs in [0, 1] (the normalisation is folded in).
    masks: bool [runs, n], False where a parameter was pruned.
    runs: one record per run.
    """

    network: Network
    parameters: NDArray[np.float32]
    masks: NDArray[np.bool_]
    runs: tuple[Run, ...]

    def baked(self, run: int) -> NDArray[np.float32]:
        """The parameters [n] of one run with its mask applied."""
        return masked(self.parameters[run], self.masks[run])


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write named tensors [runs, …] and their masks, with the spec and the runs as metadata.

    Nothing is pickled.
    """
    network = checkpoint.network
    tensors: dict[str, NDArray[Any]] = {}
    for tensor in network.tensors:
        shape = (len(checkpoint.runs), *tensor.shape)
        tensors[tensor.name] = checkpoint.parameters[:, tensor.slice].reshape(shape)
        tensors[f"{tensor.name}.mask"] = checkpoint.masks[:, tensor.slice].reshape(shape)
    runs = [asdict(run) for run in checkpoint.runs]
    metadata = {
        "network": json.dumps(network.spec), "shape": json.dumps(network.in_shape), "runs": json.dumps(runs)
    }  # fmt: skip
    if network.form:
        metadata["form"] = json.dumps(asdict(network.form))
    write_tensors(path, tensors, metadata)


def read_checkpoint(path: Path, network: Network | None = None) -> Checkpoint:
    """Read a checkpoint.

    Raises GolfError if the file is none, or has another architecture or form than `network`.
    """
    tensors, metadata = read_tensors(path)
    try:
        form = Form.read(metadata["form"]) if "form" in metadata else None
        found = Network.parse(json.loads(metadata["network"]), tuple(json.loads(metadata["shape"])), form)
        runs = tuple(Run(**run) for run in json.loads(metadata["runs"]))
    except (KeyError, ValueError, TypeError):
        raise GolfError(
            f"{path} is not a checkpoint of this project: its metadata names no network and runs"
        ) from None
    if network is not None and found.spec != network.spec:
        raise GolfError(
            f"{path} is of another architecture: {', '.join(found.spec)}; expected {', '.join(network.spec)} "
            "(`snakemake` makes it anew)"
        )
    if network is not None and found.form != network.form:
        raise GolfError(
            f"{path} has seen images in another form: {found.form}; expected {network.form} "
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
