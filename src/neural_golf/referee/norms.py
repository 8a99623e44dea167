"""BatchNormalization, folded: a scale and an offset per channel, or only the offset after a Conv or a Gemm.

y = (x - mean) / sqrt(var + epsilon) * scale + bias = x * s + o
"""

from __future__ import annotations

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
    readers: dict[str, int] = {}
    for node in nodes:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    replaced: dict[int, onnx.NodeProto | None] = {}
    for node in nodes:
        if node.op_type != "BatchNormalization" or not all(n in constants for n in node.input[1:]):
            continue
        if _attribute(node, "spatial", 1) == 0:  # one number for each pixel; only in operator sets before 9
            continue
        scale, offset = _scale_and_offset(node, constants)
        before = made_by.get(node.input[0])
        alone = before is not None and readers[node.input[0]] == 1 and node.input[0] != output_name
        if before is not None and alone and id(before) not in replaced:
            folded = _into(before, node, scale, offset, sample, constants, identities)
            if folded is not None:
                replaced[id(before)], replaced[id(node)] = folded, None
                continue
        replaced[id(node)] = _plain(node, scale, offset, sample, constants, identities)
    kept = (replaced.get(id(node), node) for node in nodes)
    return [node for node in kept if node is not None]


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _scale_and_offset(node: onnx.NodeProto, constants: Mapping[str, Numbers]) -> tuple[Array, Array]:
    scale, bias, mean, var = (constants[n].values.astype(np.float64) for n in node.input[1:5])
    s = scale / np.sqrt(var + _attribute(node, "epsilon", _EPSILON))
    return s.astype(np.float32), (bias - mean * s).astype(np.float32)


def _new(
    name: str,
    values: Array,
    sample: dict[str, Array],
    constants: dict[str, Numbers],
    identities: Identities,
    ids: Array | None = None,
) -> str:
    values = values.astype(np.float32)
    while name in sample:  # a stranger may have had the same idea
        name += "'"
    sample[name] = values
    constants[name] = identities.new(values, TensorProto.FLOAT) if ids is None else Numbers(values, ids)
    return name


def _into(
    before: onnx.NodeProto,
    node: onnx.NodeProto,
    scale: Array,
    offset: Array,
    sample: dict[str, Array],
    constants: dict[str, Numbers],
    identities: Identities,
) -> onnx.NodeProto | None:
    """The Conv or Gemm before it with the normalisation in it; None where that is not so simple."""
    if len(before.input) < 2 or before.input[1] not in constants:
        return None
    weight = constants[before.input[1]]
    bias = constants[before.input[2]].values if len(before.input) > 2 and before.input[2] else np.float32(0)
    channels = len(scale)
    if weight.values.dtype != np.float32 or np.size(bias) not in (1, channels):
        return None
    if before.op_type == "Conv":
        shape = (channels, *[1] * (weight.values.ndim - 1))
    elif before.op_type == "Gemm" and not {"alpha", "beta", "transA"} & {a.name for a in before.attribute}:
        shape = (channels, 1) if _attribute(before, "transB", 0) else (1, channels)
    else:
        return None
    if weight.values.shape[shape.index(channels) if channels > 1 else 0] != channels and channels > 1:
        return None
    out = node.output[0]
    folded = onnx.NodeProto()
    folded.CopyFrom(before)
    del folded.input[1:], folded.output[:]
    folded.output.append(out)
    w = _new(
        f"{out}.folded.weight",
        weight.values * scale.reshape(shape),
        sample,
        constants,
        identities,
        weight.ids,
    )
    b = _new(f"{out}.folded.bias", np.ravel(bias) * scale + offset, sample, constants, identities)
    folded.input.extend([w, b])
    return folded


def _plain(
    node: onnx.NodeProto,
    scale: Array,
    offset: Array,
    sample: dict[str, Array],
    constants: dict[str, Numbers],
    identities: Identities,
) -> onnx.NodeProto:
    """The same node with this scale and offset, mean 0 and variance 1, which are not the file's."""
    out = node.output[0]
    nothing = np.zeros(scale.shape, np.int64)
    names = [
        _new(f"{out}.folded.scale", scale, sample, constants, identities),
        _new(f"{out}.folded.offset", offset, sample, constants, identities),
        _new(f"{out}.folded.mean", np.zeros_like(scale), sample, constants, identities, nothing),
        _new(f"{out}.folded.variance", np.ones_like(scale), sample, constants, identities, nothing),
    ]
    return helper.make_node("BatchNormalization", [node.input[0], *names], [out], epsilon=0.0)
