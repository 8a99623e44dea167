"""What a descent does, epoch by epoch, as data."""

from __future__ import annotations

from dataclasses import dataclass

from neural_golf.config.recipe import Recipe

__all__ = ["Epoch", "plan"]


@dataclass(frozen=True)
class Epoch:
    """One epoch: how many parameters are left, its learning rate, and whether it ends with a snapshot."""

    size: int
    rate: tuple[float, float]  # first and last step
    snapshot: bool = False

    @property
    def settles(self) -> bool:
        """Whether the rate falls, so that the network comes to rest for a snapshot."""
        return self.rate[0] != self.rate[1]


def plan(recipe: Recipe, full: int) -> list[Epoch]:
    """The epochs after the dense ones, from `full` parameters down to the last size.

    The size falls geometrically, fast until `fast_to` and then slowly: every epoch removes a constant
    share of what is left, and where that is less than one weight, some epochs remove none. (Zhu & Gupta
    2017, arXiv:1710.01878, let the size fall as a cubic of the time. When every weight counts, towards
    the end, that is too fast or wastes its epochs.) At each of `sizes` the rate falls to 0 over `settle`
    epochs, a snapshot is kept, and the descent goes on at the full rate, which is a warm restart
    (Loshchilov & Hutter 2017, arXiv:1608.03983).
    """
    last = recipe.sizes[-1]
    start = min(full, max(recipe.fast_to, last))
    falling = [
        round(full * (start / full) ** ((k + 1) / recipe.fast_epochs)) for k in range(recipe.fast_epochs)
    ]
    if recipe.slow_epochs:
        falling += [
            round(start * (last / start) ** ((k + 1) / recipe.slow_epochs)) for k in range(recipe.slow_epochs)
        ]
    falling[-1] = last
    wanted = [size for size in recipe.sizes if size <= full]
    epochs: list[Epoch] = []
    for size in falling:
        while wanted and wanted[0] >= size:
            epochs += _settle(recipe, wanted.pop(0))
        if not epochs or size < epochs[-1].size or not epochs[-1].settles:
            rate = _rate(recipe, size)
            epochs.append(Epoch(size, (rate, rate)))
    return epochs


def _settle(recipe: Recipe, size: int) -> list[Epoch]:
    rate = _rate(recipe, size)
    steps = max(1, recipe.settle)
    return [
        Epoch(size, (rate * (1 - k / steps), rate * (1 - (k + 1) / steps)), k == steps - 1)
        for k in range(steps)
    ]


def _rate(recipe: Recipe, size: int) -> float:
    return float(recipe.rate * min(1.0, size / 500) ** 0.75)
