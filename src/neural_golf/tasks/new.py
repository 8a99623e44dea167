"""`golf new`: a folder in which the whole pipeline runs on somebody's data."""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.base.yaml12 import read_yaml, yaml_text
from neural_golf.config.dataset import Dataset
from neural_golf.data import Loaded, Split
from neural_golf.data.loaders import load
from neural_golf.data.stage import split
from neural_golf.leaderboard.tables import write_tables
from neural_golf.referee.challenge import OWN
from neural_golf.results.on_device import DEVICE, DeviceTable
from neural_golf.tasks.home import home
from neural_golf.tasks.rules import Known, Plan, plan
from neural_golf.tasks.stages import stages_for
from neural_golf.tasks.written import challenge_text, params_text, readme
from neural_golf.workflow import init_dvc
from neural_golf.workspace import seen_from

__all__ = ["add_new_arguments", "make_task", "run_new"]

SEED = 0  # of the split
NAME = re.compile(r"[a-z][a-z0-9-]{0,50}")
# Names that torchvision has with its own checksums, beside those of the table in params.yaml.
NAMED = {
    "kmnist": {"torchvision": "KMNIST", "title": "Kuzushiji-MNIST"},
    "qmnist": {"torchvision": "QMNIST", "title": "QMNIST"},
    "cifar10": {"torchvision": "CIFAR10", "title": "CIFAR-10"},
    "svhn": {"torchvision": "SVHN", "title": "SVHN"},
    **{
        f"emnist-{part}": {"torchvision": "EMNIST", "split": part, "title": f"EMNIST, {part}"}
        for part in ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    },
}  # fmt: skip


def add_new_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf new`."""
    parser.add_argument("folder", type=Path, help="the folder to write; its name is that of the task")
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="an .npz file, a .csv file, a folder of images by class, or a name: " + ", ".join(_names()),
    )
    parser.add_argument(
        "--reach", type=float, required=True, metavar="SHARE",
        help="the share of the test images to get right, such as 0.95",
    )  # fmt: skip
    parser.add_argument(
        "--kind", choices=("images", "series"),
        help="what arrays [n, a, b] are; without it, series where one side is more than twice the other",
    )  # fmt: skip
    parser.add_argument(
        "--title", default="", help="what tables and the site call the data (default: its name)"
    )


def run_new(options: argparse.Namespace) -> int:
    """Run `golf new`; returns 0. Raises GolfError in one line, and then nothing is left."""
    for line in make_task(options.folder, options.data, options.reach, options.kind, options.title):
        print(line)
    return 0


def make_task(folder: Path, data: str, reach: float, kind: str | None = None, title: str = "") -> list[str]:
    """Write a task into a folder that does not exist yet; returns what is to be said about it.

    data: the path of an .npz or .csv file or of a folder, or a name that torchvision or params.yaml has.
    reach: the share of the test images to get right. Raises GolfError, and then there is no folder.
    """
    name = folder.name
    if not NAME.fullmatch(name):
        raise GolfError(f"{name!r}: a task's name is of a-z, 0-9 and dashes, and begins with a letter")
    if folder.exists():
        raise GolfError(f"{folder} exists already; choose another name")
    if not 0 < reach < 1:
        hint = f"; {reach:g} % is {reach / 100:g}" if 1 < reach < 100 else ""
        raise GolfError(f"--reach {reach:g} is not between 0 and 1{hint}")
    source = home()
    entry = _entry(data, kind, source)
    folder.mkdir(parents=True)
    try:
        return _write(folder, source, entry, reach, title)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _names() -> list[str]:
    with contextlib.suppress(GolfError):
        return [*config.read(home() / "params.yaml")["datasets"], *NAMED]
    return list(NAMED)


def _entry(data: str, kind: str | None, source: Path) -> dict[str, Any]:
    """The line of the table of data sets, with paths as seen from here."""
    path = Path(data)
    table = config.read(source / "params.yaml")["datasets"]
    if data in table:
        entry = dict(table[data])
        entry["places"] = [seen_from(Path(), source, place) for place in entry.get("places", ())]
        return {key: value for key, value in entry.items() if value not in ([], "")}
    if data in NAMED:
        return dict(NAMED[data])
    more = {"kind": kind} if kind else {}
    if data and path.is_dir():
        return {"folder": data}
    if path.suffix.lower() == ".csv":
        return {"csv": data}
    if path.suffix.lower() == ".npz":
        return {"npz": data, **more}
    raise GolfError(
        f"--data {data}: it is no .npz file, no .csv file, no folder and none of {', '.join(_names())}"
    )


def _write(folder: Path, source: Path, entry: dict[str, Any], reach: float, title: str) -> list[str]:
    name = folder.name
    if "torchvision" in entry:  # what is fetched stays, for the stage `data`
        there = _from(folder, entry)
        with contextlib.chdir(folder):
            whole = load(name, Dataset(**there))
    else:
        whole = load(name, Dataset(**entry))
    known = Known(
        shape=tuple(whole.train.pixels.shape[1:]),
        classes=len(whole.classes),
        train=len(whole.train),
        test=len(whole.test) if whole.test else None,
    )
    if known.left - known.heldout < known.classes:
        raise GolfError(
            f"{len(whole.train)} examples of {known.classes} classes are too few to train on, once "
            f"{known.heldout} are held out"
        )
    test = whole.test or split(whole.train, known.test_count, SEED, last=True)[1]
    chosen = plan(known)
    entry = {**_from(folder, entry), "title": title or entry.get("title", name), "shape": list(known.shape)}
    if not known.test:
        entry["test"] = known.test_count
    at_home = (source / "params.yaml").read_text(encoding="utf-8")
    write_bytes(
        folder / "params.yaml",
        params_text(at_home, name, entry, known, chosen, reach, whole.classes).encode(),
    )
    settings = config.load(folder / "params.yaml")
    stages = stages_for(
        read_yaml(source / "dvc.yaml"),
        config.load(source / "params.yaml"),
        settings,
    )
    text = yaml_text(stages, width=110)
    write_bytes(folder / "dvc.yaml", text.encode())
    for file in ("Snakefile", "package.json", "package-lock.json", "profiles/default/config.yaml"):
        write_bytes(folder / file, (source / file).read_bytes())
    write_bytes(folder / ".dvcignore", b"/.golf\n/.snakemake\n/node_modules\n")
    write_bytes(folder / ".gitignore", IGNORED)
    challenge = _write_challenge(folder, name, entry["title"], test, len(whole.classes), reach)
    write_tables([], folder / "leaderboard")
    DeviceTable().write(folder / DEVICE)
    write_bytes(folder / "README.md", readme(name, entry["title"], reach, challenge).encode())
    init_dvc(folder)
    return list(_words(folder, known, whole, test, chosen, challenge, reach))


IGNORED = b"""\
/.golf/
/.snakemake/
/node_modules/
/data/raw/
/data/*.safetensors
/results/models/
/results/onnx-large/
/results/site/
"""


def _from(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The line of the table as seen from the task's folder."""
    seen = dict(entry)
    for key in ("npz", "csv", "folder"):
        if key in seen:
            seen[key] = seen_from(folder, Path(), seen[key])
    if "places" in seen:
        seen["places"] = [seen_from(folder, Path(), place) for place in seen["places"]]
    return seen


def _write_challenge(folder: Path, name: str, title: str, test: Split, classes: int, reach: float) -> str:
    """Write the challenge and the two files of its test images; returns its name."""
    challenge = f"{name}-{f'{100 * reach:g}'.replace('.', '-')}"
    files = {"images": test.pixels, "labels": test.labels}
    told = {}
    for kind, array in files.items():
        content = gzip.compress(idx(array), mtime=0)
        file = f"{name}-test-{kind}.gz"
        write_bytes(folder / "data" / file, content)
        told[kind] = {"name": file, "md5": hashlib.md5(content, usedforsecurity=False).hexdigest()}
    text = challenge_text(challenge, title, name, told, len(test), classes, reach)
    write_bytes(folder / OWN / f"{challenge}.yaml", text.encode())
    return challenge


def idx(array: NDArray[Any]) -> bytes:
    """An array in MNIST's file format: bytes, or numbers of two bytes where it has such."""
    kind, numbers = (8, array) if array.dtype == np.uint8 else (11, array.astype(">i2"))
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + numbers.tobytes()


def _words(
    folder: Path, known: Known, whole: Loaded, test: Split, chosen: Plan, challenge: str, reach: float
) -> Iterator[str]:
    channels, height, width = known.shape
    what = (
        f"series of {_several(channels, 'channel')} and {_several(width, 'step')}" if known.series else
        f"images of {channels}x{height}x{width}"
    )  # fmt: skip
    some = ", ".join(whole.classes[:10]) + (", …" if known.classes > 10 else "")
    yield f"{folder}: {what}, {known.classes} classes ({some})"
    told = "" if known.test else " (the data have no test part, so these were split off)"
    trained = known.left - known.heldout
    yield f"{trained:,} examples to train on, {known.heldout:,} held out, {len(test):,} to test{told}"
    yield from _doubts(known, whole, test, reach)
    if known.series and whole.low != (0.0,) * channels:
        yield "numbers are kept in 256 levels of each channel's range"
    elif not known.series and (set(whole.low), set(whole.high)) not in (({0.0}, {255.0}), ({0.0}, {1.0})):
        yield f"numbers from {min(whole.low):g} to {max(whole.high):g} are kept in 256 levels"
    counts = np.bincount(whole.train.labels, minlength=known.classes)
    if counts.max() > 10 * counts.min():
        rare, common = (whole.classes[k] for k in (counts.argmin(), counts.argmax()))
        few, many = _several(int(counts.min()), "example"), f"{int(counts.max()):,}"
        yield f"unbalanced: class {rare} has {few}, and class {common} has {many}"
    yield f"baseline: {', '.join(chosen.baseline)}"
    yield f"smallest: {', '.join(chosen.smallest)}, down to {chosen.sizes[-1]} weights"
    right = f"{needed(reach, len(test)):,} of {len(test):,} test {_kind(known)} right"
    yield f"challenge: {challenge}, at least {right}"
    yield f"next: cd {folder}; snakemake"


def _doubts(known: Known, whole: Loaded, test: Split, reach: float) -> Iterator[str]:
    """What may be meant otherwise, in lines that say what to do."""
    channels, height, width = known.shape
    if known.series and channels > width:
        yield "are the two the other way round? arrays of series are [n, channels, length]"
    elif channels > 4 >= width:
        yield "are the channels the last axis? of 3 it is seen; else use x.transpose(0, 3, 1, 2)"
    elif height > 1 == channels and max(height, width) > 2 * min(height, width):
        yield "are they series, [n, channels, length]? then say --kind series"
    counts = np.bincount(test.labels, minlength=known.classes)
    if counts.max() >= needed(reach, len(test)):
        more = (
            "a higher --reach says more" if counts.max() < len(test) else
            "only more test examples, of several classes, say more"
        )  # fmt: skip
        yield (
            f"who always answers {whole.classes[counts.argmax()]} has {counts.max():,} of {len(test):,} test "
            f"{_kind(known)} right: {more}"
        )


def _kind(known: Known) -> str:
    return "series" if known.series else "images"


def _several(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def needed(reach: float, images: int) -> int:
    """The whole number of right answers that is at least this share of the images.

    >>> needed(0.95, 100), needed(0.95, 30)
    (95, 29)
    """
    return int(np.ceil(round(reach * images, 9)))
