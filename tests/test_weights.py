"""Rebuilding moves no weight: of the rows that are not trained anew, every tensor is what it was."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

ROOT = Path(__file__).parent.parent
ONNX = ROOT / "results/onnx"
WANTED = Path(__file__).parent / "weights.sha256"  # "digest name", of the files before


def digest(path: Path) -> str:
    """Of the name, type, shape and bytes of each initializer that is no shape or limit, by name; metadata and
    nodes may differ.
    """
    found = hashlib.sha256()
    for tensor in sorted(onnx.load(path).graph.initializer, key=lambda tensor: tensor.name):
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.int64:
            continue
        found.update(f"{tensor.name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return found.hexdigest()


def wanted() -> dict[str, str]:
    pairs = (line.split() for line in WANTED.read_text().splitlines())
    return {name: number for number, name in pairs}


def test_the_committed_networks_have_the_weights_that_they_had() -> None:
    absent = [name for name in wanted() if not (ONNX / name).exists()]
    assert not absent, f"not in {ONNX}: {', '.join(absent)}"
    differ = [name for name, number in wanted().items() if digest(ONNX / name) != number]
    assert not differ, f"other weights than before: {', '.join(differ)}"


def test_every_file_of_these_rows_is_compared() -> None:
    rows = {name.split("-")[0] for name in wanted()}
    assert rows == {"baseline", "golf98", "golf99", "open98", "open99"}
    assert {path.name for row in rows for path in ONNX.glob(f"{row}-*.onnx")} == set(wanted())


@pytest.mark.parametrize("change", ["weight", "name", "shape", "metadata"])
def test_the_digest_is_of_tensors_and_of_nothing_else(tmp_path: Path, change: str) -> None:
    path = tmp_path / "model.onnx"

    def write(weight: np.ndarray, name: str = "w", told: str = "") -> str:
        tensors = [numpy_helper.from_array(weight, name), numpy_helper.from_array(np.zeros(2), "b")]
        model = helper.make_model(helper.make_graph([], "graph", [], [], tensors))
        helper.set_model_props(model, {"told": told})
        onnx.save(model, path)
        return digest(path)

    weight = np.arange(6, dtype=np.float32).reshape(2, 3)
    before = write(weight)
    match change:
        case "weight":
            assert write(np.nextafter(weight, np.float32(9))) != before
        case "name":
            assert write(weight, name="v") != before
        case "shape":
            assert write(weight.reshape(3, 2)) != before
        case "metadata":
            assert write(weight, told="of another run") == before
