"""The data stage: places in order, checksums, the split."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.config import Config, merged


def idx(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """An array in MNIST's own file format, compressed."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """A folder with four small files, and a torchvision that takes them for the published ones."""
    folder = tmp_path / "place"
    folder.mkdir()
    resources = []
    for part, n in (("train", 60), ("t10k", 20)):
        for kind, size in (("images-idx3", (n, 28, 28)), ("labels-idx1", (n,))):
            name = f"{part}-{kind}-ubyte.gz"
            content = idx(rng.integers(0, 10, size, np.uint8))
            (folder / name).write_bytes(content)
            resources.append((name, hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.chdir(tmp_path)
    return folder


def with_places(raw: dict[str, Any], *places: Path | str) -> Config:
    tree = merged(raw)
    tree["data"] |= {"dataset": "mnist", "places": {"mnist": [str(p) for p in places]}, "heldout": 10}
    return Config.model_validate(tree)


def test_the_digits_are_the_same_bytes_everywhere(settings: Config) -> None:
    parts = data.digits(settings.data)
    content = b"".join(part.pixels.tobytes() + part.labels.tobytes() for part in parts)
    assert hashlib.sha256(content).hexdigest()[:16] == "c0fd11df1faaac9c"


def test_the_digits_are_enlarged_as_pytorch_enlarges_them() -> None:
    torch = pytest.importorskip("torch")
    small = pytest.importorskip("sklearn.datasets").load_digits().images * (255 / 16)
    large = torch.nn.functional.interpolate(
        torch.tensor(small, dtype=torch.float32)[:, None], size=(20, 20), mode="bilinear", align_corners=False
    )
    found = loaders.enlarged(small, 20)
    np.testing.assert_allclose(found, large[:, 0].numpy(), atol=1e-4)
    if torch.backends.cpu.get_cpu_capability() != "DEFAULT":  # it has fused multiply-adds
        np.testing.assert_array_equal(found.round(), large[:, 0].numpy().round())


def test_the_first_right_place_wins(
    raw: dict[str, Any], published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.run(with_places(raw, "nowhere", published, "later"))
    assert [len(data.read(part)) for part in ("train", "heldout", "test")] == [50, 10, 20]
    out = capsys.readouterr().out
    assert "not from nowhere: no such folder" in out
    assert f"mnist from {published}" in out
    assert "later" not in out


def test_nothing_is_lost_or_doubled_by_the_split(raw: dict[str, Any], published: Path) -> None:
    data.run(with_places(raw, published))
    whole = np.frombuffer(
        gzip.decompress((published / "train-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8
    )
    both = np.concatenate([data.read("train").pixels, data.read("heldout").pixels]).reshape(60, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.reshape(60, -1)))


def test_the_seed_decides_the_split(raw: dict[str, Any], published: Path) -> None:
    settings = with_places(raw, published)
    data.run(settings)
    first = data.read("heldout").pixels
    data.run(settings)
    assert np.array_equal(data.read("heldout").pixels, first)
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"seed": 1})})
    data.run(other)
    assert not np.array_equal(data.read("heldout").pixels, first)


def test_an_altered_file_is_named_and_nothing_is_written(raw: dict[str, Any], published: Path) -> None:
    path = published / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(GolfError, match=r"train-labels-idx1-ubyte\.gz is truncated or altered: its MD5 is"):
        data.run(with_places(raw, published))
    assert not list(Path("data").glob("*.safetensors"))


def test_a_truncated_file_is_named(raw: dict[str, Any], published: Path) -> None:
    path = published / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(GolfError, match=r"t10k-images-idx3-ubyte\.gz is truncated or altered"):
        data.run(with_places(raw, published))


def test_an_altered_unpacked_file_of_an_earlier_run_is_not_trusted(
    raw: dict[str, Any], published: Path
) -> None:
    data.run(with_places(raw, published))
    want = data.read("test").pixels
    unpacked = Path("data/raw/MNIST/raw/t10k-images-idx3-ubyte")
    unpacked.write_bytes(unpacked.read_bytes()[:-1] + b"\xff")
    data.run(with_places(raw, published))
    assert np.array_equal(data.read("test").pixels, want)


def test_where_no_place_has_it_each_is_named_with_its_reason(raw: dict[str, Any], published: Path) -> None:
    (published / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(GolfError) as caught:
        data.run(with_places(raw, "nowhere", published, "http://127.0.0.1:9/mnist"))
    text = str(caught.value)
    assert "nowhere (no such folder)" in text
    assert f"{published} (no train-images-idx3-ubyte.gz in it)" in text
    assert "http://127.0.0.1:9/mnist (" in text
    assert "make demo" in text
    assert "\n" not in text


def test_a_held_out_part_larger_than_the_data_is_refused(raw: dict[str, Any], published: Path) -> None:
    settings = with_places(raw, published)
    wrong = settings.model_copy(update={"data": settings.data.model_copy(update={"heldout": 60})})
    with pytest.raises(GolfError, match=r"data\.heldout = 60: there are only 60"):
        data.run(wrong)


def test_the_bundled_digits_look_like_mnist(workplace: Path) -> None:
    images = data.read("train")
    assert images.pixels.dtype == np.uint8
    assert images.pixels.shape[1:] == (1, 28, 28)
    assert images.pixels[:, :, :4].max() == 0  # the border
    assert images.pixels.max() > 240
    assert sorted(np.unique(images.labels)) == list(range(10))


def test_reading_before_the_stage_has_run_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GolfError, match="is missing: the stage that writes it has not run"):
        data.read("train")
