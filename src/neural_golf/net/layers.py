"""The table of layer kinds. A new kind is a line here, one in engine/modules.py and its part of the core."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import reduce

import numpy as np

from neural_golf.net.convolution import CONV, LINEAR
from neural_golf.net.kind import Kind, Layer, Maps, Node, Reading, Sides, Weights, in_words
from neural_golf.net.window import attributes, cropped, padded

__all__ = ["EPSILON", "KINDS", "parse_layer"]

EPSILON = 1e-5  # added to the variance by `norm`, as ONNX and PyTorch do


# What a spec may say about them.


def _alone(reading: Reading) -> Layer:
    reading.arguments(0)
    return reading.layer()


def _fraction(reading: Reading) -> Layer:
    (word,) = reading.arguments(1)
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise reading.fail(f"{word!r} should be a number from 0 to 1")
    return reading.layer(value=value)


def _absolute(reading: Reading) -> Layer:
    reading.arguments(0)
    return reading.layer(value=-1.0)  # |z| = max(z, −z), a slope of −1 as the core sees it


def _slopes(reading: Reading) -> Layer:
    reading.arguments(0)
    return reading.layer(weight=reading.tensor("slope", reading.shape[:1]))


def _window(reading: Reading, **more: Sides) -> Layer:
    """A pool; `more` are options that not all of them have."""
    size, *words = reading.arguments(1, 2 + len(more))
    kernel, (c, *map_sides) = reading.sides(size), reading.shape
    options = reading.options(words, s=kernel, **more)
    stride, pad = options["s"], options.get("p", (0, 0))
    if any(p > k // 2 for p, k in zip(pad, kernel, strict=True)):
        raise reading.fail(
            f"padding of {in_words(pad)} is more than half of a {kernel[0]}x{kernel[1]} window"
        )
    free = [side + 2 * p - k for side, p, k in zip(map_sides, pad, kernel, strict=True)]
    if min(free) < 0:
        raise reading.fail(f"a {kernel[0]}x{kernel[1]} window does not fit")
    height, width = (1 + room // step for room, step in zip(free, stride, strict=True))
    return reading.layer((c, height, width), kernel=kernel, pad=pad, stride=stride)


def _sum(reading: Reading) -> Layer:
    (name,) = reading.arguments(1)
    lasting = [place for place, layer in enumerate(reading.layers) if not KINDS[layer.kind].training]
    places = {reading.layers[place].name: place for place in lasting}
    if name not in places:
        raise reading.fail(f"no earlier layer {name!r} can be added; there are: {' '.join(places) or 'none'}")
    place = places[name]
    if place == lasting[-1]:
        raise reading.fail(f"{name} is its input, which would be added to itself")
    shape = reading.layers[place].out_shape
    if shape != reading.shape:
        raise reading.fail(
            f"{name} has maps of {'x'.join(map(str, shape))}, and only equal shapes can be added"
        )
    if reading.positions(place + 1) != reading.positions():
        raise reading.fail(f"the channels of {name} come in another number of positions than those here")
    return reading.layer(adds=name)


def _global(reading: Reading) -> Layer:
    reading.arguments(0)
    return reading.layer((reading.shape[0], 1, 1))


def _maps(reading: Reading) -> Layer:
    reading.arguments(0)
    if reading.shape[1:] == (1, 1):
        raise reading.fail("a map of one pixel is its own mean, and nothing would be left of it")
    return reading.layer()


# The forward and backward functions that take more than one line.


def _prelu(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    assert weight is not None
    return np.where(x > 0, x, weight[:, None, None, None] * x)


def _prelu_back(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    assert weight is not None
    return np.where(x > 0, gradient, weight[:, None, None, None] * gradient)


def _windows(layer: Layer, x: Maps) -> Iterator[Maps]:
    """Views of x, which is padded, one per place in a window, with the shape of the output."""
    _, height, width = layer.out_shape
    below, beside = layer.stride
    for row, column in np.ndindex(layer.kernel):
        rows = slice(row, row + below * (height - 1) + 1, below)
        yield x[:, rows, column : column + beside * (width - 1) + 1 : beside]


def _maxpool(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    largest: Maps = reduce(np.maximum, _windows(layer, padded(layer, x, -np.inf)))
    return largest


def _maxpool_back(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    x = padded(layer, x, -np.inf)
    back = np.zeros_like(x)
    left = np.ones(y.shape, np.bool_)
    for target, values in zip(_windows(layer, back), _windows(layer, x), strict=True):
        largest = (values == y) & left  # of equal ones, the first
        target += gradient * largest
        left &= ~largest
    return cropped(layer, back)


def _avgpool(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    total: Maps = reduce(np.add, _windows(layer, x))
    return total / math.prod(layer.kernel)


def _avgpool_back(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    back = np.zeros_like(x)
    for target in _windows(layer, back):
        target += gradient / math.prod(layer.kernel)
    return back


def _gap(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    return _mean(x)


def _gap_back(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    return np.broadcast_to(gradient / (x.shape[1] * x.shape[2]), x.shape)


def _mean(x: Maps) -> Maps:
    mean: Maps = x.mean(axis=(1, 2), keepdims=True)
    return mean


def _deviation(x: Maps) -> Maps:
    return np.asarray(np.sqrt(x.var(axis=(1, 2), keepdims=True) + EPSILON))


def _norm(layer: Layer, x: Maps, weight: Weights, bias: Weights) -> Maps:
    return np.asarray((x - _mean(x)) / _deviation(x))


def _norm_back(layer: Layer, gradient: Maps, x: Maps, y: Maps, weight: Weights) -> Maps:
    return np.asarray((gradient - _mean(gradient) - y * _mean(gradient * y)) / _deviation(x))


# ONNX.


def _node(operator: str) -> Callable[[Layer, str], list[Node]]:
    return lambda layer, source: [Node(operator, [source], layer.name)]


def _leaky_nodes(layer: Layer, source: str) -> list[Node]:
    return [Node("LeakyRelu", [source], layer.name, {"alpha": layer.value})]


def _prelu_nodes(layer: Layer, source: str) -> list[Node]:
    assert layer.weight is not None
    return [Node("PRelu", [source, layer.weight.name], layer.name)]


def _pool_nodes(operator: str) -> Callable[[Layer, str], list[Node]]:
    def nodes(layer: Layer, source: str) -> list[Node]:
        return [Node(operator, [source], layer.name, attributes(layer))]

    return nodes


def _norm_nodes(layer: Layer, source: str) -> list[Node]:
    """The operator wants a gain and a bias per channel; the paper's normalisation has none, so one stored 1
    and one stored 0 stand for those of all channels. Its epsilon is EPSILON unless said.
    """
    gain, bias, channels = (f"{layer.name}.{part}" for part in ("gain", "bias", "channels"))
    return [
        Node("Constant", [], channels, {"value_ints": [layer.in_shape[0]]}),
        Node("Constant", [], f"{gain}.one", {"value_float": 1.0}),
        Node("Constant", [], f"{bias}.zero", {"value_float": 0.0}),
        Node("Expand", [f"{gain}.one", channels], gain),
        Node("Expand", [f"{bias}.zero", channels], bias),
        Node("InstanceNormalization", [source, gain, bias], layer.name),
    ]


KINDS: dict[str, Kind] = {
    "conv": CONV,
    "linear": LINEAR,
    "relu": Kind(
        usage="relu",
        title="ReLU",
        core="relu",
        activation=True,
        rectifies=True,
        shapeless=True,
        parse=_alone,
        forward=lambda layer, x, *_: np.maximum(x, 0),
        backward=lambda layer, gradient, x, *_: gradient * (x > 0),
        nodes=_node("Relu"),
    ),
    "abs": Kind(
        usage="abs",
        title="size without sign",
        core="leaky",
        activation=True,
        shapeless=True,
        parse=_absolute,
        forward=lambda layer, x, *_: np.abs(x),
        backward=lambda layer, gradient, x, *_: gradient * np.sign(x),
        nodes=_node("Abs"),
    ),
    "leaky": Kind(
        usage="leaky SLOPE",
        title="leaky ReLU",
        core="leaky",
        activation=True,
        rectifies=True,
        shapeless=True,
        parse=_fraction,
        forward=lambda layer, x, *_: np.where(x > 0, x, layer.value * x),
        backward=lambda layer, gradient, x, *_: np.where(x > 0, gradient, layer.value * gradient),
        nodes=_leaky_nodes,
    ),
    "prelu": Kind(  # one slope per channel
        usage="prelu",
        title="PReLU",
        core="prelu",
        activation=True,
        rectifies=True,
        parse=_slopes,
        forward=_prelu,
        backward=_prelu_back,
        nodes=_prelu_nodes,
    ),
    "maxpool": Kind(  # windows of SIZE, STRIDE apart (or SIZE), from PAD outside; the remainder cut off
        usage="maxpool SIZE [sSTRIDE] [pPAD]",
        title="largest of a window",
        core="maxpool",
        parse=lambda reading: _window(reading, p=(0, 0)),
        forward=_maxpool,
        backward=_maxpool_back,
        nodes=_pool_nodes("MaxPool"),
    ),
    "avgpool": Kind(  # without padding: a mean over a border would tell where the border is
        usage="avgpool SIZE [sSTRIDE]",
        title="mean of a window",
        core="avgpool",
        parse=_window,
        forward=_avgpool,
        backward=_avgpool_back,
        nodes=_pool_nodes("AveragePool"),
    ),
    "gap": Kind(  # global average pooling
        usage="gap",
        title="mean of the map",
        core="gap",
        ends=True,
        parse=_global,
        forward=_gap,
        backward=_gap_back,
        nodes=_node("GlobalAveragePool"),
    ),
    "norm": Kind(  # each map of an image to mean 0 and variance 1 (Ulyanov et al. 2016, arXiv:1607.08022)
        usage="norm",
        title="mean 0, variance 1",
        core="norm",
        parse=_maps,
        forward=_norm,
        backward=_norm_back,
        nodes=_norm_nodes,
    ),
    "add": Kind(  # a residual sum (He et al. 2015, arXiv:1512.03385): of its input and an earlier output
        usage="add LAYER",
        title="sum with an earlier map",
        core="add",
        shapeless=True,
        parse=_sum,
        forward=lambda layer, x, *_: x,
        backward=lambda layer, gradient, *_: gradient,
        nodes=lambda layer, source: [Node("Add", [source, layer.adds], layer.name)],
    ),
    "dropout": Kind(  # Srivastava et al. 2014; the compiled core has none
        usage="dropout PROBABILITY",
        title="dropout",
        shapeless=True,
        training=True,
        parse=_fraction,
        forward=lambda layer, x, *_: x,
        backward=lambda layer, gradient, *_: gradient,
        nodes=lambda layer, source: [],
    ),
}


def parse_layer(reading: Reading) -> Layer:
    """The layer that one line of a spec stands for. Raises GolfError for impossible ones."""
    if reading.kind not in KINDS:
        raise reading.fail(f"unknown kind {reading.kind!r}; known: {' '.join(KINDS)}")
    reading.usage = KINDS[reading.kind].usage
    return KINDS[reading.kind].parse(reading)
