"""Reading a model: every stored number as an array, every node in order, and nothing else.

What is read here is all that is counted and run later: unknown fields, names of files and metadata are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import AttributeProto

from neural_golf.referee.frame import graph_input, graph_output, opset_of
from neural_golf.referee.operators import check_operator, check_training, counted_attributes, schema_of
from neural_golf.referee.ordering import in_order
from neural_golf.referee.rules import LIMITS, Limits, Refused, quoted
from neural_golf.referee.tensors import Array, decode, decode_constant

__all__ = ["Model", "Stored", "read"]


@dataclass(frozen=True)
class Stored:
    """An initializer or a Constant node: its type in ONNX and its elements."""

    elem_type: int
    array: Array


@dataclass(frozen=True)
class Model:
    """A model as it was read. `nodes` are in order, without the Constant nodes."""

    opset: int
    input_name: str
    input_type: int
    input_shape: tuple[int, ...]  # of one image, without the batch
    batch: int | None  # how many images it takes at once, or None for any number
    output_name: str
    stored: Mapping[str, Stored]
    nodes: tuple[onnx.NodeProto, ...]
    floats: Mapping[int, tuple[float, ...]]  # by node: its float attributes that are not the schema's default
    operators: tuple[str, ...]  # of all nodes, the Constant nodes included


def read(model: onnx.ModelProto, limits: Limits = LIMITS) -> Model:
    """Read a model, strictly. Raises Refused for whatever has no place in a network that is scored."""
    opset = opset_of(model)
    graph = model.graph
    if model.functions:
        raise Refused("it defines functions of its own (ModelProto.functions)")
    if model.training_info:
        raise Refused("it holds training information")
    if graph.sparse_initializer:
        raise Refused("it holds sparse tensors")
    if len(graph.node) > limits.nodes:
        raise Refused(f"{len(graph.node)} nodes; the limit is {limits.nodes}")
    if not graph.node:
        raise Refused("the graph has no nodes")
    for node in graph.node:
        check_operator(node)
    input_name, input_type, input_shape, batch = graph_input(graph)
    output_name = graph_output(graph)

    known: set[str] = set()
    _define(input_name, known)
    stored: dict[str, Stored] = {}
    for tensor in graph.initializer:
        _define(tensor.name, known)
        stored[tensor.name] = Stored(*decode(tensor))
    for node in graph.node:
        for name in node.output:
            if name:
                _define(name, known)
    if output_name not in known:
        raise Refused(f"the graph's output {quoted(output_name)} is made by no node")
    floats: dict[int, tuple[float, ...]] = {}
    nodes: list[onnx.NodeProto] = []
    for node in in_order(graph):
        values = counted_attributes(node, schema_of(node, opset))
        if node.op_type == "Constant":
            stored[node.output[0]] = Stored(*decode_constant(node))
        else:
            if values:
                floats[len(nodes)] = tuple(values)
            nodes.append(_plain(node))
    if not any(output_name in node.output for node in nodes):
        raise Refused("the graph's output is its input or a constant")
    check_training(nodes, {name: (s.elem_type, s.array) for name, s in stored.items()})
    return Model(
        opset,
        input_name,
        input_type,
        input_shape,
        batch,
        output_name,
        stored,
        tuple(nodes),
        floats,
        tuple(node.op_type for node in graph.node),
    )


def _plain(node: onnx.NodeProto) -> onnx.NodeProto:
    """The node with nothing in it but what counts: of each attribute the field that its type names."""
    made = onnx.NodeProto(op_type=node.op_type, name=node.name, input=node.input, output=node.output)
    for old in node.attribute:
        new = made.attribute.add(name=old.name, type=old.type)
        match old.type:
            case AttributeProto.FLOAT:
                new.f = old.f
            case AttributeProto.FLOATS:
                new.floats.extend(old.floats)
            case AttributeProto.INT:
                new.i = old.i
            case AttributeProto.INTS:
                new.ints.extend(old.ints)
            case AttributeProto.STRING:
                new.s = old.s
            case AttributeProto.STRINGS:
                new.strings.extend(old.strings)
    return made


def _define(name: str, known: set[str]) -> None:
    if not name:
        raise Refused("an input or initializer has no name")
    if not isinstance(name, str):  # protobuf gives bytes where the file holds no UTF-8
        raise Refused(f"the name {quoted(name)} is not text (UTF-8)")
    if name in known:
        raise Refused(f"the name {quoted(name)} is given twice")
    known.add(name)
