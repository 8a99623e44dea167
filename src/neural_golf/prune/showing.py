"""How a foreign network wants its images: the order of axes and the range of pixels, found by trying."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from neural_golf.base.errors import GolfError
from neural_golf.data.given import Given
from neural_golf.net.foreign import Feed, Model
from neural_golf.prune.runtime import Runtime
from neural_golf.referee.hints import COLOURED, GREY, NEARLY

__all__ = ["feeds", "found", "plain_feed"]

TRIED = 1000  # training images
Axes = tuple[tuple[int, ...], tuple[int, ...]]


def found(model: Model, parts: Given, name: str) -> tuple[Runtime, int, int]:
    """The network, shown images in the way in which it gets the most of some training images right; of ways
    that are nearly as good, the simplest. With it, how many it gets right, and of how many.

    Raises GolfError where it does not take images of this shape, or does not tell so many classes apart.
    """
    train, classes = parts.train, len(parts.classes)
    some = train[: min(TRIED, len(train))]
    tried: list[tuple[int, Runtime]] = []
    for feed in feeds(model, parts, name):
        runtime = Runtime(model, feed, name)
        answers = runtime.answers(some.pixels)
        if answers.shape[1] != classes:
            raise GolfError(f"{name} has {answers.shape[1]} outputs, but the data have {classes} classes")
        tried.append((int((answers.argmax(axis=1) == some.labels).sum()), runtime))
    best = max(right for right, _ in tried)
    right, chosen = next(pair for pair in tried if pair[0] >= best - NEARLY * len(some))
    return chosen, right, len(some)


def feeds(model: Model, parts: Given, name: str) -> Iterator[Feed]:
    """The ways in which images may be shown to the network, simple ones first."""
    channels, height, width = parts.train.pixels.shape[1:]
    orders = _orders(model, (channels, height, width))
    if not orders:
        wanted = ", ".join("any" if n is None else str(n) for n in model.input_shape)
        raise GolfError(f"{name} takes [{wanted}], which images of {channels}x{height}x{width} do not fit")
    for order, shape in orders:
        told = "" if order == (0, 1, 2) or channels == 1 else ", channels last"
        if model.input_type == TensorProto.UINT8:
            yield Feed(order, shape, (255.0,) * channels, (0.0,) * channels, f"from 0 to 255{told}")
            continue
        for words, scale, shift in _ranges(parts):
            yield Feed(order, shape, scale, shift, f"{words}{told}")


def plain_feed(shape: tuple[int, int, int]) -> Feed:
    """How networks here want their images, of `shape` [channels, height, width]."""
    channels = shape[0]
    return Feed((0, 1, 2), shape, (1.0,) * channels, (0.0,) * channels, "from 0 to 1")


def _orders(model: Model, shape: tuple[int, int, int]) -> list[Axes]:
    """Orders of the axes, with the shape of an image in each, that the input's shape allows."""
    wanted = model.input_shape[1:]
    allowed: dict[tuple[int, ...], Axes] = {}
    for order in ((0, 1, 2), (1, 2, 0)):
        full = tuple(shape[axis] for axis in order)
        shapes = [full, tuple(n for n in full if n > 1), (int(np.prod(full)),)]
        shapes += [full[:k] + full[k + 1 :] for k in range(3) if full[k] == 1]
        for one in shapes:
            fits = len(one) == len(wanted) and all(w in (None, n) for w, n in zip(wanted, one, strict=True))
            # With one channel the orders are the same; else what is flat may be in either.
            key = one if shape[0] == 1 else (*order, *one)
            if fits or (not model.input_shape and one == full):
                allowed.setdefault(key, (order, one))
    return list(allowed.values())


def _ranges(parts: Given) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...]]]:
    """(in words, scale, shift) of pixels from 0 to 1, by channel."""
    train = parts.train
    channels = train.pixels.shape[1]

    def normalised(mean: object, deviation: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
        m, s = (np.broadcast_to(np.asarray(v, float), channels) for v in (mean, deviation))
        return tuple((1 / s).tolist()), tuple((-m / s).tolist())

    # Of bytes, from 0 to 255, a network more often wants shares; both are among those that follow.
    if {*parts.low} != {0.0} or not {*parts.high} <= {1.0, 255.0}:
        spans = tuple(high - low for low, high in zip(parts.low, parts.high, strict=True))
        yield "as in the data", spans, parts.low
    yield "from 0 to 1", (1.0,) * channels, (0.0,) * channels
    yield "from 0 to 255", (255.0,) * channels, (0.0,) * channels
    known = [(m, s) for m, s in (COLOURED if channels == 3 else GREY)]
    unit = train.pixels[:10_000] / np.float32(255)
    mean, deviation = float(unit.mean()), float(unit.std())
    by_channel = unit.mean(axis=(0, 2, 3)).tolist(), unit.std(axis=(0, 2, 3)).tolist()
    for m, s in known:
        yield f"normalised by {m} and {s}", *normalised(m, s)
    if deviation > 0:
        told = f"normalised by the data's mean {mean:.4f} and deviation {deviation:.4f}"
        yield told, *normalised(round(mean, 4), round(deviation, 4))
    if channels > 1 and min(by_channel[1]) > 0:
        yield "normalised by the data's mean and deviation of each channel", *normalised(*by_channel)
    yield "inverted, from 1 to 0", (-1.0,) * channels, (1.0,) * channels
