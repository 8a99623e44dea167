"""A page for each entry: the network drawn whole, its kernels, numbers, card, mistakes, and files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neural_golf.base.errors import GolfError
from neural_golf.device.command import of_data
from neural_golf.device.source import write_source
from neural_golf.look.interpret import drawings
from neural_golf.site import drawing
from neural_golf.site.drawn import kernels, whole
from neural_golf.site.entered import Entered
from neural_golf.site.mistakes import mistakes_of
from neural_golf.site.pictures import preview
from neural_golf.site.shown import numbers_of
from neural_golf.site.world import Page, World

__all__ = ["pages"]

FUNCTION = "net"  # the C function's name


def pages(world: World) -> Iterator[Page]:
    """entry/NAME.html, of every entry whose file is here and every network of this run with figures."""
    drawn = {one.network for one in drawings(world.config)}
    for entry in world.entered:
        files = _files(entry)
        world.files.update({f"files/{name}": content for name, content in files.items()})
        known = entry.layers
        here = entry.dataset == world.config.data.dataset
        draws = world.draws and entry.network is not None and entry.network.in_shape == world.facts.shape
        world.files[f"pictures/entry-{entry.slug}.png"] = preview(
            f"{entry.nonzero:,}", f"non-zero parameters: {entry.name}",
            f"{entry.correct:,} of {entry.images:,} test images right",
        )  # fmt: skip
        yield Page(
            path=f"entry/{entry.slug}.html",
            template="entry.html.j2",
            title=f"{entry.slug}: {entry.nonzero:,} numbers",
            description=(
                f"A network of {entry.nonzero:,} non-zero parameters that gets {entry.correct:,} of "
                f"{entry.images:,} test images right, drawn whole: every weight a line."
            ),
            view={
                "entry": entry,
                "files": [(name, len(content)) for name, content in files.items()],
                "draws": draws,
                "whole": whole(known.network, known.weights) if known else "",
                "kernels": kernels(known.network, known.weights) if known else [],
                "numbers": numbers_of(known.network, known.weights) if known else [],
                "mistakes": mistakes_of(world, entry) if here else None,
                "figures": entry.name if entry.name in drawn and here else "",
            },
            scripts=drawing.SCRIPTS if draws else (),
            data=drawing.data_for(world, entry) if draws else {},
            picture=f"pictures/entry-{entry.slug}.png",
        )


def _files(entry: Entered) -> dict[str, bytes]:
    """What can be downloaded: the ONNX file, the `.golf` file, and the network in C where that is possible."""
    found = {f"{entry.slug}.onnx": entry.onnx}
    if entry.golf:
        found[f"{entry.slug}.golf"] = entry.golf
    if entry.layers is None:
        return found
    network, weights = entry.layers.network, entry.layers.weights
    stem = re.sub(r"\W", "_", entry.slug)
    try:
        given, names = of_data(Path(f"{entry.slug}.onnx"), network, entry.metadata)
        made = write_source(network, np.ascontiguousarray(weights), FUNCTION, given, None, f"{stem}.h", names)
    except GolfError:  # a layer that C is not written for
        return found
    return {**found, f"{stem}.c": made.code.encode(), f"{stem}.h": made.header.encode()}
