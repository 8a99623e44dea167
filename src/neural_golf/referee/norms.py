"""BatchNormalization, folded: a scale and an offset per channel, or only the offset after a layer of weights.

y = (x - mean) / sqrt(var + epsilon) * scale + bias = x * s + o
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from neural_golf.referee.numbers import Identities, Numbers
from neural_golf.referee.tensors import Array

__all__ = ["fold_normalisation"]

_EPSILON = 1e-5


def fold_normalisation(
    nodes: Sequence[onnx.NodeProto],
    constants: dict[str, Numbers],
    sample: dict[str, Array],
    identities: Identities,
    output_name: str,
) -> list[onnx.NodeProto]:
    """The nodes with every BatchNormalization folded; the new constants are added to `constants`."""
    made_by = {name: node for node in nodes for name in node.output if name}
    readers = Counter(name for node in nodes for name in node.input)
    new = _New(constants, sample, identities)
    replaced: dict[int, onnx.NodeProto | None] = {}

    def alone(name: str) -> onnx.NodeProto | None:
        """The node that makes a tensor, if nothing else reads it."""
        made = made_by.get(name)
        if made is None or readers[name] != 1 or name == output_name or id(made) in replaced:
            return None
        return made

    for node in nodes:
        if node.op_type != "BatchNormalization" or not all(n in constants for n in node.input[1:]):
            continue
        if _attribute(node, "spatial", 1) == 0:  # one number for each pixel; only in operator sets before 9
            continue
        scale, offset = _scale_and_offset(node, constants)
        before = alone(node.input[0])
        added = before if before is not None and before.op_type == "Add" else None
        if added is not None:  # a layer whose bias is a node of its own
            varying = [n for n in added.input if n not in constants]
            before = alone(varying[0]) if len(varying) == 1 else None
        folded = None if before is None else _into(before, added, node, scale, offset, new)
        if folded is None:
            replaced[id(node)] = _plain(node, scale, offset, new)
            continue
        replaced[id(before)], replaced[id(node)] = folded
        if added is not None:
            replaced[id(added)] = None
    kept = (replaced.get(id(node), node) for node in nodes)
    return [node for node in kept if node is not None]


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _scale_and_offset(node: onnx.NodeProto, constants: Mapping[str, Numbers]) -> tuple[Array, Array]:
    scale, bias, mean, var = (constants[n].values.astype(np.float64) for n in node.input[1:5])
    s = scale / np.sqrt(var + _attribute(node, "epsilon", _EPSILON))
    return s.astype(np.float32), (bias - mean * s).astype(np.float32)


class _New:
    """Adds constants under names that the file does not have."""

    def __init__(
        self, constants: dict[str, Numbers], sample: dict[str, Array], identities: Identities
    ) -> None:
        self.constants, self._sample, self._identities = constants, sample, identities

    def __call__(self, name: str, values: Array, ids: Array | None = None) -> str:
        """The name of new numbers, or of numbers with these identities."""
        values = values.astype(np.float32)
        while name in self._sample:  # a stranger may have had the same idea
            name += "'"
        made = self._identities.new(values, TensorProto.FLOAT) if ids is None else Numbers(values, ids)
        self._sample[name], self.constants[name] = made.values, made
        return name


def _into(
    layer: onnx.NodeProto,
    added: onnx.NodeProto | None,
    node: onnx.NodeProto,
    scale: Array,
    offset: Array,
    new: _New,
) -> tuple[onnx.NodeProto, onnx.NodeProto | None] | None:
    """A Conv, Gemm or MatMul, with the Add after it, with the normalisation in it: the layer, and what stands
    in place of the normalisation. None where it is not so simple.
    """
    constants, channels = new.constants, len(scale)
    biases = [constants[n].values for n in layer.input[2:] if n in constants]
    biases += [constants[n].values for n in added.input if n in constants] if added is not None else []
    weight = constants.get(layer.input[1]) if len(layer.input) > 1 else None
    if (
        weight is None
        or weight.values.dtype != np.float32
        or any(b.size not in (1, channels) for b in biases)
    ):
        return None
    if layer.op_type == "Conv":
        axis = 0
    elif layer.op_type == "Gemm" and not {"alpha", "beta", "transA"} & {a.name for a in layer.attribute}:
        axis = 0 if _attribute(layer, "transB", 0) else 1
    elif layer.op_type == "MatMul" and weight.values.ndim == 2:
        axis = 1
    else:
        return None
    if weight.values.shape[axis] != channels:
        return None
    shape = [channels if k == axis else 1 for k in range(weight.values.ndim)]
    out = node.output[0]
    bias = sum((b.ravel() for b in biases), np.float32(0)) * scale + offset
    made = onnx.NodeProto()
    made.CopyFrom(layer)
    del made.input[1:]
    made.input.append(new(f"{out}.folded.weight", weight.values * scale.reshape(shape), weight.ids))
    name = new(f"{out}.folded.bias", np.broadcast_to(bias, scale.shape))
    if layer.op_type == "MatMul":
        return made, helper.make_node("Add", [layer.output[0], name], [out])
    made.input.append(name)
    made.output[0] = out
    return made, None


def _plain(node: onnx.NodeProto, scale: Array, offset: Array, new: _New) -> onnx.NodeProto:
    """The same node with this scale and offset, mean 0 and variance 1, which are not the file's."""
    out = node.output[0]
    nothing = np.zeros(scale.shape, np.int64)
    names = [
        new(f"{out}.folded.scale", scale),
        new(f"{out}.folded.offset", offset),
        new(f"{out}.folded.mean", np.zeros_like(scale), nothing),
        new(f"{out}.folded.variance", np.ones_like(scale), nothing),
    ]
    return helper.make_node("BatchNormalization", [node.input[0], *names], [out], epsilon=0.0)
