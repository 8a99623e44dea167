"""The operators with weights: convolutions, and products with a matrix."""

from __future__ import annotations

import numpy as np

from neural_golf.net.foreign.context import Context, pads, sides
from neural_golf.net.foreign.seen import NOTHING, Floats, Seen

__all__ = ["convolution", "gemm", "matmul"]


def convolution(c: Context, x: Seen) -> Seen:
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
    around = pads(c, x.ids.shape[2:], size, steps, rank)
    inner, own = _unpadded(c, x)
    around = tuple(a + b for a, b in zip(around, own, strict=True))
    weight, offset = _folded(c, inner, weight, any(around), groups)
    if bias is not None:
        offset = offset + bias.astype(np.float64)
    whole = weight.shape[2:] == c.building.shape[1:] and groups == 1 and not any(around)
    if whole and max(weight.shape[2:]) > 1:  # a kernel as large as the map
        text = f"linear {len(weight)}"
    else:
        text, weight = _conv_words(c, weight, around, steps, reaches, groups)
    c.building.add(text, weight, offset if bias is not None or offset.any() else None)
    return c.built(x, rank)


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
    c: Context, weight: Floats, around: tuple[int, ...], steps: list[int], reaches: list[int], groups: int
) -> tuple[str, Floats]:
    """The layer in a spec's words, and its kernel, which may be put into a larger one whose border is 0."""
    out, _, height, width = weight.shape
    more = f" d{sides(reaches)}" if max(reaches) > 1 else ""
    more += f" g{groups}" if groups > 1 else ""
    more += f" s{sides(steps)}" if max(steps) > 1 else ""
    kernel = f"k{sides((height, width))}"
    if not any(around):
        return f"conv {out} {kernel}{more}", weight
    reach = [(side - 1) * step for side, step in zip((height, width), reaches, strict=True)]
    same = [around[k] + around[k + 2] == reach[k] for k in (0, 1)]
    centred = [around[k] == around[k + 2] for k in (0, 1)]
    if all(same) and all(centred) and c.building.able(f"conv {out} {kernel} same{more}"):
        return f"conv {out} {kernel} same{more}", weight
    if all(same) and steps == [1, 1] and reaches == [1, 1]:
        half = max(*around, 1)
        large = np.zeros((out, weight.shape[1], 2 * half + 1, 2 * half + 1))
        top, left = half - around[0], half - around[1]
        large[:, :, top : top + height, left : left + width] = weight
        return f"conv {out} k{2 * half + 1} same{more}", large
    raise c.unknown(
        f"pads by {list(around)}, which neither keeps the size of a map nor lets all of it be seen"
    )


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


def gemm(c: Context, x: Seen) -> Seen:
    if not isinstance(c.inputs[0], Seen) or c.get("transA", 0):
        raise c.unknown("multiplies a constant by the image, not the image by one")
    weight = c.numbers(1) * c.get("alpha", 1.0)
    weight = weight if c.get("transB", 0) else weight.T
    bias = c.constant(2)
    if bias is not None:
        bias = np.broadcast_to(bias.astype(np.float64) * c.get("beta", 1.0), (1, len(weight))).ravel()
    return _linear(c, x, weight, bias)


def matmul(c: Context, x: Seen) -> Seen:
    if not isinstance(c.inputs[0], Seen):
        raise c.unknown("multiplies a constant by the image, not the image by one")
    weight = c.numbers(1)
    if weight.ndim > 2 and weight.size == np.prod(weight.shape[-2:]):
        weight = weight.reshape(weight.shape[-2:])
    if weight.ndim != 2:
        raise c.unknown(f"multiplies by a constant of shape {weight.shape}")
    return _linear(c, x, weight.T, None)
