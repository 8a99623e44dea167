"""What each ONNX operator with arithmetic in it becomes: a layer, or a scale and a shift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from neural_golf.net.foreign.building import Building
from neural_golf.net.foreign.model import Array, Model, UnknownLayer, attribute
from neural_golf.net.foreign.seen import NOTHING, Floats, Seen

__all__ = ["KINDS_OF", "Context"]


@dataclass(frozen=True)
class Context:
    """One node, and what it reads."""

    model: Model
    building: Building
    node: onnx.NodeProto
    inputs: list[Seen | Array | None]
    what: str  # the node, in words

    def get(self, name: str, default: Any = None) -> Any:
        return attribute(self.node, name, default)

    def constant(self, place: int) -> Array | None:
        """The constant at a place of the inputs, None where there is none. Raises UnknownLayer for the
        other.
        """
        found = self.inputs[place] if place < len(self.inputs) else None
        if isinstance(found, Seen):
            raise self.unknown("has weights that depend on the image")
        return found

    def numbers(self, place: int) -> Floats:
        found = self.constant(place)
        if found is None:
            raise self.unknown("lacks an input")
        return found.astype(np.float64)

    def unknown(self, why: str) -> UnknownLayer:
        return UnknownLayer(f"{self.what} {why}")

    def built(self, x: Seen, rank: int) -> Seen:
        """The output of the layer that was just added, with as many axes as the node's input had."""
        made = self.building.seen(4)
        full = made.ids.shape
        if rank == 3:
            return made.moved(lambda a: a.reshape(full[0], full[1], full[2] * full[3]))
        return self.building.seen(rank) if rank in (2, 4) else made


def _convolution(c: Context, x: Seen) -> Seen:
    weight, bias = c.numbers(1), c.constant(2)
    rank = x.ids.ndim
    if rank == 3:
        weight = weight[:, :, None]
    if weight.ndim != 4 or rank not in (3, 4):
        raise c.unknown(f"has a kernel of shape {weight.shape}; images have two axes at most")
    x = x.maps()
    groups = c.get("group", 1)
    steps, reaches = ([1] * (4 - rank) + list(c.get(n) or [1] * (rank - 2)) for n in ("strides", "dilations"))
    size = [1 + reach * (side - 1) for side, reach in zip(weight.shape[2:], reaches, strict=True)]
    pads = _pads(c, x.ids.shape[2:], size, steps, rank)
    inner, own = _unpadded(c, x)
    pads = tuple(a + b for a, b in zip(pads, own, strict=True))
    weight, offset = _folded(c, inner, weight, any(pads), groups)
    if bias is not None:
        offset = offset + bias.astype(np.float64)
    text, weight = _conv_words(c, weight, pads, steps, reaches, groups)
    c.building.add(text, weight, offset if bias is not None or offset.any() else None)
    return c.built(x, rank)


def _pads(
    c: Context, sides: tuple[int, ...], size: list[int], steps: list[int], rank: int
) -> tuple[int, ...]:
    """(top, left, bottom, right), whatever way the node says it."""
    how = c.get("auto_pad", "NOTSET")
    if how == "VALID":
        return (0, 0, 0, 0)
    if how.startswith("SAME"):
        first, second = [], []
        for side, reach, step in zip(sides, size, steps, strict=True):
            total = max(0, (-(-side // step) - 1) * step + reach - side)
            less, more = total // 2, total - total // 2
            first.append(less if how == "SAME_UPPER" else more)
            second.append(more if how == "SAME_UPPER" else less)
        return (*first, *second)
    pads = list(c.get("pads") or [0] * 2 * (rank - 2))
    return (0, pads[0], 0, pads[1]) if rank == 3 else tuple(pads)


def _unpadded(c: Context, x: Seen) -> tuple[Seen, tuple[int, ...]]:
    """x without the border of zeros that a Pad put around it, and that border."""
    if not (x.ids == NOTHING).any():
        return x, (0, 0, 0, 0)
    real = x.ids != NOTHING
    rows, columns = (np.flatnonzero(real.any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    top, left = rows[0], columns[0]
    bottom, right = x.ids.shape[2] - 1 - rows[-1], x.ids.shape[3] - 1 - columns[-1]
    inner = x.moved(lambda a: a[:, :, top : rows[-1] + 1, left : columns[-1] + 1])
    if (inner.ids == NOTHING).any():
        raise c.unknown("comes after zeros that are no border")
    return inner, (int(top), int(left), int(bottom), int(right))


def _folded(c: Context, x: Seen, weight: Floats, padded: bool, groups: int) -> tuple[Floats, Floats]:
    """The kernel [out, in / groups, height, width] with the input's scale in it, and the bias that its shift
    makes [out].
    """
    ids, scale, shift = c.building.taken(x, c.what)
    if not np.array_equal(ids, np.arange(ids.size).reshape(c.building.shape)):
        raise c.unknown("reads maps that are put together anew")
    out = len(weight)
    if (scale == 1).all() and (shift == 0).all():
        return weight, np.zeros(out)
    if padded and shift.any():  # what is around the map is 0 behind the shift, and would not be before it
        c.building.settled(x, c.what)
        return weight, np.zeros(out)
    factor, term = c.building.by_channel(scale, shift, c.what)
    own = np.arange(out)[:, None] // (out // groups) * weight.shape[1] + np.arange(
        weight.shape[1]
    )  # [out, in]
    offset = (weight * term[own][:, :, None, None]).sum(axis=(1, 2, 3))
    return weight * factor[own][:, :, None, None], offset


def _conv_words(
    c: Context, weight: Floats, pads: tuple[int, ...], steps: list[int], reaches: list[int], groups: int
) -> tuple[str, Floats]:
    """The layer in a spec's words, and its kernel, which may be put into a larger one whose border is 0."""
    out, _, height, width = weight.shape
    more = f" d{reaches[0]}" if reaches[0] > 1 else ""
    more += f" g{groups}" if groups > 1 else ""
    more += f" s{steps[0]}" if steps[0] > 1 else ""
    kernel = f"k{height}" if height == width else f"k{height}x{width}"
    odd = reaches[0] != reaches[1] or steps[0] != steps[1]
    if odd and (height > 1 or steps[0] != 1) and (width > 1 or steps[1] != 1):
        raise c.unknown(f"has other strides or dilations down than across ({steps}, {reaches})")
    if not any(pads):
        return f"conv {out} {kernel}{more}", weight
    reach = [(side - 1) * step for side, step in zip((height, width), reaches, strict=True)]
    same = [pads[k] + pads[k + 2] == reach[k] for k in (0, 1)]
    centred = [pads[k] == pads[k + 2] for k in (0, 1)]
    if all(same) and all(centred) and c.building.able(f"conv {out} {kernel} same{more}"):
        return f"conv {out} {kernel} same{more}", weight
    if all(same) and steps == [1, 1] and reaches == [1, 1]:
        half = max(*pads, 1)
        large = np.zeros((out, weight.shape[1], 2 * half + 1, 2 * half + 1))
        top, left = half - pads[0], half - pads[1]
        large[:, :, top : top + height, left : left + width] = weight
        return f"conv {out} k{2 * half + 1} same{more}", large
    told = f"p{pads[0]}" if len(set(pads)) == 1 else f"p{'x'.join(map(str, pads))}"
    return f"conv {out} {kernel} {told}{more}", weight


def _linear(c: Context, x: Seen, weight: Floats, bias: Floats | None) -> Seen:
    """weight [out, inputs] on the last axis of x, all of whose other axes but the batch have one place."""
    batch, inputs = len(x.ids), x.ids.shape[-1]
    if x.ids.size != batch * inputs:
        return _pointwise(c, x, weight, bias)
    ids, _, _ = c.building.taken(x, c.what)
    flat = ids.ravel()
    real = flat != NOTHING
    scale, shift = (
        np.broadcast_to(default if a is None else a[0].ravel(), flat.shape)
        for a, default in ((x.scale, 1.0), (x.shift, 0.0))
    )
    whole = np.zeros((len(weight), int(np.prod(c.building.shape))))
    np.add.at(whole.T, flat[real], (weight * scale)[:, real].T)
    offset = weight[:, real] @ shift[real]
    if bias is not None:
        offset = offset + bias
    c.building.add(f"linear {len(weight)}", whole, offset if bias is not None or offset.any() else None)
    made = c.building.seen(2)
    shape = (*x.ids.shape[:-1], len(weight))
    return made.moved(lambda a: a.reshape(shape))


def _pointwise(c: Context, x: Seen, weight: Floats, bias: Floats | None) -> Seen:
    """A dense layer at each place of maps whose channels come last: a 1x1 convolution."""
    if x.ids.ndim not in (3, 4):
        raise c.unknown(f"multiplies what has the shape {list(x.ids.shape[1:])}")
    rank = x.ids.ndim
    first = (0, rank - 1, *range(1, rank - 1))
    maps = x.moved(lambda a: a.transpose(first)).maps()
    kernel, offset = _folded(c, maps, weight[:, :, None, None], False, 1)
    if bias is not None:
        offset = offset + bias
    text = f"conv {len(weight)} k1"
    c.building.add(text, kernel, offset if bias is not None or offset.any() else None)
    made = c.built(maps, rank)
    return made.moved(lambda a: a.transpose(0, *range(2, rank), 1))


def _gemm(c: Context, x: Seen) -> Seen:
    if not isinstance(c.inputs[0], Seen) or c.get("transA", 0):
        raise c.unknown("multiplies a constant by the image, not the image by one")
    weight = c.numbers(1) * c.get("alpha", 1.0)
    weight = weight if c.get("transB", 0) else weight.T
    bias = c.constant(2)
    if bias is not None:
        bias = np.broadcast_to(bias.astype(np.float64) * c.get("beta", 1.0), (1, len(weight))).ravel()
    return _linear(c, x, weight, bias)


def _matmul(c: Context, x: Seen) -> Seen:
    if not isinstance(c.inputs[0], Seen):
        raise c.unknown("multiplies a constant by the image, not the image by one")
    weight = c.numbers(1)
    if weight.ndim > 2 and weight.size == np.prod(weight.shape[-2:]):
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim != 2:
        raise c.unknown(f"multiplies by a constant of shape {weight.shape}")
    return _linear(c, x, weight.T, None)


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
    return _sloped(c, float(np.float32(c.get("alpha", 0.01)))), None


def _sloped(c: Context, slope: float) -> str:
    if slope == 0:
        return "relu"
    if slope == -1:
        return "abs"
    if not 0 < slope < 1:
        raise c.unknown(f"has a slope of {slope:g}; slopes go from 0 to 1")
    return f"leaky {slope:.9g}"


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
        sides = x.ids.shape[2:]
        size = [1] * (4 - rank) + list(c.get("kernel_shape", []))
        steps = [1] * (4 - rank) + list(c.get("strides") or [1] * (rank - 2))
        if any(step > 1 for step in c.get("dilations") or []):
            raise c.unknown("has windows with gaps")
        pads = _pads(c, sides, size, steps, rank)
        if c.get("ceil_mode", 0) and any(
            (side + pads[k] + pads[k + 2] - size[k]) % steps[k] for k, side in enumerate(sides)
        ):
            raise c.unknown("has windows that begin inside a map and end outside (ceil_mode)")
        if kind == "avgpool" and any(pads):
            raise c.unknown("averages over a border")
        square = size[0] == size[1]
        text = f"{kind} {size[0]}" if square else f"{kind} {size[0]}x{size[1]}"
        if steps != size:
            if steps[0] != steps[1] and size[0] != 1:
                raise c.unknown(f"has other strides down than across ({steps})")
            text += f" s{steps[1]}"
        if any(pads):
            text += f" p{pads[0]}" if len(set(pads)) == 1 else f" p{'x'.join(map(str, pads))}"
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
    return f"maxpool {height}" if height == width else f"maxpool {height}x{width}"


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


Reader = Callable[[Context, Seen], Seen]
KINDS_OF: dict[str, Reader] = {
    "Conv": _convolution,
    "Gemm": _gemm,
    "MatMul": _matmul,
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
