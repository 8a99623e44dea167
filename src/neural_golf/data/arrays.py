"""Arrays of any numbers as parts of a data set: uint8 images [n, channels, height, width], labels from 0.

Numbers are read a piece at a time, so that an array of floats is never in memory as a whole. A series
[channels, length] is an image of height 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.data import MOST_CLASSES, Loaded, Split

__all__ = ["Raw", "loaded"]

PIECE = 1 << 24  # bytes of numbers that are looked at at once
LAST = (1, 3)  # channels that may stand last
MOST = 1e30  # a number that is as good as infinite: the squares of more would be
LARGE = 0.5  # what numbers from 0 to 1 reach; smaller ones have a range of their own
SPREADS = 5.0  # standard deviations that a channel of a series is cut off at
Array = NDArray[Any]
Kind = Literal["images", "series"]


@dataclass(frozen=True)
class Raw:
    """An array as its source has it. `pieces` gives its rows in order, some at a time, as often as it is
    called.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pieces: Callable[[], Iterator[Array]]

    @classmethod
    def of(cls, array: Array) -> Raw:
        """An array that is in memory."""
        return cls(
            array.shape, array.dtype, lambda: (array[rows] for rows in in_pieces(array.shape, array.itemsize))
        )


def in_pieces(shape: Sequence[int], itemsize: int) -> Iterator[slice]:
    """Slices of the first axis with about PIECE bytes each."""
    step = max(1, PIECE // max(1, itemsize * math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        yield slice(start, min(shape[0], start + step))


def loaded(
    name: str,
    images: Sequence[Raw],
    labels: Sequence[Array],
    names: Sequence[str] = (),
    kind: Kind | None = None,
) -> Loaded:
    """One or two parts, training and test, as a data set.

    images: [n, height, width], [n, channels, height, width] or [n, height, width, channels]; series are
    [n, length] or [n, channels, length]. Three dimensions of other numbers than uint8 are series where one
    of the last two is more than twice the other, unless `kind` says it. uint8, and whole numbers that fit
    into it, stay as they are; numbers from 0 to 1, if some are 0.5 or more, become the nearest of 256
    levels; others become levels between the least and the greatest of the first part, or, of each channel
    of a series, between five standard deviations below and above the mean at the most. labels: [n] or
    [n, 1], whole numbers or texts. names: those of the classes, where the source has them. Raises GolfError
    in one line for anything else.
    """
    for raw, own in zip(images, labels, strict=True):
        if len(own) != raw.shape[0] if raw.shape and own.ndim else True:
            raise GolfError(_wrong_labels(name, own, raw.shape[:1]))
        if not math.prod(raw.shape):
            raise GolfError(f"data set {name}: images of shape {raw.shape} are none")
        if raw.dtype.kind not in "biuf":
            raise GolfError(
                f"data set {name}: images of type {raw.dtype}; integers or floating-point numbers are needed"
            )
    arranged = [_Arranged.of(name, raw, kind) for raw in images]
    if any(one.shape != arranged[0].shape for one in arranged):
        raise GolfError(f"data set {name}: its training and test images have different shapes")
    if len({raw.dtype.kind == "f" for raw in images}) > 1:
        kinds = " and ".join(str(raw.dtype) for raw in images)
        raise GolfError(
            f"data set {name}: its training and test images are of {kinds}; make them of one type"
        )
    own_labels = [_labels(name, own) for own in labels]
    classes = np.unique(own_labels[0])
    for own in own_labels[1:]:
        unknown = np.setdiff1d(own, classes)
        if len(unknown):
            raise GolfError(f"data set {name}: no training image has the label {unknown[0]} of a test image")
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise GolfError(
            f"data set {name}: it has {len(classes)} class{'es' * (len(classes) > 1)}; 2 to {MOST_CLASSES} "
            "can be told apart"
        )
    told = _names([str(label) for label in classes])
    if names and classes.dtype.kind in "iu" and classes[0] >= 0 and classes[-1] < len(names):
        told = _names([names[label] for label in classes])
    low, high = arranged[0].range(name)
    number = np.uint8 if len(classes) <= 256 else np.uint16
    splits = [
        Split(one.levels(name, low, high), np.searchsorted(classes, own).astype(number))
        for one, own in zip(arranged, own_labels, strict=True)
    ]
    if splits[0].pixels.min() == splits[0].pixels.max():
        raise GolfError(f"data set {name}: all training images are alike, so nothing can be learnt from them")
    return Loaded(splits[0], splits[1] if len(splits) > 1 else None, told, tuple(low), tuple(high))


def _names(classes: list[str]) -> tuple[str, ...]:
    r"""Names of classes that stand in one line and can be printed and written anywhere.

    >>> _names(["a\nb", "", "\udcff"]), _names(["a b", "a  b"])
    (('a b', '(empty)', '\\udcff'), ("'a b'", "'a  b'"))
    """
    told = [
        " ".join(name.encode("utf-8", "backslashreplace").decode().split()) or "(empty)" for name in classes
    ]
    told = ["".join(letter if letter.isprintable() else "?" for letter in name) for name in told]
    if len(set(told)) < len(told):  # which must not be taken for each other
        told = [ascii(name) for name in classes]
    return tuple(told)


def _labels(name: str, own: Array) -> Array:
    if own.ndim == 2 and own.shape[1] == 1:
        own = own[:, 0]
    if own.ndim == 1 and own.dtype.kind == "b":
        own = own.astype(np.uint8)
    if own.ndim == 1 and own.dtype.kind == "S":
        own = np.char.decode(own, "utf-8", "backslashreplace")  # so that no two become alike
    if own.ndim == 1 and own.dtype.kind == "f":
        odd = ~((own == np.round(own)) & (np.abs(own) < 2**53))
        if odd.any():
            first = int(odd.argmax())
            raise GolfError(
                f"data set {name}: the label {own[first]} (of number {first}, the first is 0) is not a whole "
                "number"
            )
        own = own.astype(np.int64)
    if own.ndim != 1 or own.dtype.kind not in "iuU":
        raise GolfError(_wrong_labels(name, own, own.shape[:1]))
    return own


def _wrong_labels(name: str, own: Array, images: Sequence[int]) -> str:
    return (
        f"data set {name}: labels of shape {own.shape} and type {own.dtype} for {images[0] if images else 0} "
        "images; whole numbers or texts [n] are needed"
    )


@dataclass(frozen=True)
class _Arranged:
    """An array, and how its rows become images of `shape`, that is channels, height and width."""

    raw: Raw
    shape: tuple[int, int, int]
    last: bool  # whether its channels stand last

    @classmethod
    def of(cls, name: str, raw: Raw, kind: Kind | None) -> _Arranged:
        sides, last = raw.shape[1:], False
        if kind is None and len(sides) == 2 and raw.dtype != np.uint8 and max(sides) > 2 * min(sides):
            kind = "series"
        shape: tuple[int, int, int] | None = None
        match sides:
            case (length,) if kind != "images":
                shape = (1, 1, length)
            case (channels, length) if kind == "series":
                shape = (channels, 1, length)
            case (height, width):
                shape = (1, height, width)
            case (first, second, third) if kind != "series":
                last = third in LAST and first not in LAST
                shape = (third, first, second) if last else (first, second, third)
        if shape is None:
            what = "series" if kind == "series" else "images"
            need = "[n, channels, length]" if kind == "series" else "[n, height, width]"
            raise GolfError(f"data set {name}: {what} of shape {raw.shape}; {need} is needed")
        return cls(raw, shape, last)

    def pieces(self, name: str) -> Iterator[Array]:
        """Numbers [some, channels, height, width]. Raises GolfError for what is no finite number."""
        seen = 0
        for piece in self.raw.pieces():
            if piece.dtype.kind == "b":
                piece = piece.astype(np.float32)
            flat = piece.reshape(len(piece), -1)
            finite: Array = np.asarray(np.isfinite(flat).all(axis=1))
            if piece.dtype.kind == "f" and piece.itemsize > 4:
                finite = np.asarray(finite & (np.abs(flat) < MOST).all(axis=1))
            if not finite.all():
                raise GolfError(
                    f"data set {name}: an image holds something that is not a finite number (the first is "
                    f"number {seen + int(np.argmin(finite))})"
                )
            seen += len(piece)
            if self.last:
                yield piece.transpose(0, 3, 1, 2)
            else:
                yield piece.reshape(len(piece), *self.shape)

    def range(self, name: str) -> tuple[list[float], list[float]]:
        """For each channel, which numbers the levels 0 and 255 stand for."""
        channels = self.shape[0]
        if self.raw.dtype == np.uint8:
            return [0.0] * channels, [255.0] * channels
        low, high = np.full(channels, np.inf), np.full(channels, -np.inf)
        total, squares, whole = np.zeros(channels), np.zeros(channels), True
        for piece in self.pieces(name):
            low = np.minimum(low, piece.min((0, 2, 3)))
            high = np.maximum(high, piece.max((0, 2, 3)))
            whole &= bool(piece.dtype.kind in "iu")
            wide = piece.astype(np.float64)
            total += wide.sum((0, 2, 3))
            squares += (wide * wide).sum((0, 2, 3))
        if whole and low.min() >= 0 and high.max() <= 255:
            return [0.0] * channels, [255.0] * channels
        ends = high if self.shape[1] == 1 else high.max(keepdims=True)
        if low.min() >= 0 and high.max() <= 1 and ends.min() >= LARGE:  # else few of the levels would be used
            return [0.0] * channels, [1.0] * channels
        if self.shape[1] > 1:  # all channels of an image have one scale
            low[:], high[:] = low.min(), high.max()
        else:
            count = self.raw.shape[0] * self.shape[2]
            mean = total / count
            spread = SPREADS * np.sqrt(np.maximum(squares / count - mean * mean, 0))
            low, high = np.maximum(low, mean - spread), np.minimum(high, mean + spread)
        high = np.where(high - low > 1 / MOST, high, low + 1)  # of a channel that never changes
        return [float(f"{number:.6g}") for number in low], [float(f"{number:.6g}") for number in high]

    def levels(self, name: str, low: Sequence[float], high: Sequence[float]) -> NDArray[np.uint8]:
        """uint8 images [n, channels, height, width]; what lies outside of a channel's range is cut off."""
        out = np.empty((self.raw.shape[0], *self.shape), np.uint8)
        direct = self.raw.dtype == np.uint8
        least = np.reshape(low, (1, -1, 1, 1))
        steps = 255 / (np.reshape(high, (1, -1, 1, 1)) - least)
        done = 0
        for piece in self.pieces(name):
            rows = slice(done, done + len(piece))
            out[rows] = piece if direct else np.round(np.clip((piece - least) * steps, 0, 255))
            done += len(piece)
        return out
