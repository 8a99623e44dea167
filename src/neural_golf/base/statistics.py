"""Statistics: mean and spread, intervals, a test of the mean, and how many images a share of them is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Spread", "interval", "needed", "p_above"]


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (n − 1), least and greatest of n values."""

    mean: float
    sd: float
    least: float
    greatest: float
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        array = np.asarray(values, float)
        sd = float(array.std(ddof=1)) if len(array) > 1 else 0.0
        return Spread(float(array.mean()), sd, float(array.min()), float(array.max()), len(array))

    def text(self, digits: int = 0, scale: float = 1) -> str:
        """`672 ± 9`, or only the value where all are equal."""
        mean = f"{scale * self.mean:,.{digits}f}"
        return mean if self.least == self.greatest else f"{mean} ± {scale * self.sd:.{digits}f}"

    @property
    def mean_interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean by Student's t; None for one value, which has no spread."""
        if self.n < 2:
            return None
        from scipy import stats  # takes a while, and the referee does without it

        half = float(stats.t.ppf(0.975, self.n - 1)) * self.sd / self.n**0.5
        return self.mean - half, self.mean + half


def p_above(values: Sequence[float], threshold: float) -> float | None:
    """How likely a mean as high as that of `values` is where the true mean is the threshold: a one-sided t
    test (Student 1908).

    None for fewer than two values, which cannot be tested. Values that are all equal leave no doubt: 0 where
    they are above the threshold, and 1 where they are not.

    >>> p_above([9801, 9801], 9800), p_above([9800, 9800], 9800), p_above([9900], 9800)
    (0.0, 1.0, None)
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return float(values[0] <= threshold)
    from scipy import stats

    return float(stats.ttest_1samp(np.asarray(values, float), threshold, alternative="greater").pvalue)


def needed(threshold: float, images: int) -> int:
    """The least number of correct images that is at least the share `threshold` of all; no share is rounded
    up to it.

    >>> needed(0.98, 10_000), needed(0.98, 5_000), needed(0.9, 7)
    (9800, 4900, 7)
    """
    return int(np.ceil(np.round(threshold * images, 6)))


def interval(correct: int, images: int, rng: np.random.Generator, times: int = 10_000) -> list[int]:
    """95 % bootstrap interval of the number of correct images (Efron 1979).

    Drawing `images` answers with replacement, right with probability correct / images, is a binomial.
    """
    drawn = rng.binomial(images, correct / images, times)
    return [int(v) for v in np.percentile(drawn, (2.5, 97.5))]
