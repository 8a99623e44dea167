"""The rules by which `golf new` chooses settings for a data set: this module is the only place that has them.

They are a beginning. What they chose stands in the task's params.yaml, where a person changes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Known", "Plan", "plan"]

# What a network of the descent may have in its last layer, before the first weight is removed: the surgeon's
# matrix has the square of all weights as its size.
HEAD = 4000
# A map is convolved and pooled until a side is below this.
SMALL = 8
# A series only until it is shorter than this, and the last map is pooled to so many places: of the heads that
# were tried on the training parts of six sets of the UCR and UEA archives, cross-validated, the best in all.
SHORT, PLACES = 24, 4
# Image passes of one seed of the descent, forward and back, of 28x28 pixels: minutes on two cores.
PASSES = 4e6
EPOCHS = (40, 240)  # the fewest and the most of them
STEPS = 1000  # of Adam, before which no network of a few examples has learnt what it can
# Of the descent's slow phase, whose weights are few, and the most epochs that this may take: with three times
# as many steps, 32 series of a watch had one of 8 held-out ones more right at 64 and at 40 weights (5 seeds).
SLOW_STEPS, MOST_SLOW = 2000, 480
PART = 5  # one example of so many is split off for the test, and of what is left for the held-out part
MOST_TEST, MOST_HELDOUT = 10_000, 5_000
SIZES = 8  # snapshots of a descent
MANY = 20  # classes from which the site shows fewer examples of each


@dataclass(frozen=True)
class Known:
    """What the rules look at: the shape of an image, the number of classes and of examples."""

    shape: tuple[int, int, int]
    classes: int
    train: int  # before the held-out part is split off
    test: int | None  # None: the source has no test part

    @property
    def series(self) -> bool:
        return self.shape[1] == 1

    @property
    def test_count(self) -> int:
        """Test examples, those of the source or those that are split off."""
        return self.test or min(MOST_TEST, max(1, self.train // PART))

    @property
    def left(self) -> int:
        """Examples to train on and to hold out."""
        return self.train if self.test else self.train - self.test_count

    @property
    def heldout(self) -> int:
        return min(MOST_HELDOUT, max(1, self.left // PART))


@dataclass(frozen=True)
class Plan:
    """Settings that the rules chose; names as in params.yaml."""

    baseline: list[str]  # a network
    smallest: list[str]  # a network
    batch: int
    epochs: int  # of the baseline
    dense_epochs: int
    fast_epochs: int
    slow_epochs: int
    sizes: list[int]
    fisher_images: int
    samples: int
    radius: float  # of the strokes that first-layer channels are shown
    width: float


def plan(known: Known) -> Plan:
    """The settings for a data set."""
    _, height, width = known.shape
    trained = known.left - known.heldout
    scale = 784 / (height * width)
    total = int(min(EPOCHS[1], max(EPOCHS[0], PASSES * scale / max(1, trained))))
    batch = next(size for below, size in BATCHES if trained < below)
    enough = min(EPOCHS[1], math.ceil(STEPS * batch / max(1, trained)))
    classes = known.classes
    most = max(40, min(400, 20 * classes) if classes <= 100 else 8 * classes)
    least = max(16, 2 * classes)
    side = min(height, width)
    slow = 0 if classes > 100 else SLOW_STEPS * batch / max(1, trained)
    slow = int(min(slow, MOST_SLOW, PASSES * scale / max(1, trained)))
    return Plan(
        baseline=network(known, turned=False),
        smallest=network(known, turned=height == width >= SMALL),
        batch=batch,
        epochs=max(10, total // 4, enough),
        dense_epochs=max(5, total // 8, enough),
        fast_epochs=max(5, total // 5),
        slow_epochs=max(10, total * 2 // 3, slow),
        sizes=falling(most, least),
        fisher_images=min(8000, trained),
        samples=3 if classes <= MANY else 1,
        radius=round(0.4 * side, 1),
        width=max(1.0, round(side / 9, 1)),
    )


# Training examples, and the batch for fewer than so many.
BATCHES = ((100, 8), (300, 16), (2000, 32), (10_000, 64), (50_000, 128), (math.inf, 256))


def falling(most: int, least: int) -> list[int]:
    """SIZES sizes from `most` down to `least`, each the same share of the one before.

    >>> falling(200, 20)
    [200, 144, 104, 75, 54, 39, 28, 20]
    """
    share = (least / most) ** (1 / (SIZES - 1))
    return sorted({round(most * share**k) for k in range(SIZES)}, reverse=True)


def network(known: Known, turned: bool) -> list[str]:
    """Convolutions and pools until the map is small, for a series an average pool, and a linear layer.

    The baseline has ReLU and kernels that stand once. The network of the descent has the absolute value and,
    where `turned`, kernels that stand in eight positions, as docs/handbook found best on digits.

    >>> network(Known((1, 28, 28), 10, 60_000, 10_000), turned=False)[:6]
    ['conv 8 k5', 'relu', 'maxpool 2', 'conv 8 k3', 'relu', 'maxpool 2']
    >>> network(Known((6, 1, 100), 4, 40, 40), turned=False)[:4]
    ['conv 8 k1x5', 'relu', 'maxpool 1x2', 'conv 8 k1x3']
    """
    _, height, width = known.shape
    sides: tuple[int, ...] = (width,) if known.series else (height, width)
    across = "1x" if known.series else ""
    mode, active = (" turns mirrors", "abs") if turned else ("", "relu")
    kernel = 5 if min(sides) >= 2 * SMALL else 3
    spec: list[str] = []
    while min(sides) >= (SHORT if known.series else SMALL):
        sides = tuple((side - kernel + 1) // 2 for side in sides)
        spec += [f"conv 8 k{across}{kernel}{mode}", active, f"maxpool {across}2"]
        kernel = 3
    kernel = min(3, *sides)
    sides = tuple(side - kernel + 1 for side in sides)
    channels, windows = _head(sides, known.classes, PLACES if known.series else max(sides))
    pool = "x".join(map(str, windows if len(set(windows)) > 1 else windows[:1]))
    spec += [f"conv {channels} k{across}{kernel}{mode if kernel == 3 else ''}", active]
    spec += [f"avgpool {across}{pool}"] if max(windows) > 1 else []
    return [*spec, f"linear {known.classes}"]


def _head(sides: tuple[int, ...], classes: int, places: int) -> tuple[int, tuple[int, ...]]:
    """Channels of the last map, and the windows of its average pool: the first that keep within HEAD, with
    at most so many `places` along a side.

    >>> _head((3, 3), 10, 3), _head((3, 3), 40, 3), _head((3, 27), 40, 27), _head((1,), 1000, 4)
    ((16, (1, 1)), (16, (3, 3)), (16, (1, 13)), (8, (1,)))
    >>> _head((21,), 4, 4)
    (16, (5,))
    """
    for channels in (16, 8):
        for most in range(min(places, max(sides)), 0, -1):  # places along a side
            windows = tuple(side // min(side, most) for side in sides)
            kept = math.prod(side // window for side, window in zip(sides, windows, strict=True))
            if channels * kept * classes <= HEAD:
                return channels, windows
    return 8, sides
