"""The counting rule: which numbers of an ONNX file are parameters, and which files are refused.

`inspect` reads a model into a `Graph`: every constant as an array, counted or free. `rebuild` writes a
new model from those arrays and from nothing else, so what was counted is what runs. Pure functions; no
file, no clock, no onnxruntime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from neural_golf.referee.frame import graph_input, graph_output, opset_of
from neural_golf.referee.integers import free_integers
from neural_golf.referee.operators import check_operator, check_training, counted_attributes, schema_of
from neural_golf.referee.rules import LIMITS, Limits, Refused, describe, quoted
from neural_golf.referee.tensors import BITS, FLOATS, Array, coarse_floats, decode, decode_constant

__all__ = ["Count", "Graph", "count", "inspect", "rebuild"]

# Moving a constant about (or reading it from its quantised form) does not make a new one.
_MOVES = {"Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_IR_VERSION = 10  # of the rebuilt model


@dataclass(frozen=True)
class Count:
    """What is counted of a network. `integers` are the free ones: shapes, axes, pads, slices."""

    parameters: int
    nonzero: int
    bits: int
    nodes: int
    operators: dict[str, int]
    integers: int
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Constant:
    """An initializer or a Constant node: its type in ONNX, its elements, and whether they count."""

    name: str
    elem_type: int
    array: Array
    free: bool


@dataclass(frozen=True)
class Graph:
    """An inspected model: everything that `rebuild` writes and `count` adds up."""

    opset: int
    input_name: str
    input_type: int
    input_shape: tuple[int, ...]  # of one image, without the batch
    batch: int | None  # 1, or None for any
    output_name: str
    constants: tuple[Constant, ...]
    nodes: tuple[onnx.NodeProto, ...]  # in order, without the Constant nodes
    counted_floats: tuple[float, ...]  # the float attributes that are not the schema's default
    count: Count


def count(model: onnx.ModelProto, limits: Limits = LIMITS) -> Count:
    """Parameters, non-zero ones, bits, nodes and operators of a model, by docs/rules.md.

    Raises Refused where the rules forbid the model.
    """
    return inspect(model, limits).count


def inspect(model: onnx.ModelProto, limits: Limits = LIMITS) -> Graph:
    """Check a model against the rules and read all of its numbers. Raises Refused."""
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

    raw: dict[str, tuple[int, Array]] = {}
    floats: list[float] = []
    nodes: list[onnx.NodeProto] = []
    known: set[str] = set()
    _define(input_name, known)
    for tensor in graph.initializer:
        _define(tensor.name, known)
        raw[tensor.name] = decode(tensor)
    for node in graph.node:
        schema = schema_of(node, opset)
        values = counted_attributes(node, schema)
        for name in node.input:
            if name and name not in known:
                what = "which nothing before it makes (a cycle, or out of order)"
                raise Refused(f"{describe(node)} reads {quoted(name)}, {what}")
        for name in node.output:
            if name:
                _define(name, known)
        if node.op_type == "Constant":
            raw[node.output[0]] = decode_constant(node)
        else:
            floats += values
            nodes.append(node)
    if output_name not in known:
        raise Refused(f"the graph's output {quoted(output_name)} is made by no node")
    if not any(output_name in node.output for node in nodes):
        raise Refused("the graph's output is its input or a constant")

    free = free_integers(raw, nodes, opset, output_name)
    check_training(nodes, raw)
    constants = tuple(Constant(k, kind, array, k in free) for k, (kind, array) in raw.items())
    counted = _add_up(constants, floats, graph, nodes, limits)
    return Graph(
        opset,
        input_name,
        input_type,
        input_shape,
        batch,
        output_name,
        constants,
        tuple(nodes),
        tuple(floats),
        counted,
    )


def rebuild(graph: Graph, coarse: bool = False) -> bytes:
    """A fresh model of the inspected numbers and nodes only, serialised.

    With `coarse`, every counted floating-point number is rounded to bfloat16 (8 bits of precision).
    """
    model = onnx.ModelProto(ir_version=_IR_VERSION)
    model.opset_import.add(domain="", version=graph.opset)
    out = model.graph
    out.name = "golf"
    image = ["batch" if graph.batch is None else graph.batch, *graph.input_shape]
    out.input.append(helper.make_tensor_value_info(graph.input_name, graph.input_type, image))
    out.output.append(helper.make_tensor_value_info(graph.output_name, TensorProto.FLOAT, None))
    for constant in graph.constants:
        array = constant.array
        if coarse and constant.elem_type in FLOATS:
            array = coarse_floats(array)
        out.initializer.add(
            name=constant.name, data_type=constant.elem_type, dims=array.shape, raw_data=array.tobytes()
        )
    for node in graph.nodes:
        copy = out.node.add(op_type=node.op_type, input=node.input, output=node.output)
        for attribute in node.attribute:
            _copy_attribute(attribute, copy.attribute.add(), coarse)
    data: bytes = model.SerializeToString()
    return data


def _copy_attribute(old: AttributeProto, new: AttributeProto, coarse: bool) -> None:
    """The field that the attribute's type names, and no other."""
    new.name, new.type = old.name, old.type
    match old.type:
        case AttributeProto.FLOAT:
            new.f = float(coarse_floats(np.array(old.f, np.float32))) if coarse else old.f
        case AttributeProto.FLOATS:
            floats = np.array(old.floats, np.float32)
            new.floats.extend((coarse_floats(floats) if coarse else floats).tolist())
        case AttributeProto.INT:
            new.i = old.i
        case AttributeProto.INTS:
            new.ints.extend(old.ints)
        case AttributeProto.STRING:
            new.s = old.s
        case AttributeProto.STRINGS:
            new.strings.extend(old.strings)


def _define(name: str, known: set[str]) -> None:
    if not name:
        raise Refused("an input or initializer has no name")
    if not isinstance(name, str):  # protobuf gives bytes where the file holds no UTF-8
        raise Refused(f"the name {quoted(name)} is not text (UTF-8)")
    if name in known:
        raise Refused(f"the name {quoted(name)} is given twice")
    known.add(name)


# Adding up


def _add_up(
    constants: tuple[Constant, ...],
    floats: list[float],
    graph: onnx.GraphProto,
    nodes: list[onnx.NodeProto],
    limits: Limits,
) -> Count:
    parameters, nonzero, bits = len(floats), sum(f != 0 for f in floats), 32 * len(floats)
    integers = 0
    for constant in constants:
        size = constant.array.size
        if constant.free:
            integers += size
            continue
        filled = int(np.count_nonzero(constant.array))  # -0.0 counts as zero
        parameters += size
        nonzero += filled
        mask = size if filled < size else 0
        bits += filled * BITS[constant.elem_type] + mask
    if integers > limits.free_integers:
        what = "integers for shapes, axes, pads and slices"
        raise Refused(f"{integers} {what}; the limit is {limits.free_integers}")
    operators = Counter(node.op_type for node in graph.node)
    return Count(
        parameters,
        nonzero,
        bits,
        len(graph.node),
        dict(sorted(operators.items())),
        integers,
        tuple(_flags(constants, nodes)),
    )


def _flags(constants: tuple[Constant, ...], nodes: list[onnx.NodeProto]) -> Iterator[str]:
    """What a person should look at: nodes that compute new constants out of constants."""
    fixed = {c.name for c in constants}
    free = {c.name for c in constants if c.free}
    made: list[str] = []
    for node in nodes:
        names = [n for n in node.input if n]
        if names and all(n in fixed for n in names):
            fixed.update(n for n in node.output if n)
            if all(n in free for n in names):
                free.update(node.output)
            elif node.op_type not in _MOVES:
                made.append(node.op_type)
    if made:
        what = ", ".join(f"{n} {op}" for op, n in sorted(Counter(made).items()))
        yield f"nodes that compute on constants only: {what}"
