"""The stage `export`: checkpoints to ONNX, masks baked in, the same bytes every time.

Of the rows by packing, a `.golf` file stands beside each ONNX file: both say the same network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import MODELS, read_json, write_bytes, write_json
from neural_golf.base.yaml12 import read_stages
from neural_golf.config import Config
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint
from neural_golf.net.formed import form_numbers
from neural_golf.net.onnx import model_proto
from neural_golf.net.spec import Network
from neural_golf.packed import encode
from neural_golf.packed.file import as_packed
from neural_golf.results.result import GOLF, golf_file

__all__ = ["Exported", "read_exported", "run"]

SMALL = Path("results/onnx")  # in Git
LARGE = Path("results/onnx-large")  # over the referee's size limit: in DVC's cache
LISTING = Path("results/exported.json")
# Settings that came after files were made, each with the value that stands for what was done until then.
_LATER = {"reference": ("device", "cpu"), "tune": ("storage", "pieces")}


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
    golf: str | None = None  # the path of the .golf file that says the same network, if the row makes one


def read_exported() -> list[Exported]:
    """All exported files, by name. Raises GolfError if the stage has not run."""
    try:
        return [Exported(**{**record, "run": Run(**record["run"])}) for record in read_json(LISTING)]
    except (TypeError, KeyError):
        raise GolfError(
            f"{LISTING} is of another version of this project: run the stage `export` again"
        ) from None


def write_exported(files: Iterable[Exported]) -> None:
    listed = [asdict(file) for file in sorted(files, key=lambda file: file.name)]
    for one in listed:
        if one["golf"] is None:
            del one["golf"]
    write_json(LISTING, listed)


def run(config: Config) -> None:
    """Write one ONNX file per run of every row, one .golf file per run of the rows by packing, and
    results/exported.json that lists them.
    """
    files = []
    for row in config.rows:
        checkpoint = read_checkpoint(MODELS / f"{row}.safetensors")
        files += [_export(config, row, checkpoint, number) for number in range(len(checkpoint.runs))]
    wanted = {name for file in files for name in (file.path, file.golf) if name}
    listed = _listed()
    for folder in (SMALL, LARGE, GOLF):
        name, filled = folder.as_posix(), any(Path(path).parent == folder for path in wanted)
        if filled and name not in listed:
            print(
                f"golf: {name} has files now: add it in dvc.yaml to the outs of export and the deps of verify"
            )
        if filled or name in listed:  # DVC wants what it lists
            folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir() if folder.is_dir() else ():  # files of other rows and seeds must go
            if path.as_posix() not in wanted:
                path.unlink()
    write_exported(files)


def _listed() -> set[str]:
    """What dvc.yaml says that the stage makes. The folders that no row of a task fills are not there."""
    path = Path("dvc.yaml")
    outs = read_stages(path)["export"]["outs"] if path.exists() else ()
    return {out if isinstance(out, str) else next(iter(out)) for out in outs}


def _export(config: Config, row: str, checkpoint: Checkpoint, number: int) -> Exported:
    """Write the files of one run."""
    record, network, baked = checkpoint.runs[number], checkpoint.network, checkpoint.baked(number)
    name, golf = record.name(row), None
    if config.rows[row].by == "packing":
        golf = golf_file(name).as_posix()
        write_bytes(Path(golf), encode(network, baked))
        network, baked = as_packed(network, baked)  # what the .golf file says
    told = _metadata(config, row, record, network, baked)
    content = model_proto(network, baked, told).SerializeToString(deterministic=True)
    path = (SMALL if len(content) <= config.verify.max_bytes else LARGE) / f"{name}.onnx"
    write_bytes(path, content)
    digest = hashlib.sha256(content).hexdigest()
    return Exported(
        name, row, path.as_posix(), len(content), digest, *_counts(network, baked), record, golf
    )  # fmt: skip


def _counts(network: Network, baked: NDArray[np.float32]) -> tuple[int, int]:
    """The parameters of a file, and those that are not zero: the network's, and those of its form."""
    more = form_numbers(network.form) if network.form else baked[:0]
    return network.size + len(more), int(np.count_nonzero(baked) + np.count_nonzero(more))


def _metadata(
    config: Config, row: str, record: Run, network: Network, baked: NDArray[np.float32]
) -> dict[str, str]:
    """What the file says about itself. It names no time and no commit, so that equal networks are equal
    bytes.
    """
    facts = data.facts()
    parameters, nonzero = _counts(network, baked)
    shape = ", ".join(map(str, network.in_shape))
    chosen_on = {"": "nothing chosen on test images", "heldout": "held-out images", "test": "test images"}
    correct = {k: v for k, v in asdict(record).items() if k.endswith("correct") and v is not None}
    return {
        "title": f"Neural Golf: {row}",
        "dataset": facts.dataset,
        "network": ", ".join(network.spec),
        **({"form": json.dumps(asdict(form))} if (form := network.form) else {}),
        "parameters": str(parameters),
        "nonzero": str(nonzero),
        "seed": str(record.seed),
        "chosen_on": chosen_on[record.judge],
        "recorded": json.dumps(correct),
        "input": f"float32 [batch, {shape}], {_of_input(facts)}; no other normalisation",
        "output": f"float32 [batch, {len(facts.classes)}] logits; index k is class k",
        **of_classes(facts.classes, facts.low, facts.high),
        "source": settings_digest(config),
        "license": config.ladder.licence,
    }


def _of_input(facts: data.Facts) -> str:
    grey = facts.shape[0] == 1 and facts.low == (0,) and facts.high in ((1,), (255,)) and not facts.series
    return "pixel / 255, 0 is background" if grey else facts.input


def of_classes(classes: Sequence[str], low: Sequence[float], high: Sequence[float]) -> dict[str, str]:
    """Names of the classes and ranges of the channels, as JSON, where they are other than MNIST's: `golf c`
    and whoever runs the file find them there.
    """
    named = tuple(classes) != tuple(map(str, range(len(classes))))
    ranged = (set(low), set(high)) not in (({0}, {255}), ({0}, {1}))
    told = {"classes": json.dumps(classes, ensure_ascii=False)} if named else {}
    return told | ({"range": json.dumps([low, high])} if ranged else {})


def settings_digest(config: Config) -> str:
    """A digest of the settings that the networks come from, to tell two regenerations apart.

    A setting of `_LATER` does not count while it stands for what was done before there was one: the networks
    are the same, and so are the bytes of their files.
    """
    tree = config.model_dump(mode="json")
    for section, (key, as_before) in _LATER.items():
        if (tree.get(section) or {}).get(key) == as_before:
            del tree[section][key]
    packing = config.rows_by("packing")
    made = (*config.rows_by("reference", "training", "descent"), *packing, *(["pack"] if packing else []))
    kept = {key: tree[key] for key in ("data", "tune", "prune", *made)}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
