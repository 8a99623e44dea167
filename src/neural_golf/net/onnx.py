"""Networks as ONNX models and back. The graph is built from the spec, node by node, with onnx.helper.

No tracer is involved, so there are no source paths and no stray constants, and the file has exactly the
parameters of the spec.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from neural_golf import __version__
from neural_golf.base.errors import GolfError
from neural_golf.net.form import Form
from neural_golf.net.formed import FORM_OPSET, form_nodes
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.net.spec import Network
from neural_golf.net.turned import turned_nodes

__all__ = ["model_proto", "unpack"]

OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last years
FORM_IR_VERSION = 9  # the first one that knows FORM_OPSET


def model_proto(
    network: Network, parameters: NDArray[np.float32], metadata: Mapping[str, str]
) -> onnx.ModelProto:
    """The network as an ONNX model.

    Input `image`: float32 [batch, channels, height, width] in [0, 1], where 0 is background. Output
    `logits`: float32 [batch, classes], one number per class. parameters: [n]; zeros are exact and positive.
    If the network has a form, the graph begins with it, and its output is called `form`.
    """
    named = network.unpack(parameters + np.float32(0))  # −0.0 + 0.0 = +0.0
    nodes: list[onnx.NodeProto] = []
    current = "image"
    constants: dict[str, onnx.TensorProto] = {}  # shapes and axes, and what the form needs
    flat: set[str] = set()  # what is [batch, numbers]
    if network.form:
        nodes, found, current = form_nodes(network.form, network.in_shape, current)
        constants = {tensor.name: tensor for tensor in found}
    for layer in network.layers:
        reads = [current, layer.adds] if layer.adds else [current]
        if not flat.isdisjoint(reads) and not (KINDS[layer.kind].shapeless and flat.issuperset(reads)):
            made, sizes, reads = _as_maps(reads, flat, layer)
            constants[sizes.name] = sizes
            nodes += made
        if layer.orbit > 1:
            made, integers = turned_nodes(layer, reads[0])
            constants |= {tensor.name: tensor for tensor in integers}
            nodes += made
            current = layer.name
            continue
        for operator, inputs, name, attributes in KINDS[layer.kind].nodes(
            replace(layer, adds=reads[-1]), reads[0]
        ):
            # Gemm's output is [batch, classes], as the answer must be.
            current = "logits" if operator == "Gemm" and layer is network.layers[-1] else name
            nodes.append(helper.make_node(operator, inputs, [current], name, **attributes))
        if layer.kind == "linear" or flat.issuperset(reads):
            flat.add(current)
    if current != "logits":  # the last layer puts out maps: [batch, classes, 1, 1]
        nodes.append(helper.make_node("Flatten", [current], ["logits"]))
    if network.form:
        _number_outputs(nodes)
    planes = {name for name in named if name.endswith(".slope")}
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(a.reshape(-1, 1, 1) if n in planes else a), n)
        for n, a in named.items()
    ]
    initializers += constants.values()
    graph = helper.make_graph(
        nodes,
        "neural-golf",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *network.in_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", network.classes])],
        initializers,
    )
    model = helper.make_model(
        graph, producer_name="neural-golf", producer_version=__version__,
        opset_imports=[helper.make_opsetid("", FORM_OPSET if network.form else OPSET)],
        ir_version=FORM_IR_VERSION if network.form else IR_VERSION,
    )  # fmt: skip
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def _as_maps(
    names: Sequence[str], flat: Collection[str], layer: Layer
) -> tuple[list[onnx.NodeProto], onnx.TensorProto, list[str]]:
    """What a layer reads, as maps of one pixel where it is [batch, numbers]: the nodes, the shape that they
    need, and the names to read instead.
    """
    shape = [0, *layer.in_shape]
    sizes = numpy_helper.from_array(np.array(shape, np.int64), "integers." + ".".join(map(str, shape)))
    found = [f"{layer.name}.{name}" if name in flat else name for name in names]
    nodes = [
        helper.make_node("Reshape", [name, sizes.name], [made], made)
        for name, made in zip(names, found, strict=True)
        if name in flat
    ]
    return nodes, sizes, found


def _number_outputs(nodes: list[onnx.NodeProto]) -> None:
    """Since operator set 18 a Split says how many parts it makes."""
    for node in nodes:
        if node.op_type == "Split" and all(a.name != "num_outputs" for a in node.attribute):
            node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))


def unpack(content: bytes, name: str) -> tuple[Network, NDArray[np.float32]]:
    """The layers and the parameters [n] of an ONNX file that this project's `export` wrote."""
    model = onnx.load_from_string(content)
    props = {prop.key: prop.value for prop in model.metadata_props}
    if "network" not in props:
        raise GolfError(
            f"{name} has no `network` in its metadata, so its layers cannot be named; `golf prune` makes "
            "such a file of a network from elsewhere"
        )
    _, channels, height, width = (size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim)
    spec = [words.strip() for words in props["network"].split(",")]
    form = Form.read(props["form"]) if "form" in props else None
    network = Network.parse(spec, (channels, height, width), form)
    shapes = {tensor.name: tensor.shape for tensor in network.tensors}
    named = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    reshaped = {key: value.reshape(shapes[key]) for key, value in named.items() if key in shapes}
    return network, network.pack(reshaped)
