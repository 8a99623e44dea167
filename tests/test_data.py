"""The data stage: places in order, checksums, the split."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as image
from torchvision import datasets

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.config import Config, check
from neural_golf.data import loaders, stage
from open_house import idx, md5


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
            resources.append((name, md5(content)))
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    monkeypatch.chdir(tmp_path)
    return folder


def with_places(raw: dict[str, Any], *places: Path | str) -> Config:
    raw["datasets"]["mnist"]["places"] = [str(p) for p in places]
    raw["data"]["heldout"] = 10
    return check(raw)


def own(raw: dict[str, Any], heldout: int = 10, **dataset: Any) -> Config:
    """Settings with a data set of this file's own, named mine."""
    raw["datasets"]["mine"] = dataset
    raw["data"] = {"dataset": "mine", "heldout": heldout, "seed": 0}
    return check(raw)


def test_the_digits_are_the_same_bytes_everywhere(settings: Config) -> None:
    whole = stage.read_whole(settings)
    assert whole.classes == tuple("0123456789")
    content = b"".join(part.pixels.tobytes() + part.labels.tobytes() for part in (whole.train, whole.test))
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
    stage.run(with_places(raw, "nowhere", published, "later"))
    assert [len(data.read(part)) for part in ("train", "heldout", "test")] == [50, 10, 20]
    out = capsys.readouterr().out
    assert "not from nowhere: no such folder" in out
    assert f"mnist from {published}" in out
    assert "later" not in out


def test_nothing_is_lost_or_doubled_by_the_split(raw: dict[str, Any], published: Path) -> None:
    stage.run(with_places(raw, published))
    whole = np.frombuffer(
        gzip.decompress((published / "train-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8
    )
    both = np.concatenate([data.read("train").pixels, data.read("heldout").pixels]).reshape(60, -1)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.reshape(60, -1)))


def test_the_seed_decides_the_split(raw: dict[str, Any], published: Path) -> None:
    settings = with_places(raw, published)
    stage.run(settings)
    first = data.read("heldout").pixels
    stage.run(settings)
    assert np.array_equal(data.read("heldout").pixels, first)
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"seed": 1})})
    stage.run(other)
    assert not np.array_equal(data.read("heldout").pixels, first)


def test_an_altered_file_is_named_and_nothing_is_written(raw: dict[str, Any], published: Path) -> None:
    path = published / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    with pytest.raises(GolfError, match=r"train-labels-idx1-ubyte\.gz is truncated or altered: its MD5 is"):
        stage.run(with_places(raw, published))
    assert not list(Path("data").glob("*.safetensors"))


def test_a_truncated_file_is_named(raw: dict[str, Any], published: Path) -> None:
    path = published / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(GolfError, match=r"t10k-images-idx3-ubyte\.gz is truncated or altered"):
        stage.run(with_places(raw, published))


def test_an_altered_unpacked_file_of_an_earlier_run_is_not_trusted(
    raw: dict[str, Any], published: Path
) -> None:
    stage.run(with_places(raw, published))
    want = data.read("test").pixels
    unpacked = Path("data/raw/MNIST/raw/t10k-images-idx3-ubyte")
    unpacked.write_bytes(unpacked.read_bytes()[:-1] + b"\xff")
    stage.run(with_places(raw, published))
    assert np.array_equal(data.read("test").pixels, want)


def test_where_no_place_has_it_each_is_named_with_its_reason(raw: dict[str, Any], published: Path) -> None:
    (published / "train-images-idx3-ubyte.gz").unlink()
    with pytest.raises(GolfError) as caught:
        stage.run(with_places(raw, "nowhere", published, "http://127.0.0.1:9/mnist"))
    text = str(caught.value)
    assert "nowhere (no such folder)" in text
    assert f"{published} (no train-images-idx3-ubyte.gz in it)" in text
    assert "http://127.0.0.1:9/mnist (" in text
    assert "make demo" in text
    assert "\n" not in text


def test_a_place_that_accepts_and_stays_silent_is_given_up_for_the_next(
    raw: dict[str, Any], published: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loaders, "SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/mnist"
        stage.run(with_places(raw, address, published))
    assert data.facts().train == 50
    assert re.search(rf"not from {address}: .*timed out", capsys.readouterr().out)


def test_a_download_that_is_cut_is_given_up_for_the_next(
    raw: dict[str, Any], published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Half(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = (published / Path(self.path).name).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

    with HTTPServer(("127.0.0.1", 0), Half) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/mnist"
        stage.run(with_places(raw, address, published))
        server.shutdown()
    assert data.facts().train == 50
    assert f"not from {address}: " in capsys.readouterr().out


@pytest.mark.parametrize("copy", ["temp", "worktree"])
def test_a_relative_place_is_seen_from_the_project_that_a_folder_is_a_copy_of(
    copy: str, raw: dict[str, Any], published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`dvc exp run --temp` copies the project into .dvc/tmp/exps; `git worktree` anywhere."""
    project = published.parent / "project"
    if copy == "temp":
        folder = project / ".dvc/tmp/exps/standalone/tmpabc"
        folder.mkdir(parents=True)
    else:
        folder = published.parent / "elsewhere/far"
        folder.mkdir(parents=True)
        (project / ".git/worktrees/far").mkdir(parents=True)
        (folder / ".git").write_text(f"gitdir: {project}/.git/worktrees/far\n")
    monkeypatch.chdir(folder)
    stage.run(with_places(raw, f"../{published.name}"))
    assert data.facts().train == 50


def test_a_held_out_part_larger_than_the_data_is_refused(raw: dict[str, Any], published: Path) -> None:
    settings = with_places(raw, published)
    wrong = settings.model_copy(update={"data": settings.data.model_copy(update={"heldout": 60})})
    with pytest.raises(GolfError, match=r"data\.heldout = 60: there are only 60"):
        stage.run(wrong)


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


def test_a_tilde_is_the_home_folder(
    raw: dict[str, Any], published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(published.parent))
    stage.run(with_places(raw, "~/place"))
    assert data.facts().train == 50


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            {"torchvision": "MNIST", "places": ["~no-one/a"]},
            r"no place has mine: ~no-one/a \(no such folder\)",
        ),
        ({"npz": "~no-one/a"}, r"datasets\.mine\.npz: there is no file ~no-one/a"),
        ({"folder": "~no-one/a"}, r"datasets\.mine\.folder: there is no folder ~no-one/a"),
    ],
)
def test_the_home_of_nobody_is_not_found(
    raw: dict[str, Any], published: Path, source: dict[str, Any], told: str
) -> None:
    with pytest.raises(GolfError, match=told):
        stage.run(own(raw, **source))


def test_torchvision_has_what_is_named_there_or_that_is_said(
    raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GolfError, match=r"datasets\.mine\.torchvision: there is no MNISTT there"):
        stage.run(own(raw, torchvision="MNISTT"))
    with pytest.raises(
        GolfError, match=r"datasets\.mine\.places: torchvision's CIFAR10 cannot be had from other"
    ):
        stage.run(own(raw, torchvision="CIFAR10", places=["../shared"]))
    assert not Path("data").exists()


def test_a_class_of_torchvision_with_splits_in_place_of_train_is_read_too(
    raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """As SVHN is: images [n, channels, height, width], `labels`, and the word `split`."""

    class Splits:
        def __init__(self, root: Path, split: str, download: bool) -> None:
            n = {"train": 40, "test": 12}[split]
            self.data = rng.integers(0, 256, (n, 3, 8, 8), np.uint8)
            self.labels = np.arange(n) % 4

    monkeypatch.setattr(datasets, "Splits", Splits, raising=False)
    monkeypatch.chdir(tmp_path)
    stage.run(own(raw, torchvision="Splits"))
    assert data.facts().shape == (3, 8, 8)
    assert (data.facts().train, data.facts().heldout, data.facts().test) == (30, 10, 12)


# NumPy archives


@pytest.fixture
def arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> dict[str, Any]:
    """Sixty training and twenty test images of 6 by 5 grey levels, in four classes; the folder is entered."""
    monkeypatch.chdir(tmp_path)
    return {
        "x_train": rng.integers(0, 256, (60, 6, 5), np.uint8), "y_train": np.arange(60) % 4,
        "x_test": rng.integers(0, 256, (20, 6, 5), np.uint8), "y_test": np.arange(20) % 4,
    }  # fmt: skip


def archive(raw: dict[str, Any], arrays: dict[str, Any], **dataset: Any) -> Config:
    np.savez("mine.npz", **arrays)
    return own(raw, **{"npz": "mine.npz", **dataset})


def whole() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Training and held-out images [n, channels, height, width] in the order of the source."""
    order = np.random.default_rng(0).permutation(60)
    both = np.concatenate([data.read("heldout").pixels, data.read("train").pixels])
    return both[np.argsort(order)]


def test_an_archive_is_read_as_it_is(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    stage.run(archive(raw, arrays, title="Mine", huggingface="me/mine"))
    found = data.facts()
    assert (found.dataset, found.title, found.huggingface) == ("mine", "Mine", "me/mine")
    assert (found.shape, found.classes) == ((1, 6, 5), ("0", "1", "2", "3"))
    assert (found.train, found.heldout, found.test) == (50, 10, 20)
    assert np.array_equal(whole()[:, 0], arrays["x_train"])
    assert np.array_equal(data.read("test").pixels[:, 0], arrays["x_test"])
    assert np.array_equal(data.read("test").labels, arrays["y_test"])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_numbers_from_0_to_1_become_the_nearest_grey_levels(
    raw: dict[str, Any], arrays: dict[str, Any], kind: type[np.floating[Any]]
) -> None:
    want = arrays["x_train"]
    stage.run(
        archive(raw, arrays | {part: arrays[part].astype(kind) / kind(255) for part in ("x_train", "x_test")})
    )
    assert np.array_equal(whole()[:, 0], want)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("last", [False, True])
def test_channels_may_stand_first_or_last(
    raw: dict[str, Any], arrays: dict[str, Any], rng: np.random.Generator, channels: int, last: bool
) -> None:
    want = {
        part: rng.integers(0, 256, (n, channels, 6, 5), np.uint8)
        for part, n in (("x_train", 60), ("x_test", 20))
    }
    given = {part: images.transpose(0, 2, 3, 1) if last else images for part, images in want.items()}
    stage.run(archive(raw, arrays | given))
    assert data.facts().shape == (channels, 6, 5)
    assert np.array_equal(whole(), want["x_train"])


def test_labels_may_be_texts_or_numbers_with_gaps(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    names = np.array(["cat", "ant", "dog", "bee"])
    texts = {part: names[arrays[part]] for part in ("y_train", "y_test")}
    stage.run(archive(raw, arrays | texts))
    assert data.facts().classes == ("ant", "bee", "cat", "dog")
    assert data.read("test").labels[:4].tolist() == [2, 0, 3, 1]
    gaps = {part: arrays[part] * 10 - 3 for part in ("y_train", "y_test")}
    stage.run(archive(raw, arrays | gaps, classes=["a", "b", "c", "d"]))
    assert data.facts().classes == ("a", "b", "c", "d")
    assert np.array_equal(data.read("test").labels, arrays["y_test"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"x_train": None}, "mine.npz holds y_train, x_test, y_test of x_train, y_train, x_test and y_test; it needs"),
        ({"y_test": None}, "mine.npz holds x_train, y_train, x_test of"),
        ({"x_train": np.zeros((60, 30), np.uint8)}, "its training and test images have different shapes"),
        ({"x_train": np.zeros(60, np.uint8)}, "data set mine: images of shape (60,)"),
        ({"x_train": np.zeros((0, 6, 5), np.uint8)}, "data set mine: labels of shape (60,) and type int64 for 0 images"),
        ({"x_train": np.zeros((60, 2, 1, 6, 5), np.uint8)}, "data set mine: images of shape (60, 2, 1, 6, 5)"),
        ({"x_test": np.zeros((20, 6, 6), np.uint8)}, "its training and test images have different shapes"),
        ({"x_train": np.full((60, 6, 5), np.nan), "x_test": np.zeros((20, 6, 5))}, "an image holds something that is not a finite number"),
        ({"x_train": np.full((60, 6, 5), np.inf), "x_test": np.zeros((20, 6, 5))}, "an image holds something that is not a finite number"),
        ({"x_train": np.full((60, 6, 5), "a")}, "images of type <U1; integers or floating-point numbers are needed"),
        ({"x_train": np.full((60, 6, 5), 255)}, "all training images are alike"),
        ({"x_train": np.full((60, 6, 5), -0.5), "x_test": np.zeros((20, 6, 5))}, "all training images are alike"),
        ({"x_train": np.full((60, 6, 5), 1j)}, "images of type complex128; integers or"),
        ({"y_train": np.arange(59) % 4}, "labels of shape (59,) and type int64 for 60 images"),
        ({"y_train": np.eye(4)[np.arange(60) % 4]}, "labels of shape (60, 4) and type float64 for 60 images"),
        ({"y_train": np.arange(60) % 4 / 2}, "the label 0.5 (of number 1, the first is 0) is not a whole number"),
        ({"y_train": np.zeros(60, int), "y_test": np.zeros(20, int)}, "it has 1 class; 2 to 1000 can be told apart"),
        ({"y_test": np.arange(20) % 5}, "no training image has the label 4 of a test image"),
        ({"x_train": np.full((60, 6, 5), 7, np.uint8)}, "all training images are alike"),
    ],
)  # fmt: skip
def test_a_wrong_archive_is_one_line_and_nothing_is_written(
    raw: dict[str, Any], arrays: dict[str, Any], change: dict[str, Any], why: str
) -> None:
    changed = {key: value for key, value in (arrays | change).items() if value is not None}
    with pytest.raises(GolfError) as caught:
        stage.run(archive(raw, changed))
    assert why in str(caught.value) and "\n" not in str(caught.value)
    assert not Path("data").exists() and not Path("results").exists()


def test_a_file_that_cannot_be_read_is_named(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    settings = archive(raw, arrays)
    path = Path("mine.npz")
    good = path.read_bytes()
    altered = good[:3000] + bytes(byte ^ 255 for byte in good[3000:3100]) + good[3100:]
    np.save("one.npy", arrays["x_train"])
    for content in (b"", b"text", good[:500], altered, Path("one.npy").read_bytes(), pickle.dumps([1])):
        path.write_bytes(content)
        with pytest.raises(GolfError, match=r"datasets\.mine\.npz: mine\.npz cannot be read") as caught:
            stage.run(settings)
        assert "\n" not in str(caught.value)
    np.savez(path, **{**arrays, "y_train": np.array([object()] * 60)})
    with pytest.raises(GolfError, match="cannot be read"):  # nothing is unpickled
        stage.run(settings)
    path.unlink()
    with pytest.raises(GolfError, match=r"datasets\.mine\.npz: there is no file mine\.npz"):
        stage.run(settings)
    path.mkdir()
    with pytest.raises(GolfError, match="cannot be read"):
        stage.run(settings)


def test_where_there_is_no_test_part_one_is_split_off(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    del arrays["x_test"], arrays["y_test"]
    with pytest.raises(GolfError, match=r"datasets\.mine: it has no test part; say with `test` how many"):
        stage.run(archive(raw, arrays))
    with pytest.raises(GolfError, match=r"datasets\.mine\.test = 60: there are only 60 images"):
        stage.run(archive(raw, arrays, test=60))
    with pytest.raises(GolfError, match=r"data\.heldout = 10: there are only 10 training images"):
        stage.run(archive(raw, arrays, test=50))
    stage.run(archive(raw, arrays, test=15))
    assert [len(data.read(part)) for part in ("train", "heldout", "test")] == [35, 10, 15]
    parts = [data.read(part).pixels.reshape(-1, 30) for part in ("train", "heldout", "test")]
    assert sorted(map(bytes, np.concatenate(parts))) == sorted(map(bytes, arrays["x_train"].reshape(60, -1)))
    first = parts[2].tobytes()
    stage.run(archive(raw, arrays, test=15))
    assert data.read("test").pixels.tobytes() == first


def test_class_names_must_be_as_many_as_the_classes(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    with pytest.raises(GolfError, match=r"datasets\.mine\.classes: 3 names for 4 classes"):
        stage.run(archive(raw, arrays, classes=["a", "b", "c"]))


def test_mean_and_deviation_are_those_of_the_training_part_where_none_are_given(
    raw: dict[str, Any], arrays: dict[str, Any]
) -> None:
    arrays["x_test"] = np.full((20, 6, 5), 255, np.uint8)  # they must not count
    stage.run(archive(raw, arrays))
    found, unit = data.facts(), data.read("train").pixels / 255
    assert (found.mean, found.std) == (
        pytest.approx(unit.mean(), abs=1e-4),
        pytest.approx(unit.std(), abs=1e-4),
    )
    stage.run(archive(raw, arrays, mean=0.25))
    assert (data.facts().mean, data.facts().std) == (0.25, found.std)
    stage.run(archive(raw, arrays, std=0.5))
    assert (data.facts().mean, data.facts().std) == (found.mean, 0.5)


def test_facts_come_back_as_they_were_written(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    facts = data.Facts(
        "d", "D, «é»", "", (3, 2, 1), ("a", "b"), 0.1, 0.2, 3, 2, 1, "ab", (0.0,) * 3, (1.0,) * 3
    )
    data.write_facts(facts)
    assert data.facts() == facts
    for left in ('{"dataset": "mnist", "train": 3}', "{}", "[]", '{"shape": 3}', "null"):
        data.FACTS.write_text(left)
        with pytest.raises(
            GolfError, match="is of another version of this project: run the stage `data` again"
        ):
            data.facts()


def test_the_digest_tells_other_data_apart(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    stage.run(archive(raw, arrays))
    first = data.digest()
    stage.run(archive(raw, arrays))
    assert data.digest() == first
    arrays["x_test"][3, 2, 1] ^= 1
    stage.run(archive(raw, arrays))
    assert data.digest() != first


def test_a_network_must_fit_the_data(raw: dict[str, Any], arrays: dict[str, Any]) -> None:
    stage.run(archive(raw, arrays))
    assert data.network(["conv 2 k3", "relu", "linear 4"]).in_shape == (1, 6, 5)
    with pytest.raises(GolfError, match="it has 10 outputs, but mine has 4 classes"):
        data.network(["conv 2 k3", "relu", "linear 10"])
    with pytest.raises(GolfError, match=r"'conv 2 k7'.*does not fit"):
        data.network(["conv 2 k7", "relu", "linear 4"])


# Folders of images


def picture(path: Path, pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """Folders train and test, each with ants and bees as PNG files of 6 by 5 pixels."""
    monkeypatch.chdir(tmp_path)
    for part, n in (("train", 20), ("test", 5)):
        for kind in ("ant", "bee"):
            for k in range(n):
                picture(Path("pictures", part, kind, f"{k:02}.png"), rng.integers(0, 256, (6, 5), np.uint8))
    return Path("pictures")


def test_folders_of_images_are_read_by_class(raw: dict[str, Any], pictures: Path) -> None:
    (pictures / "train/ant/.hidden").write_text("not an image, and not looked at")
    stage.run(own(raw, folder="pictures"))
    found = data.facts()
    assert (found.shape, found.classes) == ((1, 6, 5), ("ant", "bee"))
    assert (found.train, found.heldout, found.test) == (30, 10, 10)
    test = data.read("test")
    assert test.labels.tolist() == [0] * 5 + [1] * 5
    assert np.array_equal(test.pixels[7, 0], np.asarray(image.open(pictures / "test/bee/02.png")))
    for part in ("train", "test"):  # as some programs write them
        (pictures / part).rename(pictures / part.capitalize())
    stage.run(own(raw, folder="pictures"))
    assert data.facts() == found
    assert np.array_equal(data.read("test").pixels, test.pixels)


def test_a_folder_without_parts_has_its_test_part_split_off(raw: dict[str, Any], pictures: Path) -> None:
    stage.run(own(raw, folder="pictures/train", test=12))
    assert (data.facts().train, data.facts().heldout, data.facts().test) == (18, 10, 12)
    with pytest.raises(GolfError, match=r"datasets\.mine: it has no test part"):
        stage.run(own(raw, folder="pictures/train"))


def test_coloured_pictures_have_three_channels(raw: dict[str, Any], pictures: Path) -> None:
    for path in pictures.rglob("*.png"):
        picture(path, np.full((6, 5, 3), (250, 0, 7), np.uint8) + np.uint8(int(path.stem) % 2))
    stage.run(own(raw, folder="pictures"))
    assert data.facts().shape == (3, 6, 5)
    assert data.read("test").pixels[0, :, 0, 0].tolist() in ([250, 0, 7], [251, 1, 8])


def test_grey_pictures_that_are_stored_as_coloured_have_one(raw: dict[str, Any], pictures: Path) -> None:
    for path in pictures.rglob("*.png"):
        picture(path, np.full((6, 5, 3), 8 + int(path.stem) % 2, np.uint8))
    stage.run(own(raw, folder="pictures"))
    assert data.facts().shape == (1, 6, 5)
    assert data.read("test").pixels.max() <= 9


def test_a_wrong_folder_is_one_line(raw: dict[str, Any], pictures: Path, rng: np.random.Generator) -> None:
    def said(folder: str = "pictures") -> str:
        with pytest.raises(GolfError) as caught:
            stage.run(own(raw, folder=folder))
        assert "\n" not in str(caught.value)
        assert not Path("data").exists()
        return str(caught.value)

    assert "datasets.mine.folder: there is no folder nowhere" in said("nowhere")
    Path("empty/ant").mkdir(parents=True)
    assert "empty has no images in folders named as their classes" in said("empty")
    odd = pictures / "train/bee/30.png"
    picture(odd, rng.integers(0, 256, (5, 6), np.uint8))
    assert said() == f"{odd} is not as large as pictures/train/ant/00.png: all images must have one size"
    good = (pictures / "train/bee/00.png").read_bytes()
    for content in (b"text", b"", good[:60], good[:40] + bytes(20) + good[60:]):
        odd.write_bytes(content)
        assert f"{odd} is not an image; take it out" in said()
    odd.unlink()
    picture(pictures / "test/cow/00.png", rng.integers(0, 256, (6, 5), np.uint8))
    assert "no training image has the label cow of a test image" in said()


def test_places_may_be_given_for_data_sets_of_torchvision_only(raw: dict[str, Any]) -> None:
    for source in ({"npz": "a.npz"}, {"folder": "a"}, {"bundled": "digits"}):
        with pytest.raises(GolfError, match=r"datasets\.mine: only a data set of torchvision has places"):
            own(raw, places=["../shared"], **source)


@pytest.mark.parametrize("source", loaders.LOADERS)
def test_every_loader_is_a_source_that_params_may_name(raw: dict[str, Any], source: str) -> None:
    assert own(raw, **{source: "digits"}).dataset.source == source
