"""Figures of all networks together: the front, training, pruning, the study's slices.

The first paragraph of each drawing function's docstring is the figure's caption.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neural_golf.config.sections import Record
from neural_golf.look.style import COLOURS, INK, MARKS, MINUS, PALE, PLUS, beside, canvas, settle
from neural_golf.results.result import Result, Variant
from neural_golf.results.sizes import Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["front", "pruning", "slices", "study", "training"]

BEST = 0.9999  # no error at all has no place on a logarithmic scale
DASHES = ("-", "--", ":", "-.")
SMALL = 3000  # parameters up to which a network stands in the wide part of the front
JUDGES = {"test": "test", "heldout": "held-out"}


def read(path: Path) -> pd.DataFrame:
    """A CSV file as a table, which is empty where this run has no such file."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _errors(accuracies: Any) -> Any:
    """Where accuracies are drawn: at their errors, and without an error at that of BEST."""
    return 1 - np.minimum(accuracies, BEST)


def _accuracy_axis(axes: Axes, accuracies: Sequence[float]) -> None:
    """Accuracy upwards, drawn as the logarithm of the error: 98 → 99 is as far as 96 → 98."""
    axes.set_yscale("log")
    best = min(max(accuracies), BEST)
    least = min(max(min(accuracies), 0.5), BEST)
    ticks = [
        t
        for t in (0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.993)
        if t >= least - 0.15 * (1 - least)
    ]
    top, bottom = (1 - best) * 0.9, (1 - least) * 1.08
    axes.set_ylim(bottom, top)
    ticks = [t for t in ticks if top <= 1 - t <= bottom]
    ticks += [BEST] if best == BEST else []
    axes.set_yticks([1 - t for t in ticks], ["100 %" if t == BEST else f"{100 * t:g} %" for t in ticks])
    axes.minorticks_off()


def _count_axis(axes: Axes, counts: Sequence[int], name: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(counts) * 0.85, max(counts) * 1.2)
    fine = (50, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 3000)
    coarse = (100, 300, 1000, 10_000, 100_000, 1_200_000)
    ticks = [
        t for t in (coarse if max(counts) > 10_000 else fine) if min(counts) * 0.85 <= t <= max(counts) * 1.2
    ]
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel(name)


def front(results: Sequence[Result], records: Sequence[Record], sizes: Sequence[Point] = ()) -> Figure:
    """Accuracy on the test images against the number of non-zero parameters, with a mark for each network.
    Hollow marks chose something on test images or are not entries; stars are other people's records. Bars are
    the 95 % interval of a size's mean over its seeds, and thick where the recipe holds its goal.
    """
    others: dict[tuple[int, float], list[str]] = {}
    for record in records:
        others.setdefault((record.nonzero, record.accuracy), []).append(record.name)
    everyone = [_point(result) for result in results] + list(others)
    parts = [[p for p in everyone if p[0] <= SMALL], [p for p in everyone if p[0] > SMALL]]
    parts = [part for part in parts if part]
    figure, axes = canvas(
        9.6, 5.4, len(parts), squeeze=False, sharey=True, width_ratios=(6, 1)[: len(parts)]
    )  # one logarithmic axis; where nothing is in its middle, that is left out
    for place, points in zip(axes[0], parts, strict=True):
        _marks(place, results)
        for size in sizes:
            if size.test_low is not None and size.test_high is not None:
                ends = _errors([size.test_low, size.test_high])
                place.plot([size.nonzero] * 2, ends, color=INK, lw=3 if size.holds else 1, zorder=4.5)
        for nonzero, accuracy in others:
            place.scatter(
                [nonzero], [_errors(accuracy)], s=64, marker="*", facecolor="white", edgecolor=INK, zorder=5
            )
        _count_axis(place, [n for n, _ in points], "")
        place.grid()
        place.set_axisbelow(True)
    _accuracy_axis(axes[0][0], [a for _, a in everyone])
    for place in axes[0][1:]:
        place.spines["left"].set_linestyle((0, (1, 3)))
        place.tick_params(axis="y", length=0)
    axes[0][0].set_xlabel("non-zero parameters, logarithmic")
    axes[0][0].set_ylabel(f"right on the {results[0].images:,} test images")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right center", title="this project (stars: others)", alignment="left"
    )
    settle(figure)
    for place, points in zip(axes[0], parts, strict=True):
        narrow = place is not axes[0][0]
        names = {p: ", ".join(dict.fromkeys(n)) for p, n in others.items() if p in points}
        _name(place, points, {p: fill(n, 12) if narrow else n for p, n in names.items()})
    return figure


def _name(axes: Axes, points: Sequence[tuple[int, float]], names: Mapping[tuple[int, float], str]) -> None:
    """Write names beside marks, each where it covers the fewest marks and no other name."""
    size = 7.0
    unit = 72 / axes.figure.dpi
    marks = axes.transData.transform([(n, _errors(accuracy)) for n, accuracy in points]) * unit  # in points
    frame = axes.bbox.get_points() * unit
    taken: list[NDArray[np.float64]] = []
    for (nonzero, accuracy), name in sorted(names.items()):
        lines = name.split("\n")
        half = np.array([0.29 * size * max(map(len, lines)), 0.6 * size * len(lines)])
        spot = axes.transData.transform((nonzero, _errors(accuracy))) * unit
        best, chosen = np.inf, spot
        for far in (4, 12, 22, 34, 48, 64):
            for turn in range(16):
                way = np.round([np.cos(turn * np.pi / 8), np.sin(turn * np.pi / 8)], 6)
                centre = spot + way * (half + far)
                box = np.stack([centre - half, centre + half])
                covered = ((marks > box[0] - 5) & (marks < box[1] + 5)).all(axis=1).sum()
                crossed = sum(bool(((box[0] < b[1] + 2) & (b[0] - 2 < box[1])).all()) for b in taken)
                outside = (box[0] < frame[0]).any() or (box[1] > frame[1]).any()
                cost = covered + 20 * crossed + 50 * outside + 0.03 * far
                if cost < best - 1e-6:
                    best, chosen = cost, centre
        taken.append(np.stack([chosen - half, chosen + half]))
        axes.annotate(
            name, (nonzero, _errors(accuracy)), xytext=tuple(np.round(chosen - spot)),
            textcoords="offset points",
            fontsize=size, ha="center", va="center", zorder=6, in_layout=False,
            arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.5, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip


def _point(result: Result) -> tuple[int, float]:
    return result.nonzero, result.accuracy


def _marks(axes: Axes, results: Sequence[Result]) -> None:
    """A mark per network, a shape and colour per row and judge, the largest networks first.

    The sizes of one descent are one group: its curve.
    """
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: -result.nonzero):
        name = Variant(result.row, result.judge, result.order).name
        groups.setdefault(name, []).append(result)
    for k, (name, some) in enumerate(groups.items()):
        colour, mark = COLOURS[k % len(COLOURS)], MARKS[k % len(MARKS)]
        for solid in (True, False):
            points = [_point(r) for r in some if (r.honest and r.entered) == solid]
            if points:
                axes.scatter(
                    [n for n, _ in points], _errors([a for _, a in points]), s=30, marker=mark,
                    facecolor=colour if solid else "none", edgecolor=colour, linewidth=1.1, zorder=3 + solid,
                    label=name if solid or not some[0].honest else None,
                )  # fmt: skip


def training(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Held-out accuracy after each epoch: the mean over the seeds, within the range from the worst seed to
    the best.
    """
    figure, axes = canvas(6.6, 3.6)
    everything: list[float] = []
    for k, (name, table) in enumerate(curves.items()):
        everything += table["heldout_accuracy"].tolist()
        over = table.groupby("epoch")["heldout_accuracy"].agg(["mean", "min", "max"])
        colour = COLOURS[k % len(COLOURS)]
        axes.fill_between(
            over.index, _errors(over["min"]), _errors(over["max"]), color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(
            over.index, _errors(over["mean"]), color=colour, ls=DASHES[k % 4], marker=MARKS[k % len(MARKS)],
            ms=3.5, lw=1.4, label=f"{name} ({table['seed'].nunique()} seeds)",
        )  # fmt: skip
    _accuracy_axis(axes, everything)
    axes.set_xlabel("epoch")
    axes.set_ylabel("right on held-out images")
    axes.grid()
    axes.legend(loc="lower right")
    return figure


def pruning(curves: Mapping[str, pd.DataFrame], goals: Mapping[str, float]) -> Figure:
    """Accuracy on the judge's images while weights are set to zero one by one, with a line for each seed,
    from left to right. The level line is the accuracy that must remain. In the upper part the test images
    judge, in the lower part the held-out images.
    """
    figure, axes = canvas(8.6, 5.4, len(curves), len(goals), squeeze=False, sharex="col", sharey="row")
    for column, (name, table) in zip(axes.T, curves.items(), strict=True):
        for place, (judge, goal) in zip(column, goals.items(), strict=True):
            mine = table[table["variant"].str.partition("-")[0] == judge]
            place.axhline(100 * goal, color=INK, ls=":", lw=1.2)
            for k, (variant, some) in enumerate(mine.groupby("variant", sort=False)):
                order = str(variant).partition("-")[2]
                for number, (_, points) in enumerate(some.groupby("seed", sort=False)):
                    place.plot(
                        points["nonzero"], 100 * points["accuracy"], label=None if number else order,
                        color=COLOURS[k], ls=("-", (0, (4, 1)))[k % 2], lw=0.8, alpha=0.8,
                    )  # fmt: skip
            place.grid()
            if not mine.empty:
                place.legend(loc="upper right", title="order", alignment="left")
        column[0].set_title(name, loc="left")
        column[-1].set_xlabel("non-zero parameters")
        column[-1].invert_xaxis()
    for place, judge in zip(axes[:, 0], goals, strict=True):
        place.set_ylabel(f"right on {JUDGES[judge]} images, %")
    return figure


def study(trials: pd.DataFrame, importances: Mapping[str, float]) -> Figure:
    """The study's trials in order, with the best so far, and how much of their differences each setting
    explains (fANOVA). Filled marks ran to the end, hollow ones were stopped early.
    """
    figure, (left, right) = canvas(8.6, 2.9, 2, width_ratios=(3, 2))
    _trials(left, trials, "trial")
    left.step(trials["trial"], _errors(trials["best_accuracy"]), where="post", color=MINUS, lw=1.6)
    _accuracy_axis(left, _complete(trials)["accuracy"].tolist())
    left.set_xlabel("trial")
    left.set_ylabel("right on the judging images")
    left.grid()
    left.set_axisbelow(True)
    right.set_title("part of the differences explained", loc="left")
    if not importances:
        right.axis("off")
        right.text(0, 1, "The finished trials do not differ\nenough to be explained.", va="top", fontsize=8)
        return figure
    order = sorted(importances, key=lambda name: importances[name])
    parts = [importances[name] for name in order]
    right.barh([name.replace("_", " ") for name in order], parts, color=PLUS, height=0.6)
    for y, part in enumerate(parts):
        beside(right, f"{part:.2f}" if part >= 0.005 else "under 0.01", part, y)
    right.set_xlim(0, 1.15 * max(parts))
    return figure


def _complete(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials that ran to the end."""
    return trials[trials["state"] == "complete"]


def _trials(axes: Axes, trials: pd.DataFrame, setting: str) -> None:
    """A mark for each trial that has an accuracy, by one of its columns: hollow where stopped early."""
    for state, face, edge in (("pruned", "none", PALE), ("complete", PLUS, PLUS)):
        some = trials[(trials["state"] == state) & np.isfinite(trials["accuracy"])]
        axes.scatter(
            some[setting], _errors(some["accuracy"]), s=16, facecolor=face, edgecolor=edge, linewidth=0.9
        )


def slices(trials: pd.DataFrame) -> Figure:
    """Every trial of the study by each of its settings. Filled marks ran to the end, hollow ones were
    stopped early, and the star is the best.
    """
    names = ("batch", "learning_rate", "step", "gamma")
    figure, axes = canvas(8.6, 2.9, len(names), sharey=True)
    whole = _complete(trials)
    best = whole.loc[whole["accuracy"].idxmax()]
    for place, name in zip(axes, names, strict=True):
        _trials(place, trials, name)
        place.scatter(
            [best[name]], [_errors(best["accuracy"])], s=120, marker="*", color=MINUS, edgecolor=INK, lw=0.8
        )
        if name == "learning_rate":
            place.set_xscale("log")
            place.minorticks_off()
        place.set_xlabel(name.replace("_", " "))
        place.grid()
        place.set_axisbelow(True)
    _accuracy_axis(axes[0], whole["accuracy"].tolist())
    axes[0].set_ylabel("right on the judging images")
    return figure
