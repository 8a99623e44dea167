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

import ml_dtypes
import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, defs, helper

from neural_golf.referee.rules import BITS, INTEGERS_TO_INTEGERS, LIMITS, OPERATORS, OPSETS, Limits, Refused

__all__ = ["Count", "Graph", "count", "inspect", "parse", "rebuild"]

Array = NDArray[Any]

_NUMPY: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.UINT8: np.dtype("u1"),
    TensorProto.INT32: np.dtype("<i4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
}
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16}
_TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_SHAPE_TYPES = {"tensor(int32)", "tensor(int64)"}
_AT_LEAST_ONE = {"group", "strides", "dilations", "kernel_shape"}
# Moving a constant about (or reading it from its quantised form) does not make a new one.
_MOVES = frozenset("Cast Constant DequantizeLinear Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())
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
        model = onnx.ModelProto.FromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise Refused("not an ONNX model: the bytes do not parse (cut off, altered or nested too deep?)") from error
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
    known = {input_name}
    for tensor in graph.initializer:
        _define(tensor.name, known)
        raw[tensor.name] = _decode(tensor)
    for node in graph.node:
        schema = _schema(node, opset)
        values = _attributes(node, schema)
        for name in node.input:
            if name and name not in known:
                raise Refused(
                    f"{_say(node)} reads {_name(name)}, which nothing before it makes (a cycle, or out of order)"
                )
        for name in node.output:
            if name:
                _define(name, known)
        if node.op_type == "Constant":
            raw[node.output[0]] = _constant_node(node)
        else:
            floats += values
            nodes.append(node)
    if output_name not in known:
        raise Refused(f"the graph's output {_name(output_name)} is made by no node")
    if not any(output_name in node.output for node in nodes):
        raise Refused("the graph's output is its input or a constant")

    free = _free_integers(raw, nodes, opset, output_name)
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
        if coarse and constant.elem_type in _FLOATS:
            array = _coarse(array)
        out.initializer.add(
            name=constant.name, data_type=constant.elem_type, dims=array.shape, raw_data=array.tobytes()
        )
    for node in graph.nodes:
        copy = out.node.add(op_type=node.op_type, input=node.input, output=node.output)
        for attribute in node.attribute:
            new = copy.attribute.add()
            new.CopyFrom(attribute)
            new.ClearField("doc_string")
            if coarse and attribute.type == AttributeProto.FLOAT:
                new.f = float(_coarse(np.array(attribute.f, np.float32)))
            if coarse and attribute.type == AttributeProto.FLOATS:
                del new.floats[:]
                new.floats.extend(_coarse(np.array(attribute.floats, np.float32)).tolist())
    return model.SerializeToString()


def _coarse(array: Array) -> Array:
    """Rounded to bfloat16 and back, never to infinity."""
    rounded = array.astype(np.float32).astype(ml_dtypes.bfloat16).astype(array.dtype)
    return np.where(np.isfinite(rounded.astype(np.float32)), rounded, array).astype(array.dtype)


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
        raise Refused(f"{_name(both[0])} is an initializer and an input at once")
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
    if value.type.WhichOneof("value") != "tensor_type" or value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused("the graph's output must be a float32 tensor [batch, 10]")
    return str(value.name)


def _define(name: str, known: set[str]) -> None:
    if not name:
        raise Refused("an initializer has no name")
    if name in known:
        raise Refused(f"the name {_name(name)} is given twice")
    known.add(name)


# Operators and their attributes, by the ONNX schemas


def _check_operator(node: onnx.NodeProto) -> None:
    if node.domain not in ("", "ai.onnx"):
        raise Refused(f"operator {_name(node.op_type)} of another domain ({_name(node.domain)}); only ai.onnx counts")
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        raise Refused(f"{_say(node)} holds a subgraph")
    if node.op_type not in OPERATORS:
        raise Refused(f"operator {_name(node.op_type)} is not on the list of allowed ones")


def _schema(node: onnx.NodeProto, opset: int) -> defs.OpSchema:
    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except defs.SchemaError as error:
        raise Refused(f"operator {node.op_type} does not exist in operator set {opset}") from error
    if schema.deprecated:
        raise Refused(f"operator {node.op_type} is deprecated in operator set {opset}")
    if not schema.min_input <= len(node.input) <= schema.max_input:
        raise Refused(f"{_say(node)} has {len(node.input)} inputs")
    if not schema.min_output <= len(node.output) <= schema.max_output or not any(node.output):
        raise Refused(f"{_say(node)} has {len(node.output)} outputs")
    return schema


def _attributes(node: onnx.NodeProto, schema: defs.OpSchema) -> list[float]:
    """The float attributes of a node that are not the schema's default, one entry per number."""
    counted: list[float] = []
    seen: set[str] = set()
    for attribute in node.attribute:
        name = attribute.name
        if name in seen:
            raise Refused(f"{_say(node)} has the attribute {_name(name)} twice")
        seen.add(name)
        if name not in schema.attributes:
            raise Refused(f"{_say(node)} has an attribute {_name(name)}, which its schema does not know")
        formal = schema.attributes[name]
        if attribute.ref_attr_name or int(attribute.type) != int(formal.type.value):
            raise Refused(f"the attribute {name} of {_say(node)} has a wrong type")
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
                    raise Refused(f"the attribute {name} of {_say(node)} must be 1 or more")
                continue
            case AttributeProto.STRING | AttributeProto.STRINGS:
                continue
            case AttributeProto.TENSOR if node.op_type == "Constant":
                continue
            case _:
                raise Refused(f"the attribute {name} of {_say(node)} is of a kind that is not scored")
        if not all(map(math.isfinite, values)):
            raise Refused(f"the attribute {name} of {_say(node)} is NaN or infinite")
        if node.op_type != "Constant" and values != default:
            counted += values
    return counted


def _check_training(nodes: list[onnx.NodeProto], raw: Mapping[str, tuple[int, Array]]) -> None:
    for node in nodes:
        if any(a.name == "training_mode" and a.i for a in node.attribute):
            raise Refused(f"{_say(node)} runs in training mode")
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            mode = raw.get(node.input[2])
            if mode is None or mode[1].any():
                raise Refused(f"{_say(node)} runs in training mode")


# Numbers


def _decode(tensor: TensorProto) -> tuple[int, Array]:
    """A tensor's type and elements. Raises Refused unless they are all there, once, and finite."""
    say = f"tensor {_name(tensor.name)}"
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise Refused(f"{say} keeps its data outside the file")
    if tensor.HasField("segment"):
        raise Refused(f"{say} is stored in segments")
    if tensor.data_type not in BITS:
        known = TensorProto.DataType.values()
        kind = TensorProto.DataType.Name(tensor.data_type).lower() if tensor.data_type in known else "of no known type"
        raise Refused(f"{say} is {kind}; allowed: float32, float16, bfloat16, int8, uint8, int32, int64, bool")
    if any(d < 0 for d in tensor.dims):
        raise Refused(f"{say} has a negative dimension")
    size = math.prod(tensor.dims)
    dtype = _NUMPY[tensor.data_type]
    fields = [f for f in _TYPED_FIELDS if len(getattr(tensor, f))]
    if tensor.raw_data and fields:
        raise Refused(f"{say} stores its data twice")
    if not fields:
        if len(tensor.raw_data) != size * dtype.itemsize:
            raise Refused(f"{say} declares {size} elements and stores {len(tensor.raw_data)} bytes")
        array = np.frombuffer(tensor.raw_data, np.uint8)
        if dtype == np.bool_ and (array > 1).any():
            raise Refused(f"{say} holds a bool that is neither 0 nor 1")
        array = array.view(dtype)
    else:
        wanted = {TensorProto.FLOAT: "float_data", TensorProto.INT64: "int64_data"}
        if fields != [wanted.get(tensor.data_type, "int32_data")]:
            raise Refused(f"{say} stores its data in a field of another type")
        values = getattr(tensor, fields[0])
        if len(values) != size:
            raise Refused(f"{say} declares {size} elements and stores {len(values)}")
        if tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
            array = np.asarray(values, np.int64)
            low, high = 0, 0xFFFF
        else:
            array = np.asarray(values, np.float32 if tensor.data_type == TensorProto.FLOAT else np.int64)
            low, high = (0, 1) if dtype == np.bool_ else (None, None)
            if dtype.kind in "iu":
                low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        if low is not None and ((array < low) | (array > high)).any():
            raise Refused(f"{say} holds a number that its type cannot")
        is_half = tensor.data_type in (TensorProto.FLOAT16, TensorProto.BFLOAT16)
        array = array.astype(np.uint16).view(dtype) if is_half else array.astype(dtype)
    if tensor.data_type in _FLOATS and not np.isfinite(array.astype(np.float32)).all():
        raise Refused(f"{say} holds NaN or infinity")
    try:
        return tensor.data_type, array.reshape(tuple(tensor.dims))
    except ValueError as error:  # a zero dimension beside a huge one, or more than 64 dimensions
        raise Refused(f"{say} has a shape that cannot be") from error


def _constant_node(node: onnx.NodeProto) -> tuple[int, Array]:
    if len(node.attribute) != 1:
        raise Refused(f"{_say(node)} must have exactly one value")
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            return _decode(attribute.t)
        case "value_float":
            return TensorProto.FLOAT, np.array(attribute.f, "<f4")
        case "value_floats":
            return TensorProto.FLOAT, np.array(attribute.floats, "<f4")
        case "value_int":
            return TensorProto.INT64, np.array(attribute.i, "<i8")
        case "value_ints":
            return TensorProto.INT64, np.array(attribute.ints, "<i8")
    raise Refused(f"{_say(node)} holds {_name(attribute.name)}; only numbers are scored")


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
        filled = int(np.count_nonzero(constant.array))  # −0.0 counts as zero
        parameters += size
        nonzero += filled
        mask = size if filled < size else 0
        bits += filled * BITS[constant.elem_type] + mask
    if integers > limits.free_integers:
        raise Refused(f"{integers} integers for shapes, axes, pads and slices; the limit is {limits.free_integers}")
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


# Free integers


def _free_integers(
    raw: Mapping[str, tuple[int, Array]], nodes: list[onnx.NodeProto], opset: int, output_name: str
) -> set[str]:
    """Names of the constants that are only shapes. Raises Refused where an integer reaches the data.

    An int64 is followed through the operators that make integers of integers; wherever it ends must be
    an input that the schema declares as an integer (a shape, axes, pads, starts, ends, steps, repeats).
    """
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in nodes:
        for position, name in enumerate(node.input):
            if name:
                readers.setdefault(name, []).append((node, position))

    def only_shapes(name: str) -> bool:
        uses = readers.get(name, [])
        return bool(uses) and all(
            _takes_shape(node, at, opset) or node.op_type in INTEGERS_TO_INTEGERS for node, at in uses
        )

    free = {k for k, (kind, _) in raw.items() if kind == TensorProto.INT32 and only_shapes(k)}
    free |= {k for k, (kind, _) in raw.items() if kind == TensorProto.INT64 and k in readers}
    constants = set(free)
    for node in nodes:
        shapes = [_takes_shape(node, at, opset) for at in range(len(node.input))]
        data = [n for n, shape in zip(node.input, shapes, strict=True) if n and not shape]
        integers = [n for n in data if n in free]
        if integers:
            if node.op_type not in INTEGERS_TO_INTEGERS or len(integers) < len(data):
                raise Refused(f"{_say(node)} uses the integers {_name(integers[0])} as data")
            if node.op_type == "Cast" and _cast_to(node) not in (TensorProto.INT64, TensorProto.INT32):
                raise Refused(f"{_say(node)} turns the integers {_name(integers[0])} into data")
            free.update(n for n in node.output if n)
            continue
        if node.op_type == "Cast" and _cast_to(node) not in _FLOATS:
            raise Refused(f"{_say(node)} rounds numbers to integers")
        schema = defs.get_schema(node.op_type, opset, "")
        for at, name in enumerate(node.output):
            formal = schema.outputs[min(at, len(schema.outputs) - 1)]
            if name and set(formal.types) == {"tensor(int64)"}:
                free.add(name)
    if output_name in free:
        raise Refused("the graph's output is made of integers")
    return constants


def _takes_shape(node: onnx.NodeProto, position: int, opset: int) -> bool:
    """Whether the schema says that this input is a shape, axes, pads …: an int64 and nothing else.

    Gather's indices look the same, but choose data, so they are none.
    """
    schema = defs.get_schema(node.op_type, opset, "")
    types = set(schema.inputs[min(position, len(schema.inputs) - 1)].types)
    return "tensor(int64)" in types and types <= _SHAPE_TYPES and node.op_type != "Gather"


def _cast_to(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "to"), 0)


# Names


def _name(text: str) -> str:
    """A name of the file in printable ASCII, quoted, not too long."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")


def _say(node: onnx.NodeProto) -> str:
    return f"{node.op_type} ({_name(node.name)})" if node.name else str(node.op_type)
