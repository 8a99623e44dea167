"""Networks as jax2onnx writes them, scored right.

They are built by hand, node for node as jax2onnx 0.17 writes a Flax NNX module: NHWC outside, the number of images
read from a shape, operator set 23. The answers are computed by ONNX's reference implementation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nets import node
from test_exporters import score

F = np.float32
I64 = np.int64
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]

CONVS, DENSE = 4 * 9 + 4 + 8 * 4 * 9 + 8, 288 * 10 + 10


def flax(batch: str | int, normalised: bool = False, pixels: bool = False) -> ModelProto:
    """Two Convs with strides, relu, reshape and Linear.

    normalised: with BatchNorm and Dropout after the first; pixels: with (x - 0.1307) / 0.3081 before it.
    """
    rng = np.random.default_rng(12)
    constants = {
        "kernel_oih_0": rng.normal(size=(4, 1, 3, 3)), "const_1": rng.normal(size=4),
        "kernel_oih_1": rng.normal(size=(8, 4, 3, 3)), "const_3": rng.normal(size=8),
        "const_8": rng.normal(size=(288, 10)), "const_9": rng.normal(size=10),
    }  # fmt: skip
    shapes = {
        "reshape_dim_idx_0": [0],
        "reshape_dim_sq_0": [0],
        "shape_const_0_0": [0],
        "shape_const_1_0": [288],
    }
    nodes, first, second = [], "in_0", "relu_out_1"
    if pixels:
        constants |= {"const_10": np.array(0.1307), "const_11": np.array(0.3081)}
        nodes += [node("Sub", "in_0 const_10", "sub_out_0"), node("Div", "sub_out_0 const_11", "div_out_0")]
        first = "div_out_0"
    nodes += [
        node("Transpose", first, "Transpose_0", perm=[0, 3, 1, 2]),
        node("Conv", "Transpose_0 kernel_oih_0 const_1", "Conv_0", strides=[2, 2], dilations=[1, 1]),
    ]
    conv = "Conv_0"
    if normalised:
        constants |= {f"const_{k}": rng.uniform(0.5, 1.5, 4) for k in (2, 4, 5, 6)}
        conv = "BatchNormalization_0"
        nodes.append(
            node(
                "BatchNormalization",
                "Conv_0 const_2 const_4 const_5 const_6",
                conv,
                epsilon=1e-5,
                momentum=0.99,
            )
        )
    nodes += [
        node("Relu", conv, "relu_out_0"),
        node("Conv", "relu_out_0 kernel_oih_1 const_3", "Conv_1", strides=[2, 2], dilations=[1, 1]),
        node("Transpose", "Conv_1", "Transpose_3", perm=[0, 2, 3, 1]),
        node("Relu", "Transpose_3", "relu_out_1"),
    ]  # fmt: skip
    tensors = [numpy_helper.from_array(a.astype(F), name) for name, a in constants.items()]
    if normalised:
        tensors += [
            numpy_helper.from_array(np.array(0.2, F), "ratio_0"),
            numpy_helper.from_array(np.array(False), "training_0"),
        ]
        nodes.append(node("Dropout", "relu_out_1 ratio_0 training_0", "out_0"))
        second = "out_0"
    nodes += [
        node("Shape", second, "reshape_shape_of_x_0"),
        node("Gather", "reshape_shape_of_x_0 reshape_dim_idx_0", "reshape_dim_0", axis=0),
        node("Squeeze", "reshape_dim_0 reshape_dim_sq_0", "reshape_dim_scalar_0"),
        node("Unsqueeze", "reshape_dim_scalar_0 shape_const_0_0", "unsq_0"),
        node("Concat", "unsq_0 shape_const_1_0", "reshape_shape_tensor_0", axis=0),
        node("Reshape", f"{second} reshape_shape_tensor_0", "reshape_out_0"),
        node("Gemm", "reshape_out_0 const_8 const_9", "y", alpha=1.0, beta=1.0, transA=0, transB=0),
    ]
    tensors += [numpy_helper.from_array(np.array(v, I64), name) for name, v in shapes.items()]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        for name, shape in (("in_0", (28, 28, 1)), ("y", (10,)))
    ]
    graph = helper.make_graph(nodes, "jax_model", values[:1], values[1:], tensors)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10, producer_name="jax2onnx"
    )


def answers(made: ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    free = onnx.ModelProto.FromString(made.SerializeToString())
    free.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "B"
    pixels = (images / F(255)).transpose(0, 2, 3, 1)
    found: NDArray[np.float32] = ReferenceEvaluator(free).run(None, {"in_0": pixels})[0]
    return found


@pytest.mark.parametrize("batch", ["B", 1, 50])
@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, CONVS + DENSE),
        ({"normalised": True}, CONVS + DENSE),  # the BatchNorm is in the Conv before it
        ({"pixels": True}, CONVS + DENSE + 2),
    ],
    ids=["plain", "BatchNorm and Dropout", "normalised pixels"],
)
def test_scores_what_jax2onnx_writes(
    batch: str | int, options: dict[str, bool], count: int, digits: Digits, tmp_path: Path
) -> None:
    images, made = digits[0][:600], flax(batch, **options)
    found = score(made, images, answers(made, images), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    assert (found.parameters, found.nonzero, found.bits) == (count, count, count * 32)
