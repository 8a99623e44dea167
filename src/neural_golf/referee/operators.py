"""Operators and their attributes, by the ONNX schemas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import onnx
from onnx import AttributeProto, defs

from neural_golf.referee.rules import OPERATORS, Refused, describe, quoted
from neural_golf.referee.tensors import Array

__all__ = ["check_operator", "check_training", "counted_attributes", "schema_of"]

_COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Where")
# What to do about what other tools add.
_ADVICE = {
    "ZipMap": ": export with options={'zipmap': False}, and keep only the output of the probabilities",
    "ArgMax": ": hand in the numbers of the classes and not the labels",
    "LinearClassifier": ": write it as MatMul and Add",
    "Scaler": ": write it as Sub and Mul, or bring it into the first layer",
    "Einsum": ": write it as MatMul, Mul and ReduceSum",
    "Resize": ": shrink with a pool or with strides",
    "ConstantOfShape": ": PyTorch pads without it if it exports with dynamo=True",
    **dict.fromkeys(_COMPARISONS, ": write it with Relu, Clip, Max and Min"),
}
# How GridSample may read: nearest rounds numbers, and reflection takes them apart, as Round and Mod would.
_READS = {"mode": ("linear", "bilinear"), "padding_mode": ("zeros", "border")}
_AT_LEAST_ONE = {"group", "strides", "dilations", "kernel_shape"}


def check_operator(node: onnx.NodeProto) -> None:
    if node.domain not in ("", "ai.onnx"):
        what = f"operator {quoted(node.op_type)} of domain {quoted(node.domain)}; only ai.onnx is scored"
        raise Refused(what + _ADVICE.get(node.op_type, ""))
    if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in node.attribute):
        raise Refused(f"{describe(node)} holds a subgraph")
    if node.op_type not in OPERATORS:
        what = f"operator {quoted(node.op_type)} is not on the list of allowed ones"
        raise Refused(what + _ADVICE.get(node.op_type, ""))


def schema_of(node: onnx.NodeProto, opset: int) -> defs.OpSchema:
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


def counted_attributes(node: onnx.NodeProto, schema: defs.OpSchema) -> list[float]:
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
                how = attribute.s.decode("ascii", "replace")
                if node.op_type == "GridSample" and how not in _READS[name]:
                    allowed = " or ".join(_READS[name])
                    raise Refused(f"the {name} of {describe(node)} must be {allowed} ({quoted(how)})")
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


def check_training(nodes: list[onnx.NodeProto], raw: Mapping[str, tuple[int, Array]]) -> None:
    for node in nodes:
        if any(a.name == "training_mode" and a.i for a in node.attribute):
            raise Refused(f"{describe(node)} runs in training mode")
        if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
            mode = raw.get(node.input[2])
            if mode is None or mode[1].any():
                raise Refused(f"{describe(node)} runs in training mode")
