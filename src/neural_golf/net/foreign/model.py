"""An ONNX file from anywhere: loaded, its one input and its output found, constants computed, nodes in
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from neural_golf.base.errors import GolfError, in_one_line

__all__ = [
    "Array",
    "Feed",
    "Model",
    "UnknownLayer",
    "attribute",
    "described",
    "load_model",
    "model_of",
    "run_node",
]

Array = NDArray[Any]
MOST_BYTES = 1 << 30  # of a file; the networks that can be pruned weight by weight are far smaller


class UnknownLayer(GolfError):
    """A layer that a spec cannot say. The message names it."""


@dataclass(frozen=True)
class Feed:
    """How a network wants its images.

    order: where it has the axes of an image [channels, height, width], as positions in that; axes of one
    element may be left out, and all may be in one axis (`flat`). scale and shift [channels]: what it is shown
    is scale · pixel / 255 + shift. name: what is done, in words.
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]  # of an image as the network gets it
    scale: tuple[float, ...]
    shift: tuple[float, ...]
    name: str

    def shown(self, images: Array) -> Array:
        """Images [n, channels, height, width], uint8, as the network gets them: float32 [n, …]."""
        scale, shift = (np.array(v)[:, None, None] for v in (self.scale, self.shift))
        unit = images.astype(np.float64) / 255 * scale + shift
        axes = (0, *(1 + axis for axis in self.order))
        return np.ascontiguousarray(unit.transpose(axes).reshape(len(images), *self.shape), np.float32)


@dataclass(frozen=True)
class Model:
    """A graph with functions inlined and the nodes in order, those on which the scores do not depend left
    out.
    """

    proto: onnx.ModelProto
    nodes: tuple[onnx.NodeProto, ...]
    constants: dict[str, Array]
    input: str
    input_type: int  # TensorProto's
    input_shape: tuple[int | None, ...]  # None for an axis of any length
    output: str

    @property
    def batch(self) -> int | None:
        """The one number of images that it takes at a time, or None for any."""
        return self.input_shape[0] if self.input_shape else None


def load_model(path: Path) -> Model:
    """Read an ONNX file, with the file of numbers beside it if it has one.

    Raises GolfError in one line for what is no such file, or has not one input and one output of scores.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise GolfError(f"{path} has more than {MOST_BYTES:,} bytes")
        proto = onnx.load(path)
    except OSError as error:
        raise GolfError(f"{path} cannot be read: {error.strerror or error}") from None
    except GolfError:
        raise
    except Exception as error:  # protobuf's, and those of onnx for a missing file of numbers
        raise GolfError(f"{path} is not a whole ONNX file: {in_one_line(error)}") from None
    return model_of(proto, str(path))


def model_of(proto: onnx.ModelProto, name: str) -> Model:
    """The same from a model in memory."""
    if not proto.graph.node:
        raise GolfError(f"{name} is not an ONNX file with a graph in it")
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    graph = proto.graph
    if graph.sparse_initializer:
        raise GolfError(f"{name} keeps numbers as sparse initializers; store them dense")
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise GolfError(f"{name} has {len(inputs)} inputs; one, the images, is needed")
    nodes = _sorted(list(graph.node), {*constants, inputs[0].name, ""}, name)
    made = {out for node in nodes for out in node.output}
    outputs = [value.name for value in graph.output if value.name in made]
    if len(outputs) != 1:
        raise GolfError(f"{name} has {len(outputs)} outputs; one, the scores of the classes, is needed")
    needed = {outputs[0]}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    tensor = inputs[0].type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Model(
        proto, tuple(reversed(kept)), constants, inputs[0].name, tensor.elem_type,
        tuple(size or None for size in shape), outputs[0],
    )  # fmt: skip


def _sorted(nodes: list[onnx.NodeProto], known: set[str], name: str) -> list[onnx.NodeProto]:
    """The nodes in an order in which each comes after what it reads."""
    known, done, waiting = set(known), [], nodes
    while waiting:
        ready = [node for node in waiting if known.issuperset(node.input)]
        if not ready:
            raise GolfError(f"{name}: {described(waiting[0])} reads what nothing makes")
        done += ready
        known.update(out for node in ready for out in node.output)
        taken = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in taken]
    return done


def described(node: onnx.NodeProto) -> str:
    """A node in words that a person finds again in a viewer of graphs."""
    operator = f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
    name = node.name or (node.output[0] if node.output else "")
    return f"the layer {operator} ({name})" if name else f"the layer {operator}"


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute, or the default."""
    found = next((a for a in node.attribute if a.name == name), None)
    if found is None:
        return default
    value = helper.get_attribute_value(found)
    return value.decode() if isinstance(value, bytes) else value


def run_node(model: Model, node: onnx.NodeProto, inputs: Sequence[Array | None]) -> list[Array]:
    """What one node makes of arrays, by ONNX's reference implementation. Raises UnknownLayer where it
    cannot.
    """
    fed = {name: value for name, value in zip(node.input, inputs, strict=True) if name and value is not None}
    values = [onnx.ValueInfoProto(name=name) for name in fed]
    outs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "one", values, outs)
    alone = helper.make_model(
        graph, opset_imports=model.proto.opset_import, ir_version=model.proto.ir_version
    )
    try:
        return [np.asarray(made) for made in ReferenceEvaluator(alone).run(None, fed)]
    except Exception as error:
        raise UnknownLayer(f"{described(node)} cannot be computed: {in_one_line(error, 150)}") from None
