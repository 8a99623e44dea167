"""Integers: how many a node uses, and which of them choose places and are therefore parameters.

A network cannot do without integers: kernels, strides, shapes. But a number that says where to cut, where to
pad or how often to repeat is chosen as freely as a weight is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, helper

from neural_golf.referee.tensors import Array

__all__ = ["integers_of", "places_of", "stretched"]

_NOT_COUNTED = {"axis", "axes", "group", "to", "perm"}  # which axis, not how far; and types
Inputs = Sequence[Array | None]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type != AttributeProto.TENSOR}


def integers_of(node: onnx.NodeProto, shapes: Mapping[int, Array]) -> int:
    """How many integers a node uses: in lists, kernels and shapes, but no axis, group or type.

    shapes: its inputs that are shapes, by position.
    """
    lists = [list(a.ints) for a in node.attribute if a.type == AttributeProto.INTS]
    named = [a.name for a in node.attribute if a.type == AttributeProto.INTS]
    own = sum(len(ints) for name, ints in zip(named, lists, strict=True) if name not in _NOT_COUNTED)
    axes = _AXES.get(node.op_type, -1)
    return own + sum(array.size for at, array in shapes.items() if at != axes)


_AXES = {"Slice": 3, "Squeeze": 1, "Unsqueeze": 1, "Pad": 3, "ReduceSum": 1, "ReduceMean": 1, "ReduceMax": 1,
         "ReduceMin": 1, "ReduceL2": 1}  # fmt: skip


def places_of(
    node: onnx.NodeProto, inputs: Inputs, outputs: Sequence[Array], data: bool, image: Sequence[int]
) -> int:
    """How many integers of a node choose places. `data`: whether it works on what depends on the image, which
    has the shape `image`.
    """
    given = attributes(node)
    match node.op_type:
        case "Slice":
            return _slice(given, inputs)
        case "Pad":
            pads = _ints(inputs, 1) or given.get("pads") or given.get("paddings") or []
            return sum(p != 0 for p in pads)
        case "Split":
            sizes = _ints(inputs, 1) or given.get("split") or []
            return len(sizes) if len(set(sizes)) > 1 else 0
        case "Expand" | "Tile" if data and inputs[0] is not None:
            return _stretched(inputs[0].shape, outputs[0].shape)
        case "AffineGrid":  # coordinates for other images than the ones that there are
            return sum(size not in (1, *image) for size in _ints(inputs, 1)[2:])
        case "AveragePool" | "LpPool":
            return _padded(given, inputs[0], outputs[0])
        case "Gather" if data:
            index, axis = _ints(inputs, 1), given.get("axis", 0)
            assert inputs[0] is not None
            return sum(_chooses(i, inputs[0].shape[axis]) for i in index)
    return 0


_BY_ELEMENT = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "PRelu"}


def stretched(node: onnx.NodeProto, images: Sequence[Array], outputs: Sequence[Array]) -> int:
    """In how many dimensions a constant repeats what depends on the image, as Expand would."""
    if node.op_type not in _BY_ELEMENT:
        return 0
    shape = np.broadcast_shapes(*(a.shape for a in images))
    return _stretched(shape, outputs[0].shape)


def _ints(inputs: Inputs, at: int) -> list[int]:
    array = inputs[at] if at < len(inputs) else None
    return [] if array is None else [int(i) for i in array.ravel()]


def _chooses(bound: int, size: int) -> bool:
    return abs(bound) > 1 and abs(bound) < size


def _slice(given: Mapping[str, Any], inputs: Inputs) -> int:
    assert inputs[0] is not None
    shape = inputs[0].shape
    starts = _ints(inputs, 1) or list(given.get("starts", []))
    ends = _ints(inputs, 2) or list(given.get("ends", []))
    axes = _ints(inputs, 3) or list(given.get("axes", [])) or list(range(len(starts)))
    steps = _ints(inputs, 4)
    bounds = [*zip(starts, axes, strict=False), *zip(ends, axes, strict=False)]
    return sum(_chooses(b, shape[axis]) for b, axis in bounds) + sum(abs(s) > 1 for s in steps)


def _stretched(before: Sequence[int], after: Sequence[int]) -> int:
    padded = [1] * (len(after) - len(before)) + list(before)
    return sum(a != b for a, b in zip(padded, after, strict=True))


def _padded(given: Mapping[str, Any], image: Array | None, out: Array) -> int:
    """The pads of a pooling by sums: at a border it tells where the border is."""
    assert image is not None
    pads = list(given.get("pads", []))
    if given.get("auto_pad", b"NOTSET") in (b"SAME_UPPER", b"SAME_LOWER"):
        kernel, sizes = given["kernel_shape"], image.shape[2:]
        strides = given.get("strides") or [1] * len(kernel)
        total = [
            max((math.ceil(n / s) - 1) * s + k - n, 0) for n, k, s in zip(sizes, kernel, strides, strict=True)
        ]
        pads = [side for t in total for side in (t // 2, t - t // 2)]
    return sum(p != 0 for p in pads)
