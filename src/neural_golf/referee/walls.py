"""Walls: what a node may do with the image and with constants. They are looked at before anything is run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, defs

from neural_golf.referee.reading import Stored
from neural_golf.referee.rules import INTEGERS_TO_INTEGERS, LIMITS, Limits, Refused, describe, quoted
from neural_golf.referee.tensors import FLOATS

__all__ = [
    "JOINS",
    "Operand",
    "Wires",
    "check_constant_node",
    "check_data_node",
    "only_shapes",
    "shape_positions",
]

_SHAPE_TYPES = {"tensor(int32)", "tensor(int64)"}
_INT64, _INT32 = np.dtype(np.int64), np.dtype(np.int32)

# The inputs that are weights: they must be constants. Where one of two must be, both stand in _ONE_OF.
_WEIGHTS: Mapping[str, set[int]] = {
    "Conv": {1, 2},
    "ConvTranspose": {1, 2},
    "Gemm": {2},
    "PRelu": {1},
    "BatchNormalization": {1, 2, 3, 4},
    "InstanceNormalization": {1, 2},
    "LayerNormalization": {1, 2},
    "GroupNormalization": {1, 2},
    "RMSNormalization": {1},
    "Pow": {1},
    "Clip": {1, 2},
    "Pad": {2},
    "QuantizeLinear": {1, 2},
    "DequantizeLinear": {1, 2},
    "QLinearConv": {1, 2, 3, 4, 5, 6, 7, 8},
    "QLinearMatMul": {1, 2, 4, 5, 6, 7},
    "ConvInteger": {1, 3},
}
_ONE_OF: Mapping[str, tuple[int, int]] = {
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "QLinearMatMul": (0, 3),
    "MatMulInteger": (0, 1),
}
_SOME_INT32 = {
    "Cast",
    "Add",
    "DequantizeLinear",
    "Identity",
    "Reshape",
    "Transpose",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
}
JOINS = {"Concat", "Sum", "Mean", "Max", "Min"}
_SUMS = {"Add", "Sub", "MatMulInteger", "ConvInteger"}


@dataclass(frozen=True)
class Operand:
    """One input of a node: its name, its type, and whether it depends on the image."""

    name: str
    dtype: np.dtype[np.generic]
    data: bool


class Wires:
    """Inputs of Concat, Sum, Mean, Max and Min that are not stored tensors, and sums and products of two
    activations: there may be few of them.
    """

    def __init__(
        self, stored: Mapping[str, Stored], limits: Limits = LIMITS, integers: Set[str] = frozenset()
    ) -> None:
        """integers: what ends in shapes only, as `only_shapes` finds it."""
        self._stored, self._limit, self._integers, self.count = set(stored), limits.wires, integers, 0

    def check(self, node: onnx.NodeProto, operands: Sequence[Operand | None]) -> None:
        """Raises Refused where an input stands twice, or where there are too many in all."""
        names = [o.name for o in operands if o is not None]
        if node.op_type in _SUMS:  # a zero point is subtracted
            self.more(sum(o is not None and o.data for o in operands) - 1)
            return
        if node.op_type not in JOINS or any(o is not None and o.dtype == _INT64 for o in operands):
            return
        if self._integers >= set(node.output):
            return
        twice = next((n for k, n in enumerate(names) if n in names[:k]), None)
        if twice is not None:
            raise Refused(f"{describe(node)} has the input {quoted(twice)} more than once")
        self.more(sum(name not in self._stored for name in names[1:]))
        self._stored -= set(names)  # the second time it is one of few numbers in another order

    def more(self, wires: int) -> None:
        """Raises Refused where this makes them too many."""
        self.count += max(0, wires)
        if self.count > self._limit:
            what = f"{self.count} wires: inputs of Concat, Add, Mul, Max and the like that are not stored"
            raise Refused(f"{what}; the limit is {self._limit}")


def shape_positions(node: onnx.NodeProto, opset: int) -> set[int]:
    """The inputs that the schema declares as shapes, axes, pads …: an int64 and nothing else.

    Gather's indices look the same, but choose data, so they are none.
    """
    if node.op_type == "Gather":
        return set()
    schema = defs.get_schema(node.op_type, opset, "")
    found = set()
    for at, name in enumerate(node.input):
        types = set(schema.inputs[min(at, len(schema.inputs) - 1)].types)
        if name and "tensor(int64)" in types and types <= _SHAPE_TYPES:
            found.add(at)
    return found


def only_shapes(nodes: Sequence[onnx.NodeProto], output: str, opset: int) -> set[str]:
    """The names that are read as shapes alone, or cast to int64, which is never data: nodes are in order."""
    data = {output}
    for node in reversed(nodes):
        to_int64 = node.op_type == "Cast" and _cast_to(node) == TensorProto.INT64
        moves = node.op_type in INTEGERS_TO_INTEGERS
        if to_int64 or (moves and not data.intersection(node.output)):
            continue
        shapes = shape_positions(node, opset)
        data.update(name for at, name in enumerate(node.input) if name and at not in shapes)
    return {name for node in nodes for name in node.output if name} - data


def check_constant_node(
    node: onnx.NodeProto, operands: Sequence[Operand | None], shapes: set[int], only_shapes: Set[str]
) -> None:
    """A node of constants only: integers stay integers. only_shapes: the names that end in shapes."""
    used = [o for at, o in enumerate(operands) if o is not None and at not in shapes]
    integers = [o for o in used if o.dtype == _INT64]
    small = [o for o in used if o.dtype == _INT32]
    if node.op_type == "Cast":
        to = _cast_to(node)
        to_int32 = to == TensorProto.INT32 and (not integers or only_shapes >= set(node.output))
        if (integers or small) and to != TensorProto.INT64 and not to_int32:
            raise Refused(f"Cast turns the integers {quoted((integers + small)[0].name)} into data")
        if not (integers or small) and to not in FLOATS:
            raise Refused(f"{describe(node)} rounds numbers to integers")
        return
    if integers and (node.op_type not in INTEGERS_TO_INTEGERS or len(integers) < len(used)):
        raise Refused(f"{describe(node)} uses the integers {quoted(integers[0].name)} as data")


def check_data_node(node: onnx.NodeProto, operands: Sequence[Operand | None], shapes: set[int]) -> None:
    """A node that depends on the image: its weights and shapes do not, and no integer meets its data."""
    for at, operand in enumerate(operands):
        if operand is None:
            continue
        if operand.data and at in shapes:
            raise Refused(f"a shape or a bound of {describe(node)} depends on the image")
        if operand.data and at in _WEIGHTS.get(node.op_type, ()):
            raise Refused(f"a weight of {describe(node)} depends on the image ({quoted(operand.name)})")
    if node.op_type == "MatMulInteger":  # the zero point of the image's side may be the image's
        for factor, zero in ((0, 2), (1, 3)):
            o, z = operands[factor], operands[zero] if zero < len(operands) else None
            if o is not None and z is not None and z.data and not o.data:
                raise Refused(f"a weight of {describe(node)} depends on the image ({quoted(z.name)})")
    if node.op_type == "GridSample" and (o := operands[0]) is not None and not o.data:
        raise Refused(f"{describe(node)} looks up stored numbers ({quoted(o.name)}) where the image says")
    pair = _ONE_OF.get(node.op_type)
    if pair and all((o := operands[at]) is not None and o.data for at in pair):
        raise Refused(f"both factors of {describe(node)} depend on the image")
    for at, operand in enumerate(operands):
        if operand is not None and at not in shapes:
            _check_integers(node, at, operand)
    if node.op_type == "Cast" and _cast_to(node) not in FLOATS:
        raise Refused(f"{describe(node)} rounds numbers to integers")


def _check_integers(node: onnx.NodeProto, at: int, operand: Operand) -> None:
    if node.op_type == "Gather" and at == 1 and not operand.data:
        return  # it chooses one place, which counts; `folding` refuses more
    if operand.dtype == _INT64 or (operand.dtype == _INT32 and not _takes_int32(node, at, operand)):
        if node.op_type == "Cast":
            raise Refused(f"Cast turns the integers {quoted(operand.name)} into data")
        raise Refused(f"{describe(node)} uses the integers {quoted(operand.name)} as data")


def _takes_int32(node: onnx.NodeProto, at: int, operand: Operand) -> bool:
    """Sums of products of quantised numbers, and their biases."""
    if node.op_type == "QLinearConv":
        return at == 8
    return node.op_type in _SOME_INT32


def _cast_to(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "to"), 0)
