"""Where data sets come from: one loader per kind of source, and the table of them.

A loader takes the data set's line of the table in params.yaml and gives its training and test parts, the
latter None where the source has none, and the names of the classes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.config.sections import Dataset
from neural_golf.data import FOLDER, Split

__all__ = ["LOADERS", "Loaded", "enlarged"]

Loaded = tuple[Split, Split | None, tuple[str, ...]]


def from_torchvision(name: str, dataset: Dataset) -> Loaded:
    """Through torchvision's loader, from the first place that has the right files.

    A place is a folder or an address. torchvision checks the MD5 of every file and unpacks it.
    Raises GolfError that names each place and why it would not do.
    """
    from torchvision import datasets

    kind: Any = getattr(datasets, str(dataset.torchvision), None)
    if not callable(kind):
        raise GolfError(f"params.yaml: datasets.{name}.torchvision: there is no {dataset.torchvision} there")
    if not dataset.places:  # torchvision's own addresses
        try:
            return _torchvision_sets(name, kind)
        except (RuntimeError, OSError, ValueError, EOFError, HTTPException) as error:
            told = (" ".join(str(error).split()) or type(error).__name__)[:300]
            raise GolfError(f"{name} cannot be had from torchvision's own addresses: {told}") from None
    if not hasattr(kind, "mirrors"):
        raise GolfError(
            f"params.yaml: datasets.{name}.places: torchvision's {dataset.torchvision} cannot be had from "
            "other places than its own; leave them out"
        )
    raw = FOLDER / "raw" / kind.__name__ / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    whys = []
    for place in dataset.places:
        remote = bool(urlsplit(place).scheme)
        folder = _at_home(place)
        why = None if remote else _folder_problem(folder, kind.resources)
        if why is None:
            for file, _ in kind.resources:
                # The loader trusts unpacked files without a checksum: let it unpack anew. It leaves out
                # the download of a file that is there with the right MD5.
                (raw / file.removesuffix(".gz")).unlink(missing_ok=True)
                if not remote:
                    shutil.copyfile(folder / file, raw / file)
            try:
                made = _torchvision_sets(
                    name, type(kind.__name__, (kind,), {"mirrors": [place.rstrip("/") + "/"]})
                )
                print(f"data: {name} from {place}")
                return made
            except (RuntimeError, OSError, ValueError, EOFError, HTTPException) as error:
                why = (" ".join(str(error).split()) or type(error).__name__)[:300]
        print(f"data: not from {place}: {why}")
        whys.append(f"{place} ({why})")
    raise GolfError(
        f"no place has {name}: {'; '.join(whys)}. Put the published files into one of the folders, or add a "
        f"place to datasets.{name}.places in params.yaml; `make demo` runs without them"
    )


def _torchvision_sets(name: str, kind: Any) -> Loaded:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            parts = [kind(FOLDER / "raw", train=train, download=True) for train in (True, False)]
        except TypeError:
            try:
                parts = [kind(FOLDER / "raw", split=split, download=True) for split in ("train", "test")]
            except TypeError as error:
                raise GolfError(
                    f"params.yaml: datasets.{name}.torchvision: {kind.__name__} has no training and test "
                    f"part that is had by `train` or `split` alone: {' '.join(str(error).split())}"
                ) from None
    if not all(hasattr(part, "data") for part in parts):
        raise GolfError(
            f"params.yaml: datasets.{name}.torchvision: {kind.__name__} keeps no array of its images; make "
            "an npz file or a folder of them"
        )
    labels = [np.asarray(getattr(part, "targets", getattr(part, "labels", None))) for part in parts]
    (train, test), classes = _splits(name, [np.asarray(part.data) for part in parts], labels)
    return train, test, classes


def _at_home(place: str) -> Path:
    """A path in which ~ is a home. A home that there is not stays as it is written, and is then not found."""
    return Path(os.path.expanduser(place))  # noqa: PTH111 (Path's raises RuntimeError instead)


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


def from_npz(name: str, dataset: Dataset) -> Loaded:
    """From a NumPy archive with x_train and y_train, and x_test and y_test if there is a test part."""
    path = _at_home(str(dataset.npz))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x_train", "y_train", "x_test", "y_test") if key in file}
    except FileNotFoundError:
        raise GolfError(f"params.yaml: datasets.{name}.npz: there is no file {path}") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        told = " ".join(str(error).split())
        raise GolfError(f"params.yaml: datasets.{name}.npz: {path} cannot be read: {told}") from None
    if not {"x_train", "y_train"} <= arrays.keys() or ("x_test" in arrays) != ("y_test" in arrays):
        raise GolfError(
            f"{path} holds {', '.join(arrays) or 'none'} of x_train, y_train, x_test and y_test; it needs "
            "the first two, and both others if there is a test part"
        )
    parts = ["train", "test"] if "x_test" in arrays else ["train"]
    splits, classes = _splits(name, [arrays[f"x_{p}"] for p in parts], [arrays[f"y_{p}"] for p in parts])
    return splits[0], splits[1] if len(splits) > 1 else None, classes


def from_folder(name: str, dataset: Dataset) -> Loaded:
    """From images, a folder for each class; or from the folders train and test of such.

    They are grey, with one channel, where every pixel of every image has three equal ones.
    """
    from PIL import Image

    root = _at_home(str(dataset.folder))
    if not root.is_dir():
        raise GolfError(f"params.yaml: datasets.{name}.folder: there is no folder {root}")
    both = (root / "train").is_dir() and (root / "test").is_dir()
    images, labels = [], []
    for part in (root / "train", root / "test") if both else (root,):
        files = [f for f in sorted(part.glob("*/*")) if f.is_file() and not f.name.startswith(".")]
        if not files:
            raise GolfError(f"{part} has no images in folders named as their classes")
        pixels = []
        for file in files:
            try:
                with Image.open(file) as image:
                    pixels.append(np.asarray(image.convert("RGB")))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise GolfError(f"{file} is not an image: {' '.join(str(error).split())}") from None
        odd = next((f for f, p in zip(files, pixels, strict=True) if p.shape != pixels[0].shape), None)
        if odd is not None:
            raise GolfError(f"{odd} is not as large as {files[0]}: all images must have one size")
        images.append(np.stack(pixels))
        labels.append(np.array([file.parent.name for file in files]))
    if all((part == part[..., :1]).all() for part in images):
        images = [part[..., 0] for part in images]
    else:
        images = [part.transpose(0, 3, 1, 2) for part in images]
    splits, classes = _splits(name, images, labels)
    return splits[0], splits[1] if both else None, classes


def _splits(
    name: str, images: list[NDArray[Any]], labels: list[NDArray[Any]]
) -> tuple[list[Split], tuple[str, ...]]:
    """Parts with uint8 images [n, channels, height, width] and labels from 0; and the names of the classes.

    Images may be [n, h, w], [n, c, h, w] or [n, h, w, c]; uint8, or numbers from 0 to 1. Labels may be whole
    numbers or texts. Raises GolfError in one line for anything else.
    """
    made = []
    for pixels, own in zip(images, labels, strict=True):
        if pixels.ndim == 3:
            pixels = pixels[:, None]
        elif pixels.ndim == 4 and pixels.shape[3] in (1, 3) and pixels.shape[1] not in (1, 3):
            pixels = pixels.transpose(0, 3, 1, 2)
        if pixels.ndim != 4 or not pixels.size:
            raise GolfError(f"data set {name}: images of shape {pixels.shape}; [n, height, width] is needed")
        if pixels.dtype != np.uint8:
            if pixels.dtype.kind not in "iuf" or not np.isfinite(pixels).all():
                raise GolfError(f"data set {name}: an image holds something that is not a finite number")
            if pixels.min() < 0 or pixels.max() > 1:
                raise GolfError(
                    f"data set {name}: images of type {pixels.dtype} from {pixels.min():g} to "
                    f"{pixels.max():g}; give uint8, or numbers from 0 to 1"
                )
            pixels = np.round(pixels * 255).astype(np.uint8)
        if own.shape != (len(pixels),) or own.dtype.kind not in "iuU":
            raise GolfError(
                f"data set {name}: labels of shape {own.shape} and type {own.dtype} for {len(pixels)} "
                "images; whole numbers or texts [n] are needed"
            )
        made.append((np.ascontiguousarray(pixels), own))
    if any(pixels.shape[1:] != made[0][0].shape[1:] for pixels, _ in made):
        raise GolfError(f"data set {name}: its training and test images have different shapes")
    classes = np.unique(made[0][1])
    for _, own in made[1:]:
        unknown = np.setdiff1d(own, classes)
        if len(unknown):
            raise GolfError(f"data set {name}: no training image has the label {unknown[0]} of a test image")
    if not 2 <= len(classes) <= 256:
        raise GolfError(f"data set {name}: it has {len(classes)} classes; 2 to 256 can be told apart")
    splits = [Split(p, np.searchsorted(classes, own).astype(np.uint8)) for p, own in made]
    return splits, tuple(str(label) for label in classes)


def bundled_digits(name: str, dataset: Dataset) -> Loaded:
    """scikit-learn's 1,797 bundled 8x8 digits as 28x28 images: needs no download.

    Each is enlarged to 20x20 (bilinear) and centred with a border of 4, as MNIST was made
    (LeCun et al. 1998).
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    large = enlarged(bundle.images * (255 / 16), 20)
    pixels = np.pad(large.round().astype(np.uint8)[:, None], ((0, 0), (0, 0), (4, 4), (4, 4)))
    return Split(pixels, bundle.target.astype(np.uint8)), None, tuple(map(str, range(10)))


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


LOADERS: dict[str, Callable[[str, Dataset], Loaded]] = {
    "torchvision": from_torchvision,
    "npz": from_npz,
    "folder": from_folder,
    "bundled": bundled_digits,
}
