"""The page `try`: a file of one's own runs in the browser on the test images."""

from __future__ import annotations

from collections.abc import Iterator

from neural_golf.referee.rules import LIMITS, OPERATORS
from neural_golf.site import drawing
from neural_golf.site.carried import carried
from neural_golf.site.world import Page, World

__all__ = ["pages"]

MOST_BYTES = 32 << 20  # of test images that a browser is given; of more, the first ones


def pages(world: World) -> Iterator[Page]:
    """One page, try.html, and the test images as a file that it reads when somebody drops a network."""
    most = min(len(world.test), MOST_BYTES // max(1, world.test.pixels[0].size))
    pixels, labels = world.test.pixels[:most], world.test.labels[:most].astype("<u2")
    world.files["data/images.js"] = carried("images", pixels.tobytes()) + carried("labels", labels.tobytes())
    goals = [
        {"name": one.name, "title": one.title, "threshold": one.threshold, "images": one.images,
         "record": (one.ranked[0].bytes if one.score == "bytes" else one.ranked[0].nonzero) if one.ranked else None,
         "score": one.score}
        for one in world.challenges if world.about(one)
    ]  # fmt: skip
    yield Page(
        path="try.html",
        template="try.html.j2",
        title="Try your own network",
        description="Drop an ONNX file: it runs in your browser on the test images, and nothing leaves your machine.",
        view={"most": most, "all": len(world.test), "draws": world.draws},
        scripts=(*drawing.OPENING, "qr", "share", "try"),
        data={
            **drawing.data_for(world, None),
            "classes": list(world.facts.classes),
            "count": most,
            "of": len(world.test),
            "goals": goals,
            "operators": sorted(OPERATORS),
            "bytes": LIMITS.file_bytes,
        },
    )
