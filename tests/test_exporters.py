"""Networks as tf2onnx, skl2onnx and CNTK write them, scored right.

They are built by hand, node for node as these tools write them, so that no test needs the tools. The
parameters are counted by hand, and the answers are computed by numpy. tests/test_pytorch_exports.py has
PyTorch's two exporters.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nets import model, node
from neural_golf.referee.counting import count
from neural_golf.referee.verdict import Refused, Verdict, verify

F = np.float32
I64 = np.int64
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def many(digits: Digits) -> NDArray[np.uint8]:
    """600 digits [600, 1, 28, 28], of which `score` takes 200."""
    return digits[0][:600]


def score(made: ModelProto, images: NDArray[np.uint8], answers: NDArray[Any], folder: Path) -> Verdict:
    """The verdict on the 200 images of which the network is surest, with its answers [n, 10] as labels: all
    are right where the referee runs it as its tool does. (On the others, random weights are undecided, and
    rounded ones decide otherwise.)
    """
    first, second = np.sort(answers, 1)[:, -1], np.sort(answers, 1)[:, -2]
    chosen = np.argsort(second - first, kind="stable")[:200]
    classes = answers[chosen].argmax(1).astype(np.uint8)
    assert len(set(classes.tolist())) > 2  # or a wrong feed might not show
    path = folder / "other.onnx"
    path.write_bytes(made.SerializeToString())
    return verify(path, images[chosen], classes)


# tf2onnx: channels last, so it turns the image, and turns it back before it flattens

KERAS = 2 * 9 + 2 + 338 * 10 + 10  # Conv2D(2, 3), MaxPool2D, Flatten, Dense(10)
KERAS_INTEGERS = 3 * 2 + 2 * 2 + 2  # kernel, strides and dilations; kernel and strides; [-1, 338]


def keras_weights(images: NDArray[np.uint8]) -> dict[str, np.ndarray]:
    """Random, but no class is above the others on every image."""
    rng = np.random.default_rng(8)
    kernel, bias = rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2)
    dense, offset = rng.normal(size=(338, 10)), rng.normal(size=10)
    found = {k: v.astype(F) for k, v in {"k": kernel, "b": bias, "w": dense, "o": offset}.items()}
    found["o"] -= keras_answers(images, **found).mean(0)
    return found


def keras_answers(images: NDArray[np.uint8], k: Any, b: Any, w: Any, o: Any) -> NDArray[Any]:
    """The same network as Keras computes it, in numpy, channels last."""
    seen = sliding_window_view(images[:, 0] / F(255), (3, 3), axis=(1, 2))  # [n, 26, 26, 3, 3]
    h = np.maximum(np.einsum("nyxij,oij->nyxo", seen, k[:, 0]) + b, 0)  # [n, 26, 26, 2]
    h = h.reshape(len(h), 13, 2, 13, 2, 2).max((2, 4))  # [n, 13, 13, 2]
    return h.reshape(len(h), -1) @ w + o


def constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return node("Constant", "", name, value=numpy_helper.from_array(array))


def keras_body() -> list[onnx.NodeProto]:
    return [
        node("Conv", "t k b", "c", kernel_shape=[3, 3], strides=[1, 1], dilations=[1, 1], auto_pad="VALID"),
        node("Relu", "c", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2], auto_pad="VALID"),
        node("Transpose", "p", "q", perm=[0, 2, 3, 1]),
    ]


def keras_head() -> list[onnx.NodeProto]:
    return [
        node("MatMul", "f w", "h"),
        node("Add", "h o", "logits"),
        node("Softmax", "logits", "s", axis=-1),
        node("Identity", "s", "y"),
    ]


def test_scores_a_network_as_tf2onnx_writes_it(many: NDArray[np.uint8], tmp_path: Path) -> None:
    """Input [n, 28, 28, 1], every weight in a Constant node, Identity as the last one."""
    weights = keras_weights(many)
    nodes = [
        *(constant(name, array) for name, array in weights.items()),
        constant("flat", np.array([-1, 338], I64)),
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        *keras_body(),
        node("Reshape", "q flat", "f"),
        *keras_head(),
    ]
    made = model(nodes, opset=15, image=["unk__6", 28, 28, 1])
    found = score(made, many, keras_answers(many, **weights), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    assert (found.parameters, found.nonzero, found.bits) == (KERAS, KERAS, KERAS * 32)
    assert (found.integers, found.nodes) == (KERAS_INTEGERS, 15)


def test_scores_a_network_whose_shape_tf2onnx_computes(many: NDArray[np.uint8], tmp_path: Path) -> None:
    """Input [n, 28, 28] and keras.layers.Reshape: Shape, Cast to int32 and back, StridedSlice, Pack."""
    weights = keras_weights(many)
    shapes = {
        "begin": [0], "end": [1], "axes": [0], "strides": [1], "zero": [0],
        "high": [28], "wide": [28], "deep": [1], "flat": [-1, 338],
    }  # fmt: skip
    nodes = [
        node("Shape", "x", "shape"),
        node("Cast", "shape", "shape32", to=TensorProto.INT32),
        node("Slice", "shape32 begin end axes strides", "first"),
        node("Squeeze", "first axes", "n"),
        node("Unsqueeze", "n zero", "n1"),
        node("Cast", "n1", "n64", to=TensorProto.INT64),
        node("Concat", "n64 high wide deep", "packed", axis=0),
        node("Reshape", "x packed", "i"),
        node("Transpose", "i", "t", perm=[0, 3, 1, 2]),
        *keras_body(),
        node("Reshape", "q flat", "f"),
        *keras_head(),
    ]
    constants = weights | {name: np.array(values, I64) for name, values in shapes.items()}
    made = model(nodes, constants, opset=15, image=["unk__6", 28, 28])
    found = score(made, many, keras_answers(many, **weights), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    # Slice has three, its axes aside; the shape that Concat puts together has four.
    assert (found.parameters, found.integers) == (KERAS, KERAS_INTEGERS + 3 + 4)


# skl2onnx: operators of ai.onnx.ml around a network of ai.onnx


def perceptron(*end: onnx.NodeProto, outputs: list[onnx.ValueInfoProto], **more: np.ndarray) -> ModelProto:
    """MLPClassifier((5,)) as skl2onnx 1.20 writes it, up to its probabilities `p`; then `end`."""
    rng = np.random.default_rng(9)
    weights = {"coefficient": (784, 5), "intercepts": (1, 5), "coefficient1": (5, 10), "intercepts1": (1, 10)}
    constants = {k: rng.normal(size=shape).astype(F) for k, shape in weights.items()} | more
    nodes = [
        node("Cast", "x", "cast_input", to=TensorProto.FLOAT),
        node("MatMul", "cast_input coefficient", "mul_result"),
        node("Add", "mul_result intercepts", "add_result"),
        node("Relu", "add_result", "next_activations"),
        node("MatMul", "next_activations coefficient1", "mul_result1"),
        node("Add", "mul_result1 intercepts1", "add_result1"),
        node("Softmax", "add_result1", "p", axis=1),
        *end,
    ]
    made = model(nodes, constants, opset=21, image=[None, 784])  # type: ignore[list-item]
    del made.graph.output[:]
    made.graph.output.extend(outputs)
    made.opset_import.add(domain="ai.onnx.ml", version=1)
    return made


LEFT = {"classes": np.arange(10, dtype=np.int32), "shape_tensor": np.array([-1], I64)}
MLP = 784 * 5 + 5 + 5 * 10 + 10


@pytest.mark.parametrize("typed", [True, False])
def test_scores_the_probabilities_of_skl2onnx(typed: bool, many: NDArray[np.uint8], tmp_path: Path) -> None:
    """As select_model_inputs_outputs cuts it: the output without a type, and what the labels used left in."""
    output = onnx.ValueInfoProto(name="y")
    if typed:
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])
    made = perceptron(node("Identity", "p", "y"), outputs=[output], **LEFT)
    a, b, c, d = (numpy_helper.to_array(t) for t in made.graph.initializer[:4])
    answers = np.maximum(many.reshape(-1, 784) / F(255) @ a + b, 0) @ c + d
    found = score(made, many, answers, tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    # The ten labels and the shape are in the file, but nothing reads them any more: no image meets them.
    assert (found.parameters, found.nonzero, found.bits) == (MLP, MLP, MLP * 32)


def test_an_output_without_a_type_must_still_be_ten_floats(many: NDArray[np.uint8], tmp_path: Path) -> None:
    for end, reason in (
        (node("Cast", "p", "y", to=TensorProto.FLOAT16), "onnxruntime does not load it"),
        (node("MatMul", "p coefficient2", "y"), "it answers with 1x3 numbers"),
    ):
        made = perceptron(end, outputs=[onnx.ValueInfoProto(name="y")], coefficient2=np.ones((10, 3), F))
        (tmp_path / "a.onnx").write_bytes(made.SerializeToString())
        found = verify(tmp_path / "a.onnx", many, np.zeros(600, np.uint8))
        assert found.verdict == "REFUSED" and reason in found.reason


def ml(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    return node(op, inputs, outputs, domain="ai.onnx.ml", **attributes)


LABEL = helper.make_tensor_value_info("label", TensorProto.INT64, [None])
PROBABILITIES = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        (
            [node("ArgMax", "p", "best", axis=1), ml("ArrayFeatureExtractor", "classes best", "label")],
            "operator 'ArgMax' is not on the list of allowed ones",
        ),
        ([ml("ZipMap", "p", "y", classlabels_int64s=range(10))], "operator 'ZipMap' of domain 'ai.onnx.ml'"),
        (
            [ml("ArrayFeatureExtractor", "p classes", "y")],
            "operator 'ArrayFeatureExtractor' of domain 'ai.onnx.ml'",
        ),
        (
            [ml("LinearClassifier", "x", "label y", coefficients=[1.0] * 7840, classlabels_ints=range(10))],
            "operator 'LinearClassifier' of domain 'ai.onnx.ml'",
        ),
        ([node("Identity", "p", "y"), node("Identity", "p", "label")], "the graph has 2 outputs"),
    ],
    ids=["labels", "ZipMap", "ArrayFeatureExtractor", "LinearClassifier", "two outputs"],
)
def test_refuses_what_skl2onnx_writes_around_a_network(nodes: list[onnx.NodeProto], reason: str) -> None:
    """Only ai.onnx is scored: the referee does not count the coefficients in attributes of ai.onnx.ml."""
    made = perceptron(*nodes, outputs=[LABEL, PROBABILITIES], **LEFT)
    with pytest.raises(Refused) as caught:
        count(made)
    assert reason in str(caught.value)


def test_an_operator_set_named_twice_is_one() -> None:
    """skl2onnx's LogisticRegression imports ai.onnx twice, both times the same version."""
    made = perceptron(node("Identity", "p", "y"), outputs=[PROBABILITIES])
    made.opset_import.add(domain="", version=21)
    assert count(made).parameters == MLP


# CNTK: the ONNX model zoo's mnist-8, of IR version 3

CNTK = 8 * 25 + 8 + 16 * 8 * 25 + 16 + 256 * 10 + 10
# Each Conv: kernel, strides and dilations; each MaxPool: kernel, strides and pads; two shapes of two.
CNTK_INTEGERS = 2 * 3 * 2 + 2 * (2 + 2 + 4) + 2 * 2


def cntk_weights() -> dict[str, np.ndarray]:
    shapes = {
        "Parameter5": (8, 1, 5, 5), "Parameter6": (8, 1, 1), "Parameter87": (16, 8, 5, 5),
        "Parameter88": (16, 1, 1), "Parameter193": (16, 4, 4, 10), "Parameter194": (1, 10),
    }  # fmt: skip
    rng = np.random.default_rng(10)
    return {name: rng.normal(size=shape).astype(F) for name, shape in shapes.items()}


def cntk_answers(images: NDArray[np.uint8], weights: dict[str, np.ndarray]) -> NDArray[Any]:
    first, offset, second, offset2, dense, offset3 = weights.values()
    h = np.maximum(same(images / F(255), first) + offset, 0)  # [n, 8, 28, 28]
    h = h.reshape(-1, 8, 14, 2, 14, 2).max((3, 5))  # [n, 8, 14, 14]
    h = np.maximum(same(h, second) + offset2, 0)[..., :12, :12]  # [n, 16, 12, 12]: the last two meet no pool
    h = h.reshape(-1, 16, 4, 3, 4, 3).max((3, 5))  # [n, 16, 4, 4]
    return h.reshape(-1, 256) @ dense.reshape(256, 10) + offset3


def same(images: NDArray[Any], kernels: NDArray[Any]) -> NDArray[Any]:
    """A convolution by kernels [out, in, 5, 5] of images [n, in, height, width] that keeps their size."""
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    seen = sliding_window_view(padded, (5, 5), axis=(2, 3))  # [n, in, height, width, 5, 5]
    return np.moveaxis(np.tensordot(seen, kernels, ((1, 4, 5), (1, 2, 3))), 3, 1)


def cntk_nodes() -> list[onnx.NodeProto]:
    conv = {"kernel_shape": [5, 5], "strides": [1, 1], "auto_pad": "SAME_UPPER", "group": 1}
    conv |= {"dilations": [1, 1]}
    pool = {"pads": [0, 0, 0, 0], "auto_pad": "NOTSET"}
    return [
        node("Reshape", "Parameter193 matrix_shape", "Matrix", name="Times212_reshape1"),
        node("Conv", "Input3 Parameter5", "Convolution28", name="Convolution28", **conv),
        node("Add", "Convolution28 Parameter6", "Plus30", name="Plus30"),
        node("Relu", "Plus30", "ReLU32", name="ReLU32"),
        node("MaxPool", "ReLU32", "Pooling66", name="Pooling66", kernel_shape=[2, 2], strides=[2, 2], **pool),
        node("Conv", "Pooling66 Parameter87", "Convolution110", name="Convolution110", **conv),
        node("Add", "Convolution110 Parameter88", "Plus112", name="Plus112"),
        node("Relu", "Plus112", "ReLU114", name="ReLU114"),
        node(
            "MaxPool", "ReLU114", "Pooling160", name="Pooling160", kernel_shape=[3, 3], strides=[3, 3], **pool
        ),
        node("Reshape", "Pooling160 flat_shape", "Flat", name="Times212_reshape0"),
        node("MatMul", "Flat Matrix", "Times212", name="Times212"),
        node("Add", "Times212 Parameter194", "Plus214", name="Plus214"),
    ]


def cntk(nodes: list[onnx.NodeProto]) -> ModelProto:
    """IR version 3: every initializer is among the inputs too, after or before the image."""
    shapes = {"matrix_shape": np.array([256, 10], I64), "flat_shape": np.array([1, 256], I64)}
    tensors = [numpy_helper.from_array(a, name) for name, a in (cntk_weights() | shapes).items()]
    inputs = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    inputs.insert(1, helper.make_tensor_value_info("Input3", TensorProto.FLOAT, [1, 1, 28, 28]))
    output = helper.make_tensor_value_info("Plus214", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "CNTKGraph", inputs, [output], tensors)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3, producer_name="CNTK"
    )


@pytest.mark.parametrize("order", ["straight", "reversed", "shuffled"])
def test_scores_mnist_8_as_cntk_wrote_it(order: str, many: NDArray[np.uint8], tmp_path: Path) -> None:
    """Whatever the order of the nodes is: the referee sorts them."""
    nodes = cntk_nodes()
    if order == "reversed":
        nodes.reverse()
    elif order == "shuffled":
        nodes = [nodes[k] for k in np.random.default_rng(11).permutation(len(nodes))]
    found = score(cntk(nodes), many, cntk_answers(many, cntk_weights()), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    assert (found.parameters, found.nonzero, found.bits) == (CNTK, CNTK, CNTK * 32)
    assert (found.integers, found.nodes, found.batch) == (CNTK_INTEGERS, 12, 1)


def test_a_cycle_is_refused() -> None:
    nodes = cntk_nodes()
    nodes[2].input[1] = "Plus112"
    with pytest.raises(Refused, match="is part of a cycle"):
        count(cntk(nodes))
