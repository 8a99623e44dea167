"""Which integers of a graph are free: those that are shapes, axes, pads or slices and nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, defs

from neural_golf.referee.rules import INTEGERS_TO_INTEGERS, Refused, describe, quoted
from neural_golf.referee.tensors import FLOATS, Array

__all__ = ["free_integers"]

_SHAPE_TYPES = {"tensor(int32)", "tensor(int64)"}


def free_integers(
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
                raise Refused(f"{describe(node)} uses the integers {quoted(integers[0])} as data")
            if node.op_type == "Cast" and _cast_to(node) not in (TensorProto.INT64, TensorProto.INT32):
                raise Refused(f"{describe(node)} turns the integers {quoted(integers[0])} into data")
            free.update(n for n in node.output if n)
            continue
        if node.op_type == "Cast" and _cast_to(node) not in FLOATS:
            raise Refused(f"{describe(node)} rounds numbers to integers")
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
