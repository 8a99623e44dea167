"""Where data sets come from: one loader per kind of source, and the table of them.

A loader takes the data set's line of the table in params.yaml and gives what is `Loaded`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import re
import shutil
import socket
import zipfile
import zlib
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError, in_one_line
from neural_golf.config.dataset import Dataset
from neural_golf.data import FOLDER, Loaded, Split, at_home
from neural_golf.data.arrays import Raw, in_pieces, loaded
from neural_golf.data.series import from_csv

__all__ = ["LOADERS", "enlarged", "load"]

SILENT_SECONDS = 30.0  # a place that says nothing for so long is given up


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
            return _torchvision_sets(name, kind, dataset)
        except (RuntimeError, OSError, ValueError, EOFError, HTTPException) as error:
            raise GolfError(
                f"{name} cannot be had from torchvision's own addresses: {in_one_line(error)}"
            ) from None
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
        folder = at_home(place)
        why = None if remote else _folder_problem(folder, kind.resources)
        if why is None:
            for file, _ in kind.resources:
                # The loader trusts unpacked files without a checksum: let it unpack anew. It leaves out
                # the download of a file that is there with the right MD5.
                (raw / file.removesuffix(".gz")).unlink(missing_ok=True)
                if not remote:
                    shutil.copyfile(folder / file, raw / file)
            try:
                mirrored = type(kind.__name__, (kind,), {"mirrors": [place.rstrip("/") + "/"]})
                made = _torchvision_sets(name, mirrored, dataset)
                print(f"data: {name} from {place}")
                return made
            except (RuntimeError, OSError, ValueError, EOFError, HTTPException) as error:
                why = in_one_line(error)
        print(f"data: not from {place}: {why}")
        whys.append(f"{place} ({why})")
    raise GolfError(
        f"no place has {name}: {'; '.join(whys)}. Put the published files into one of the folders, or add a "
        f"place to datasets.{name}.places in params.yaml; `make demo` runs without them"
    )


def _torchvision_sets(name: str, kind: Any, dataset: Dataset) -> Loaded:
    more = {"split": dataset.split} if dataset.split else {}
    with contextlib.redirect_stdout(io.StringIO()), _no_longer_silent_than(SILENT_SECONDS):
        try:
            parts = [kind(FOLDER / "raw", train=train, download=True, **more) for train in (True, False)]
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
    images = [np.asarray(part.data) for part in parts]
    if kind.__name__ == "EMNIST":  # its files have rows and columns exchanged
        images = [part.swapaxes(1, 2) for part in images]
    if kind.__name__ == "QMNIST":  # beside the label, each has seven numbers about who wrote it
        labels = [own[:, 0] if own.ndim == 2 else own for own in labels]
    # MNIST's are such as "7 - seven".
    names = [str(label).partition(" - ")[0] for label in getattr(parts[0], "classes", ())]
    return loaded(name, [Raw.of(part) for part in images], labels, names)


@contextlib.contextmanager
def _no_longer_silent_than(seconds: float) -> Iterator[None]:
    """Let every read from the network end with TimeoutError: torchvision itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


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
    path = at_home(str(dataset.npz))
    key = f"params.yaml: datasets.{name}.npz"
    try:
        with _readable(key, path), zipfile.ZipFile(path) as file:
            have = {n.removesuffix(".npy") for n in file.namelist()}
    except FileNotFoundError:
        raise GolfError(f"{key}: there is no file {path}") from None
    keys = [part for part in ("x_train", "y_train", "x_test", "y_test") if part in have]
    if not {"x_train", "y_train"} <= have or ("x_test" in have) != ("y_test" in have):
        raise GolfError(
            f"{path} holds {', '.join(keys) or 'none'} of x_train, y_train, x_test and y_test; it needs "
            "the first two, and both others if there is a test part"
        )
    parts = ["train", "test"] if "x_test" in have else ["train"]
    with _readable(key, path), np.load(path, allow_pickle=False) as file:
        labels = [np.asarray(file[f"y_{part}"]) for part in parts]
    images = [_member(key, path, f"x_{part}") for part in parts]
    return loaded(name, images, labels, kind=dataset.kind)


@contextlib.contextmanager
def _readable(key: str, path: Path) -> Iterator[None]:
    """Raise GolfError for what a file that is no archive of arrays, or a damaged one, leads to."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        told = in_one_line(error)
        if "allow_pickle" in told:
            told = "it has arrays of Python objects; make numbers or texts of them, as by array.astype(str)"
        raise GolfError(f"{key}: {path} cannot be read: {told}") from None


def _member(key: str, path: Path, name: str) -> Raw:
    """An array of an archive, read a piece at a time. Nothing is unpickled."""

    def header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        read = (
            format.read_array_header_1_0
            if format.read_magic(file) == (1, 0)
            else format.read_array_header_2_0
        )
        return read(file)

    with _readable(key, path), zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        shape, turned, dtype = header(file)
    if turned or dtype.hasobject or not shape or not dtype.itemsize:  # which is rare: as a whole
        with _readable(key, path), np.load(path, allow_pickle=False) as arrays:
            return Raw.of(np.asarray(arrays[name]))

    def pieces() -> Iterator[NDArray[Any]]:
        with _readable(key, path), zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
            header(file)
            for rows in in_pieces(shape, dtype.itemsize):
                some = (rows.stop - rows.start, *shape[1:])
                content = file.read(math.prod(some) * dtype.itemsize)
                yield np.frombuffer(content, dtype).reshape(some)
            file.read(1)  # at its end, its checksum is compared

    return Raw(shape, dtype, pieces)


LEFT_BEHIND = ("Thumbs.db", "desktop.ini")  # by a file manager, in any folder of images


def from_folder(name: str, dataset: Dataset) -> Loaded:
    """From images, a folder for each class; or from the folders train and test of such.

    They are grey, with one channel, where every pixel of every image has three equal ones.
    """
    from PIL import Image

    root = at_home(str(dataset.folder))
    if not root.is_dir():
        raise GolfError(f"params.yaml: datasets.{name}.folder: there is no folder {root}")
    named = {part.name.lower(): part for part in sorted(root.iterdir()) if part.is_dir()}
    both = {"train", "test"} <= named.keys()
    images: list[NDArray[np.uint8]] = []
    labels = []
    for part in (named["train"], named["test"]) if both else (root,):
        files = [f for f in sorted(part.glob("[!.]*/[!.]*")) if f.is_file() and f.name not in LEFT_BEHIND]
        if not files:
            raise GolfError(
                f"{part} has no images in folders named as their classes; images belong into {root}/CLASS, "
                f"or into {root}/train/CLASS and {root}/test/CLASS"
            )
        pixels: NDArray[np.uint8] | None = None
        for k, file in enumerate(files):
            try:
                with Image.open(file) as image:
                    if image.mode.startswith(("I", "F")):  # which would be cut off
                        raise GolfError(
                            f"{file} has more than 8 bits for each pixel; make an npz file of them"
                        )
                    one = np.asarray(image.convert("RGB"))
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                raise GolfError(f"{file} is not an image; take it out ({in_one_line(error)})") from None
            if pixels is None:
                pixels = np.empty((len(files), *one.shape), np.uint8)
            if one.shape != pixels.shape[1:]:
                raise GolfError(f"{file} is not as large as {files[0]}: all images must have one size")
            pixels[k] = one
        assert pixels is not None
        images.append(pixels)
        labels.append(np.array([file.parent.name for file in files]))
    if all((one == one[..., :1]).all() for part in images for one in part):
        images = [part[..., 0] for part in images]
    else:
        images = [part.transpose(0, 3, 1, 2) for part in images]
    return loaded(name, [Raw.of(part) for part in images], labels)


def bundled_digits(name: str, dataset: Dataset) -> Loaded:
    """scikit-learn's 1,797 bundled 8x8 digits as 28x28 images: needs no download.

    Each is enlarged to 20x20 (bilinear) and centred with a border of 4, as MNIST was made
    (LeCun et al. 1998).
    """
    from sklearn.datasets import load_digits

    bundle = load_digits()
    large = enlarged(bundle.images * (255 / 16), 20)
    pixels = np.pad(large.round().astype(np.uint8)[:, None], ((0, 0), (0, 0), (4, 4), (4, 4)))
    return Loaded(Split(pixels, bundle.target.astype(np.uint8)), None, tuple("0123456789"), (0.0,), (255.0,))


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
    "csv": from_csv,
    "folder": from_folder,
    "bundled": bundled_digits,
}


def load(name: str, dataset: Dataset) -> Loaded:
    """A data set that is in no table: an error names the file, and no key of params.yaml."""
    try:
        return LOADERS[dataset.source](name, dataset)
    except GolfError as error:
        told = re.sub(rf"^params\.yaml: (datasets\.{re.escape(name)}\.\w+: )?", "", str(error))
        raise GolfError(told) from None
