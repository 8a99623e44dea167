"""Networks as Keras exports them, scored right.

They are built by hand, node for node as `model.export("net.onnx", format="onnx")` of Keras 3.15 with tf2onnx 1.17
writes them: operator set 15, the image brought to NCHW by a Reshape, and Flatten's shape computed in int32. The
answers are computed by ONNX's reference implementation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from nets import linear_net, node
from neural_golf.referee.challenge import load_challenge
from neural_golf.referee.counting import count
from neural_golf.referee.rules import Refused
from neural_golf.referee.verdict import verify
from test_exporters import score

F = np.float32
I64 = np.int64
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Arrays = dict[str, np.ndarray]

SIZE, CHANNELS = 5, 8
FLAT = SIZE * SIZE * CHANNELS  # 200, which 4 significant bits cannot hold: a shape is never rounded
CONV, DENSE = 9 * CHANNELS + CHANNELS, FLAT * 10 + 10

# Flatten: the shape of what a Transpose turns is taken before it and put in order, then cut and joined in int32.
FLATTEN = [
    node("Transpose", "h", "Transpose", perm=[0, 2, 3, 1]),
    node("Shape", "h", "shape"),
    node("Gather", "shape order", "flatten/Shape"),
    node("Cast", "flatten/Shape", "flatten/Shape32", to=TensorProto.INT32),
    node("Slice", "flatten/Shape32 starts ends starts", "flatten/strided_slice"),
    node("Concat", "flatten/strided_slice flat", "flatten/shape_Concat", axis=0),
    node("Cast", "flatten/shape_Concat", "flatten/Reshape64", to=TensorProto.INT64),
    node("Reshape", "Transpose flatten/Reshape64", "flatten/Reshape"),
]
INTEGERS: Arrays = {
    "new_shape": np.array([-1, 1, 28, 28], I64), "order": np.array([0, 2, 3, 1], I64),
    "starts": np.array([0], I64), "ends": np.array([1], I64), "flat": np.array([FLAT], np.int32),
}  # fmt: skip


def keras(*body: NodeProto, **constants: np.ndarray) -> ModelProto:
    """Conv2D(8, 3, strides=5), `body` from `c` to `h` [n, 8, 5, 5], Flatten, Dense(10, "softmax")."""
    rng = np.random.default_rng(14)
    weights = {"k": rng.normal(size=(CHANNELS, 1, 3, 3)), "b": rng.normal(size=CHANNELS)}
    weights |= {"w": rng.normal(size=(FLAT, 10)), "o": np.zeros(10)}
    nodes = [
        node("Reshape", "image new_shape", "x"),
        node("Conv", "x k b", "c", dilations=[1, 1], strides=[6, 6], kernel_shape=[3, 3], group=1),
        *(body or (node("Relu", "c", "h"),)),
        *FLATTEN,
        node("MatMul", "flatten/Reshape w", "mm"),
        node("Add", "mm o", "logits"),
        node("Softmax", "logits", "y"),
    ]
    arrays = {name: a.astype(F) for name, a in weights.items()} | INTEGERS | constants
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", ["unk__1", 28, 28, 1]), ("y", ["unk__2", 10]))
    ]
    tensors = [numpy_helper.from_array(a, name) for name, a in arrays.items()]
    graph = helper.make_graph(nodes, "tf2onnx", values[:1], values[1:], tensors)
    sets = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8, producer_name="tf2onnx")


def answers(made: ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What is before the Softmax, which would tie where it is sure."""
    cut = onnx.ModelProto.FromString(made.SerializeToString())
    cut.graph.node.pop()
    cut.graph.output[0].name = "logits"
    pixels = (images / F(255)).transpose(0, 2, 3, 1)
    found: NDArray[np.float32] = ReferenceEvaluator(cut).run(None, {"image": pixels})[0]
    return found


def one(value: float) -> np.ndarray:
    return np.array(value, F)


# keras.activations.gelu(x, approximate=True): tf2onnx leaves the Transposes around some of its nodes.
GELU = [
    node("Mul", "c half", "gelu/mul"),
    node("Transpose", "c", "last", perm=[0, 2, 3, 1]),
    node("Pow", "last three", "gelu/Pow"),
    node("Mul", "gelu/Pow cubic", "gelu/mul_1"),
    node("Transpose", "gelu/mul_1", "first", perm=[0, 3, 1, 2]),
    node("Add", "c first", "gelu/add"),
    node("Mul", "gelu/add root", "gelu/mul_2"),
    node("Tanh", "gelu/mul_2", "gelu/Tanh"),
    node("Add", "gelu/Tanh one", "gelu/add_1"),
    node("Mul", "gelu/mul gelu/add_1", "h"),
]
GELU_NUMBERS = {
    "half": one(0.5),
    "three": one(3),
    "cubic": one(0.044715),
    "root": one(0.7978846),
    "one": one(1),
}

# GroupNormalization(4): its last Reshape's shape is joined of one int32 twice.
GROUPS = [
    node("Transpose", "c", "last", perm=[0, 2, 3, 1]),
    node("Reshape", "last grouped", "g"),
    node("ReduceMean", "g", "mean", axes=[1, 2, 4], keepdims=1),
    node("Neg", "mean", "minus"),
    node("Sub", "g mean", "difference"),
    node("Mul", "difference difference", "squared"),
    node("ReduceMean", "squared", "variance", axes=[1, 2, 4], keepdims=1),
    node("Add", "variance epsilon", "above"),
    node("Sqrt", "above", "deviation"),
    node("Reciprocal", "deviation", "Rsqrt"),
    node("Mul", "Rsqrt gamma", "scale"),
    node("Mul", "g scale", "scaled"),
    node("Mul", "minus scale", "shift"),
    node("Add", "shift beta", "offset"),
    node("Add", "scaled offset", "normalised"),
    node("Shape", "c", "shape_1"),
    node("Gather", "shape_1 order", "group/Shape"),
    node("Cast", "group/Shape", "group/Shape32", to=TensorProto.INT32),
    node("Slice", "group/Shape32 starts ends starts", "group/strided_slice"),
    node("Concat", "group/strided_slice size size channels", "group/shape_Concat", axis=0),
    node("Cast", "group/shape_Concat", "group/Reshape64", to=TensorProto.INT64),
    node("Reshape", "normalised group/Reshape64", "group/Reshape"),
    node("Relu", "group/Reshape", "r"),
    node("Transpose", "r", "h", perm=[0, 3, 1, 2]),
]


def groups() -> ModelProto:
    rng = np.random.default_rng(15)
    return keras(
        *GROUPS, epsilon=one(1e-3), grouped=np.array([-1, SIZE, SIZE, 4, 2], I64),
        gamma=rng.uniform(0.5, 1.5, (1, 1, 1, 4, 2)).astype(F), beta=rng.normal(size=(1, 1, 1, 4, 2)).astype(F),
        size=np.array([SIZE], np.int32), channels=np.array([CHANNELS], np.int32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("made", "more"),
    [
        (keras(), 0),
        (keras(*GELU, **GELU_NUMBERS), len(GELU_NUMBERS)),
        (groups(), 2 * CHANNELS + 1 + 1),  # scales, offsets and epsilon, and one that an Add stretches
    ],
    ids=["Flatten of 200", "gelu by tanh", "GroupNormalization"],
)
def test_scores_what_keras_writes(made: ModelProto, more: int, digits: Digits, tmp_path: Path) -> None:
    images = digits[0][:600]
    first = answers(made, images)
    offset = next(tensor for tensor in made.graph.initializer if tensor.name == "o")
    offset.CopyFrom(
        numpy_helper.from_array(-first.mean(0), "o")
    )  # untrained, but no class is above the others
    found = score(made, images, first - first.mean(0), tmp_path)
    assert (found.verdict, found.correct) == ("PASS", 200), found.reason
    counted = count(made)  # without images: these weights were not trained, and some do little
    assert (counted.parameters, counted.nonzero) == (CONV + DENSE + more,) * 2, counted.parts


def test_one_number_many_times_is_still_no_weight() -> None:
    """A Concat of the same int32 is a shape here; where it becomes data, it is the codebook that it looks like."""
    made = keras(
        node("Concat", "p q p", "codes", axis=0),
        node("DequantizeLinear", "codes scale", "weights"),
        node("Mul", "c weights", "m"),
        node("Relu", "m", "h"),
        p=np.array([3, 7], np.int32), q=np.array([5], np.int32), scale=one(0.1),
    )  # fmt: skip
    with pytest.raises(Refused, match=r"Concat has the input 'p' more than once"):
        count(made)


def test_a_file_that_fails_anyway_fails_and_is_not_suspected(digits: Digits, tmp_path: Path) -> None:
    """Its numbers are no good when they are rounded, but what misses the mark is no entry, whatever is in them."""
    images, labels = digits
    n = len(labels)
    x = np.hstack([images.reshape(n, -1) / 255, np.ones((n, 1))])
    solved = np.linalg.solve(x.T @ x + np.eye(785), x.T @ np.eye(10)[labels])
    # Each pixel of the small digits stands nine times: a weight is the difference of two large numbers.
    weight = np.zeros((28, 28, 10))
    blocks = solved[:-1].reshape(28, 28, 10)[2:26, 2:26].reshape(8, 3, 8, 3, 10).sum((1, 3))
    weight[2:26:3, 2:26:3], weight[3:26:3, 2:26:3] = blocks + 1000, -1000
    made = linear_net(weight.reshape(784, 10).astype(F), solved[-1].astype(F))
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    challenge = load_challenge("mnist-98").model_copy(update={"images": n, "threshold": n})
    found = verify(tmp_path / "net.onnx", images, labels, challenge)
    assert found.verdict == "FAIL" and found.reason.startswith(f"{found.correct} of {n} correct, {n} needed")
    assert any("1/256 of their tensor's largest it loses" in flag for flag in found.flags)
    easy = challenge.model_copy(update={"threshold": 900})
    found = verify(tmp_path / "net.onnx", images, labels, easy)
    assert found.verdict == "REFUSED" and "more than one number may be in each" in found.reason
