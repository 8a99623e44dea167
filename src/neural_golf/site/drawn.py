"""A network as SVG, small enough to stand in a page: all of it as lines, and its kernels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from neural_golf.net.kind import Layer
from neural_golf.net.spec import Network

__all__ = ["MOST_LINES", "kernels", "whole"]

Vector = NDArray[np.float32]
MOST_LINES = 20_000  # more would be a black picture, and a page of megabytes
WIDTHS = 5  # of lines: those of a width are one path
COLUMN, GAP, HEIGHT, TOP = 150, 44, 460, 40  # pixels: a layer, between two, the lines, the words above them
CELL = 7  # of a kernel's weight


def weighted(network: Network) -> list[Layer]:
    """The layers that have weights."""
    return [layer for layer in network.layers if layer.kind in ("conv", "linear") and layer.weight]


def whole(network: Network, weights: Vector) -> Markup:
    """Every weight that is not zero, in every place where it is used, as a line; empty for too many.

    A column is a layer: the positions under its kernels on the left, channel by channel, and its outputs on
    the right. Blue is above zero and orange below, and a thick line is a large weight.
    """
    if network.equivariant:
        network, source = network.unrolled()
        weights = weights[source]
    layers = weighted(network)
    if not layers or sum(np.count_nonzero(_weight(layer, network, weights)) for layer in layers) > MOST_LINES:
        return Markup("")
    width = len(layers) * (COLUMN + GAP)
    parts = [
        f'<svg class="network" viewBox="0 0 {width} {TOP + HEIGHT + 8}" role="img" '
        'aria-label="All weights of the network as lines; its numbers stand below as text.">'
    ]
    for number, layer in enumerate(layers):
        start = number * (COLUMN + GAP) + 6
        end = start + COLUMN
        weight = _weight(layer, network, weights)
        lines = list(_lines(layer, weight))
        parts.append(f'<text x="{start - 4}" y="13" class="head">{layer.name}</text>')
        parts.append(f'<text x="{start - 4}" y="28">{len(lines):,} of {weight.size:,}</text>')
        parts += _paths(start, end, lines, float(np.abs(weight).max()) or 1.0)
        outs = layer.out_shape[0]
        last = layer is layers[-1]
        for k in range(outs):
            y = _height((k + 0.5) / outs)
            if not last:  # what the next layer's kernels look at
                to = _height((k + 0.5) / outs)
                parts.append(f'<path class="map" d="M{end} {y:.1f}L{end + GAP - 6} {to:.1f}"/>')
            parts.append(f'<circle class="out" cx="{end}" cy="{y:.1f}" r="{min(4, 150 / outs):.1f}"/>')
            if last and outs <= 40:
                parts.append(f'<text x="{end + 8}" y="{y + 4:.1f}" class="head">{k}</text>')
    return Markup("".join(parts) + "</svg>")


def _weight(layer: Layer, network: Network, weights: Vector) -> Vector:
    """A layer's weights [outputs, inputs, positions]."""
    assert layer.weight is not None
    values = weights[layer.weight.slice]
    shape = layer.weight.shape
    inputs = layer.in_shape[0] if layer.kind == "linear" else shape[1]
    return values.reshape(shape[0], inputs, -1)


def _height(share: float) -> float:
    return TOP + share * HEIGHT


def _lines(layer: Layer, weight: Vector) -> Iterator[tuple[float, float, float]]:
    """(height left, height right, value) of every weight that is not zero."""
    outputs, inputs, taps = weight.shape
    channels = layer.in_shape[0]
    for o, i, t in zip(*np.nonzero(weight), strict=True):
        channel = int(o) // (outputs // layer.groups) * inputs + int(i) if layer.kind == "conv" else int(i)
        left = (channel + 0.06 + 0.88 * (int(t) + 0.5) / taps) / channels
        yield _height(left), _height((int(o) + 0.5) / outputs), float(weight[o, i, t])


def _paths(start: int, end: int, lines: list[tuple[float, float, float]], top: float) -> Iterator[str]:
    """Lines of one sign and width as one path."""
    for name, sign in (("minus", -1), ("plus", 1)):
        for step in range(1, WIDTHS + 1):
            some = [(y0, y1) for y0, y1, v in lines if math.ceil(sign * v / top * WIDTHS - 1e-9) == step]
            if some:
                path = "".join(f"M{start} {y0:.1f}L{end} {y1:.1f}" for y0, y1 in some)
                yield f'<path class="{name}" stroke-width="{0.4 * step:.1f}" d="{path}"/>'


def kernels(network: Network, weights: Vector) -> list[tuple[str, Markup]]:
    """For each convolution its name and its kernels, a row for each output and a column for each input.

    A kernel in several positions is drawn once, as it is stored.
    """
    found, drawn = [], set()
    for layer in weighted(network):
        assert layer.weight is not None
        if layer.kind != "conv" or layer.weight.name in drawn or layer.weight.size > MOST_LINES:
            continue
        drawn.add(layer.weight.name)
        found.append((layer.name, _grid(weights[layer.weight.slice].reshape(layer.weight.shape))))
    return found


def _grid(weight: Vector) -> Markup:
    """Kernels [outputs, inputs, rows, columns] as squares, whose area is the weight's size."""
    outputs, inputs, rows, columns = weight.shape
    top = float(np.abs(weight).max()) or 1.0
    across, down = columns * CELL + 6, rows * CELL + 6
    flipped = outputs > 2 * inputs  # tall pictures waste the page
    wide, high = (outputs, inputs) if flipped else (inputs, outputs)
    marks: dict[str, list[str]] = {"plus": [], "minus": []}
    frames = []
    for o in range(outputs):
        for i in range(inputs):
            left, upper = (o * across, i * down) if flipped else (i * across, o * down)
            frames.append(f"M{left} {upper}h{columns * CELL}v{rows * CELL}h-{columns * CELL}z")
            for y, x in zip(*np.nonzero(weight[o, i]), strict=True):
                value = float(weight[o, i, y, x])
                side = max(1.2, CELL * math.sqrt(abs(value) / top))
                right, low = left + (int(x) + 0.5) * CELL - side / 2, upper + (int(y) + 0.5) * CELL - side / 2
                square = f"M{right:.1f} {low:.1f}h{side:.1f}v{side:.1f}h-{side:.1f}z"
                marks["plus" if value > 0 else "minus"].append(square)
    paths = "".join(f'<path class="{name}" d="{"".join(some)}"/>' for name, some in marks.items() if some)
    width, height = wide * across, high * down
    return Markup(
        f'<svg class="kernels" width="{width * 2}" viewBox="-1 -1 {width} {height}" role="img" '
        f'aria-label="{outputs} by {inputs} kernels of {rows} by {columns}, {np.count_nonzero(weight)} '
        f'weights not zero"><path class="frame" d="{"".join(frames)}"/>{paths}</svg>'
    )
