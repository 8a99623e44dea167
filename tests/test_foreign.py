"""Graphs of other exporters become networks that answer as onnxruntime does, or the layer that hinders it is named."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from nets import linear_net, mean_net, model, node
from neural_golf.base.errors import GolfError
from neural_golf.engine import engine
from neural_golf.net.foreign import Feed, Foreign, UnknownLayer, load_model, read_foreign
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from test_exporters import cntk, cntk_nodes, constant, keras_body, keras_head, keras_weights
from test_keras_exports import FLATTEN, INTEGERS

F = np.float32
UNIT = Feed((0, 1, 2), (1, 28, 28), (1.0,), (0.0,), "from 0 to 1")
LAST = Feed((1, 2, 0), (28, 28, 1), (1.0,), (0.0,), "from 0 to 1, channels last")
NORMALISED = Feed((0, 1, 2), (1, 28, 28), (1 / 0.3081,), (-0.1307 / 0.3081,), "normalised")


def read(
    made: ModelProto, folder: Path, feed: Feed = UNIT, shape: tuple[int, int, int] = (1, 28, 28)
) -> Foreign:
    (folder / "net.onnx").write_bytes(made.SerializeToString())
    return read_foreign(load_model(folder / "net.onnx"), shape, feed)


def same(
    made: ModelProto, folder: Path, feed: Feed = UNIT, shape: tuple[int, int, int] = (1, 28, 28)
) -> Foreign:
    """The network that is read, once it has answered as onnxruntime does, but for a Softmax."""
    found = read(made, folder, feed, shape)
    loaded = load_model(folder / "net.onnx")
    images = np.random.default_rng(1).integers(0, 256, (loaded.batch or 30, *shape), dtype=np.uint8)
    session = onnxruntime.InferenceSession((folder / "net.onnx").read_bytes())
    fed = feed.shown(images)
    fed = fed.round().astype(np.uint8) if loaded.input_type == TensorProto.UINT8 else fed
    (want,) = session.run([loaded.output], {loaded.input: fed})
    have = engine(found.network).logits(found.parameters, images)
    want = want.reshape(have.shape)
    if "Softmax" in found.squashed:
        clear = np.sort(have, 1)[:, -1] - np.sort(have, 1)[:, -2] > 1e-3
        assert (want.argmax(1) == have.argmax(1))[clear].all() and clear.sum() > len(clear) // 2
    else:
        np.testing.assert_allclose(have, want, rtol=2e-4, atol=2e-4 * np.abs(want).max())
    return found


@pytest.mark.parametrize("how", ["matmul", "gemm", "conv", "softmax", "uint8"])
def test_a_linear_classifier_of_every_exporter_is_one_layer(
    how: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    made = linear_net(rng.normal(size=(784, 10)).astype(F), rng.normal(size=10).astype(F), how)
    feed = Feed((0, 1, 2), (1, 28, 28), (255.0,), (0.0,), "from 0 to 255") if how == "uint8" else UNIT
    assert same(made, tmp_path, feed).network.spec == ("linear 10",)


def test_tf2onnx_turns_the_image_and_turns_it_back(digits: Any, tmp_path: Path) -> None:
    """Channels last, every weight in a Constant node, and a dense layer whose columns stand in another order."""
    weights = keras_weights(digits[0][:600])
    nodes = [
        *(constant(name, array) for name, array in weights.items()),
        constant("flat", np.array([-1, 338], np.int64)),
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        *keras_body(),
        node("Reshape", "q flat", "f"),
        *keras_head(),
    ]
    found = same(model(nodes, opset=15, image=["unk__6", 28, 28, 1]), tmp_path, LAST)
    assert (
        found.network.spec == ("conv 2 k3", "relu", "maxpool 2", "linear 10") and "Softmax" in found.squashed
    )


def test_keras_computes_the_shape_of_flatten(rng: np.random.Generator, tmp_path: Path) -> None:
    """Shape, Gather, Cast, Slice and Concat are followed to the numbers that they are."""
    nodes = [
        node("Reshape", "x new_shape", "i"),
        node("Conv", "i k b", "c", kernel_shape=[5, 5]),
        node("MaxPool", "c", "m", kernel_shape=[4, 4], strides=[4, 4]),
        node("Pad", "m edge", "g"),
        node("Conv", "g k2", "c2", kernel_shape=[4, 4]),
        node("Relu", "c2", "h"),
        *FLATTEN,
        node("MatMul", "flatten/Reshape w", "mm"),
        node("Add", "mm o", "y"),
    ]
    shapes = {"k": (8, 1, 5, 5), "b": (8,), "k2": (8, 8, 4, 4), "w": (200, 10), "o": (10,)}
    arrays = {name: rng.normal(size=shape).astype(F) for name, shape in shapes.items()}
    edge = {"edge": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64)}
    made = model(nodes, arrays | INTEGERS | edge, opset=15, image=["n", 28, 28, 1])
    with pytest.raises(
        UnknownLayer, match=r"Conv \(c2\)|conv 8 k4 p1"
    ):  # a border of 1 that makes maps smaller
        read(made, tmp_path, LAST)
    edge["edge"] = np.array([0, 0, 1, 1, 0, 0, 2, 2], np.int64)  # as SAME_UPPER does it for an even kernel
    arrays["w"] = rng.normal(size=(288, 10)).astype(F)
    more = {**INTEGERS, "flat": np.array([288], np.int32)}
    found = same(model(nodes, arrays | more | edge, opset=15, image=["n", 28, 28, 1]), tmp_path, LAST)
    assert found.network.spec == ("conv 8 k5", "maxpool 4", "conv 8 k5 same nobias", "relu", "linear 10")


@pytest.mark.parametrize("order", [1, -1])
def test_mnist_8_of_the_model_zoo_is_read_in_any_order_of_its_nodes(order: int, tmp_path: Path) -> None:
    spec = same(cntk(cntk_nodes()[::order]), tmp_path).network.spec
    assert spec == (
        "conv 8 k5 same",
        "relu",
        "maxpool 2",
        "conv 16 k5 same",
        "relu",
        "maxpool 3",
        "linear 10",
    )


def normed(channels: int, rng: np.random.Generator, prefix: str) -> dict[str, np.ndarray]:
    sizes = {"g": (0.5, 2), "o": (-1, 1), "m": (-0.5, 0.5), "v": (0.5, 2)}
    return {prefix + k: rng.uniform(*bounds, channels).astype(F) for k, bounds in sizes.items()}


def norm(source: str, target: str, prefix: str) -> NodeProto:
    names = " ".join([source, *(prefix + k for k in "gomv")])
    return node("BatchNormalization", names, target)


def test_a_batch_norm_goes_into_the_layer_before_or_behind_it(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    """Behind an activation and before padding there is none: a convolution of each channel takes it in."""
    nodes = [
        norm("x", "n0", "p"),
        node("Conv", "n0 k", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        norm("c", "n1", "q"),
        node("Relu", "n1", "r"),
        norm("r", "n2", "r_"),
        node("AveragePool", "n2", "a", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "a k2 b2", "c2", kernel_shape=[3, 3], group=2),
        node("PRelu", "c2 slope", "s"),
        norm("s", "n3", "s_"),
        node("GlobalAveragePool", "n3", "gap"),
        node("Flatten", "gap", "f"),
        node("Gemm", "f w", "y", transB=1),
    ]
    shapes = {"k": (4, 1, 3, 3), "k2": (6, 2, 3, 3), "b2": (6,), "slope": (6, 1, 1), "w": (10, 6)}
    arrays = {name: rng.normal(size=shape).astype(F) for name, shape in shapes.items()}
    norms = normed(1, rng, "p") | normed(4, rng, "q") | normed(4, rng, "r_") | normed(6, rng, "s_")
    found = same(model(nodes, arrays | norms), tmp_path, NORMALISED)
    assert found.network.spec == (
        "conv 1 k1 g1", "conv 4 k3 same", "relu", "avgpool 2", "conv 6 k3 g2", "prelu", "gap", "linear 10",
    )  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        [
            "conv 4 k5",
            "abs",
            "maxpool 3 s2 p1",
            "conv 4 k3 d2 g2 nobias",
            "leaky 0.1",
            "avgpool 2 s1",
            "linear 10",
        ],
        ["conv 4 k4", "prelu", "maxpool 2", "linear 8", "relu", "linear 10 nobias"],
        ["conv 6 k3 same", "relu", "maxpool 4", "conv 10 k3", "gap"],
    ],
)
def test_what_is_exported_here_is_read_back_from_its_nodes_alone(spec: Sequence[str], tmp_path: Path) -> None:
    network = Network.parse(spec)
    parameters = initialise(network, np.random.default_rng(0))
    found = same(model_proto(network, parameters, {}), tmp_path)
    assert found.network.spec == tuple(spec)
    np.testing.assert_allclose(found.parameters, parameters, rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("Sigmoid", "h", "s")], r"the layer Sigmoid \(s\) is known only at the end of a network"),
        ([node("Tanh", "h", "s")], r"the layer Tanh \(s\) is not known"),
        ([node("Relu", "h", "r"), node("Mul", "h r", "s")], r"the layer Mul \(s\) joins two branches"),
        ([node("Add", "h h", "s")], r"the layer Add \(s\) adds something other than"),
        ([node("Conv", "x k", "g", kernel_shape=[3, 3], pads=[1] * 4), node("Add", "g h", "s")],
         r"the layer Conv \(g\) reads an earlier map"),
        ([node("Conv", "x one", "g", kernel_shape=[1, 1]), node("Add", "g x", "h2"),
          node("Conv", "h2 k", "s", kernel_shape=[3, 3])], r"Add \(h2\) adds something other than the plain maps"),
        (
            [node("Relu", "h", "r"), node("LeakyRelu", "h", "l"), node("Max", "r l", "s")],
            r"the layer LeakyRelu \(l\) reads an earlier map",
        ),
        ([node("Clip", "h low high", "s")], r"the layer Clip \(s\) clips to 0 … 6"),
        ([node("Celu", "h", "s", domain="own")], r"the layer own\.Celu \(s\) is not known"),
        ([node("ReduceSum", "h", "s")], r"the layer ReduceSum \(s\) is not known"),
    ],
)  # fmt: skip
def test_a_layer_that_is_not_known_is_named(nodes: list[NodeProto], message: str, tmp_path: Path) -> None:
    body = [node("Conv", "x k", "h", kernel_shape=[3, 3]), *nodes, node("GlobalAveragePool", "s", "y")]
    arrays = {
        "k": np.ones((10, 1, 3, 3), F),
        "one": np.ones((1, 1, 1, 1), F),
        "low": np.array(0, F),
        "high": np.array(6, F),
    }
    with pytest.raises(UnknownLayer, match=message):
        read(model(body, arrays), tmp_path)


@pytest.mark.parametrize(
    ("block", "spec"),
    [
        # He et al. 2015: the block's input is added, and the ReLU comes last.
        ("r:Relu(h) c:Conv(r w) n:Bn(c) a:Add(n r) z:Relu(a)", ("relu", "conv 4 k3 same", "add relu1", "relu")),
        # He et al. 2016: normalised first, so that what is added stands before the normalisation.
        ("n:Bn(h) r:Relu(n) c:Conv(r w) z:Add(c h)", ("conv 4 k1 g4", "relu", "conv 4 k3 same nobias", "add conv1")),
        # The normalised map is added: it goes into the layer before.
        ("n:Bn(h) c:Conv(n w) r:Relu(c) z:Sum(r n)", ("conv 4 k3 same nobias", "relu", "add conv1")),
        ("t:Nhwc(h) i:Identity(t) u:Nchw(t) c:Conv(u w) v:Nhwc(c) a:Add(i v) z:Nchw(a)",
         ("conv 4 k3 same nobias", "add conv1")),
    ],
    ids=["relu last", "normalised first", "normalised map", "channels last"],
)  # fmt: skip
def test_a_residual_sum_is_read(
    block: str, spec: tuple[str, ...], tmp_path: Path, rng: np.random.Generator
) -> None:
    arrays = {
        "k": rng.normal(size=(4, 1, 3, 3)),
        "w": rng.normal(size=(4, 4, 3, 3)) / 6,
        "l": rng.normal(size=(144, 10)),
    }
    arrays |= {f"n{k}": rng.uniform(0.5, 2, 4) for k in range(4)}
    more: dict[str, dict[str, Any]] = {
        "Conv": {"pads": [1] * 4}, "Nhwc": {"perm": [0, 2, 3, 1]}, "Nchw": {"perm": [0, 3, 1, 2]},
    }  # fmt: skip
    operators = {"Bn": "BatchNormalization", "Nhwc": "Transpose", "Nchw": "Transpose"}
    nodes = [node("Conv", "x k", "h", strides=[5, 5])]
    for out, kind, read_in in re.findall(r"(\w+):(\w+)\((.*?)\)", block):
        inputs = f"{read_in} n0 n1 n2 n3" if kind == "Bn" else read_in
        nodes.append(node(operators.get(kind, kind), inputs, out, **more.get(kind, {})))
    nodes += [node("Flatten", "z", "f"), node("MatMul", "f l", "y")]
    found = same(model(nodes, {name: values.astype(F) for name, values in arrays.items()}), tmp_path)
    assert found.network.spec[1:-1] == spec


def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(GolfError, match="cannot be read: No such file"):
        load_model(path)
    path.write_bytes(b"\x00\x01 no graph")
    with pytest.raises(GolfError, match=r"is not a whole ONNX file|is not an ONNX file"):
        load_model(path)
    path.write_bytes(b"")
    with pytest.raises(GolfError, match="is not an ONNX file with a graph in it"):
        load_model(path)
    made = mean_net()
    made.graph.input.append(onnx.helper.make_tensor_value_info("second", TensorProto.FLOAT, [1]))
    path.write_bytes(made.SerializeToString())
    with pytest.raises(GolfError, match="has 2 inputs; one, the images, is needed"):
        load_model(path)
    made = mean_net()
    made.graph.initializer.pop()
    path.write_bytes(made.SerializeToString())
    with pytest.raises(GolfError, match="reads what nothing makes"):
        load_model(path)


def test_numbers_in_a_second_file_are_found_and_missed(tmp_path: Path, rng: np.random.Generator) -> None:
    """As torch.onnx.export writes them by default."""
    made = linear_net(rng.normal(size=(784, 10)).astype(F), rng.normal(size=10).astype(F), "gemm")
    want = numpy_helper.to_array(made.graph.initializer[0])
    onnx.save(made, tmp_path / "net.onnx", save_as_external_data=True, location="net.onnx.data")
    found = read_foreign(load_model(tmp_path / "net.onnx"), (1, 28, 28), UNIT)
    assert np.array_equal(found.parameters[:7840].reshape(10, 784), want)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(GolfError, match="is not a whole ONNX file"):
        load_model(tmp_path / "net.onnx")


@pytest.mark.parametrize("dynamo", [False, True], ids=["legacy", "dynamo"])
@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("batch", [None, 3])
def test_both_exporters_of_pytorch(dynamo: bool, folded: bool, batch: int | None, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the torch extra brings torch")
    pytest.importorskip("onnxscript", reason="the torch extra brings onnxscript")
    torch.manual_seed(0)
    n = torch.nn
    net = n.Sequential(
        n.Conv2d(1, 4, 3, padding=1, bias=False), n.BatchNorm2d(4), n.ReLU(), n.MaxPool2d(2), n.Dropout(0.3),
        n.Conv2d(4, 6, 3), n.PReLU(6), n.BatchNorm2d(6), n.AdaptiveAvgPool2d(1), n.Flatten(), n.Linear(6, 12),
        n.BatchNorm1d(12), n.LeakyReLU(0.2), n.Linear(12, 10), n.LogSoftmax(1),
    )  # fmt: skip
    for part in net:
        if isinstance(part, (n.BatchNorm1d, n.BatchNorm2d)):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(-0.5, 2)
            part.bias.data.uniform_(-1, 1)
    options: dict[str, Any] = {}
    if batch is None:
        options = {"dynamic_shapes": ({0: "b"},)} if dynamo else {"dynamic_axes": {"image": {0: "b"}}}
    if not folded:
        options |= {"optimize": False} if dynamo else {"training": torch.onnx.TrainingMode.PRESERVE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(batch or 2, 1, 28, 28),), tmp_path / "torch.onnx", dynamo=dynamo,
            input_names=["image"], verbose=False, **options,
        )  # fmt: skip
    found = same(onnx.load(tmp_path / "torch.onnx"), tmp_path, NORMALISED)
    assert found.network.spec == (
        "conv 1 k1 g1", "conv 4 k3 same", "relu", "maxpool 2", "conv 6 k3", "prelu", "gap", "linear 12",
        "leaky 0.2", "linear 10",
    )  # fmt: skip
