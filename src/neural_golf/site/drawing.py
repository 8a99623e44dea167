"""What pages with a place to draw share: their scripts, what these are given, and a network that they run."""

from __future__ import annotations

import numpy as np

from neural_golf.look.measure import samples
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network
from neural_golf.site.carried import carried
from neural_golf.site.entered import Entered
from neural_golf.site.links import tables
from neural_golf.site.shown import Lit
from neural_golf.site.world import World

__all__ = ["OPENING", "SCRIPTS", "data_for", "lit"]

PAD = ("prepare", "pad", "onnx", "runtime", "lights")
SCRIPTS = (*PAD, "play")  # of a page with one network
OPENING = (*PAD, "golf", "foreign", "play")  # of a page that opens files and links


def data_for(world: World, entry: Entered | None) -> dict[str, object]:
    """What the scripts of a page are given; `entry`: the network that the page is about, if it is one."""
    if "data/samples.js" not in world.files:
        digits = [
            image
            for seed in range(world.config.site.samples)
            for image in samples(world.heldout, seed).pixels
        ]
        world.files["data/samples.js"] = carried("samples", np.stack(digits).tobytes())
    found: dict[str, object] = {
        "shape": world.facts.shape,
        "classes": list(world.facts.classes),
        "why": world.runtime.why,
    }
    if entry is None:
        return {**found, "golf": tables()}
    assert entry.network is not None
    name = f"data/net-{entry.slug}.js"
    world.files[name] = carried(f"net-{entry.slug}", entry.onnx)
    return {**found, "network": {"slug": entry.slug, "layers": lit(entry.network) if named(entry) else []}}


def named(entry: Entered) -> bool:
    """Whether the graph names its layers' outputs, as those of this project do."""
    return "network" in entry.metadata


def lit(network: Network) -> list[Lit]:
    """The layers as the script lights them, by the names of the graph's outputs."""
    layers = [layer for layer in network.layers if not KINDS[layer.kind].training]
    told = [Lit(name=x.name, label=x.name, title=KINDS[x.kind].title, shape=x.out_shape) for x in layers]
    if network.form:  # the graph's first nodes make it of the drawing, here as anywhere
        shape = network.in_shape
        told.insert(0, Lit(name="form", label="form", title="the image brought into form", shape=shape))
    # The scores are the file's output, and one strip rather than one square per class.
    told[-1] = Lit(
        name="logits", label=told[-1]["label"], title=told[-1]["title"], shape=(1, 1, network.classes)
    )
    return told
