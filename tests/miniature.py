"""A finished run in miniature: a few small networks, exported and scored, in seconds."""

from __future__ import annotations

import contextlib
import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from neural_golf import data
from neural_golf.base.files import write_bytes, write_csv, write_json
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import masked
from neural_golf.net.spec import Network
from neural_golf.train.fit import Settings, fit

GROUPS = ("baseline", "prelu", "prelu_pruned-test-index")


def build(folder: Path, settings: Config) -> None:
    """Everything that `interpret` and `page` read, in `folder`."""
    with contextlib.chdir(folder):
        data.run(settings)
        train = data.read("train")
        rows: list[dict[str, Any]] = []
        for row in ("baseline", "prelu"):
            network = Network.parse(getattr(settings, row).network)
            chosen = Settings(
                epochs=6, batch=32, learning_rate=0.005, step=3, gamma=0.5, mean=0.1307, std=0.3081
            )
            curve: list[tuple[int, int, float, float]] = []

            def note(epoch: int, loss: float, _: Any, curve: list[Any] = curve) -> bool:
                curve.append((0, epoch + 1, loss, 0.5 + epoch / 20))
                return True

            dense = fit(network, train, chosen, 0, note)
            write_csv(Path(f"results/plots/{row}.csv"), ("seed", "epoch", "loss", "heldout_accuracy"), curve)
            rows.append(_export(network, dense, row, ""))
            if row == "prelu":
                weights = network.weights()
                mask = np.ones(network.size, bool)
                mask[weights[np.argsort(np.abs(dense[weights]))[:300]]] = False
                rows.append(_export(network, masked(dense, mask), "prelu_pruned", "test"))
        write_csv(Path("results/plots/verify.csv"), tuple(rows[0]), [tuple(r.values()) for r in rows])
        write_csv(
            Path("results/plots/prelu_pruned.csv"),
            ("variant", "seed", "nonzero", "accuracy"),
            [("test-index", 0, 820 - k, 0.97 - k / 10_000) for k in range(300)],
        )
        _study()
        write_bytes(
            Path("results/ladder.md"),
            b"| network | non-zero |\n|---|--:|\n| **baseline** | 1,055 |\n\nData: digits.\n",
        )


def _export(network: Network, parameters: Any, row: str, judge: str) -> dict[str, Any]:
    name = "-".join(filter(None, (row, judge, "index" if judge else "", "0")))
    content = model_proto(network, parameters, {"network": ", ".join(network.spec)}).SerializeToString(
        deterministic=True
    )
    path = Path(f"results/onnx/{name}.onnx")
    write_bytes(path, content)
    listing = Path("results/exported.json")
    known = {} if not listing.exists() else __import__("json").loads(listing.read_text())
    write_json(listing, {**known, name: {"path": path.as_posix()}})
    core = engine(network)
    line: dict[str, Any] = {
        "name": name, "row": row, "judge": judge, "order": "index" if judge else "", "seed": 0,
        "parameters": network.size, "nonzero": int(np.count_nonzero(parameters)),
    }  # fmt: skip
    for part, prefix in (("test", ""), ("heldout", "heldout_")):
        images = data.read(part)
        line[f"{prefix}correct"] = core.correct(parameters, images.pixels, images.labels)
        line[f"{prefix}images"] = len(images)
    return {**line, "sha256": hashlib.sha256(content).hexdigest()}


def _study() -> None:
    """Four trials that were never run, as `tune` would leave them."""
    table = []
    for k, (batch, rate) in enumerate([(8, 1e-4), (16, 1e-3), (24, 5e-3), (32, 1e-2)]):
        table.append((k, "complete", 0.9 + k / 100, 0.9 + k / 100, 8, batch, rate, k + 1, 0.2 * (k + 1)))
    header = (
        "trial",
        "state",
        "accuracy",
        "best_accuracy",
        "epochs",
        "batch",
        "learning_rate",
        "step",
        "gamma",
    )
    write_csv(Path("results/plots/tune.csv"), header, table)
    parts = {"batch": 0.4, "learning_rate": 0.3, "step": 0.2, "gamma": 0.1}
    write_json(Path("results/metrics/tune.json"), {"importance": parts})


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "results/plots/verify.csv").open(newline="") as file:
        return list(csv.DictReader(file))
