"""The stage `export`: checkpoints to ONNX, masks baked in, the same bytes every time.

The graph is built from the spec with onnx.helper, node by node: no tracer, so no source paths, no
stray constants, and a parameter count that is the spec's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.files import write_bytes, write_json
from neural_golf.config import WORKSPACES, Config
from neural_golf.net.checkpoint import Checkpoint, read_checkpoint
from neural_golf.net.onnx import model_proto
from neural_golf.train.fit import MODELS

__all__ = ["ROWS", "name_of", "run"]

ROWS = ("reference", "baseline", "tuned", "pruned", "prelu", "prelu_pruned", "golf98", "golf99")
SMALL = Path("results/onnx")  # in Git
LARGE = Path("results/onnx-large")  # over the referee's size limit: in DVC's cache
OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last years


def name_of(row: str, record: Mapping[str, Any]) -> str:
    """The readable name of one run: baseline-3, pruned-test-index-0, golf98-200-3."""
    if "size" in record:
        return f"{row}-{record['size']}-{record['seed']}"
    return "-".join([row, *(str(record[key]) for key in ("judge", "order", "seed") if key in record)])


def run(config: Config) -> None:
    """Write one ONNX file per run of every row, and results/exported.json that lists them."""
    listing = {}
    for row in ROWS:
        checkpoint = read_checkpoint(MODELS / f"{row}.safetensors")
        for number, record in enumerate(checkpoint.runs):
            name = name_of(row, record)
            baked = checkpoint.baked(number)
            card = _card(config, row, record, checkpoint, baked)
            content = model_proto(checkpoint.network, baked, card).SerializeToString(deterministic=True)
            folder = SMALL if len(content) <= config.verify.max_bytes else LARGE
            path = folder / f"{name}.onnx"
            write_bytes(path, content)
            listing[name] = {
                "row": row,
                "path": path.as_posix(),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "parameters": checkpoint.network.size,
                "nonzero": int(np.count_nonzero(baked)),
                **record,
            }
    for folder in (SMALL, LARGE):  # DVC wants both to exist; files of an older roster must go
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.onnx"):
            if path.stem not in listing or listing[path.stem]["path"] != path.as_posix():
                path.unlink()
    write_json(Path("results/exported.json"), listing)


def _card(
    config: Config, row: str, record: Mapping[str, Any], checkpoint: Checkpoint, baked: NDArray[np.float32]
) -> dict[str, str]:
    """What the file says of itself. No clock and no commit, so that equal networks are equal bytes."""
    judge = record.get("judge")
    return {
        "title": f"Neural Golf: {row}",
        "dataset": config.data.dataset,
        "network": ", ".join(checkpoint.network.spec),
        "parameters": str(checkpoint.network.size),
        "nonzero": str(np.count_nonzero(baked)),
        "seed": str(record["seed"]),
        "chosen_on": {
            None: "nothing chosen on test images",
            "heldout": "held-out images",
            "test": "test images",
        }[judge],
        "recorded": json.dumps({k: v for k, v in record.items() if k.endswith("correct")}),
        "input": "float32 [batch, 1, 28, 28], pixel / 255, 0 is background; no other normalisation",
        "output": "float32 [batch, 10] logits; index k is class k",
        "source": config_digest(config),
        "license": "MIT",
    }


def config_digest(config: Config) -> str:
    """A digest of the settings that the networks come from, to tell two regenerations apart."""
    after = ("verify", "ladder", "interpret", "page", "handbook", "search")
    others: dict[str, Any] = dict.fromkeys(("roster", *after, *WORKSPACES), True)
    text = config.model_dump_json(exclude={"data": {"places"}, **others})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
