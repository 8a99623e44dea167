"""The stage `export`: checkpoints to ONNX, masks baked in, the same bytes every time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import MODELS, read_json, write_bytes, write_json
from neural_golf.config import Config
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint
from neural_golf.net.formed import form_numbers
from neural_golf.net.onnx import model_proto

__all__ = ["Exported", "read_exported", "run"]

SMALL = Path("results/onnx")  # in Git
LARGE = Path("results/onnx-large")  # over the referee's size limit: in DVC's cache
LISTING = Path("results/exported.json")


@dataclass(frozen=True)
class Exported:
    """One exported file and the record of its training, with which the referee's verdict is compared."""

    name: str
    row: str
    path: str
    bytes: int
    sha256: str
    parameters: int
    nonzero: int
    run: Run


def read_exported() -> list[Exported]:
    """All exported files, by name. Raises GolfError if the stage has not run."""
    try:
        return [Exported(**{**record, "run": Run(**record["run"])}) for record in read_json(LISTING)]
    except (TypeError, KeyError):
        raise GolfError(
            f"{LISTING} is of another version of this project: run the stage `export` again"
        ) from None


def write_exported(files: Iterable[Exported]) -> None:
    write_json(LISTING, [asdict(file) for file in sorted(files, key=lambda file: file.name)])


def run(config: Config) -> None:
    """Write one ONNX file per run of every row, and results/exported.json that lists them."""
    files = []
    for row in config.rows:
        checkpoint = read_checkpoint(MODELS / f"{row}.safetensors")
        for number, record in enumerate(checkpoint.runs):
            name = record.name(row)
            baked = checkpoint.baked(number)
            told = _metadata(config, row, record, checkpoint, baked)
            content = model_proto(checkpoint.network, baked, told).SerializeToString(deterministic=True)
            path = (SMALL if len(content) <= config.verify.max_bytes else LARGE) / f"{name}.onnx"
            write_bytes(path, content)
            digest = hashlib.sha256(content).hexdigest()
            size, nonzero = _counts(checkpoint, baked)
            files.append(Exported(name, row, path.as_posix(), len(content), digest, size, nonzero, record))
    wanted = {file.path for file in files}
    for folder in (SMALL, LARGE):  # DVC wants both; files of other rows and seeds must go
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.onnx"):
            if path.as_posix() not in wanted:
                path.unlink()
    write_exported(files)


def _counts(checkpoint: Checkpoint, baked: NDArray[np.float32]) -> tuple[int, int]:
    """The parameters of a file, and those that are not zero: the network's, and those of its form."""
    form = checkpoint.network.form
    more = form_numbers(form) if form else baked[:0]
    return checkpoint.network.size + len(more), int(np.count_nonzero(baked) + np.count_nonzero(more))


def _metadata(
    config: Config, row: str, record: Run, checkpoint: Checkpoint, baked: NDArray[np.float32]
) -> dict[str, str]:
    """What the file says about itself. It names no time and no commit, so that equal networks are equal
    bytes.
    """
    facts = data.facts()
    parameters, nonzero = _counts(checkpoint, baked)
    shape = ", ".join(map(str, checkpoint.network.in_shape))
    chosen_on = {"": "nothing chosen on test images", "heldout": "held-out images", "test": "test images"}
    correct = {k: v for k, v in asdict(record).items() if k.endswith("correct") and v is not None}
    return {
        "title": f"Neural Golf: {row}",
        "dataset": facts.dataset,
        "network": ", ".join(checkpoint.network.spec),
        **({"form": json.dumps(asdict(form))} if (form := checkpoint.network.form) else {}),
        "parameters": str(parameters),
        "nonzero": str(nonzero),
        "seed": str(record.seed),
        "chosen_on": chosen_on[record.judge],
        "recorded": json.dumps(correct),
        "input": f"float32 [batch, {shape}], pixel / 255, 0 is background; no other normalisation",
        "output": f"float32 [batch, {len(facts.classes)}] logits; index k is class k",
        "source": settings_digest(config),
        "license": config.ladder.licence,
    }


def settings_digest(config: Config) -> str:
    """A digest of the settings that the networks come from, to tell two regenerations apart."""
    tree = config.model_dump(mode="json")
    kept = {
        key: tree[key]
        for key in ("data", "tune", "prune", *config.rows_by("reference", "training", "descent"))
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
