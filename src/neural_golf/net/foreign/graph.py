"""The nodes of a foreign graph, one after the other, as layers of a spec."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.net.foreign.building import Building
from neural_golf.net.foreign.context import Context
from neural_golf.net.foreign.kinds import KINDS_OF
from neural_golf.net.foreign.model import Array, Feed, Model, UnknownLayer, attribute, described, run_node
from neural_golf.net.foreign.seen import Seen
from neural_golf.net.spec import Network

__all__ = ["Foreign", "UnknownLayer", "read_foreign"]

MOST = 50_000_000  # numbers in one tensor of a graph
# Operators that move elements about, and change none.
MOVES = frozenset({
    "Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Gather", "Pad", "Split",
    "Expand", "DepthToSpace", "SpaceToDepth",
})  # fmt: skip
SAME = frozenset({"Cast", "CastLike", "Dropout"})  # outside training they change nothing here
# At the end of a network these leave the order of its scores as it is.
SQUASHES = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})


@dataclass(frozen=True)
class Foreign:
    """What a foreign graph computes, for pixels from 0 to 1.

    parameters: float32 [n]. squashed: the Softmax or the like at its end, which is left out, or "".
    """

    network: Network
    parameters: NDArray[np.float32]
    squashed: str


def read_foreign(model: Model, shape: tuple[int, int, int], feed: Feed) -> Foreign:
    """The graph as a network for images of `shape`, [channels, height, width], which it gets as `feed` says.

    A graph that is exact for a network here is one whose layers stand in a row, but for sums with an
    earlier map. Batch normalisation, scales and shifts are folded into convolutions and linear layers; where
    there are none (behind an activation and before padding, say), a 1x1 convolution of each channel takes
    them in. Raises UnknownLayer that names the layer which a spec cannot say.
    """
    found: UnknownLayer | None = None
    for batch in dict.fromkeys((model.batch or 2, 1)):
        try:
            return _read(model, shape, feed, batch)
        except UnknownLayer as error:
            found = found or error
    assert found is not None
    raise found


def _read(model: Model, shape: tuple[int, int, int], feed: Feed, batch: int) -> Foreign:
    building = Building(shape, batch)
    full, axes = (batch, *feed.shape), (0, *(1 + axis for axis in feed.order))
    first = Seen.of(0, batch, shape)
    scale, shift = (
        np.broadcast_to(np.reshape(v, (-1, 1, 1)), first.ids.shape) for v in (feed.scale, feed.shift)
    )
    image = first.changed(scale, shift).moved(lambda a: a.transpose(axes).reshape(full))
    readers = Counter(name for node in model.nodes if node.op_type != "Shape" for name in node.input)
    if readers[model.input] > 1:
        image = building.shared(image, "the image")
    values: dict[str, Seen | Array] = {**model.constants, model.input: image}
    for node in model.nodes:
        absent = next((name for name in node.input if name and name not in values), None)
        if absent is not None:
            raise UnknownLayer(f"{described(node)} reads {absent}, a second output that is not known here")
        inputs = [values[name] if name else None for name in node.input]
        outputs = _node(model, building, node, inputs)
        for name, value in zip((n for n in node.output if n), outputs, strict=False):
            if isinstance(value, Seen) and readers[name] > 1:
                value = building.shared(value, described(node))
            values[name] = value
            size = value.ids.size if isinstance(value, Seen) else value.size
            if size > MOST:
                raise UnknownLayer(f"{described(node)} makes {size:,} numbers, more than can be followed")
    return _finished(building, values[model.output])


def _node(
    model: Model, building: Building, node: onnx.NodeProto, inputs: list[Seen | Array | None]
) -> list[Seen | Array]:
    what, operator = described(node), node.op_type
    if node.domain not in ("", "ai.onnx"):
        raise UnknownLayer(f"{what} is not known")
    data = [x for x in inputs if isinstance(x, Seen)]
    if not data:
        return list(run_node(model, node, [x if isinstance(x, np.ndarray) else None for x in inputs]))
    x = data[0]
    if operator == "Shape":
        return list(run_node(model, node, [np.empty(x.ids.shape, np.int8)]))
    if operator == "CastLike" and isinstance(inputs[0], np.ndarray):
        return [inputs[0].astype(np.float32)]
    mode = inputs[2] if operator == "Dropout" and len(inputs) > 2 else None
    if isinstance(mode, np.ndarray) and mode.any():
        raise UnknownLayer(f"{what} runs in training mode; export the network in evaluation mode")
    if operator in SAME:
        to = attribute(node, "to", onnx.TensorProto.FLOAT)
        if operator == "Cast" and to not in _FLOATS:
            raise UnknownLayer(f"{what} rounds what it gets")
        return [x]
    if len(data) > 1:
        if operator not in ("Add", "Sum") or len(data) > 2 or len(inputs) > 2:
            raise UnknownLayer(f"{what} joins two branches, and a network here can only add two")
        return [building.summed(data[0], data[1], what)]
    if operator in MOVES and isinstance(inputs[0], Seen):
        return _moved(model, node, inputs, x)
    if operator in SQUASHES:
        return [replace(x, squashed=x.squashed or what)]
    if operator not in KINDS_OF:
        raise UnknownLayer(f"{what} is not known")
    if x.squashed:
        raise UnknownLayer(f"{x.squashed} is known only at the end of a network")
    try:
        return [KINDS_OF[operator](Context(model, building, node, inputs, what), x)]
    except UnknownLayer as error:
        raise error if "the layer " in str(error) else UnknownLayer(f"{what}: {error}") from None


_FLOATS = (
    onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16, onnx.TensorProto.DOUBLE,
)  # fmt: skip


def _moved(model: Model, node: onnx.NodeProto, inputs: list[Any], x: Seen) -> list[Seen | Array]:
    if node.op_type == "Pad":
        value = inputs[2] if len(inputs) > 2 else attribute(node, "value", 0.0)
        if attribute(node, "mode", "constant") != "constant" or (value is not None and np.any(value)):
            raise UnknownLayer(f"{described(node)} pads with something other than zeros")
        inputs = [inputs[0], inputs[1], None, *inputs[3:]] if len(inputs) > 2 else inputs
        x = x.changed(1.0, 0.0) if x.shift is not None else x
    made: list[Seen] = []
    for k in range(sum(map(bool, node.output))):

        def run(array: NDArray[np.generic], k: int = k) -> NDArray[np.generic]:
            return run_node(model, node, [array, *inputs[1:]])[k]

        made.append(x.moved(run))
    return list(made)


def _finished(building: Building, answer: Seen | Array) -> Foreign:
    """The network, from what the graph puts out."""
    if not isinstance(answer, Seen):
        raise UnknownLayer("the answer of the graph does not depend on the image")
    squashed = answer.squashed
    if answer.ids.size % building.batch == 0:
        flat = (building.batch, answer.ids.size // building.batch)
        answer = answer.moved(lambda a: a.reshape(flat))
    x = building.settled(replace(answer, squashed=""), "the answer")
    ids, _, _ = building.taken(x, "the answer")
    classes = building.shape[0]
    if building.shape[1:] != (1, 1) or not building.parts:
        size = "x".join(map(str, building.shape))
        raise UnknownLayer(f"the answer is made of maps of {size}, not of one number per class")
    if not np.array_equal(ids.ravel(), np.arange(classes)):
        building.reordered(ids.ravel())
    network, parameters = building.network()
    return Foreign(network, parameters, squashed)
