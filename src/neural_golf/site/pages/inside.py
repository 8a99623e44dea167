"""The blog's look inside a network, figure by figure, with what is confirmed here and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neural_golf.look.claims import tested
from neural_golf.look.interpret import drawings
from neural_golf.site.world import Page, World

__all__ = ["pages"]


def pages(world: World) -> Iterator[Page]:
    """One page, inside.html; each figure is a file, and a browser reads those that it shows."""
    drawn = drawings(world.config)
    for drawing in drawn:
        world.files[f"figures/{drawing.path.name}"] = drawing.path.read_bytes()
    names = [result.variant.name for result in world.chosen]
    first = world.first.name if world.first and world.first.name in names else names[-1]
    model = world.config.interpret.networks[0]
    slugs = {one.name: one.slug for one in world.entered if one.dataset == world.config.data.dataset}
    yield Page(
        path="inside.html",
        template="inside.html.j2",
        title="Look inside: what networks of a few hundred numbers see",
        description="The blog's claims about what its network sees, tested on every network of this project, figure by figure.",
        view={
            "names": names,
            "nonzero": {result.variant.name: result.nonzero for result in world.chosen},
            "first": first,
            "findings": {name: world.findings[name] for name in names},
            "claims": tested(world.findings),
            "portraits": [one for one in drawn if one.network == model],
            "surveys": [one for one in drawn if not one.network],
            "sizes": {one.path.name: _size(one.path) for one in drawn},
            "slugs": slugs,
        },
        scripts=("inside",),
        data={"files": {one.path.stem: one.path.name for one in drawn}},
    )


def _size(path: Path) -> tuple[int, int]:
    """Width and height of a picture, so that the page does not jump when it comes; of an SVG, as it says."""
    import re

    if path.suffix == ".svg":
        head = path.read_text(encoding="utf-8")[:2000]
        found = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt"', head)
        return (round(float(found[1])), round(float(found[2]))) if found else (800, 500)
    content = path.read_bytes()[16:24]
    return int.from_bytes(content[:4], "big"), int.from_bytes(content[4:], "big")
