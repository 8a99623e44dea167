"""Figures of what a network sees: channel maps, stroke angles, class maps, exciting images, mistakes.

The first paragraph of each drawing function's docstring is the figure's caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_golf.data import Split
from neural_golf.look.measure import Tuning, convolutions, features
from neural_golf.look.style import COLOURS, INK, MARKS, PALE, PLUS, canvas, mosaic, picture
from neural_golf.look.subject import Subject
from neural_golf.net.kind import Layer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["angles", "channels", "classes", "excite", "mistakes"]


def channels(subject: Subject, digits: Split, maps: Mapping[str, NDArray[np.float32]]) -> Figure:
    """What each channel makes of ten test digits, after its activation. Darker is more, and each row has
    its own scale.
    """
    layers = [subject.network.layers[active] for _, active in convolutions(subject.network)]
    counts = [1, *(layer.out_shape[0] for layer in layers)]
    figure, axes = canvas(
        6.6, 0.62 * sum(counts) + 0.2 * len(counts), rows=len(counts), squeeze=False, height_ratios=counts
    )
    picture(axes[0][0], mosaic(digits.pixels[:, 0] / 255, len(digits), gap=2), 0, 1)
    axes[0][0].set_ylabel("input", rotation=0, ha="right", va="center")
    axes[0][0].set_title(subject.name, loc="left")
    for place, layer in zip(axes[1:, 0], layers, strict=True):
        block = maps[layer.name]  # [digits, channels, h, w]
        low = block.min(axis=(0, 2, 3), keepdims=True)
        high = block.max(axis=(0, 2, 3), keepdims=True)
        shown = (block - low) / np.maximum(high - low, 1e-9)
        c, h, w = layer.out_shape
        gap = max(1, h // 12)
        picture(place, mosaic(shown.transpose(1, 0, 2, 3).reshape(-1, h, w), len(digits), gap), 0, 1)
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
    """The mean activation of each feature for each digit, as a small map for each channel. Darker is more,
    and each feature has its own scale.
    """
    digits, c, h, w = means.shape
    low, high = means.min(axis=0, keepdims=True), means.max(axis=0, keepdims=True)
    shown = (means - low) / np.maximum(high - low, 1e-9)
    figure, axes = canvas(0.62 * digits + 1.0, 0.62 * c + 0.8)
    gap = max(1, h // 3)
    picture(axes, mosaic(shown.transpose(1, 0, 2, 3).reshape(-1, h, w), digits, gap), 0, 1)
    name = features(subject.network).name
    axes.set_yticks([k * (h + gap) + (h - 1) / 2 for k in range(c)], [f"{name}  {k + 1}" for k in range(c)])
    axes.set_xticks([k * (w + gap) + (w - 1) / 2 for k in range(digits)], [str(k) for k in range(digits)])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_title(subject.name, loc="left")
    return figure


def excite(subject: Subject, images: Mapping[str, NDArray[np.float32]]) -> Figure:
    """The images that excite each channel and each feature most, found by gradient ascent from noise.
    Black is ink.
    """
    names = list(images)
    columns = 9
    rows = [-(-len(images[name]) // columns) for name in names]
    figure, axes = canvas(
        6.6, 0.74 * sum(rows) + 0.28 * len(names) + 0.2, rows=len(names), squeeze=False, height_ratios=rows
    )
    shapes: dict[str, Layer] = {layer.name: layer for layer in subject.network.layers}
    for place, name in zip(axes[:, 0], names, strict=True):
        picture(place, _padded(images[name], columns), 0, 1)
        if name == "features":
            c, h, w = features(subject.network).out_shape
            title = f"{c * h * w} features: {c} channels of {h} by {w}, in reading order"
        else:
            title = f"{name}, {shapes[name].out_shape[0]} channels"
        place.set_title(title, loc="left", fontsize=8, fontweight="normal")
    figure.suptitle(subject.name, x=0.01, ha="left", fontsize=9, fontweight="bold")
    return figure


def _padded(tiles: NDArray[np.float32], columns: int) -> NDArray[np.float64]:
    """A mosaic that is always `columns` wide, each tile with a thin frame."""
    framed = np.pad(tiles.astype(np.float64), ((0, 0), (1, 1), (1, 1)), constant_values=0.3)
    n, h, w = framed.shape
    missing = -n % columns
    return mosaic(np.concatenate([framed, np.full((missing, h, w), np.nan)]), columns, gap=2)


def mistakes(
    subject: Subject, test: Split, scores: NDArray[np.float32], loss: NDArray[np.float64], worst: int,
    parent: tuple[str, NDArray[np.float32]] | None,
) -> Figure:  # fmt: skip
    """What the network gets wrong: the number of test images for each digit and answer, and the mistakes it
    was surest of, as digit → answer.
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
    top = max(1, int(counts[~np.eye(classes_, dtype=bool)].max()))
    for y in range(classes_):
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
    place.set_xticks(range(classes_))
    place.set_yticks(range(classes_))
    place.set_xlabel("answer")
    place.set_ylabel("digit")
    place.set_title(f"{subject.name}: {int(wrong.sum())} of {len(test):,} test images wrong", loc="left")
    for place, (title, rows) in zip(axes[1:, 0], strips, strict=True):
        place.set_title(title, loc="left", fontsize=8, fontweight="normal")
        if not len(rows):
            place.axis("off")
            continue
        size, gap = test.pixels.shape[-1], 9
        tiles = test.pixels[rows, 0] / 255
        missing = -len(rows) % columns
        tiles = np.concatenate([tiles, np.full((missing, size, size), np.nan)])
        picture(place, mosaic(tiles, columns, gap), 0, 1)
        place.set_ylim(-(-len(rows) // columns) * (size + gap), -1)
        for k, row in enumerate(rows):
            y, x = k // columns * (size + gap), k % columns * (size + gap)
            place.text(x + size / 2, y + size + gap / 2, f"{test.labels[row]} → {answers[row]}",
                       ha="center", va="center", fontsize=7, color=INK)  # fmt: skip
    return figure


def _square(x: float, y: float, grey: str) -> object:
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=grey, edgecolor="none")
