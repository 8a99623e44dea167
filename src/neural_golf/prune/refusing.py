"""What cannot be pruned: numbers that are not finite, and answers that are others every time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from neural_golf.base.errors import GolfError
from neural_golf.net.foreign import Model
from neural_golf.net.foreign.model import described

__all__ = ["refuse"]

RANDOM = {
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


def refuse(model: Model, name: str) -> None:
    """Raises GolfError, in one line, where the network `name` cannot be judged.

    A single number may be infinite: it is the bound of a Clip, or what a MaxPool is padded with.
    """
    nodes = list(_nodes(model.nodes))
    tensors = [*model.proto.graph.initializer, *(one for node in nodes for one in _stored(node))]
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
    for key, array in values.items():
        if array.dtype.kind == "f" and (np.isnan(array).any() or (array.size > 1 and np.isinf(array).any())):
            raise GolfError(f"{name}: tensor {key!r} holds NaN or infinity")
    for node in nodes:
        trains = (
            node.op_type == "Dropout" and len(node.input) > 2 and values.get(node.input[2], np.False_).any()
        )
        if node.op_type in RANDOM or trains:
            why = " in training mode" if trains else ""
            raise GolfError(
                f"{name}: {described(node)}{why} gives other answers every time, so nothing can be counted"
            )


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes and those of the graphs that they hold."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _stored(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """What a Constant holds, under the name of its output, and the numbers of the graphs within a node."""
    for one in node.attribute:
        if node.op_type == "Constant" and one.name in ("value", "value_float", "value_floats"):
            held = (
                numpy_helper.to_array(one.t)
                if one.name == "value"
                else np.array(one.f if one.name == "value_float" else one.floats, np.float32)
            )
            yield numpy_helper.from_array(held, node.output[0])
        for graph in (one.g, *one.graphs):
            yield from graph.initializer
