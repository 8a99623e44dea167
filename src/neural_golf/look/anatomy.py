"""Figures of what a network is: its kernels, its surviving weights, and what each of them is worth.

The first paragraph of each drawing function's docstring is the figure's caption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.look.style import INK, MINUS, PALE, PLUS, beside, canvas
from neural_golf.look.subject import Subject
from neural_golf.net.kind import Layer, Tensor
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

__all__ = ["flow", "kernels", "survivors", "worth"]


def weighted(network: Network) -> list[Layer]:
    """The convolutions and linear layers, in order."""
    return [layer for layer in network.layers if KINDS[layer.kind].weighted]


def _weight(layer: Layer, subject: Subject) -> NDArray[np.float32]:
    assert layer.weight is not None
    return subject.parameters[layer.weight.slice].reshape(layer.weight.shape)


WIDTHS = 6  # of the lines of `flow`, for sizes up to a layer's largest
HEAD = 6  # room above a layer's weights for its name, in weights


def kernels(subject: Subject) -> Figure:
    """Every stored weight. Area shows its size; filled squares are positive, hollow ones negative, and a
    cross is a weight that was set to zero. A kernel that is used in several places is stored, and drawn,
    once.
    """
    layers = weighted(subject.network)
    grids = [_grid(layer, subject) for layer in layers]
    places, wide, tall = _columns([grid.shape for grid, _ in grids])
    scale = min(0.088, 40 / max(wide, tall))  # inches per weight
    figure, axes = canvas(max((wide + 3) * scale, 4.0), tall * scale + 0.45)
    for layer, (grid, labels), (left, top) in zip(layers, grids, places, strict=True):
        _hinton(axes, grid, left, top)
        kept = int(np.count_nonzero(grid[np.isfinite(grid)]))
        axes.text(left - 0.5, top - 3.6, layer.name, fontsize=8, fontweight="bold")
        axes.text(left - 0.5, top - 1.4, f"{kept:,} of {np.isfinite(grid).sum():,}", fontsize=7)
        for y, text in labels:
            axes.text(left - 1, top + y, text, fontsize=5.5, ha="right", va="center")
    axes.set_xlim(-3, wide)
    axes.set_ylim(tall, 0)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(subject.name, loc="left")
    return figure


def _columns(shapes: Sequence[tuple[int, ...]], gap: int = 5) -> tuple[list[tuple[int, int]], int, int]:
    """Where (left, top) blocks [height, width] stand in columns, a low one beneath another; width and height.

    >>> _columns([(5, 5), (7, 31), (39, 47)])
    ([(0, 6), (0, 17), (36, 6)], 83, 45)
    """
    most = HEAD + 1.1 * max(height for height, _ in shapes)
    places, left, used, column, tall = [], 0, 0, 0, 0
    for height, width in shapes:
        if used and used + HEAD + height > most:
            left, used, column = left + column + gap, 0, 0
        places.append((left, used + HEAD))
        used += HEAD + height
        column, tall = max(column, width, 9), max(tall, used)
    return places, left + column, tall


def _grid(layer: Layer, subject: Subject) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """The weights of a layer laid out [height, width], NaN between kernels, and labels of its rows.

    A convolution has a row per output channel and a column per input channel; a linear layer a row
    per class and, where it reads maps, a map per channel.
    """
    weight = _weight(layer, subject).astype(np.float64)
    if layer.kind == "linear":
        c, h, w = layer.in_shape
        weight = weight.reshape(weight.shape[0], c, h, w)
    out, inside, h, w = weight.shape
    grid = np.full((out * (h + 1) - 1, inside * (w + 1) - 1), np.nan)
    labels = []
    for o in range(out):
        for i in range(inside):
            grid[o * (h + 1) : o * (h + 1) + h, i * (w + 1) : i * (w + 1) + w] = weight[o, i]
        labels.append((o * (h + 1) + (h - 1) / 2, str(o if layer.kind == "linear" else o + 1)))
    return grid, labels


def _hinton(axes: Axes, grid: NDArray[np.float64], left: int, top_row: int) -> None:
    """Squares whose area is the weight's size (Hinton diagram), crosses for zeros."""
    from matplotlib.collections import PolyCollection

    top = np.nanmax(np.abs(grid)) or 1.0
    ys, xs = np.nonzero(np.isfinite(grid))
    values = grid[ys, xs]
    xs, ys = xs + left, ys + top_row
    half = 0.46 * np.sqrt(np.abs(values) / top)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    squares = np.stack([xs, ys], 1)[:, None, :] + corners * half[:, None, None]
    for sign, face, edge in ((1, PLUS, PLUS), (-1, "white", MINUS)):
        axes.add_collection(
            PolyCollection(
                list(squares[values * sign > 0].round(3)), facecolor=face, edgecolor=edge, linewidth=0.7
            )
        )
    zero = values == 0
    axes.scatter(xs[zero], ys[zero], marker="x", s=4, color=PALE, linewidth=0.7)


def survivors(subject: Subject) -> Figure:
    """How much is left of each tensor: the dark part is not zero."""
    tensors = subject.network.tensors
    figure, axes = canvas(6.2, 0.26 * len(tensors) + 0.7)
    for y, tensor in enumerate(tensors):
        left = int(np.count_nonzero(subject.parameters[tensor.slice]))
        axes.barh(y, tensor.size, color="white", edgecolor=PALE, linewidth=0.8, height=0.62)
        axes.barh(y, left, color=PLUS, height=0.62)
        beside(axes, f"{left:,} of {tensor.size:,}", tensor.size, y)
    axes.set_yticks(range(len(tensors)), [tensor.name for tensor in tensors])
    axes.invert_yaxis()
    axes.set_xlabel("parameters")
    axes.margins(x=0.16)
    axes.set_xlim(left=0)
    axes.set_title(f"{subject.name}: {subject.nonzero:,} of {subject.result.parameters:,} left", loc="left")
    return figure


def flow(subject: Subject, numbers: int) -> Figure:
    """The whole network. Every line is a weight that is not zero: dark lines are positive, light ones
    negative, and thicker lines are larger. A weight that is used in several places, tied or turned, has
    several lines.
    """
    layers = weighted(subject.network)
    figure, axes = canvas(9.5, 6.2)
    drawn = 0
    for column, layer in enumerate(layers):
        start, end = 2.0 * column, 2.0 * column + 1.55
        weight = _weight(layer, subject)
        top = float(np.abs(weight).max()) or 1.0
        lines = list(_lines(layer, weight))
        drawn += len(lines)
        for sign, colour in ((-1, MINUS), (1, PLUS)):
            for step in range(1, WIDTHS + 1):  # lines of a width are one path, a quarter of the bytes
                some = [(y0, y1) for y0, y1, v in lines if np.ceil(sign * v / top * WIDTHS) == step]
                if some:
                    axes.add_patch(_path(start, end, some, colour, 0.1 + 2.0 * step / WIDTHS))
        taps = np.unique([line[0] for line in lines])
        outs = _spread(layer.out_shape[0])
        dots = [(tap, tap) for tap in taps.tolist()]  # short lines with round ends, in one path too
        axes.add_patch(_path(start - 0.005, start + 0.005, dots, INK, 2.4))
        axes.scatter(np.full(len(outs), end), outs, s=34, color="white", edgecolor=INK, linewidth=1, zorder=3)
        last = layer is layers[-1]
        for number, y in enumerate(outs):
            if last and len(outs) <= 60:  # more would cover one another
                axes.text(end + 0.12, y, str(number), va="center", fontsize=10, fontweight="bold")
        if not last:  # the channel's map is what the next layer's kernels look at
            following = layers[column + 1]
            for channel, y in enumerate(outs):
                axes.plot(
                    [end, end + 0.45],
                    [y, _tap_centre(following, channel)],
                    color=PALE,
                    lw=0.8,
                    ls=":",
                    zorder=0,
                )
        axes.text(start, -0.05, f"{layer.name}", fontsize=9, fontweight="bold")
        axes.text(start, -0.02, f"{len(lines):,} of {weight.size:,} weights", fontsize=8)
    axes.set_title(
        f"{subject.name}: {drawn:,} lines, drawn from {numbers:,} numbers, biases and slopes included",
        loc="left",
    )
    axes.set_ylim(1.02, -0.09)
    axes.set_xlim(-0.15, 2.0 * len(layers) + 0.1)
    axes.axis("off")
    return figure


def _path(
    start: float, end: float, heights: Sequence[tuple[float, float]], colour: str, width: float
) -> Patch:
    """Straight lines from (start, y0) to (end, y1), as one path."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    vertices: list[tuple[float, float]] = []
    codes: list[Any] = []
    for y0, y1 in heights:
        if codes[-2:] == [Path.MOVETO, Path.LINETO] and vertices[-1] == (end, y1):
            vertices.append((start, y0))  # back from where the line before ended: a third fewer points
            codes.append(Path.LINETO)
        else:
            vertices += [(start, y0), (end, y1)]
            codes += [Path.MOVETO, Path.LINETO]
    return PathPatch(
        Path(vertices, codes), fill=False, edgecolor=colour, linewidth=width, alpha=0.75,
        capstyle="round", joinstyle="round",
    )  # fmt: skip


def _spread(n: int) -> NDArray[np.float64]:
    """n heights, evenly between 0 and 1."""
    return (np.arange(n) + 0.5) / n


def _tap(layer: Layer, channel: int, tap: int, taps: int) -> float:
    """The height of one position under the kernels, on one input channel."""
    channels = layer.in_shape[0]
    return float((channel + 0.08 + 0.84 * (tap + 0.5) / taps) / channels)


def _tap_centre(layer: Layer, channel: int) -> float:
    return (channel + 0.5) / layer.in_shape[0]


def _lines(layer: Layer, weight: NDArray[np.float32]) -> Iterator[tuple[float, float, float]]:
    """(height left, height right, value) of every weight that is not zero."""
    if layer.kind == "linear":
        weight = weight.reshape(weight.shape[0], layer.in_shape[0], -1)
    weight = weight.reshape(*weight.shape[:2], -1)
    out, inside, taps = weight.shape
    heights = _spread(out)
    for o, i, t in zip(*np.nonzero(weight), strict=True):
        channel = int(o) // (out // layer.groups) * inside + int(i) if layer.groups > 1 else int(i)
        yield _tap(layer, channel, int(t), taps), float(heights[o]), float(weight[o, i, t])


def worth(subject: Subject, index: NDArray[np.int64], lost: NDArray[np.int64], images: int) -> Figure:
    """What each parameter is worth: the accuracy that is lost on held-out images when it alone is set to
    zero. Filled dots are weights, hollow ones biases and slopes.
    """
    tensors = [t for t in subject.network.tensors if np.count_nonzero(subject.parameters[t.slice])]
    figure, axes = canvas(6.8, 3.6)
    points = 100 * lost / images
    axes.axhspan(-0.1, 0.1, color="#eef0f4", zorder=0)
    for x, tensor in enumerate(tensors):
        mine = (index >= tensor.offset) & (index < tensor.offset + tensor.size)
        values = np.sort(points[mine])
        spots = x + np.linspace(-0.32, 0.32, len(values)) if len(values) > 1 else np.array([float(x)])
        filled = tensor.name.endswith(".weight")
        axes.scatter(
            spots,
            values,
            s=9,
            facecolor=PLUS if filled else "white",
            edgecolor=PLUS if filled else MINUS,
            linewidth=0.7,
            zorder=3,
        )
        if len(values) > 1:
            axes.plot([x - 0.36, x + 0.36], [np.median(values)] * 2, color=INK, lw=1.2)
    axes.axhline(0, color=INK, lw=0.8)
    axes.set_yscale("symlog", linthresh=0.1, linscale=0.5)
    axes.set_ylim(min(-0.2, 1.3 * points.min()), max(1.0, 1.5 * points.max()))
    known = (-10, -1, -0.1, 0, 0.1, 1, 3, 10, 30, 80)
    ticks = [t for t in known if points.min() <= t <= points.max() or abs(t) < 0.2]
    axes.set_yticks(ticks, [f"{t:g}" for t in ticks])
    axes.minorticks_off()
    axes.set_ylabel("points of accuracy lost")
    axes.set_xticks(range(len(tensors)), [t.name.replace(".", "\n") for t in tensors], fontsize=7)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title(f"{subject.name}: each dot is one parameter; the bar is the median", loc="left")
    return figure


def tensor_of(network: Network, index: int) -> tuple[Tensor, tuple[Any, ...]]:
    """Which tensor a parameter belongs to, and where in it."""
    found = next(t for t in network.tensors if t.offset <= index < t.offset + t.size)
    return found, tuple(int(k) for k in np.unravel_index(index - found.offset, found.shape))
