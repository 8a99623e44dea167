"""The counting rule: which numbers of an ONNX file are parameters, and which files are refused.

`inspect` reads a model into a `Graph`: every constant as an array, counted or free. `rebuild` writes a
new model from those arrays and from nothing else, so what was counted is what runs. Pure functions; no
file, no clock, no onnxruntime.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, TensorProto, defs, helper

from neural_golf.referee.integers import free_integers
from neural_golf.referee.rules import (
    LIMITS,
    OPERATORS,
    OPSETS,
    Limits,
    Refused,
    describe,
    quoted,
)
from neural_golf.referee.tensors import BITS, FLOATS, Array, coarse_floats, decode, decode_constant

__all__ = ["Count", "Graph", "count", "inspect", "parse", "rebuild"]

_AT_LEAST_ONE = {"group", "strides", "dilations", "kernel_shape"}
# Moving a constant about (or reading it from its quantised form) does not make a new one.
_MOVES = {"Cast", "DequantizeLinear", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
_IR_VERSION = 10  # of the rebuilt model

# What a file that is no ONNX model starts with.
_MAGIC = (
    (b"version https://git-lfs", "it is a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"PK\x03\x04", "it is a zip archive (a PyTorch checkpoint?)"),
    (b"\x80\x02", "it is a Python pickle"),
    (b"\x80\x03", "it is a Python pickle"),
    (b"\x80\x04", "it is a Python pickle"),
    (b"\x80\x05", "it is a Python pickle"),
    (b"\x1f\x8b", "it is compressed with gzip"),
    (b"\x89HDF", "it is an HDF5 file"),
)


@dataclass(frozen=True)
class Count:
    """What a network weighs. `integers` are the free ones: shapes, axes, pads, slices."""

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
    """An inspected model: all that `rebuild` writes and `count` adds up."""

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


def parse(data: bytes) -> onnx.ModelProto:
    """The bytes of a file as a model, without unknown fields. Raises Refused for other formats."""
    if not data:
        raise Refused("the file is empty")
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise Refused(f"not an ONNX model: {what}")
    if data[4:8] == b"ORTM":
        raise Refused("not an ONNX model: it is onnxruntime's own .ort format")
    if data[:200].lstrip()[:1] == b"<":
        raise Refused("not an ONNX model: it is HTML or XML (a web page saved in place of the file?)")
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise Refused(
            "not an ONNX model: it does not parse (cut off, altered or nested too deep?)"
        ) from error
    model.DiscardUnknownFields()
    if not model.HasField("graph"):
        raise Refused("not an ONNX model: it holds no graph")
    return model


def inspect(model: onnx.ModelProto, limits: Limits = LIMITS) -> Graph:
    """Check a model against the rules and read all of its numbers. Raises Refused."""
    opset = _opset(model)
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
        _check_operator(node)
    input_name, input_type, input_shape, batch = _graph_input(graph)
    output_name = _graph_output(graph)

    raw: dict[str, tuple[int, Array]] = {}
    floats: list[float] = []
    nodes: list[onnx.NodeProto] = []
    known: set[str] = set()
    _define(input_name, known)
    for tensor in graph.initializer:
        _define(tensor.name, known)
        raw[tensor.name] = decode(tensor)
    for node in graph.node:
        schema = _schema(node, opset)
        values = _attributes(node, schema)
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
    _check_training(nodes, raw)
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


# One thing each: the model's frame


def _opset(model: onnx.ModelProto) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if len(versions) != 1:
        raise Refused("it must import the ai.onnx operator set exactly once")
    if versions[0] not in OPSETS:
        raise Refused(f"operator set {versions[0]}; from {OPSETS[0]} to {OPSETS[-1]} are scored")
    return int(versions[0])


def _graph_input(graph: onnx.GraphProto) -> tuple[str, int, tuple[int, ...], int | None]:
    initializers = {t.name for t in graph.initializer}
    both = [i.name for i in graph.input if i.name in initializers]
    if both:
        raise Refused(f"{quoted(both[0])} is an initializer and an input at once")
    if len(graph.input) != 1:
        raise Refused(f"the graph has {len(graph.input)} inputs; it must have one")
    value = graph.input[0]
    if value.type.WhichOneof("value") != "tensor_type":
        raise Refused("the graph's input is not a tensor")
    tensor = value.type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8):
        raise Refused("the graph's input must be float32 (pixels from 0 to 1) or uint8 (raw pixels)")
    if not tensor.HasField("shape"):
        raise Refused("the graph's input has no shape; declare [batch, 1, 28, 28]")
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in tensor.shape.dim]
    if not 2 <= len(dims) <= 4 or any(d is not None and d < 1 for d in dims):
        raise Refused("the graph's input has a wrong shape; declare [batch, 1, 28, 28]")
    if dims[0] not in (None, 1):
        raise Refused(f"the graph's input has a fixed batch of {dims[0]}; it must be free or 1")
    shape = tuple(d for d in dims[1:] if d is not None)
    if len(shape) != len(dims) - 1:
        raise Refused("the graph's input has a free dimension besides the batch")
    return value.name, tensor.elem_type, shape, dims[0]


def _graph_output(graph: onnx.GraphProto) -> str:
    if len(graph.output) != 1:
        raise Refused(f"the graph has {len(graph.output)} outputs; it must have one")
    value = graph.output[0]
    # Without a tensor type the element type reads as 0, "undefined".
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused("the graph's output must be a float32 tensor [batch, 10]")
    return str(value.name)


def _define(name: str, known: set[str]) -> None:
    if not name:
        raise Refused("an input or initializer has no name")
    if not isinstance(name, str):  # protobuf gives bytes where the file holds no UTF-8
        raise Refused(f"the name {quoted(name)} is not text (UTF-8)")
    if name in known:
        raise Refused(f"the name {quoted(name)} is given twice")
    known.add(name)


# Operators and their attributes, by the ONNX schemas


def _check_operator(node: onnx.NodeProto) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise Refused(
            f"operator {quoted(node.op_type)} of domain {quoted(node.domain)}; only ai.onnx is scored"
        )
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        raise Refused(f"{describe(node)} holds a subgraph")
    if node.op_type not in OPERATORS:
        raise Refused(f"operator {quoted(node.op_type)} is not on the list of allowed ones")


def _schema(node: onnx.NodeProto, opset: int) -> defs.OpSchema:
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError as error:
        raise Refused(f"operator {node.op_type} does not exist in operator set {opset}") from error
    if schema.deprecated:
        raise Refused(f"operator {node.op_type} is deprecated in operator set {opset}")
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise Refused(f"{describe(node)} has {len(node.input)} inputs")
    if not schema.min_output <= len(node.output) <= schema.max_output or not any(node.output):
        raise Refused(f"{describe(node)} has {len(node.output)} outputs")
    return schema


def _attributes(node: onnx.NodeProto, schema: defs.OpSchema) -> list[float]:
    """The float attributes of a node that are not the schema's default, one entry per number."""
    counted: list[float] = []
    seen: set[str] = set()
    for attribute in node.attribute:
        name = attribute.name
        if name in seen:
            raise Refused(f"{describe(node)} has the attribute {quoted(name)} twice")
        seen.add(name)
        if name not in schema.attributes:
            raise Refused(f"{describe(node)} has an attribute {quoted(name)}, which its schema does not know")
        formal = schema.attributes[name]
        if attribute.ref_attr_name or attribute.type != _number_of(formal.type):
            raise Refused(f"the attribute {name} of {describe(node)} has a wrong type")
        match attribute.type:
            case AttributeProto.FLOAT:
                values = [attribute.f]
                default = [formal.default_value.f] if formal.default_value.type else None
            case AttributeProto.FLOATS:
                values = list(attribute.floats)
                default = list(formal.default_value.floats) if formal.default_value.type else None
            case AttributeProto.INT | AttributeProto.INTS:
                integers = [attribute.i] if attribute.type == AttributeProto.INT else list(attribute.ints)
                if name in _AT_LEAST_ONE and any(i < 1 for i in integers):
                    raise Refused(f"the attribute {name} of {describe(node)} must be 1 or more")
                continue
            case AttributeProto.STRING | AttributeProto.STRINGS:
                continue
            case AttributeProto.TENSOR if node.op_type == "Constant":
                continue
            case _:
                raise Refused(f"the attribute {name} of {describe(node)} is of a kind that is not scored")
        if not all(map(math.isfinite, values)):
            raise Refused(f"the attribute {name} of {describe(node)} is NaN or infinite")
        if node.op_type != "Constant" and values != default:
            counted += values
    return counted


def _number_of(kind: Any) -> int:
    """A schema's attribute type as the number that files use (onnx has it as an enumeration)."""
    return int(getattr(kind, "value", kind))


def _check_training(nodes: list[onnx.NodeProto], raw: Mapping[str, tuple[int, Array]]) -> None:
    for node in nodes:
        if any(a.name == "training_mode" and a.i for a in node.attribute):
            raise Refused(f"{describe(node)} runs in training mode")
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            mode = raw.get(node.input[2])
            if mode is None or mode[1].any():
                raise Refused(f"{describe(node)} runs in training mode")


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
