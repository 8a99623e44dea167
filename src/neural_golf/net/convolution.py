"""The two layer kinds with weights, `conv` and `linear`. A linear layer is a kernel as large as its input."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.net.kind import Kind, Layer, Maps, Node, Reading, Sides, Weights, in_words
from neural_golf.net.orbits import POSITIONS
from neural_golf.net.window import attributes, cropped, padded

__all__ = ["CONV", "LINEAR"]

MOST_PIXELS = 49  # of a kernel


def _parse_conv(reading: Reading) -> Layer:
    fail, (c, h, w) = reading.fail, reading.shape
    first, second, *options = reading.arguments(2, 99)
    out, kernel = reading.number(first), reading.sides(second, "k")
    tied = next((o.removeprefix("tied=") for o in options if o.startswith("tied=")), None)
    known = ("same", "nobias", *POSITIONS)
    numbers = [o for o in options if o not in known and not o.startswith("tied=")]
    (groups, more), dilation, stride = reading.options(numbers, g=(1, 1), d=(1, 1), s=(1, 1)).values()
    if groups != more:
        raise fail("groups are one number")
    if c % groups or out % groups:
        raise fail(f"{groups} groups do not divide {c} and {out} channels")
    if math.prod(kernel) > MOST_PIXELS or ("same" in options and not all(k % 2 for k in kernel)):
        raise fail(
            f"kernels go from 1 to 7 or have at most {MOST_PIXELS} pixels (k1x25), and `same` needs odd sides"
        )
    reach = ((kernel[0] - 1) * dilation[0], (kernel[1] - 1) * dilation[1])  # from first pixel to last
    pad = (reach[0] // 2, reach[1] // 2) if "same" in options else (0, 0)
    free = (h + 2 * pad[0] - reach[0] - 1, w + 2 * pad[1] - reach[1] - 1)  # how far it can be moved
    if min(free) < 0:
        covers = f" with dilation {in_words(dilation)} covers {reach[0] + 1}x{reach[1] + 1} pixels and"
        raise fail(f"a {kernel[0]}x{kernel[1]} kernel{covers if max(dilation) > 1 else ''} does not fit")
    orbit = _orbit(reading, out, groups, (kernel, dilation, stride), free)
    weight_shape = (out // orbit, c // groups, *kernel)
    if tied is None:
        weight = reading.tensor("weight", weight_shape)
    else:
        found = [t for t in reading.tensors if t.name == f"{tied}.weight"]
        if not found or found[0].shape != weight_shape:
            raise fail(f"no earlier layer {tied!r} has a kernel of shape {weight_shape}")
        weight = found[0]
    bias = None if "nobias" in options else reading.tensor("bias", (out,))
    return reading.layer(
        (out, free[0] // stride[0] + 1, free[1] // stride[1] + 1), weight=weight, bias=bias, kernel=kernel,
        pad=pad, dilation=dilation, stride=stride, groups=groups, orbit=orbit, among=reading.positions(),
    )  # fmt: skip


def _orbit(reading: Reading, out: int, groups: int, window: Sequence[Sides], free: Sides) -> int:
    """In how many positions each kernel stands. Raises GolfError where they cannot.

    window: its kernel, dilation and stride. free: how far the kernel can be moved.
    """
    _, h, w = reading.shape
    orbit = 8 if "mirrors" in reading.words else 4 if "turns" in reading.words else 1
    if orbit == 1:
        return 1
    if "turns" not in reading.words:
        raise reading.fail("mirrors go with turns")
    if out % orbit or groups > 1:
        raise reading.fail(
            f"these kernels come in {orbit} positions, so in multiples of {orbit}, not in groups"
        )
    if h != w:
        raise reading.fail("an image that is turned must be square")
    if any(down != across for down, across in window):
        raise reading.fail("a kernel that is turned must be square, and so must its dilation and stride")
    stride = window[2][0]
    if free[0] % stride:
        raise reading.fail(
            f"a stride of {stride} leaves out the last {free[0] % stride} row(s), others in a turned image"
        )
    before = reading.positions()
    if before not in (1, orbit):
        raise reading.fail(f"its kernels have {orbit} positions, those of the layer before {before}")
    return orbit


def _parse_linear(reading: Reading) -> Layer:
    classes, *options = reading.arguments(1, 2)
    if options not in ([], ["nobias"]):
        raise reading.fail()
    out, (c, h, w) = reading.number(classes), reading.shape
    weight = reading.tensor("weight", (out, c * h * w))
    return reading.layer((out, 1, 1), weight=weight, bias=None if options else reading.tensor("bias", (out,)))


Tap = tuple[int, int, slice, slice, Any]  # output channel, input channel, rows and columns read, weight


def _taps(layer: Layer, weight: NDArray[Any]) -> Iterator[Tap]:
    """The weights that are not zero. In a pruned network most are zero, and they cost nothing here."""
    out, height, width = layer.out_shape
    (down, across), (below, beside) = layer.dilation, layer.stride
    kernels = weight.reshape(out, -1, *(weight.shape[2:] or layer.in_shape[1:]))
    inputs, outputs = kernels.shape[1], out // layer.groups
    for o, i, y, x in np.argwhere(kernels).tolist():
        rows = slice(y * down, y * down + below * (height - 1) + 1, below)
        columns = slice(x * across, x * across + beside * (width - 1) + 1, beside)
        yield o, o // outputs * inputs + i, rows, columns, kernels[o, i, y, x]


def _forward(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    assert weight is not None
    x = padded(layer, x)
    y = np.zeros((*layer.out_shape, x.shape[-1]), x.dtype)
    if bias is not None:
        y += bias[:, None, None, None]
    for o, i, rows, columns, value in _taps(layer, weight):
        y[o] += value * x[i, rows, columns]
    return y


def _backward(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    assert weight is not None
    back = np.zeros_like(padded(layer, x))
    for o, i, rows, columns, value in _taps(layer, weight):
        back[i, rows, columns] += value * gradient[o]
    return cropped(layer, back)


def _names(layer: Layer) -> list[str]:
    return [tensor.name for tensor in (layer.weight, layer.bias) if tensor is not None]


def _conv_nodes(layer: Layer, source: str) -> list[Node]:
    return [Node("Conv", [source, *_names(layer)], layer.name, attributes(layer))]


def _linear_nodes(layer: Layer, source: str) -> list[Node]:
    flat = f"{layer.name}.flat"
    return [
        Node("Flatten", [source], flat),
        Node("Gemm", [flat, *_names(layer)], layer.name, {"transB": 1}),
    ]


# 2-D convolution, valid unless `same`, whose zeros around the map keep its size where the stride is 1. The
# kernel looks at pixels that are DILATION apart, from places that are STRIDE apart. Each of the three is a
# number, or two, for down and across (k1x5). With `turns` C / 4 kernels, each also turned by 90, 180 and 270
# degrees; with `turns mirrors` C / 8 kernels, each in these positions and mirrored (`turned`, `orbits`).
CONV = Kind(
    usage="conv CHANNELS kKERNEL [same] [sSTRIDE] [dDILATION] [gGROUPS] [nobias] [tied=NAME] "
    "[turns [mirrors]]",
    title="convolution",
    core="conv",
    weighted=True,
    parse=_parse_conv,
    forward=_forward,
    backward=_backward,
    nodes=_conv_nodes,
)
# Fully connected, on the flattened input.
LINEAR = Kind(
    usage="linear CLASSES [nobias]",
    title="the scores",
    core="linear",
    weighted=True,
    ends=True,
    shapeless=True,
    parse=_parse_linear,
    forward=_forward,
    backward=_backward,
    nodes=_linear_nodes,
)
