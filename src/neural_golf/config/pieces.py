"""The independent pieces of a stage by their keys, as the settings alone tell them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from neural_golf.base.errors import GolfError

if TYPE_CHECKING:
    from neural_golf.config import Config

__all__ = ["check", "table", "waves"]

# What a piece of a row is, by what makes the row.
KINDS = {
    "reference": "a training",
    "training": "a training",
    "zeroing": "a zeroing, or nothing where the network is below the threshold",
    "descent": "a descent",
    "packing": "a network to pack",
}


def waves(config: Config, stage: str) -> list[list[str]]:
    """The keys of a stage's pieces, which `golf piece` takes; none where it is one piece of work.

    A wave can begin when the one before it is finished; within it, nothing waits for anything. Only studies
    have several: one for each round, and one for the finalists.
    """
    if row := config.rows.get(stage):
        seeds = [f"seed-{seed}" for seed in row.seeds or config.rows[str(row.of)].seeds]
        kinds = [""]
        if row.by == "zeroing":
            both = product(config.prune.judges, config.prune.orders)
            kinds = [f"{judge}-{order}-" for judge, order in both]
        elif row.by == "packing":
            kinds = [f"size-{size}-" for size in config.settings(stage).sizes]
        return [[f"{kind}{seed}" for kind, seed in product(kinds, seeds)]]
    if stage == "handbook" and (handbook := config.handbook):
        return [[f"{arm}-seed-{seed}" for seed, arm in product(range(handbook.seeds), handbook.arms)]]
    if stage == "tune" and (tune := config.tune) and tune.storage == "pieces":
        finalists = range(min(tune.finalists, tune.trials))
        last = [f"finalist-{rank}-seed-{seed}" for rank, seed in product(finalists, tune.finalist_seeds)]
        return [*_rounds(tune.trials, tune.parallel), last]
    if stage == "search" and (search := config.search):
        return _rounds(search.trials, search.parallel)
    return []


def _rounds(trials: int, parallel: int) -> list[list[str]]:
    """The trials of each round of a study; see `base.study`."""
    names = [f"trial-{number}" for number in range(trials)]
    return [names[first : first + parallel] for first in range(0, trials, parallel)]


def check(config: Config, stage: str, keys: Sequence[str]) -> None:
    """Raises GolfError where the stage has no pieces, or none of these keys."""
    listed = {key for wave in waves(config, stage) for key in wave}
    if not listed:
        raise GolfError(f"{stage} has no pieces: it is one piece of work")
    for key in keys:
        if key not in listed:
            raise GolfError(f"{stage} has no piece {key}; `golf piece {stage}` lists them")


def table(config: Config, stage: str) -> str:
    """A line for each piece: its key, and what it is."""
    listed = [key for wave in waves(config, stage) for key in wave]
    wide = max(map(len, listed))
    return "\n".join(f"{key:<{wide}}  {_what(config, stage, key)}" for key in listed)


def _what(config: Config, stage: str, key: str) -> str:
    if row := config.rows.get(stage):
        return KINDS[row.by]
    if stage == "handbook":
        return "a descent of an arm"
    if key.startswith("finalist-"):
        return "a training of a finalist, after all trials"
    number = next(at for at, wave in enumerate(waves(config, stage)) if key in wave)
    return f"a trial, after {number} round{'s' * (number != 1)}"
