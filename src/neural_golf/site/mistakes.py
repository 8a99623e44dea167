"""What an entry gets wrong: confusions and worst mistakes, over the test images that it was scored on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_golf.engine import engine
from neural_golf.look.measure import losses
from neural_golf.site.entered import Entered
from neural_golf.site.pictures import sheet
from neural_golf.site.world import World

__all__ = ["Mistakes", "mistakes_of"]

SHOWN = 24  # mistakes, the surest first
COLUMNS = 12
MOST_CLASSES = 12  # in the table


@dataclass(frozen=True)
class Mistakes:
    """wrong: how many. picture: the place of a sheet of the surest ones, and `said` what each is and is taken
    for. table [classes, classes]: how often an image of a row's class is taken for a column's; empty where
    there are too many classes. commonest: pairs, and how often.
    """

    wrong: int
    picture: str
    said: tuple[tuple[str, str], ...]
    table: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    commonest: tuple[tuple[str, str, int], ...]


def mistakes_of(world: World, entry: Entered) -> Mistakes | None:
    """What it gets wrong, with a sheet among the site's files; None for images of another shape."""
    known, test = entry.layers, world.test
    if known is None or known.network.in_shape != world.facts.shape:
        return None
    scores = engine(known.network).logits(known.weights, test.pixels)
    answers, names = scores.argmax(axis=1), world.facts.classes
    wrong = np.flatnonzero(answers != test.labels)
    count = np.zeros((len(names), len(names)), np.int64)
    np.add.at(count, (test.labels.astype(np.int64), answers), 1)
    worst = wrong[np.argsort(-losses(scores, test.labels)[wrong], kind="stable")][:SHOWN]
    picture = ""
    if len(worst):
        picture = f"pictures/mistakes-{entry.slug}.png"
        world.files[picture] = sheet(test.pixels[worst], COLUMNS)
    off = count - np.diag(np.diag(count))
    pairs = [(int(off[a, b]), -int(a), -int(b)) for a, b in np.argwhere(off > 0)]
    return Mistakes(
        wrong=len(wrong),
        picture=picture,
        said=tuple((names[int(test.labels[k])], names[int(answers[k])]) for k in worst),
        table=tuple(tuple(map(int, row)) for row in count) if len(names) <= MOST_CLASSES else (),
        names=names,
        commonest=tuple((names[-a], names[-b], n) for n, a, b in sorted(pairs, reverse=True)[:5]),
    )
