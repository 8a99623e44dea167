"""Files appear whole or not at all, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, read_tensors, write_bytes, write_tensors
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from neural_golf.net.spec import Network

RUNS = (
    Run(0, heldout_correct=470, heldout_ties=1, train_correct=9000, train_ties=0),
    Run(7, "heldout", size=200, entered=False, test_correct=3),
)
SMALL = ["conv 2 k5", "relu", "maxpool 4", "linear 10"]


def checkpoint(spec: list[str] = SMALL) -> Checkpoint:
    network = Network.parse(spec)
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(2, network.size)).astype(np.float32)
    return Checkpoint(network, parameters, rng.random((2, network.size)) < 0.5, RUNS)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    want = checkpoint()
    write_checkpoint(path, want)
    have = read_checkpoint(path, want.network)
    assert have.runs == want.runs
    assert np.array_equal(have.parameters, want.parameters)
    assert np.array_equal(have.masks, want.masks)
    assert (have.baked(1)[~want.masks[1]] == 0).all()


def test_equal_checkpoints_are_equal_bytes(tmp_path: Path) -> None:
    """safetensors alone draws the order of its metadata anew for each file."""
    paths = [tmp_path / f"{k}.safetensors" for k in range(12)]
    for path in paths:
        write_checkpoint(path, checkpoint())
    assert len({path.read_bytes() for path in paths}) == 1


@given(
    st.dictionaries(st.text(max_size=5), st.text(max_size=9), min_size=1, max_size=5),
    st.lists(st.sampled_from(["uint8", "bool", "int64", "float32"]), max_size=4),
)
def test_tensors_and_their_metadata_come_back(metadata: dict[str, str], kinds: list[str]) -> None:
    tensors = {f"é{k}": np.arange(k * 3).reshape(k, 3).astype(kind) for k, kind in enumerate(kinds)}
    with TemporaryDirectory() as folder:
        write_tensors(Path(folder, "a"), tensors, metadata)
        found, told = read_tensors(Path(folder, "a"))
    assert told == metadata
    assert sorted(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and np.array_equal(found[name], tensor)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, checkpoint())
    with pytest.raises(GolfError, match=r"another architecture: conv 2 k5.*expected conv 3 k5"):
        read_checkpoint(path, Network.parse(["conv 3 k5", "relu", "maxpool 4", "linear 10"]))


def test_a_checkpoint_whose_tensors_do_not_fit_its_spec_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, checkpoint())
    tensors, metadata = read_tensors(path)
    del tensors["conv1.bias"]
    write_tensors(path, tensors, metadata)
    with pytest.raises(GolfError, match=r"another architecture: conv1\.bias is missing"):
        read_checkpoint(path)


def test_what_is_no_checkpoint_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": np.zeros(3, np.float32)})
    with pytest.raises(GolfError, match="not a checkpoint of this project"):
        read_checkpoint(path)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(GolfError, match="not a whole safetensors file"):
        read_checkpoint(path)
    with pytest.raises(GolfError, match="is missing: the stage that writes it"):
        read_checkpoint(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("runs", "shape"),
    [
        ('[{"seed": 0, "seconds": 1.0}, {"seed": 7}]', "[1, 28, 28]"),  # as it was written in other versions
        ('[{"judge": "test"}, {"seed": 7}]', "[1, 28, 28]"),
        ("[1, 2]", "[1, 28, 28]"),
        ("3", "[1, 28, 28]"),
        ('{"seed": 0}', "[1, 28, 28]"),
        ("[", "[1, 28, 28]"),
        ('[{"seed": 0}, {"seed": 7}]', None),
        ('[{"seed": 0}, {"seed": 7}]', "28"),
        ('[{"seed": 0}, {"seed": 7}]', "[28]"),
    ],
)
def test_a_checkpoint_of_another_version_is_one_line(tmp_path: Path, runs: str, shape: str | None) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, checkpoint())
    tensors, metadata = read_tensors(path)
    changed = {**metadata, "runs": runs, "shape": shape}
    write_tensors(path, tensors, {key: value for key, value in changed.items() if value is not None})
    with pytest.raises(GolfError, match=r"a\.safetensors is not a checkpoint of this project") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_runs_are_named_for_people() -> None:
    assert Run(3).name("baseline") == "baseline-3"
    assert Run(0, "test", "index").name("pruned") == "pruned-test-index-0"
    assert Run(3, "heldout", size=200).name("golf98") == "golf98-200-3"


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, checkpoint())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(GolfError, match="not a whole safetensors file"):
        read_checkpoint(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_bytes(path, b"old")

    def fail(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(GolfError, match="is not JSON"):
        read_json(tmp_path / "a.json")
