"""`golf c`, a network as C for a microcontroller; `golf export --plain`, as ONNX that other tools take."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_tensors, write_bytes
from neural_golf.data import FOLDER
from neural_golf.data.given import given as read_data
from neural_golf.device.source import Given, write_source
from neural_golf.device.whole import Whole, calibrated
from neural_golf.engine import engine
from neural_golf.net.onnx import model_proto
from neural_golf.net.spec import Network
from neural_golf.packed.graph import read_network

__all__ = ["of_data", "run_c", "run_plain"]

Vector = NDArray[np.float32]
CALIBRATION = 1000  # training images whose maps give the scales


def run_c(args: argparse.Namespace) -> int:
    """Run `golf c`; returns 0. Raises GolfError for a file that names no layers, and for missing data."""
    header = args.output.with_suffix(".h")
    if args.output.suffix != ".c":
        raise GolfError(f"-o {args.output} should end in .c")
    _refuse_losing(args.file, args.output, header)
    if args.data and not args.bits:
        raise GolfError(
            "--data goes with --bits 8, whose scales come from these images; without it, leave it out"
        )
    network, parameters, told = read_network(args.file)
    given, names = of_data(args.file, network, told, args.input)
    whole = _whole(args, network, parameters) if args.bits else None
    made = write_source(network, parameters, args.name, given, whole, header.name, names)
    _write_both({header: made.header, args.output: made.code})
    print(
        f"{args.output} and {header.name}: {np.count_nonzero(parameters)} numbers that are not zero, "
        f"{made.memory:,} bytes of static memory, {made.adds:,} multiply-adds for an image"
    )
    return 0


def run_plain(args: argparse.Namespace) -> int:
    """Run `golf export --plain`; returns 0. Raises GolfError for a file that names no layers."""
    _refuse_losing(args.plain, args.output)
    network, parameters, told = read_network(args.plain)
    plain, source = network.unrolled()
    values = parameters[source]
    told |= {"network": ", ".join(plain.spec), "parameters": str(plain.size)}
    told["nonzero"] = str(np.count_nonzero(values))
    if plain.form:
        told["form"] = json.dumps(asdict(plain.form))
    write_bytes(args.output, model_proto(plain, values, told).SerializeToString())
    print(
        f"{args.output}: {np.count_nonzero(values):,} numbers that are not zero, where {args.plain} has "
        f"{np.count_nonzero(parameters):,}; the classes are the same"
    )
    return 0


def _refuse_losing(source: Path, *outputs: Path) -> None:
    """Raises GolfError where a file to be written is a folder or the network itself."""
    for path in outputs:
        if path.resolve() == source.resolve():
            raise GolfError(f"-o {path} is the network itself, which would be lost; choose another name")
        if path.is_dir():
            raise GolfError(f"{path} is a folder, where a file is to be written; choose another name for -o")


def _write_both(texts: Mapping[Path, str]) -> None:
    """Write files of one folder: all of them, or none where a disk is full."""
    folder = next(iter(texts)).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".golf-c-", dir=folder) as made:
        try:
            for path, text in texts.items():
                (Path(made) / path.name).write_text(text, encoding="utf-8", newline="")
            for path in texts:
                (Path(made) / path.name).replace(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from None


def of_data(
    path: Path, network: Network, told: Mapping[str, str], wanted: str | None = None
) -> tuple[Given, list[str]]:
    """What the C function is given, and the names of the classes, as a file tells it of its data.

    wanted: the word after --input; without one bytes, or the data's own numbers where the file has ranges.
    Raises GolfError for ranges and names of another form, and for a range that is not there.
    """
    channels, classes = network.in_shape[0], network.classes
    names = _listed(told.get("classes", "[]"))
    if names is None or any(not isinstance(name, str) for name in names) or len(names) not in (0, classes):
        raise GolfError(f"{path}: `classes` in its metadata should be a list of {classes} names, as JSON")
    if "range" not in told or wanted not in (None, "own"):
        if wanted == "own":
            raise GolfError(
                f"{path}: --input own needs a file whose metadata has a `range`; this one has none"
            )
        return Given("float" if wanted == "float" else "unsigned char"), names
    ends = _listed(told["range"]) or []
    if len(ends) != 2 or not all(_are_numbers(end, channels) for end in ends):
        raise GolfError(f"{path}: `range` in its metadata should be two lists of {channels} numbers, as JSON")
    low, high = (tuple(map(float, end)) for end in ends)
    return Given("float", low, high), names


def _listed(text: str) -> list[Any] | None:
    """A list in JSON, or None for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def _are_numbers(found: object, count: int) -> bool:
    return isinstance(found, list) and len(found) == count and all(type(one) in (int, float) for one in found)


def _parts(path: Path | None) -> dict[str, Any]:
    """Images and labels to train on and held out: as the stage `data` wrote them into a folder, which is its
    own unless another is named, or of data as `golf prune` takes them.
    """
    folder = path or FOLDER
    if path is None or (folder / "train.safetensors").exists():
        return {part: read_tensors(folder / f"{part}.safetensors")[0] for part in ("train", "heldout")}
    parts = read_data(str(path))
    named = {"train": parts.train, "heldout": parts.heldout}
    return {name: {"images": part.pixels, "labels": part.labels} for name, part in named.items()}


def _whole(args: argparse.Namespace, network: Network, parameters: Vector) -> Whole:
    """The network in whole numbers; says what that costs on held-out images."""
    source, classes = args.data or FOLDER, 0
    for part, tensors in (parts := _parts(args.data)).items():
        images = tensors.get("images")
        if images is None or "labels" not in tensors or images.dtype != np.uint8:
            raise GolfError(
                f"{source / part}.safetensors has no images and labels, as `golf data` writes them"
            )
        if images.shape[1:] != network.in_shape:
            raise GolfError(
                f"{args.file} is for images of {network.in_shape}, not {images.shape[1:]} as in {source}"
            )
        classes = max(classes, 1 + int(tensors["labels"].astype(np.int64).max(initial=-1)))
    if classes != network.classes:
        raise GolfError(f"{args.file} has {network.classes} outputs, but the data have {classes} classes")
    whole = calibrated(network, parameters, parts["train"]["images"][:CALIBRATION])
    images, labels = parts["heldout"]["images"], parts["heldout"]["labels"]
    blocks = range(0, len(images), 256)
    found = np.concatenate([whole.logits(images[k : k + 256]).argmax(axis=1) for k in blocks])
    before = engine(network).logits(parameters, images).argmax(axis=1)
    print(
        f"{len(labels):,} held-out images: {(before == labels).mean():.4f} right as it is, "
        f"{(found == labels).mean():.4f} with whole numbers of 8 bits"
    )
    return whole
