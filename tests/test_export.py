"""ONNX files: the network's own numbers, masks baked in, the same bytes every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from neural_golf.base.errors import GolfError
from neural_golf.config import Config, load
from neural_golf.engine import engine
from neural_golf.net.checkpoint import Checkpoint, Run, write_checkpoint
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.parameters import initialise, masked
from neural_golf.net.spec import Network
from neural_golf.referee.counting import count
from neural_golf.results import export
from neural_golf.results.export import settings_digest

ROOT = Path(__file__).parent.parent

SPECS = {
    "blog": [
        "conv 4 k4",
        "prelu",
        "maxpool 2",
        "conv 5 k3",
        "prelu",
        "maxpool 2",
        "conv 4 k3",
        "prelu",
        "linear 10",
    ],
    "relu": ["conv 8 k4", "relu", "maxpool 2", "conv 5 k3", "relu", "maxpool 2", "linear 10 nobias"],
    "separable": [
        "conv 6 k3 same",
        "leaky 0.2",
        "maxpool 2",
        "conv 6 k3 g6 nobias",
        "conv 5 k1",
        "gap",
        "linear 10",
    ],
    "tied": [
        "conv 4 k3 same",
        "conv 4 k3 same",
        "relu",
        "conv 4 k3 same tied=conv2",
        "avgpool 4",
        "linear 10",
    ],
    "headless": ["conv 10 k3", "relu", "gap"],
    "fine": [
        "conv 8 k5 turns mirrors",
        "abs",
        "maxpool 2",
        "conv 8 k3 same turns mirrors",
        "abs",
        "maxpool 2 s1",
        "conv 16 k3 d2 turns mirrors",
        "abs",
        "avgpool 3 s2",
        "linear 10",
    ],
    "borders": ["conv 5 k3 d3 same", "maxpool 3 s2 p1", "conv 4 k3 d2 same", "maxpool 4 s3 p2", "linear 10"],
    "normalised": ["conv 4 k4", "norm", "abs", "maxpool 2", "conv 5 k3 nobias", "norm", "relu", "linear 10"],
    "normalised turns": [
        "norm",
        "conv 8 k3 turns",
        "norm",
        "abs",
        "maxpool 4",
        "conv 4 k3 turns",
        "norm",
        "linear 10",
    ],
}


@pytest.mark.parametrize("name", SPECS)
def test_onnxruntime_computes_what_the_engine_computes(name: str, rng: np.random.Generator) -> None:
    network = Network.parse(SPECS[name])
    mask = rng.random(network.size) < 0.7
    parameters = masked(initialise(network, rng), mask)
    model = model_proto(network, parameters, {})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = rng.random((7, 1, 28, 28), np.float32)
    (logits,) = session.run(["logits"], {"image": images})
    np.testing.assert_allclose(logits, engine(network).logits(parameters, images), atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_the_referee_counts_what_the_project_counts(name: str, rng: np.random.Generator) -> None:
    network = Network.parse(SPECS[name])
    mask = rng.random(network.size) < 0.7
    weights = rng.uniform(0.1, 1.0, network.size).astype(np.float32)  # none is 0 by itself
    counted = count(model_proto(network, masked(weights, mask), {}))
    kinds = [layer.kind for layer in network.layers]
    slopes = kinds.count("leaky")  # an attribute that is not the default counts
    gains = kinds.count("norm")  # a stored 1, and a 0 as bias, stand for those of all channels
    assert counted.parameters == network.size + slopes + 2 * gains
    assert counted.nonzero == mask.sum() + slopes + gains


def test_no_zero_is_negative(rng: np.random.Generator) -> None:
    network = Network.parse(SPECS["blog"])
    model = model_proto(network, initialise(network, rng) * np.float32(-0.0), {})
    for tensor in model.graph.initializer:
        assert not np.signbit(onnx.numpy_helper.to_array(tensor)).any()


def test_the_bytes_depend_on_the_network_only(rng: np.random.Generator) -> None:
    network = Network.parse(SPECS["blog"])
    parameters = initialise(network, rng)
    one, other = (
        model_proto(network, parameters, {"a": "1", "b": "2"}).SerializeToString(deterministic=True)
        for _ in "12"
    )
    assert one == other
    assert b"/home" not in one and b".py" not in one  # no source paths


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 20)])
def test_a_file_is_read_back_as_the_network_that_was_written(
    shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    network = Network.parse(["conv 4 k3", "prelu", "maxpool 2", "linear 5"], shape)
    parameters = initialise(network, rng)
    told = {"network": ", ".join(network.spec)}
    found, read = unpack(model_proto(network, parameters, told).SerializeToString(), "a.onnx")
    assert found == network
    assert np.array_equal(read, parameters)


def test_the_card_is_inside() -> None:
    network = Network.parse(SPECS["headless"])
    model = model_proto(network, np.zeros(network.size, np.float32), {"seed": "3"})
    assert {p.key: p.value for p in model.metadata_props} == {"seed": "3"}


def test_the_source_in_a_card_depends_on_what_the_networks_come_from(settings: Config) -> None:
    def with_change(section: str, **change: object) -> str:
        changed = getattr(settings, section).model_copy(update=change)
        return settings_digest(settings.model_copy(update={section: changed}))

    same = settings_digest(settings)
    assert with_change("tuned", epochs=7) != same
    assert with_change("prune", threshold=0.7) != same
    assert with_change("handbook", seeds=9) == same
    assert with_change("search", trials=99) == same
    assert with_change("site", samples=9) == same
    assert with_change("ladder", author="me") == same
    assert with_change("reference", device="gpu") != same
    assert with_change("tune", storage="journal") != same


def test_committed_files_name_the_committed_settings() -> None:
    """A setting that is added later leaves the bytes of every file that it does not change as they were."""
    config = load(ROOT / "params.yaml")
    found = onnx.load(str(ROOT / "results/onnx/baseline-0.onnx"))
    assert {p.key: p.value for p in found.metadata_props}["source"] == settings_digest(config)


def test_what_is_exported_is_listed_with_its_record_and_the_rest_goes(
    workplace: Path, settings: Config
) -> None:
    rows = {name: settings.rows[name] for name in ("baseline", "golf98")}
    config = settings.model_copy(update={"rows": rows})
    network = Network.parse(SPECS["headless"])
    vectors = np.arange(2 * network.size, dtype=np.float32).reshape(2, -1)
    masks = vectors % 3 != 1
    runs = {
        "baseline": (Run(0, train_correct=3), Run(5)),
        "golf98": (Run(1, "heldout", size=70), Run(1, "heldout", size=60)),
    }
    for row in rows:
        checkpoint = Checkpoint(network, vectors, masks, runs[row])
        write_checkpoint(Path(f"results/models/{row}.safetensors"), checkpoint)
    old = [Path("results/onnx/gone-0.onnx"), Path("results/onnx-large/baseline-0.onnx")]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"old")
    export.run(config)
    files = export.read_exported()
    assert [file.name for file in files] == ["baseline-0", "baseline-5", "golf98-60-1", "golf98-70-1"]
    assert files[0].run == Run(0, train_correct=3) and files[2].run == Run(1, "heldout", size=60)
    assert not any(path.exists() for path in old)
    for file in files:
        content = Path(file.path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file.sha256 and len(content) == file.bytes
        told = {p.key: p.value for p in onnx.load_from_string(content).metadata_props}
        assert (told["nonzero"], told["dataset"]) == (str(file.nonzero), "digits")
    assert told["chosen_on"] == "held-out images"
    before = {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()}
    export.run(config)
    assert {path: path.read_bytes() for path in Path("results").rglob("*") if path.is_file()} == before
    small = settings.verify.model_copy(update={"max_bytes": 10})
    export.run(config.model_copy(update={"verify": small}))
    assert {Path(file.path).parent.name for file in export.read_exported()} == {"onnx-large"}
    assert not list(Path("results/onnx").iterdir())


def test_a_folder_that_dvc_does_not_list_is_made_only_for_files(
    workplace: Path, settings: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings.model_copy(update={"rows": {"baseline": settings.rows["baseline"]}})
    network = Network.parse(SPECS["headless"])
    vectors = np.arange(network.size, dtype=np.float32)[None]
    write_checkpoint(
        Path("results/models/baseline.safetensors"),
        Checkpoint(network, vectors, vectors == vectors, (Run(0),)),
    )
    Path("dvc.yaml").write_text("stages: {export: {outs: [results/onnx: {cache: false}]}}")
    export.run(config)
    assert sorted(path.name for path in Path("results").glob("*/")) == ["metrics", "models", "onnx"]
    assert capsys.readouterr().out == ""
    small = settings.verify.model_copy(update={"max_bytes": 10})
    export.run(config.model_copy(update={"verify": small}))
    assert Path("results/onnx-large/baseline-0.onnx").exists()
    assert capsys.readouterr().out.startswith("golf: results/onnx-large has files now: add it in dvc.yaml")


@pytest.mark.parametrize("left", ['{"a": {"row": "tuned"}}', '[{"name": "a"}]', "[1]", "3"])
def test_a_listing_of_another_version_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    monkeypatch.chdir(tmp_path)
    export.LISTING.parent.mkdir()
    export.LISTING.write_text(left)
    with pytest.raises(
        GolfError, match=r"exported\.json is of another version of this project: run the stage"
    ):
        export.read_exported()
