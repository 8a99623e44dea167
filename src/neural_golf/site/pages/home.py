"""The home page: what the game is, who holds the records, the front as a live chart, and a place to draw."""

from __future__ import annotations

from collections.abc import Iterator

from neural_golf.site import drawing
from neural_golf.site.board import Challenge
from neural_golf.site.entered import Entered
from neural_golf.site.pictures import preview
from neural_golf.site.shown import chart_data, marks
from neural_golf.site.world import Page, World

__all__ = ["pages"]

LADDER = "results/ladder.md"


def pages(world: World) -> Iterator[Page]:
    """One page, index.html."""
    with open(LADDER, encoding="utf-8") as file:  # noqa: PTH123 (a name of this folder)
        ladder = file.read()
    first = world.first
    best = first.nonzero if first else min(one.nonzero for one in world.results)
    classes = len(world.facts.classes)
    what = "reading handwritten digits" if world.public else f"telling {classes} classes apart"
    world.files["pictures/home.png"] = preview(
        f"{best:,}",
        f"numbers are enough for {what}",
        "Neural Golf: the smallest network wins. Can you beat it?",
    )
    known = {one.name: one for one in world.entered if one.dataset == world.config.data.dataset}
    yield Page(
        path="index.html",
        template="home.html.j2",
        title=f"Neural Golf: {what} with {best:,} numbers",
        description=(
            "Code golf, but with the numbers of a neural network. "
            + ("Draw a digit, watch a tiny network read it, and beat the record." if world.public
               else f"Tiny networks for {world.dataset}.")
        ),
        view={
            "first": first,
            "classes": classes,
            "images": world.results[0].images,
            "holes": world.holes,
            "known": known,
            "public_records": world.public,
            "examples": [world.config.rows[name].blog for name in world.config.rows_by("reference") if world.config.rows[name].blog],
            "records": [(challenge, _leader(world, challenge)) for challenge in world.challenges],
            "ladder": ladder,
            "sizes": world.points,
        },
        scripts=("chart", "sort", *(drawing.SCRIPTS if first and world.draws else ())),
        data={
            "chart": chart_data(marks(world.results, world.public, world.points), world.points, known),
            "goals": world.config.site.goals,
            **(drawing.data_for(world, first) if first and world.draws else {}),
        },
    )  # fmt: skip


def _leader(world: World, challenge: Challenge) -> Entered | None:
    """The page of the entry that leads a challenge."""
    for one in world.of(challenge):
        if any(p.challenge == challenge.name and p.rank == 1 and not p.on_test for p in one.places):
            return one
    return None
