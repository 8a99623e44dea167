"""Small ONNX networks for the referee's tests, built by hand with onnx.helper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Constants = Mapping[str, np.ndarray | TensorProto]

IMAGE = ["batch", 1, 28, 28]
W10 = np.arange(1, 11, dtype=np.float32).reshape(1, 10)  # ten weights, none of them zero


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node from space-separated names; `-` is an input or output left out."""
    names = [["" if n == "-" else n for n in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, **attributes)


def model(
    nodes: Sequence[NodeProto],
    constants: Constants | None = None,
    *,
    opset: int = 17,
    image: Sequence[str | int] = IMAGE,
    image_type: int = TensorProto.FLOAT,
    metadata: Mapping[str, str] | None = None,
) -> ModelProto:
    """A model that reads `x` and answers `y` [batch, 10]."""
    initializers = [
        value if isinstance(value, TensorProto) else numpy_helper.from_array(np.asarray(value), name)
        for name, value in (constants or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", image_type, image)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 10])],
        initializers,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    if metadata:
        helper.set_model_props(made, dict(metadata))
    return made


def mean_net(
    *body: NodeProto, constants: Constants | None = None, weight: bool = True, **options: Any
) -> ModelProto:
    """The mean of the image, `f` [batch, 1], through `body` to `g` [batch, 1], times ten weights W10.

    Without a body `g` is `f`. The body adds what a test wants counted.
    """
    end = "g" if body else "f"
    nodes = [node("GlobalAveragePool", "x", "m"), node("Flatten", "m", "f"), *body]
    nodes.append(node("MatMul", f"{end} w", "y"))
    return model(nodes, ({"w": W10} if weight else {}) | dict(constants or {}), **options)


def linear_net(weight: np.ndarray, bias: np.ndarray, how: str = "matmul", **options: Any) -> ModelProto:
    """A linear classifier, weight [784, 10] and bias [10], in the op sets of several exporters."""
    both = {"w": weight, "b": bias}
    if how == "matmul":  # tf2onnx, keras: Reshape to [-1, 784], MatMul, Add
        nodes = [
            node("Reshape", "x shape", "f"),
            node("MatMul", "f w", "h"),
            node("Add", "h b", "y"),
        ]
        return model(nodes, both | {"shape": np.array([-1, 784], np.int64)}, **options)
    if how == "gemm":  # PyTorch: Flatten, Gemm with transB
        nodes = [node("Flatten", "x", "f", axis=1), node("Gemm", "f w b", "y", transB=1)]
        return model(nodes, {"w": np.ascontiguousarray(weight.T), "b": bias}, **options)
    if how == "conv":  # a 28x28 kernel
        nodes = [node("Conv", "x w b", "c", kernel_shape=[28, 28]), node("Flatten", "c", "y")]
        return model(
            nodes, {"w": np.ascontiguousarray(weight.T).reshape(10, 1, 28, 28), "b": bias}, **options
        )
    if how == "softmax":  # skl2onnx's LogisticRegression without its ZipMap: probabilities
        nodes = [
            node("Flatten", "x", "f"),
            node("MatMul", "f w", "h"),
            node("Add", "h b", "s"),
            node("Softmax", "s", "y", axis=1),
        ]
        return model(nodes, both, **options)
    if how == "uint8":  # raw pixels; the graph divides
        nodes = [
            node("Cast", "x", "p", to=TensorProto.FLOAT),
            node("Div", "p scale", "u"),
            node("Flatten", "u", "f"),
            node("Gemm", "f w b", "y"),
        ]
        more = {"scale": np.array(255, np.float32)}
        return model(nodes, both | more, image_type=TensorProto.UINT8, **options)
    raise ValueError(how)
