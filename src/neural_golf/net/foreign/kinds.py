"""What each ONNX operator with arithmetic in it becomes: a layer, or a scale and a shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neural_golf.net.foreign.context import Context, Reader, pads, sides
from neural_golf.net.foreign.seen import Floats, Seen
from neural_golf.net.foreign.weighted import convolution, gemm, matmul

__all__ = ["KINDS_OF"]


def _batch_norm(c: Context, x: Seen) -> Seen:
    if c.get("training_mode", 0):
        raise c.unknown("runs in training mode; export the network in evaluation mode")
    gain, bias, mean, variance = (c.numbers(k) for k in (1, 2, 3, 4))
    factor = gain / np.sqrt(variance + c.get("epsilon", 1e-5))
    axes = (-1, *[1] * (x.ids.ndim - 2))
    return x.changed(factor.reshape(axes), (bias - mean * factor).reshape(axes))


def _sum(c: Context, x: Seen, own: float = 1.0, other: float = 1.0) -> Seen:
    place = 1 if isinstance(c.inputs[0], Seen) else 0
    if place == 0:
        own, other = other, own
    return x.changed(own, other * c.numbers(place))


def _product(c: Context, x: Seen) -> Seen:
    return x.changed(c.numbers(1 if isinstance(c.inputs[0], Seen) else 0), 0.0)


def _quotient(c: Context, x: Seen) -> Seen:
    if not isinstance(c.inputs[0], Seen):
        raise c.unknown("divides a constant by what it gets")
    return x.changed(1 / c.numbers(1), 0.0)


def _activation(
    words: Callable[[Context, Seen], tuple[str, Floats | None]],
) -> Callable[[Context, Seen], Seen]:
    """A function of each element: what it is called, and its slopes if it has some."""

    def read(c: Context, x: Seen) -> Seen:
        text, slopes = words(c, x)
        if not text:
            return x
        x = c.building.settled(x, c.what)
        c.building.taken(x, c.what)
        c.building.add(text, slopes)
        return Seen(len(c.building.parts), x.ids)

    return read


def _leaky(c: Context, x: Seen) -> tuple[str, Floats | None]:
    return _sloped(c, c.get("alpha", 0.01)), None


def _sloped(c: Context, slope: float) -> str:
    if slope == 0:
        return "relu"
    if slope == -1:
        return "abs"
    if not 0 < slope < 1:
        raise c.unknown(f"has a slope of {slope:g}; slopes go from 0 to 1")
    return f"leaky {np.float32(slope)!s}"  # the shortest number that is this one


def _prelu(c: Context, x: Seen) -> tuple[str, Floats | None]:
    slope = c.numbers(1)
    if slope.size == 1 and 0 <= slope.item() < 1:
        return _sloped(c, slope.item()), None
    ids, _, _ = c.building.taken(x, c.what)
    places = np.broadcast_to(slope, x.ids.shape)[0]
    _, height, width = c.building.shape
    slopes = np.full(c.building.shape[0], np.nan)
    channels = ids.ravel() // (height * width)
    slopes[channels] = places.ravel()
    if not np.array_equal(slopes[channels], places.ravel()) or np.isnan(slopes).any():
        raise c.unknown("has slopes that differ from place to place of a map")
    return "prelu", slopes


def _clip(c: Context, x: Seen) -> tuple[str, Floats | None]:
    low = c.constant(1) if len(c.inputs) > 1 else np.array(c.get("min", -np.inf))
    high = c.constant(2) if len(c.inputs) > 2 else np.array(c.get("max", np.inf))
    least = -np.inf if low is None else float(low)
    most = np.inf if high is None else float(high)
    if most < 1e30 or (least != 0 and least > -1e30):
        raise c.unknown(f"clips to {least:g} … {most:g}; only a ReLU, from 0 upwards, is known")
    return ("relu" if least == 0 else ""), None


def _maximum(c: Context, x: Seen) -> tuple[str, Floats | None]:
    if len(c.inputs) != 2 or c.numbers(1 if isinstance(c.inputs[0], Seen) else 0).any():
        raise c.unknown("takes the larger of something other than 0")
    return "relu", None


def _pool(kind: str) -> Callable[[Context, Seen], Seen]:
    def read(c: Context, x: Seen) -> Seen:
        rank = x.ids.ndim
        x = x.maps()
        extent = x.ids.shape[2:]
        size = [1] * (4 - rank) + list(c.get("kernel_shape", []))
        steps = [1] * (4 - rank) + list(c.get("strides") or [1] * (rank - 2))
        if any(step > 1 for step in c.get("dilations") or []):
            raise c.unknown("has windows with gaps")
        around = pads(c, extent, size, steps, rank)
        if c.get("ceil_mode", 0) and any(
            (side + around[k] + around[k + 2] - size[k]) % steps[k] for k, side in enumerate(extent)
        ):
            raise c.unknown("has windows that begin inside a map and end outside (ceil_mode)")
        if kind == "avgpool" and any(around):
            raise c.unknown("averages over a border")
        if around[:2] != around[2:]:
            raise c.unknown(f"pads one side more than the other ({list(around)})")
        text = f"{kind} {sides(size)}"
        text += f" s{sides(steps)}" if steps != size else ""
        text += f" p{sides(around)}" if any(around) else ""
        return _pooled(c, x, text, rank)

    return read


def _pooled(c: Context, x: Seen, text: str, rank: int) -> Seen:
    """A pool of maps. A scale by channel in front of it may stand behind it, unless it turns a maximum
    round.
    """
    ids, scale, shift = c.building.taken(x, c.what)
    if not np.array_equal(ids, np.arange(ids.size).reshape(c.building.shape)):
        raise c.unknown("pools maps that are put together anew")
    same = (scale == scale[:, :1, :1]).all() and (shift == shift[:, :1, :1]).all()
    if same and (not text.startswith("maxpool") or (scale > 0).all()):
        c.building.add(text)
        made = c.building.seen(4)
        if (scale != 1).any() or shift.any():
            made = made.changed(scale[None, :, :1, :1], shift[None, :, :1, :1])
    else:
        c.building.settled(x, c.what)
        c.building.add(text)
        made = c.building.seen(4)
    if rank == 3:
        batch, channels, _, length = made.ids.shape
        return made.moved(lambda a: a.reshape(batch, channels, length))
    return made


def _global(kind: str) -> Callable[[Context, Seen], Seen]:
    def read(c: Context, x: Seen) -> Seen:
        rank = x.ids.ndim
        return _pooled(c, x.maps(), _global_words(c, kind), rank)

    return read


def _global_words(c: Context, kind: str) -> str:
    _, height, width = c.building.shape
    if kind == "gap":
        return "gap"
    return f"maxpool {sides((height, width))}"


def _reduced(kind: str) -> Callable[[Context, Seen], Seen]:
    """ReduceMean and ReduceMax over all places of a map, wherever the channels are."""

    def read(c: Context, x: Seen) -> Seen:
        axes = c.get("axes") if len(c.inputs) < 2 else c.constant(1)
        rank = x.ids.ndim
        if axes is None:
            raise c.unknown("takes all channels together")
        over = sorted(int(axis) % rank for axis in np.ravel(axes))
        kept = [axis for axis in range(rank) if axis not in over]
        if len(kept) != 2 or kept[0] != 0:
            raise c.unknown("does not take each map as a whole")
        maps = x.moved(lambda a: a.transpose(*kept, *over)).maps()
        made = _pooled(c, maps, _global_words(c, kind), 4)
        shape = [made.ids.shape[kept.index(axis)] if axis in kept else 1 for axis in range(rank)]
        if not c.get("keepdims", 1):
            shape = [made.ids.shape[k] for k in (0, 1)]
        return made.moved(lambda a: a.reshape(shape))

    return read


def _negative(c: Context, x: Seen) -> Seen:
    return x.changed(-1.0, 0.0)


KINDS_OF: dict[str, Reader] = {
    "Conv": convolution,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": _batch_norm,
    "Add": _sum,
    "Sub": lambda c, x: _sum(c, x, 1.0, -1.0),
    "Mul": _product,
    "Div": _quotient,
    "Neg": _negative,
    "Relu": _activation(lambda c, x: ("relu", None)),
    "Abs": _activation(lambda c, x: ("abs", None)),
    "LeakyRelu": _activation(_leaky),
    "PRelu": _activation(_prelu),
    "Clip": _activation(_clip),
    "Max": _activation(_maximum),
    "MaxPool": _pool("maxpool"),
    "AveragePool": _pool("avgpool"),
    "GlobalAveragePool": _global("gap"),
    "GlobalMaxPool": _global("maxpool"),
    "ReduceMean": _reduced("gap"),
    "ReduceMax": _reduced("maxpool"),
}
