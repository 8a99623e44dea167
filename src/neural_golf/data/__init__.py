"""MNIST in; train, held-out and test tensors out.

Three files, so that what a stage may look at is written in its dependencies: a stage that chooses
something depends on train and heldout, and has no way to see test.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, read_tensors, write_json, write_tensors
from neural_golf.config import Config, Data

__all__ = ["Split", "check", "digest", "read", "run"]

FOLDER = Path("data")


@dataclass(frozen=True)
class Split:
    """Images as uint8 [n, 1, 28, 28] (0 is background) and their labels as uint8 [n]."""

    pixels: NDArray[np.uint8]
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Split:
        return Split(np.ascontiguousarray(self.pixels[rows]), np.ascontiguousarray(self.labels[rows]))


def read(part: str) -> Split:
    """One part, train, heldout or test, as `golf data` wrote it. Raises GolfError if there is none."""
    tensors, _ = read_tensors(FOLDER / f"{part}.safetensors")
    return Split(tensors["images"], tensors["labels"])


def digest() -> str:
    """A digest of the data that `golf data` wrote: part of what unfinished work depends on."""
    return str(read_json(Path("results/metrics/data.json"))["digest"])


def run(config: Config) -> None:
    """The stage `data`: fetch, check, split by seed, write data/*.safetensors."""
    train, test = digits(config.data) if config.data.dataset == "digits" else fetch(config.data)
    if config.data.heldout >= len(train):
        raise GolfError(
            f"params.yaml: data.heldout = {config.data.heldout}: there are only {len(train)} training images"
        )
    order = np.random.default_rng(config.data.seed).permutation(len(train))
    parts = {
        "train": train[order[config.data.heldout :]],
        "heldout": train[order[: config.data.heldout]],
        "test": test,
    }
    hasher = hashlib.sha256()
    for name, images in parts.items():
        hasher.update(images.pixels.tobytes() + images.labels.tobytes())
        write_tensors(FOLDER / f"{name}.safetensors", {"images": images.pixels, "labels": images.labels})
    write_json(
        Path("results/metrics/data.json"),
        {
            "dataset": config.data.dataset,
            **{name: len(images) for name, images in parts.items()},
            "digest": hasher.hexdigest()[:16],
        },
    )


def check(config: Config) -> None:
    """Raises GolfError if no place has the data set; keeps what it fetched for `run`."""
    if config.data.dataset != "digits":
        fetch(config.data)


def fetch(data: Data) -> tuple[Split, Split]:
    """Train and test images through torchvision's loader, from the first place that has the right files.

    A place is a folder or an address. torchvision checks the MD5 of every file and unpacks it.
    Raises GolfError that names each place and why it would not do.
    """
    from torchvision import datasets

    kind = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[data.dataset]
    root = FOLDER / "raw"
    raw = root / kind.__name__ / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    whys = []
    for place in data.places[data.dataset]:
        remote = bool(urlsplit(place).scheme)
        why = None if remote else _folder_problem(Path(place), kind.resources)
        if why is None:
            for name, _ in kind.resources:
                # The loader trusts unpacked files without a checksum: let it unpack anew. It leaves out
                # the download of a file that is there with the right MD5.
                (raw / name.removesuffix(".gz")).unlink(missing_ok=True)
                if not remote:
                    shutil.copyfile(Path(place) / name, raw / name)
            loader = type(kind.__name__, (kind,), {"mirrors": [place.rstrip("/") + "/"]})
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    sets = [loader(root, train=train, download=True) for train in (True, False)]
                parts = [Split(s.data.numpy()[:, None], s.targets.numpy().astype(np.uint8)) for s in sets]
                print(f"data: {data.dataset} from {place}")
                return parts[0], parts[1]
            except (RuntimeError, OSError, ValueError, EOFError, HTTPException) as error:
                why = (" ".join(str(error).split()) or type(error).__name__)[:300]
        print(f"data: not from {place}: {why}")
        whys.append(f"{place} ({why})")
    raise GolfError(
        f"no place has {data.dataset}: {'; '.join(whys)}. Put the four published .gz files into one of the "
        f"folders, or add a place to data.places in params.yaml; `make demo` runs without them"
    )


def _folder_problem(folder: Path, resources: list[tuple[str, str]]) -> str | None:
    """Why a local folder will not do; None if all its files have the published MD5."""
    if not folder.is_dir():
        return "no such folder"
    for name, md5 in resources:
        if not (folder / name).is_file():
            return f"no {name} in it"
        have = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
        if have != md5:
            return f"{name} is truncated or altered: its MD5 is {have}, not {md5}"
    return None


def digits(data: Data) -> tuple[Split, Split]:
    """scikit-learn's 1,797 bundled 8x8 digits as 28x28 images: needs no download.

    Each is enlarged to 20x20 (bilinear) and centred with a border of 4, as MNIST was made
    (LeCun et al. 1998). The last `digits_test` of a seeded order are the test images.
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    large = enlarged(bundle.images * (255 / 16), 20)
    pixels = np.pad(large.round().astype(np.uint8)[:, None], ((0, 0), (0, 0), (4, 4), (4, 4)))
    labels = bundle.target.astype(np.uint8)
    if data.digits_test >= len(labels):
        raise GolfError(
            f"params.yaml: data.digits_test = {data.digits_test}: there are only {len(labels)} digits"
        )
    everything = Split(pixels, labels)
    order = np.random.default_rng(data.seed).permutation(len(labels))
    cut = len(labels) - data.digits_test
    return everything[order[:cut]], everything[order[cut:]]


def enlarged(images: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Images [n, s, s] as [n, size, size], bilinear, corners not aligned.

    Rounded as PyTorch's torch.nn.functional.interpolate does where it has fused multiply-adds, to
    float32 after each: most digits have a pixel that is exactly between two grey levels.
    """
    n, small, _ = images.shape
    scale = np.float64(np.float32(small / size))
    at = np.maximum(scale * (np.arange(size) + 0.5) - 0.5, 0).astype(np.float32)
    first = at.astype(np.int32)
    places = (first, np.minimum(first + 1, small - 1))
    second_weight = (at - first).astype(np.float32)
    weights = (1 - second_weight, second_weight)
    total = np.zeros((n, size, size), np.float32)
    for y, x in ((0, 1), (0, 0), (1, 0), (1, 1)):  # the four neighbours, in PyTorch's order
        weight = np.float64(weights[y][:, None] * weights[x])
        total = (weight * images[:, places[y]][:, :, places[x]] + total).astype(np.float32)
    return total
