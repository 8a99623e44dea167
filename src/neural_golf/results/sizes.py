"""Every size of the rows that have sizes: what its seeds say together, and whether the recipe holds it.

A size is named as in the recipe, by the weights at which the descent stopped. What counts is the referee's
number of non-zero parameters, which may differ: a form has numbers of its own, and packing removes biases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from neural_golf.base.files import PLOTS, write_bytes
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.config.sections import Ladder
from neural_golf.results.result import Result, certainty, holds, read_lines, representative

__all__ = [
    "Point",
    "Size",
    "cut_off",
    "fewest",
    "mean_within",
    "points",
    "read_points",
    "rule",
    "shown_interval",
    "shown_p",
    "sizes",
    "write_points",
]

POINTS = PLOTS / "front.csv"
CUT = (
    "‡ By Student's t the interval goes on beyond 0 or 100 %, where no mean can be. It is cut off there, and "
    "covers the mean as often as the whole."
)


@dataclass(frozen=True)
class Size:
    """One size of a row over its seeds. `accuracy` is that on the test images, `chosen` the seed that the
    held-out images choose, and `p` and `holds` are about the row's goal (`result.holds`).
    """

    row: str
    size: int
    goal: float
    division: str
    nonzero: Spread
    bytes: Spread | None
    accuracy: Spread
    heldout: Spread
    train_correct: Spread
    p: float | None
    holds: bool
    chosen: Result

    @property
    def entered(self) -> bool:
        return self.chosen.entered

    @property
    def scored(self) -> float:
        """What the row makes small, in the mean: the bytes of its files, or else non-zero parameters."""
        return (self.bytes or self.nonzero).mean


def sizes(config: Config, results: Sequence[Result]) -> list[Size]:
    """Every size, entered or not, in the order of the ladder's rows and the largest first."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        if result.size:
            groups.setdefault((result.row, result.size), []).append(result)
    order = list(config.rows)
    return [
        _size(config, group)
        for _, group in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -item[0][1]))
    ]


def _size(config: Config, group: Sequence[Result]) -> Size:
    first = group[0]
    goal = config.settings(first.row).goal
    packed = [result.bytes for result in group if result.bytes is not None]
    return Size(
        row=first.row,
        size=first.size or 0,
        goal=goal,
        division=first.division,
        nonzero=Spread.of([result.nonzero for result in group]),
        bytes=Spread.of(packed) if packed else None,
        accuracy=Spread.of([result.accuracy for result in group]),
        heldout=Spread.of([result.heldout_accuracy for result in group]),
        train_correct=Spread.of([result.train_correct or 0 for result in group]),
        p=certainty(group, goal),
        holds=holds(group, goal, config.ladder),
        chosen=representative(group),
    )


def fewest(found: Sequence[Size], row: str) -> Size | None:
    """The smallest size that the recipe of a row holds, entered or not; None if it holds none."""
    held = [size for size in found if size.row == row and size.holds]
    return min(held, key=lambda size: (size.scored, size.size), default=None)


@dataclass(frozen=True)
class Point:
    """A size as a line of results/plots/front.csv. Accuracies are shares of the images; `test_low` and
    `test_high` are the 95 % interval of the mean (`mean_within`).
    """

    row: str
    size: int
    division: str
    nonzero: float
    bytes: float | None
    n: int
    test_mean: float
    test_sd: float
    test_least: float
    test_greatest: float
    test_low: float | None
    test_high: float | None
    goal: float
    p: float | None
    holds: bool
    heldout_mean: float
    heldout_sd: float
    train_mean: float
    train_sd: float

    @property
    def words(self) -> str:
        """What the seeds say together, as a sentence."""
        mean = f"{self.row} at size {self.size}: {100 * self.test_mean:.2f}"
        if self.test_low is None or self.test_high is None:
            return f"{mean} % right, of one seed, which says nothing about others."
        within = f"95 % interval of the mean {100 * self.test_low:.2f} to {100 * self.test_high:.2f} %"
        if _is_cut_off(self.test_low, self.test_mean, self.test_high):
            within += ", cut off there"
        held = "holds" if self.holds else "does not hold"
        p = shown_p(self.p)
        return (
            f"{mean} ± {100 * self.test_sd:.2f} % right over {self.n} seeds ({within}); "
            f"the recipe {held} {100 * self.goal:g} % (p {p if p.startswith('<') else f'= {p}'})."
        )


def points(found: Iterable[Size], train: int) -> list[Point]:
    """A line for each size; train: the number of training images."""
    return [_point(size, train) for size in found]


def _point(size: Size, train: int) -> Point:
    test, heldout, trained = size.accuracy, size.heldout, size.train_correct
    low, high = mean_within(test) or (None, None)
    return Point(
        row=size.row, size=size.size, division=size.division, nonzero=size.nonzero.mean,
        bytes=size.bytes.mean if size.bytes else None, n=test.n,
        test_mean=test.mean, test_sd=test.sd, test_least=test.least, test_greatest=test.greatest,
        test_low=low, test_high=high, goal=size.goal, p=size.p, holds=size.holds,
        heldout_mean=heldout.mean, heldout_sd=heldout.sd,
        train_mean=trained.mean / train, train_sd=trained.sd / train,
    )  # fmt: skip


def write_points(found: Sequence[Point], path: Path = POINTS) -> None:
    """A CSV file with a line per size, in this order."""
    table = pd.DataFrame([asdict(point) for point in found], columns=[f.name for f in fields(Point)]).round(6)
    write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())


def read_points(path: Path = POINTS) -> list[Point]:
    """What `write_points` wrote; nothing where this run has no such file.

    Raises GolfError if it is of another form.
    """
    return read_lines(path, Point, "front") if path.exists() else []


def mean_within(accuracy: Spread) -> tuple[float, float] | None:
    """The 95 % interval of a mean accuracy; None for one seed.

    Student's t knows no bounds, so its interval is cut off at 0 and 1. The true mean lies between these, and
    what is left of the interval covers it as often as the whole.
    """
    within = accuracy.mean_interval
    return (max(0.0, within[0]), min(1.0, within[1])) if within else None


def shown_interval(accuracy: Spread) -> str:
    """The interval for people, with a mark where it was cut off; empty where there is none.

    >>> shown_interval(Spread.of([0.96, 0.97, 0.98])), shown_interval(Spread.of([0.97, 0.98, 0.99]))
    ('94.52 to 99.48 %', '95.52 to 100.00 % ‡')
    """
    within = mean_within(accuracy)
    if within is None:
        return ""
    mark = " ‡" if _is_cut_off(within[0], accuracy.mean, within[1]) else ""
    return f"{100 * within[0]:.2f} to {100 * within[1]:.2f} %{mark}"


def cut_off(accuracies: Iterable[Spread]) -> str:
    """What the mark of `shown_interval` means, as a paragraph under a table; empty where none has it."""
    marked = any(shown_interval(accuracy).endswith("‡") for accuracy in accuracies)
    return f"\n\n{CUT}" if marked else ""


def _is_cut_off(low: float, mean: float, high: float) -> bool:
    """An interval of Student's t has the mean in its middle: it ends at a bound only if it was cut."""
    return low <= 0 < mean or mean < 1 <= high


def rule(ladder: Ladder) -> str:
    """What "holds" means, in words."""
    return (
        f"A recipe holds a size if the mean over at least {ladder.record_seeds} seeds is above the row's "
        f"goal on the test images with p < {ladder.record_p:g} (one-sided t test over seeds), and the seed "
        "that held-out images choose reaches the goal too."
    )


def shown_p(p: float | None) -> str:
    """A p for people; empty where there is no test.

    >>> shown_p(0.00213), shown_p(1e-9), shown_p(None)
    ('0.0021', '< 0.0001', '')
    """
    if p is None:
        return ""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"
