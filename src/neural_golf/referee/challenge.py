"""Challenges as data: which test images, how many must be right, under which rules.

A challenge is a small YAML file (challenges/*.yaml). It knows its test files by their MD5, so a verdict never
rests on altered data. They are read here with numpy and gzip alone, and no more of them than they state.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from neural_golf.base.errors import GolfError
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.rules import RULES_VERSION
from neural_golf.referee.strict import parse_strict, read_strict

__all__ = [
    "OWN",
    "Challenge",
    "DataFile",
    "challenge_names",
    "load_challenge",
    "load_test_set",
    "own_challenges",
    "read_idx",
]

_NAME = r"[a-z0-9][a-z0-9-]{0,63}"
_Name = Annotated[str, Field(pattern=rf"^{_NAME}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
_MOST_BYTES = 1 << 30  # of a data file, packed or not: a million images of 28 by 28 pixels, and some more
OWN = Path("challenges")  # of a task's own folder: what `golf new` writes
_KINDS: dict[bytes, np.dtype[Any]] = {
    b"\x08": np.dtype(np.uint8),
    b"\x0b": np.dtype(">i2"),
}  # of the numbers of an idx file
_FOLDER = resources.files("neural_golf.referee") / "challenges"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataFile(_Strict):
    """A published file: its name and the MD5 of its compressed bytes."""

    name: _FileName
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Files(_Strict):
    """The test set's two idx files: images [n, height, width] or [n, channels, height, width], labels [n]."""

    images: DataFile
    labels: DataFile


class Challenge(_Strict):
    """One challenge: PASS needs `threshold` of `images` right, under version `rules` of docs/rules.md."""

    name: _Name
    title: Annotated[str, Field(min_length=1, max_length=100)]
    dataset: _Name
    split: Literal["test"]
    files: Files
    images: Annotated[int, Field(ge=1, le=1_000_000)]
    classes: Annotated[int, Field(ge=2, le=1000)] = 10
    threshold: Annotated[int, Field(ge=1)]
    score: Literal["nonzero", "bytes"]  # what is made small: the non-zero parameters, or the .golf file
    rules: Literal[2] = RULES_VERSION

    @property
    def data(self) -> tuple[Files, int, int]:
        """What tells its images from those of other challenges: equal for challenges on the same ones."""
        return self.files, self.images, self.classes

    @model_validator(mode="after")
    def _possible(self) -> Challenge:
        if self.threshold > self.images:
            raise ValueError(f"threshold {self.threshold} is above the {self.images} images")
        return self


def challenge_names() -> list[str]:
    """The names of the challenges that come with the package."""
    return sorted(f.name.removesuffix(".yaml") for f in _FOLDER.iterdir() if f.name.endswith(".yaml"))


def own_challenges() -> list[str]:
    """The names of the challenges in the folder that the command runs in, if it is a task's."""
    named = (path.stem for path in OWN.glob("*.yaml") if re.fullmatch(_NAME, path.stem))
    return sorted(name for name in named if name not in challenge_names())


def load_challenge(name: str, *, files: bool = False) -> Challenge:
    """A challenge that comes with the package, or one of a task's own folder, by its name. Without `files` no
    name is ever a path; with `files` it may be the path of a challenge, which ends in .yaml.

    Raises GolfError in one line of printable ASCII, and NoVerdict where this machine cannot open the file.
    """
    shown = ascii(name[:100])
    if name in challenge_names():
        tree = parse_strict((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    elif (own := name in own_challenges()) or (files and name.endswith(".yaml")):
        try:
            tree = read_strict(OWN / f"{name}.yaml" if own else Path(name))
        except NoVerdict:
            raise
        except GolfError as error:
            raise GolfError(f"challenge {shown}: {error}") from error
    else:
        have = ", ".join([*own_challenges(), *challenge_names()])
        raise GolfError(f"challenge {shown} does not exist; there are {have}")
    try:
        return Challenge.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ascii(".".join(map(str, first["loc"])) or "challenge")[1:-1]
        raise GolfError(f"challenge {shown}: {where}: {first['msg']}") from error


def load_test_set(challenge: Challenge, *folders: Path) -> tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]:
    """Images [n, channels, height, width], uint8, and labels [n], whole numbers, from published files in the
    folders.

    Data sets whose files have the same names are told apart by their MD5. Raises GolfError where a file is
    missing or altered.
    """
    images, labels = (
        _find(challenge, file, folders) for file in (challenge.files.images, challenge.files.labels)
    )
    images = images[:, None] if images.ndim == 3 else images  # grey
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or labels.ndim != 1
        or not len(images) == len(labels) == challenge.images
    ):
        raise GolfError(
            f"challenge {challenge.name}: {challenge.images} images and labels expected, "
            f"found {images.shape} and {labels.shape}"
        )
    return images, labels


def _find(challenge: Challenge, file: DataFile, folders: Sequence[Path]) -> NDArray[Any]:
    wrong: GolfError | None = None
    for path in (found for folder in folders for found in sorted(folder.rglob(file.name))):
        try:
            return read_idx(path, file.md5)
        except GolfError as error:
            wrong = GolfError(f"{error}, or name the folder of the {challenge.dataset} files with --data")
    raise wrong or GolfError(
        f"data: no {file.name} in {', '.join(map(str, folders))}; download the published "
        f"{challenge.dataset} test files there, run `golf data`, or name their folder with --data"
    )


def read_idx(path: Path, md5: str | None = None) -> NDArray[Any]:
    """A gzip-compressed idx file of bytes, or of numbers of two bytes, as an array of the shape its header
    states.

    With `md5` the compressed file must be that one, bit for bit. No more is unpacked than the header states,
    and that is at most 1 GiB. Raises GolfError for a file that is missing, altered, cut off or of another
    format.
    """
    try:
        with _opened(path) as packed:
            found = hashlib.file_digest(packed, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if md5 is not None and found != md5:
                raise GolfError(
                    f"data: {path} is not the published file (MD5 {found}, not {md5}); download it again"
                )
            packed.seek(0)
            with gzip.GzipFile(fileobj=packed) as data:
                return _unpacked(path, data)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise GolfError(f"data: {path} is cut off or not gzip ({error}); download it again") from error
    except OSError as error:
        raise GolfError(f"data: {path} cannot be read ({error.strerror})") from error


def _opened(path: Path) -> io.BufferedReader:
    """A regular file of allowed size; it never waits for a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0))
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
        os.close(descriptor)
        raise GolfError(f"data: {path} is not a file of at most {_MOST_BYTES:,} bytes")
    return os.fdopen(descriptor, "rb")


def _unpacked(path: Path, data: gzip.GzipFile) -> NDArray[Any]:
    magic = data.read(4)
    kind = _KINDS.get(magic[2:3])
    rank = magic[3] if magic[:2] == b"\x00\x00" and len(magic) == 4 and kind else 0
    stated = data.read(4 * rank) if 1 <= rank <= 4 else b""
    if kind is None or not stated or len(stated) < 4 * rank:
        raise GolfError(f"data: {path} is not an idx file of bytes")
    shape: tuple[int, ...] = struct.unpack(f">{rank}I", stated)
    size, told = math.prod(shape) * kind.itemsize, "x".join(map(str, shape))
    if size > _MOST_BYTES:
        raise GolfError(f"data: {path} states {told} numbers; the limit is {_MOST_BYTES:,}")
    body = bytearray()
    while part := data.read(min(1 << 20, size + 1 - len(body))):
        body += part
    if len(body) != size:
        holds = "more" if len(body) > size else str(len(body) // kind.itemsize)
        raise GolfError(f"data: {path} states {told} numbers and holds {holds}")
    numbers: NDArray[Any] = np.frombuffer(body, kind)
    return numbers.reshape(shape)
