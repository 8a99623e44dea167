"""The stages of the rows made by packing: of every seed of a descent, at each of some sizes, a .golf file."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import METRICS, MODELS, PLOTS, write_bytes, write_json
from neural_golf.config import Config
from neural_golf.config.sections import Pack, PackingSettings
from neural_golf.engine import Engine, engine
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from neural_golf.net.spec import Network
from neural_golf.packed import decode
from neural_golf.quantise.making import prepared, smallest, whole

__all__ = ["pack", "pieces", "run"]

Vector = NDArray[np.float32]


def pack(
    row: str, run: Run, network: Network, parameters: Vector, train: data.Split, heldout: data.Split,
    settings: Pack, most: int,
) -> longwork.Piece:  # fmt: skip
    """One network as a .golf file, kept in .golf: its parameters [n] as the file has them, and a record of
    the run and of the file's bytes.
    """
    key = longwork.folder(
        row, spec=network.spec, form=network.form, parameters=parameters.tobytes().hex(), seed=run.seed,
        size=run.size, settings=settings.model_dump(exclude={"levels"}), most=most, data=data.digest(),
    )  # fmt: skip
    name = run.name(row)

    def compute(_: Path) -> longwork.Piece:
        made, values = prepared(network, parameters, train, settings)
        values = whole(row, name, made, values, train, settings, most)
        content = smallest(row, name, made, values, settings)
        placed = _placed(network, *decode(content))
        parts = {"train": train, "heldout": heldout}
        found = _score(engine(network), placed, parts)
        record = Run(run.seed, "heldout", size=run.size, **found)
        longwork.say(row, name, f"{len(content)} bytes, {record.heldout_correct} held-out images right")
        return {"parameters": placed}, {"run": asdict(record), "bytes": len(content)}

    return longwork.finished(key, compute)


def run(config: Config, row: str) -> None:
    """Pack each of the row's sizes of every seed of its source, and write which of them are entered."""
    section: PackingSettings = config.settings(row)
    source, facts = read_checkpoint(MODELS / f"{config.rows[row].of}.safetensors"), data.facts()
    results = [*longwork.computed(pieces(config, row)).values()]
    # params.yaml says which sizes are entered before anything is packed, so no score decides it.
    runs = tuple(
        Run(**{**record["run"], "entered": record["run"]["size"] in section.enter}) for _, record in results
    )
    parameters = np.stack([tensors["parameters"] for tensors, _ in results])
    made = Checkpoint(source.network, parameters, parameters != 0, runs)
    write_checkpoint(MODELS / f"{row}.safetensors", made)
    found = pd.DataFrame([asdict(run) for run in runs])
    found["nonzero"] = (parameters != 0).sum(axis=1)
    found["bytes"] = [record["bytes"] for _, record in results]
    found["train_accuracy"] = found.train_correct / facts.train
    found["heldout_accuracy"] = found.heldout_correct / facts.heldout
    columns = ["seed", "size", "entered", "nonzero", "bytes", "train_accuracy", "heldout_accuracy"]
    write_bytes(PLOTS / f"{row}.csv", found[columns].to_csv(index=False, lineterminator="\n").encode())
    means = found.groupby("size")[["bytes", "heldout_accuracy"]].mean().round(6)
    told = {what: {str(size): float(means[what][size]) for size in section.sizes} for what in means}
    write_json(METRICS / f"{row}.json", {"parameters": source.network.size, "runs": len(results), **told})


def pieces(config: Config, row: str) -> longwork.Pieces:
    """The row's packings, one for each size and seed, in the order of the source; see `pack`."""
    section: PackingSettings = config.settings(row)
    settings = config.pack
    if section.augment is not None:
        settings = settings.model_copy(update={"augment": section.augment})
    source = read_checkpoint(MODELS / f"{config.rows[row].of}.safetensors")
    train, heldout = data.read("train"), data.read("heldout")
    absent = set(section.sizes) - {made.size for made in source.runs}
    if absent:
        raise GolfError(
            f"{MODELS}/{config.rows[row].of}.safetensors has no network of size {max(absent)}, which "
            f"params.yaml: {row}.sizes asks for (`snakemake` makes it anew)"
        )
    return {
        f"size-{made.size}-seed-{made.seed}": partial(
            pack, row, made, source.network, source.baked(number), train, heldout, settings, section.levels
        )
        for number, made in enumerate(source.runs)
        if made.size in section.sizes
    }


def _placed(network: Network, made: Network, values: Vector) -> Vector:
    """The parameters [n] of a network from those of its file, which has no biases that are all 0."""
    named = {tensor.name: np.zeros(tensor.shape, np.float32) for tensor in network.tensors}
    for tensor in made.tensors:
        named[tensor.name] = values[tensor.slice].reshape(tensor.shape)
    return network.pack(named)


def _score(core: Engine, parameters: Vector, parts: dict[str, data.Split]) -> dict[str, Any]:
    """As `data.score`, but near ties are relative: whole numbers for weights give logits of any size, and an
    image is one if its two best logits lie within 1e-5 of its largest.
    """
    found: dict[str, Any] = {}
    for name, part in parts.items():
        logits = core.logits(parameters, part.pixels)
        best = np.sort(logits, axis=1)[:, -2:]
        found[f"{name}_correct"] = int((logits.argmax(axis=1) == part.labels).sum())
        near = best[:, 1] - best[:, 0] < 1e-5 * np.abs(logits).max(axis=1)
        found[f"{name}_ties"] = int(near.sum())
    return found
