"""Networks of other tools, scored right: PyTorch's two exporters, and what tf2onnx and skl2onnx write.

The last two are built by hand, node for node as these tools write them, so that no test needs them. The
parameters are counted by hand, and the answers are computed by numpy or by the tool itself.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nets import model, node
from neural_golf.referee.counting import count
from neural_golf.referee.verdict import Refused, verify

F = np.float32
I64 = np.int64
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def few(digits: Digits) -> NDArray[np.uint8]:
    """200 digits [200, 1, 28, 28]."""
    return digits[0][:200]


def score(made: ModelProto, images: NDArray[np.uint8], classes: NDArray[Any], folder: Path) -> Any:
    """The verdict, with these classes as labels: all are right where the referee runs it as its tool does."""
    assert len(set(classes.tolist())) > 2  # or a wrong feed might not show
    path = folder / "other.onnx"
    path.write_bytes(made.SerializeToString())
    return verify(path, images, classes.astype(np.uint8))


# PyTorch

TORCH = 2 * 9 + 2 + 2 + 10 * 338 + 10  # kernels and biases with the BatchNorm in them, slopes, Linear


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
def test_scores_what_pytorch_exports(dynamo: bool, few: NDArray[np.uint8], tmp_path: Path) -> None:
    """Conv, BatchNorm2d, PReLU, max_pool2d, view, Linear and log_softmax, in evaluation mode."""
    torch = pytest.importorskip("torch", reason="the train extra brings torch")
    if dynamo:
        pytest.importorskip("onnxscript", reason="torch.onnx.export(dynamo=True) needs onnxscript")
    images = torch.from_numpy(few / F(255))
    network = torch_network(torch, images)
    batch = {"dynamic_shapes": ({0: "batch"},)} if dynamo else {"dynamic_axes": {"image": {0: "batch"}}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the legacy exporter says that it is one
        torch.onnx.export(
            network, (torch.zeros(2, 1, 28, 28),), tmp_path / "torch.onnx", dynamo=dynamo,
            input_names=["image"], output_names=["logits"], external_data=False, verbose=False, **batch,
        )  # fmt: skip
    with torch.no_grad():
        classes = network(images).argmax(1).numpy()
    found = score(onnx.load(tmp_path / "torch.onnx"), few, classes, tmp_path)
    assert (found.verdict, found.correct) == ("PASS", 200), found.reason
    assert (found.parameters, found.nonzero) == (TORCH, TORCH)


def torch_network(torch: ModuleType, images: Any) -> Any:
    class Network(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(1, 2, 3)
            self.norm = torch.nn.BatchNorm2d(2)
            self.slope = torch.nn.PReLU(2)
            self.linear = torch.nn.Linear(2 * 13 * 13, 10)

        def forward(self, x: Any) -> Any:
            x = self.slope(self.norm(self.conv(x)))  # [batch, 2, 26, 26]
            x = torch.nn.functional.max_pool2d(x, 2)  # [batch, 2, 13, 13]
            return torch.nn.functional.log_softmax(self.linear(x.view(x.size(0), -1)), 1)

    torch.manual_seed(5)
    network = Network()
    network.norm.running_mean += 0.1
    network.eval()
    with torch.no_grad():  # untrained, but no class is above the others on every image
        network.linear.bias -= network(images).mean(0)
    return network


# tf2onnx: channels last, so it turns the image, and turns it back before it flattens

KERAS = 2 * 9 + 2 + 338 * 10 + 10  # Conv2D(2, 3), MaxPool2D, Flatten, Dense(10)


def keras_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    kernel, bias = rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2)
    dense, offset = rng.normal(size=(338, 10)), rng.normal(size=10)
    return {k: v.astype(F) for k, v in {"k": kernel, "b": bias, "w": dense, "o": offset}.items()}


def keras_classes(images: NDArray[np.uint8], k: Any, b: Any, w: Any, o: Any) -> NDArray[Any]:
    """The same network as Keras computes it, in numpy, channels last."""
    seen = sliding_window_view(images[:, 0] / F(255), (3, 3), axis=(1, 2))  # [n, 26, 26, 3, 3]
    h = np.maximum(np.einsum("nyxij,oij->nyxo", seen, k[:, 0]) + b, 0)  # [n, 26, 26, 2]
    h = h.reshape(len(h), 13, 2, 13, 2, 2).max((2, 4))  # [n, 13, 13, 2]
    return (h.reshape(len(h), -1) @ w + o).argmax(1)


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


def test_scores_a_network_as_tf2onnx_writes_it(few: NDArray[np.uint8], tmp_path: Path) -> None:
    """Input [n, 28, 28, 1], every weight in a Constant node, Identity as the last one."""
    weights = keras_weights()
    nodes = [
        *(constant(name, array) for name, array in weights.items()),
        constant("flat", np.array([-1, 338], I64)),
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        *keras_body(),
        node("Reshape", "q flat", "f"),
        *keras_head(),
    ]
    made = model(nodes, opset=15, image=["unk__6", 28, 28, 1])
    found = score(made, few, keras_classes(few, **weights), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    assert (found.parameters, found.nonzero, found.bits) == (KERAS, KERAS, KERAS * 32)
    assert (found.integers, found.nodes) == (2, 15)


def test_scores_a_network_whose_shape_tf2onnx_computes(few: NDArray[np.uint8], tmp_path: Path) -> None:
    """Input [n, 28, 28] and keras.layers.Reshape: Shape, Cast to int32 and back, StridedSlice, Pack."""
    weights = keras_weights()
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
    found = score(made, few, keras_classes(few, **weights), tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    assert (found.parameters, found.integers) == (KERAS, 10)


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
def test_scores_the_probabilities_of_skl2onnx(typed: bool, few: NDArray[np.uint8], tmp_path: Path) -> None:
    """As select_model_inputs_outputs cuts it: the output without a type, and what the labels used left in."""
    output = onnx.ValueInfoProto(name="y")
    if typed:
        output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 10])
    made = perceptron(node("Identity", "p", "y"), outputs=[output], **LEFT)
    a, b, c, d = (numpy_helper.to_array(t) for t in made.graph.initializer[:4])
    classes = (np.maximum(few.reshape(200, 784) / F(255) @ a + b, 0) @ c + d).argmax(1)
    found = score(made, few, classes, tmp_path)
    assert (found.verdict, found.correct, found.flags) == ("PASS", 200, ()), found.reason
    # Nothing reads the ten labels (one is 0) and the shape any more; they are in the file, so they count.
    assert (found.parameters, found.nonzero) == (MLP + 10 + 1, MLP + 9 + 1)
    assert found.bits == MLP * 32 + (9 * 32 + 10) + 64


def test_an_output_without_a_type_must_still_be_ten_floats(few: NDArray[np.uint8], tmp_path: Path) -> None:
    for end, reason in (
        (node("Cast", "p", "y", to=TensorProto.FLOAT16), "onnxruntime does not load it"),
        (node("MatMul", "p coefficient2", "y"), "give float32 of shape 1x3"),
    ):
        made = perceptron(end, outputs=[onnx.ValueInfoProto(name="y")], coefficient2=np.ones((10, 3), F))
        (tmp_path / "a.onnx").write_bytes(made.SerializeToString())
        found = verify(tmp_path / "a.onnx", few, np.zeros(200, np.uint8))
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
