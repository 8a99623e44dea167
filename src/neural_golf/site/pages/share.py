"""The page `share`: it opens the network that an address carries, and makes such addresses."""

from __future__ import annotations

from collections.abc import Iterator

from neural_golf.site import drawing
from neural_golf.site.links import links
from neural_golf.site.world import Page, World

__all__ = ["pages"]


def pages(world: World) -> Iterator[Page]:
    """One page, share.html."""
    yield Page(
        path="share.html",
        template="share.html.j2",
        title="A whole network in a link",
        description="A network small enough to stand in an address: open it, draw for it, and send your own.",
        view={"links": links(world.results), "draws": world.draws},
        scripts=(*drawing.OPENING, "qr", "share", "opened", "sort"),
        data={**drawing.data_for(world, None), "classes": list(world.facts.classes)},
    )
