"""Figures of what a network sees: channel maps, stroke angles, class maps, exciting images, mistakes.

The first paragraph of each drawing function's docstring is the figure's caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.data import Split
from neural_golf.look.measure import SHOWN, Tuning, convolutions, features
from neural_golf.look.style import (
    COLOURS,
    INK,
    MARKS,
    PALE,
    PLUS,
    canvas,
    mosaic,
    picture,
    tall,
    tiles,
    words,
)
from neural_golf.look.subject import Subject
from neural_golf.net.kind import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["angles", "channels", "classes", "excite", "mistakes"]


def channels(subject: Subject, digits: Split, maps: Mapping[str, NDArray[np.float32]]) -> Figure:
    """What each channel makes of a test image of each class, after its activation. Darker is more, and each
    row has its own scale.
    """
    layers = [subject.network.layers[active] for _, active in convolutions(subject.network)]
    if not layers:
        return words("Without a convolution there are no channels.")
    counts = [1, *(layer.out_shape[0] for layer in layers)]
    figure, axes = canvas(
        6.6, 0.62 * sum(counts) + 0.2 * len(counts), rows=len(counts), squeeze=False, height_ratios=counts
    )
    picture(axes[0][0], mosaic(tiles(digits.pixels / 255), len(digits), gap=2), 0, 1)
    axes[0][0].set_ylabel("input", rotation=0, ha="right", va="center")
    axes[0][0].set_title(subject.name, loc="left")
    for place, layer in zip(axes[1:, 0], layers, strict=True):
        block = maps[layer.name]  # [digits, channels, h, w]
        low = block.min(axis=(0, 2, 3), keepdims=True)
        high = block.max(axis=(0, 2, 3), keepdims=True)
        shown = (block - low) / np.maximum(high - low, 1e-9)
        c, h, w = layer.out_shape
        maps_ = tall(shown.transpose(1, 0, 2, 3).reshape(-1, h, w))
        h = maps_.shape[1]
        gap = max(1, h // 12)
        picture(place, mosaic(maps_, len(digits), gap), 0, 1)
        place.set_yticks(
            [k * (h + gap) + (h - 1) / 2 for k in range(c)], [f"{layer.name}  {k + 1}" for k in range(c)]
        )
        place.tick_params(length=0)
    return figure


def angles(
    subject: Subject, degrees: NDArray[np.float64], tunings: Sequence[Tuning], selective: float
) -> Figure:
    """How much each first-layer channel answers to a stroke, by the stroke's angle: 0° lies flat,
    90° stands upright. Pale channels hardly prefer an angle; channels that answer alike coincide.
    """
    if not tunings:
        return words("A stroke has an angle only in an image, and its answer is a convolution's.")
    figure, axes = canvas(6.4, 3.1)
    round_trip = np.append(degrees, 180.0)
    for k, tuned in enumerate(tunings):
        top = max(float(tuned.response.max()), 1e-12)
        share = np.append(tuned.response, tuned.response[0]) / top
        strong = tuned.selectivity >= selective
        kind = tuned.kind(selective) + (", inverted" if tuned.inverted else "")
        label = f"{k + 1}: {kind} ({tuned.selectivity:.2f})"
        colour = COLOURS[(k + k // 4) % len(COLOURS)] if strong else PALE  # no two alike of sixteen
        axes.plot(
            round_trip, share, color=colour, lw=1.5, ls=("-", "--", ":", "-.")[k % 4],
            marker=MARKS[k % len(MARKS)], ms=4, markevery=(k, 5), mfc="white", label=label,
        )  # fmt: skip
    axes.set_xticks(range(0, 181, 45))
    axes.set_xlabel("angle of the stroke, degrees")
    axes.set_ylabel("change of the output,\npart of its largest")
    axes.set_ylim(0, 1.06)
    axes.grid()
    axes.legend(title="channel (selectivity)", loc="center left", bbox_to_anchor=(1, 0.5), alignment="left")
    axes.set_title(subject.name, loc="left")
    return figure


def classes(subject: Subject, means: NDArray[np.float64]) -> Figure:
    """The mean activation of each feature for each class, as a small map for each channel. Darker is more,
    and each feature has its own scale.
    """
    low, high = np.nanmin(means, axis=0, keepdims=True), np.nanmax(means, axis=0, keepdims=True)
    means = means[:SHOWN]  # of more classes, the first
    digits, c, h, w = means.shape
    shown = (means - low) / np.maximum(high - low, 1e-9)
    maps_ = tall(shown.transpose(1, 0, 2, 3).reshape(-1, h, w))
    h = maps_.shape[1]
    figure, axes = canvas(0.62 * digits + 1.0, 0.62 * c + 0.8)
    gap = max(1, h // 3)
    picture(axes, mosaic(maps_, digits, gap), 0, 1)
    name = features(subject.network).name
    axes.set_yticks([k * (h + gap) + (h - 1) / 2 for k in range(c)], [f"{name}  {k + 1}" for k in range(c)])
    axes.set_xticks([k * (w + gap) + (w - 1) / 2 for k in range(digits)], [str(k) for k in range(digits)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_title(subject.name, loc="left")
    return figure


def excite(subject: Subject, images: Mapping[str, NDArray[np.float32]]) -> Figure:
    """The images that excite each channel and each feature most, found by gradient ascent from noise. In
    grey ones black is high.
    """
    names = list(images)
    if not names:
        return words("Without a convolution there are no channels that an image could excite.")
    columns = 9
    rows = [-(-len(images[name]) // columns) for name in names]
    figure, axes = canvas(
        6.6, 0.74 * sum(rows) + 0.28 * len(names) + 0.2, rows=len(names), squeeze=False, height_ratios=rows
    )
    shapes: dict[str, Layer] = {layer.name: layer for layer in subject.network.layers}
    for place, name in zip(axes[:, 0], names, strict=True):
        picture(place, _padded(tiles(images[name]), columns), 0, 1)
        if name == "features":
            c, h, w = features(subject.network).out_shape
            title = f"{c * h * w} features: {c} channels of {h} by {w}, in reading order"
        else:
            title = f"{name}, {shapes[name].out_shape[0]} channels"
        place.set_title(title, loc="left", fontsize=8, fontweight="normal")
    figure.suptitle(subject.name, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return figure


def _padded(shown: NDArray[np.float32], columns: int) -> NDArray[np.float64]:
    """A mosaic that is always `columns` wide, each tile with a thin frame."""
    frame = ((0, 0), (1, 1), (1, 1), *[(0, 0)] * (shown.ndim - 3))
    return mosaic(
        _filled(np.pad(shown.astype(np.float64), frame, constant_values=0.3), columns), columns, gap=2
    )


def _filled(shown: NDArray[Any], columns: int) -> NDArray[Any]:
    """Tiles, and behind them empty ones until a row is full."""
    missing = -len(shown) % columns
    return np.concatenate([shown, np.full((missing, *shown.shape[1:]), np.nan)])


def mistakes(
    subject: Subject, test: Split, scores: NDArray[np.float32], loss: NDArray[np.float64], worst: int,
    parent: tuple[str, NDArray[np.float32]] | None, names: Sequence[str],
) -> Figure:  # fmt: skip
    """What the network gets wrong: the number of test images for each class and answer, and the mistakes it
    was surest of, as class → answer.
    """
    answers = scores.argmax(axis=1)
    wrong = answers != test.labels
    classes_ = int(scores.shape[1])
    counts = np.zeros((classes_, classes_), int)
    np.add.at(counts, (test.labels, answers), 1)
    columns = 10
    strips = [
        (
            "the mistakes it was surest of",
            np.argsort(np.where(wrong, -loss, 0), kind="stable")[: min(worst, int(wrong.sum()))],
        )
    ]
    if parent:
        fine = parent[1].argmax(axis=1) == test.labels
        lost = np.flatnonzero(wrong & fine)
        order = lost[np.argsort(-loss[lost], kind="stable")]
        won = int((~wrong & ~fine).sum())
        title = f"lost by pruning: {len(lost)} images that {parent[0]} gets right (and {won} won)"
        strips.append((title, order[:worst]))
    heights = [3.9, *(0.86 * max(1, -(-len(rows) // columns)) + 0.25 for _, rows in strips)]
    figure, axes = canvas(6.6, sum(heights), rows=len(heights), squeeze=False, height_ratios=heights)
    place = axes[0][0]
    short = [name[:8] for name in names]
    few = classes_ <= SHOWN
    top = max(1, int(counts[~np.eye(classes_, dtype=bool)].max()))
    if not few:  # too many for numbers
        off = np.where(np.eye(classes_, dtype=bool), 0, counts)
        picture(place, off.astype(np.float64), 0, top)
    for y in range(classes_ if few else 0):
        for x in range(classes_):
            if counts[y, x]:
                shade = 0.0 if x == y else counts[y, x] / top
                if x != y:
                    place.add_patch(_square(x, y, str(round(1 - 0.75 * shade, 3))))
                place.text(x, y, f"{counts[y, x]}", ha="center", va="center", fontsize=7,
                           color="white" if shade > 0.6 else PLUS if x == y else INK,
                           fontweight="bold" if x == y else "normal")  # fmt: skip
    place.set_xlim(-0.5, classes_ - 0.5)
    place.set_ylim(classes_ - 0.5, -0.5)
    place.set_aspect("equal")
    if few:
        turned = 90 if max(map(len, short)) > 2 else 0
        place.set_xticks(range(classes_), short, rotation=turned)
        place.set_yticks(range(classes_), short)
    place.set_xlabel("answer")
    place.set_ylabel("class")
    place.set_title(f"{subject.name}: {int(wrong.sum())} of {len(test):,} test images wrong", loc="left")
    for place, (title, rows) in zip(axes[1:, 0], strips, strict=True):
        place.set_title(title, loc="left", fontsize=8, fontweight="normal")
        if not len(rows):
            place.axis("off")
            continue
        shown = _filled(tiles(test.pixels[rows] / 255), columns)
        high, wide = shown.shape[1:3]
        gap = max(3, round(wide * 9 / 28))
        picture(place, mosaic(shown, columns, gap), 0, 1)
        place.set_ylim(-(-len(rows) // columns) * (high + gap), -1)
        for k, row in enumerate(rows):
            y, x = k // columns * (high + gap), k % columns * (wide + gap)
            place.text(x + wide / 2, y + high + gap / 2, f"{short[test.labels[row]]} → {short[answers[row]]}",
                       ha="center", va="center", fontsize=7, color=INK)  # fmt: skip
    return figure


def _square(x: float, y: float, grey: str) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=grey, edgecolor="none")
