"""The counting rule against networks counted by hand: every hiding place appears in one of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nets import W10, linear_net, mean_net, model, node
from neural_golf.base.errors import GolfError
from neural_golf.referee.counting import Count, count
from neural_golf.referee.rules import OPERATORS, OPSETS
from neural_golf.referee.verdict import Limits, Refused, verify_many

F = np.float32
I64 = np.int64


def scalar(value: float) -> np.ndarray:
    return np.array(value, F)


def sparse_weights(*zeros: float) -> np.ndarray:
    w = W10.copy()
    w[0, : len(zeros)] = zeros
    return w


def halves_in_int32() -> TensorProto:
    bits = np.array([1, 2, 3], np.float16).view(np.uint16)
    return TensorProto(name="h", data_type=TensorProto.FLOAT16, dims=[3], int32_data=bits.tolist())


def normalisation(**attributes: float) -> ModelProto:
    four = {k: np.array([v], F) for k, v in {"s": 1, "o": 0, "mu": 0.5, "var": 2}.items()}
    return mean_net(node("BatchNormalization", "f s o mu var", "g", **attributes), constants=four)


def normalised_conv() -> ModelProto:
    nodes = [
        node("Conv", "x k", "c", kernel_shape=[3, 3]),
        node("BatchNormalization", "c s o mu var", "n"),
        node("GlobalAveragePool", "n", "m"),
        node("Flatten", "m", "f"),
        node("MatMul", "f w", "y"),
    ]
    four = {k: np.array([v], F) for k, v in {"s": 1, "o": 0, "mu": 0.5, "var": 2}.items()}
    return model(nodes, {"k": np.ones((1, 1, 3, 3), F), "w": W10} | four)


def cast_halves() -> ModelProto:
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node("Cast", "h", "v", to=TensorProto.FLOAT),
        node("Add", "f v", "g"),
        node("MatMul", "g k", "y"),
    ]
    return model(nodes, {"h": halves_in_int32(), "k": np.ones((3, 10), F)})


def quantised_matmul() -> ModelProto:
    """QuantizeLinear, MatMulInteger, Cast, Mul: ten int8 weights, one of them zero."""
    body = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node("QuantizeLinear", "f s z", "q"),
        node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "h", to=TensorProto.FLOAT),
        node("Mul", "h s2", "y"),
    ]
    weights = np.arange(-4, 6, dtype=np.int8).reshape(1, 10)
    zero = np.array(0, np.uint8)
    return model(body, {"w": weights, "s": scalar(0.1), "z": zero, "s2": scalar(0.5)})


def quantised_conv() -> ModelProto:
    """QLinearConv with an int32 bias: six scales and zero points, 10 int8 weights, 10 int32 biases."""
    constants = {
        "s": scalar(0.01),
        "z": np.array(3, np.uint8),
        "w": np.arange(1, 11, dtype=np.int8).reshape(10, 1, 1, 1),
        "sw": scalar(0.1),
        "zw": np.array(0, np.int8),
        "b": np.arange(10, dtype=np.int32),
    }
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("QuantizeLinear", "m s z", "q"),
        node("QLinearConv", "q s z w sw zw s z b", "r"),
        node("DequantizeLinear", "r s z", "d"),
        node("Flatten", "d", "y"),
    ]
    return model(nodes, constants)


def computed_shape() -> ModelProto:
    """Shape -> Gather -> Concat -> Reshape, as PyTorch writes x.view(x.size(0), -1)."""
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Shape", "m", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 minus", "shape", axis=0),
        node("Reshape", "m shape", "f"),
        node("MatMul", "f w", "y"),
    ]
    integers = {"zero": np.array(0, I64), "axis": np.array([0], I64), "minus": np.array([-1], I64)}
    return model(nodes, {"w": W10} | integers)


def clip_attributes() -> ModelProto:
    return mean_net(node("Clip", "f", "g", min=0.0, max=6.0), opset=9)


def tied_transpose() -> ModelProto:
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node("MatMul", "f w", "h"),
        node("Transpose", "w", "wt", perm=[1, 0]),
        node("MatMul", "h wt", "s"),
        node("MatMul", "s w", "y"),
    ]
    return model(nodes, {"w": W10})


def constant_node(**value: object) -> ModelProto:
    return mean_net(node("Constant", "", "c", **value), node("Mul", "f c", "g"))


def expanded(op: str) -> ModelProto:
    """One weight, spread over ten places."""
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node(op, "one shape", "w"),
        node("MatMul", "f w", "y"),
    ]
    return model(nodes, {"one": np.array([[2]], F), "shape": np.array([1, 10], I64)})


def cast_weights(dtype: object) -> ModelProto:
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node("Cast", "h", "w", to=TensorProto.FLOAT),
        node("MatMul", "f w", "y"),
    ]
    return model(nodes, {"h": W10.astype(dtype)})


def with_unknown_fields() -> ModelProto:
    # Field 999 of ModelProto, four bytes that no schema knows.
    data = mean_net().SerializeToString() + bytes([0xBA, 0x3E, 4, 1, 2, 3, 4])
    return ModelProto.FromString(data)


def mixed_body(*body: onnx.NodeProto, **constants: np.ndarray) -> Callable[[], ModelProto]:
    return lambda: mean_net(*body, constants=constants)


relu6 = {"low": scalar(0), "high": scalar(6)}
K = np.ones((2, 1, 3, 3), F)

# name: (network, parameters, non-zero, bits, integers), each counted by hand.
COUNTED: dict[str, tuple[Callable[[], ModelProto], int, int, int, int]] = {
    "ten weights": (mean_net, 10, 10, 320, 0),
    "a bias as long as the output": (
        lambda: model(
            [
                node("GlobalAveragePool", "x", "m"),
                node("Flatten", "m", "f"),
                node("Gemm", "f w b", "y"),
            ],
            {"w": W10, "b": W10[0]},
        ),
        *(20, 20, 640, 0),
    ),
    "784 x 10 and a bias, transposed": (
        lambda: linear_net(np.ones((784, 10), F), np.zeros(10, F), "gemm"),
        *(7850, 7840, 7840 * 32 + 10, 0),
    ),
    "zeros are stored and not counted as non-zero": (
        lambda: mean_net(constants={"w": sparse_weights(0, 0, 0)}),
        *(10, 7, 7 * 32 + 10, 0),
    ),
    "minus zero is zero": (
        lambda: mean_net(constants={"w": sparse_weights(-0.0, -0.0)}),
        *(10, 8, 8 * 32 + 10, 0),
    ),
    "the smallest denormal is not zero": (
        lambda: mean_net(constants={"w": sparse_weights(1e-45)}),
        *(10, 10, 320, 0),
    ),
    "a tensor used twice counts once": (
        mixed_body(node("Mul", "f v", "h"), node("Add", "h v", "g"), v=scalar(3)),
        *(11, 11, 352, 0),
    ),
    "a copy counts again": (
        mixed_body(node("Mul", "f v", "h"), node("Add", "h v2", "g"), v=scalar(3), v2=scalar(3)),
        *(12, 12, 384, 0),
    ),
    "a tensor and its transpose are one": (tied_transpose, 10, 10, 320, 0),
    "an initializer that nothing reads": (
        lambda: mean_net(constants={"spare": np.ones(5, F)}),
        *(10, 10, 320, 0),
    ),
    "a Constant that nothing reads": (
        mixed_body(node("Constant", "", "c", value_floats=[1.0, 0.0]), node("Identity", "f", "g")),
        *(10, 10, 320, 0),
    ),
    "Constant with a tensor": (
        lambda: constant_node(value=numpy_helper.from_array(np.array([2], F))),
        *(11, 11, 352, 0),
    ),
    "Constant with a float": (lambda: constant_node(value_float=2.0), 11, 11, 352, 0),
    "Constant with floats": (lambda: constant_node(value_floats=[2.0]), 11, 11, 352, 0),
    "LeakyRelu with the schema's slope": (mixed_body(node("LeakyRelu", "f", "g")), 10, 10, 320, 0),
    "LeakyRelu that spells out the schema's slope": (
        mixed_body(node("LeakyRelu", "f", "g", alpha=0.01)),
        *(10, 10, 320, 0),
    ),
    "LeakyRelu with its own slope": (mixed_body(node("LeakyRelu", "f", "g", alpha=0.2)), 11, 11, 352, 0),
    "LeakyRelu with slope 0": (mixed_body(node("LeakyRelu", "f", "g", alpha=0.0)), 11, 10, 352, 0),
    "PRelu": (mixed_body(node("PRelu", "f v", "g"), v=np.array([0.25], F)), 11, 11, 352, 0),
    "Elu with its own alpha": (mixed_body(node("Elu", "f", "g", alpha=0.5)), 11, 11, 352, 0),
    "Selu keeps its published constants for free": (mixed_body(node("Selu", "f", "g")), 10, 10, 320, 0),
    "HardSigmoid with one of two set": (
        mixed_body(node("HardSigmoid", "f", "g", alpha=0.2, beta=0.4)),
        *(11, 11, 352, 0),
    ),
    "Clip with limits as inputs": (
        mixed_body(node("Clip", "f low high", "g"), **relu6),
        12,
        11,
        11 * 32 + 1,
        0,
    ),
    "Clip with limits as attributes": (clip_attributes, 12, 11, 384, 0),
    "Gemm scaled by alpha": (
        mixed_body(node("Gemm", "f v", "g", alpha=0.5), v=np.ones((1, 1), F)),
        *(12, 12, 384, 0),
    ),
    "Gemm whose beta switches the bias off": (
        mixed_body(node("Gemm", "f v c", "g", beta=0.0), v=np.ones((1, 1), F), c=np.ones(1, F)),
        *(13, 12, 13 * 32, 0),
    ),
    "BatchNormalization: one scale and one offset are left": (normalisation, 12, 12, 384, 0),
    "BatchNormalization with its own epsilon": (lambda: normalisation(epsilon=0.001), 12, 12, 384, 0),
    "BatchNormalization after a Conv: one offset is left": (normalised_conv, 9 + 1 + 10, 20, 640, 2),
    "LayerNormalization": (
        lambda: model(
            [
                node("Flatten", "x", "v"),
                node("LayerNormalization", "v s", "n", axis=1, epsilon=0.5),
                node("ReduceMax", "n", "g", axes=[1]),
                node("MatMul", "g w", "y"),
            ],
            {"s": np.ones(1, F), "w": W10},
        ),
        *(12, 12, 384, 0),
    ),
    "Reshape by an initializer": (
        mixed_body(node("Reshape", "f shape", "g"), shape=np.array([-1, 1], I64)),
        *(10, 10, 320, 2),
    ),
    "Reshape by a Constant": (
        mixed_body(node("Constant", "", "s", value_ints=[-1, 1]), node("Reshape", "f s", "g")),
        *(10, 10, 320, 2),
    ),
    "a shape computed from a shape": (computed_shape, 10, 10, 320, 2),
    "a shape used twice": (
        mixed_body(node("Reshape", "f s", "h"), node("Reshape", "h s", "g"), s=np.array([-1, 1], I64)),
        *(10, 10, 320, 4),
    ),
    "Slice": (
        mixed_body(
            node("Slice", "f a b c", "g"),
            a=np.array([0], I64),
            b=np.array([1], I64),
            c=np.array([1], I64),
        ),
        *(10, 10, 320, 2),
    ),
    "Slice with int32": (
        mixed_body(node("Slice", "f a b", "g"), a=np.zeros(2, np.int32), b=np.array([1000, 1], np.int32)),
        *(10, 10, 320, 4),
    ),
    "Pad: the value counts, and each pad that is not 0": (
        lambda: model(
            [
                node("Pad", "x pads v", "p"),
                node("GlobalAveragePool", "p", "m"),
                node("Flatten", "m", "f"),
                node("MatMul", "f w", "y"),
            ],
            {"w": W10, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], I64), "v": scalar(0.5)},
        ),
        *(11 + 4, 15, 480, 8),
    ),
    "Squeeze and Unsqueeze by their axes": (
        mixed_body(node("Unsqueeze", "f a", "h"), node("Squeeze", "h a", "g"), a=np.array([2], I64)),
        *(10, 10, 320, 0),
    ),
    "ReduceMean by its axes": (
        lambda: model(
            [node("ReduceMean", "x axes", "f", keepdims=0), node("MatMul", "f w", "y")],
            {"w": W10, "axes": np.array([2, 3], I64)},
            opset=18,
        ),
        *(10, 10, 320, 0),
    ),
    "one weight expanded to ten": (lambda: expanded("Expand"), 1, 1, 32, 2),
    "one weight tiled to ten": (lambda: expanded("Tile"), 1, 1, 32, 2),
    "int8 weights with a scale and a zero point": (
        lambda: model(
            [
                node("GlobalAveragePool", "x", "m"),
                node("Flatten", "m", "f"),
                node("DequantizeLinear", "q s z", "w"),
                node("MatMul", "f w", "y"),
            ],
            {"q": W10.astype(np.int8), "s": scalar(0.1), "z": np.array(0, np.int8)},
        ),
        *(12, 11, 80 + 32 + 1, 0),
    ),
    "MatMulInteger": (quantised_matmul, 13, 11, 9 * 8 + 10 + 32 + 1 + 32, 0),
    "QLinearConv with int32 biases": (quantised_conv, 24, 22, 80 + 9 * 32 + 10 + 32 + 8 + 32 + 1, 0),
    "float16 weights": (lambda: cast_weights(np.float16), 10, 10, 160, 0),
    "bfloat16 weights": (lambda: cast_weights(ml_dtypes.bfloat16), 10, 10, 160, 0),
    "bool weights": (lambda: cast_weights(np.bool_), 10, 10, 10, 0),
    "halves stored as int32, one number of the image added to each": (cast_halves, 34, 34, 48 + 960 + 32, 0),
    "floats stored one by one": (
        lambda: mean_net(constants={"w": helper.make_tensor("w", TensorProto.FLOAT, [1, 10], W10[0])}),
        *(10, 10, 320, 0),
    ),
    "a scalar": (mixed_body(node("Mul", "f v", "g"), v=scalar(2)), 11, 11, 352, 0),
    "an empty tensor": (lambda: mean_net(constants={"none": np.zeros((0, 3), F)}), 10, 10, 320, 0),
    "a raw-pixel network that divides by 255": (
        lambda: linear_net(np.ones((784, 10), F), np.ones(10, F), "uint8"),
        *(7851, 7851, 7851 * 32, 0),
    ),
    "Dropout that does nothing": (
        mixed_body(node("Dropout", "f r t", "g"), r=scalar(0.5), t=np.array(False)),
        *(10, 10, 320, 0),
    ),
    "coordinates of AffineGrid count as its matrix": (
        lambda: model(
            [
                node("AffineGrid", "t s", "g"),
                node("Transpose", "g", "k", perm=[3, 0, 1, 2]),
                node("Conv", "x k", "m"),
                node("Flatten", "m", "f"),
                node("MatMul", "f w", "y"),
            ],
            {
                "t": np.array([[[1, 0, 0], [0, 1, 0]]], F),
                "s": np.array([1, 1, 28, 28], np.int64),
                "w": np.ones((2, 10), F),
            },
            opset=20,
        ),
        *(26, 22, 640 + 64 + 6, 4),
    ),
    "GridSample by a matrix of the image, which a constant repeats in two dimensions": (
        lambda: model(
            [
                node("GlobalAveragePool", "x", "m"),
                node("Reshape", "m r", "v"),
                node("Mul", "t v", "u"),
                node("Shape", "x", "s"),
                node("AffineGrid", "u s", "g"),
                node("GridSample", "x g", "z"),
                node("GlobalAveragePool", "z", "q"),
                node("Flatten", "q", "f"),
                node("MatMul", "f w", "y"),
            ],
            {"t": np.array([[[1, 0, 0], [0, 1, 0]]], F), "r": np.array([-1, 1, 1], np.int64), "w": W10},
            opset=20,
        ),
        *(18, 14, 320 + 64 + 6 + 64, 7),
    ),
    "Conv in groups": (
        lambda: model(
            [
                node("Conv", "x k", "c", kernel_shape=[3, 3]),
                node("Conv", "c k b", "d", kernel_shape=[3, 3], group=2, dilations=[2, 2]),
                node("GlobalAveragePool", "d", "m"),
                node("Flatten", "m", "f"),
                node("Gemm", "f v", "y"),
            ],
            {"k": K, "b": np.zeros(2, F), "v": np.ones((2, 10), F)},
        ),
        *(40, 38, 38 * 32 + 2, 2 + 2 + 2),
    ),
    "kernel sizes, strides, pads and dilations": (
        lambda: model(
            [
                node("Conv", "x k", "c", kernel_shape=[3, 3], strides=[2, 2], pads=[4] * 4, dilations=[3, 3]),
                node("MaxPool", "c", "p", kernel_shape=[5, 5], strides=[5, 5]),
                node("ReduceMean", "p", "f", axes=[2, 3], keepdims=0),
                node("MatMul", "f w", "y"),
            ],
            {"k": np.ones((1, 1, 3, 3), F), "w": W10},
        ),
        *(19, 19, 19 * 32, 2 + 2 + 4 + 2 + 2 + 2),
    ),
    "an index that picks from a shape": (
        mixed_body(
            node("Shape", "f", "s"),
            node("Constant", "", "one", value_int=1),
            node("Gather", "s one", "n"),
            node("Unsqueeze", "n zero", "n1"),
            node("Concat", "minus n1", "shape", axis=0),
            node("Reshape", "f shape", "g"),
            zero=np.array([0], I64),
            minus=np.array([-1], I64),
        ),
        *(10, 10, 320, 2),
    ),
    "256 integers": (
        mixed_body(
            *(node("Reshape", f"h{i} s{i}" if i else "f s0", f"h{i + 1}") for i in range(128)),
            node("Identity", "h128", "g"),
            **{f"s{i}": np.array([-1, 1], I64) for i in range(128)},
        ),
        *(10, 10, 320, 256),
    ),
    "weights computed from constants": (
        mixed_body(node("Sub", "a b", "c"), node("Mul", "f c", "g"), a=scalar(3), b=scalar(1)),
        *(11, 11, 352, 0),
    ),
    "an int64 that nothing reads": (
        lambda: mean_net(constants={"spare": np.array([7, 0], I64)}),
        *(10, 10, 320, 0),
    ),
    "unknown fields weigh nothing": (with_unknown_fields, 10, 10, 320, 0),
}


def test_there_are_forty_networks_counted_by_hand() -> None:
    assert len(COUNTED) >= 40


@pytest.mark.parametrize("name", COUNTED)
def test_counts_as_by_hand(name: str) -> None:
    build, parameters, nonzero, bits, integers = COUNTED[name]
    found = count(build())
    assert (found.parameters, found.nonzero, found.bits, found.integers) == (
        parameters,
        nonzero,
        bits,
        integers,
    )


def test_every_network_counted_by_hand_also_runs(tmp_path: Path) -> None:
    """A count of something that cannot run would prove nothing."""
    paths = []
    for number, (build, *_) in enumerate(COUNTED.values()):
        paths.append(tmp_path / f"{number}.onnx")
        paths[-1].write_bytes(build().SerializeToString())
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 1, 28, 28)) * np.array([0.2, 0.6, 1]).reshape(3, 1, 1, 1)
    images = images.astype(np.uint8)
    verdicts = verify_many(paths, images, np.zeros(3, np.uint8))
    odd = {name: v.reason for name, v in zip(COUNTED, verdicts, strict=True) if v.verdict != "PASS"}
    assert odd == {}
    numbers = [(v.parameters, v.nonzero, v.bits, v.integers) for v in verdicts]
    assert numbers == [expected[1:] for expected in COUNTED.values()]


def test_the_count_says_what_it_is_made_of() -> None:
    def parts(name: str) -> dict[str, int]:
        return count(COUNTED[name][0]()).parts

    assert parts("weights computed from constants") == {"stored": 10, "made of constants": 1}
    assert parts("one weight expanded to ten") == {"stored": 1}
    assert parts("LeakyRelu with its own slope") == {"stored": 10, "attributes": 1}
    assert parts("Pad: the value counts, and each pad that is not 0") == {"stored": 11, "places": 4}


def test_initializers_may_stand_among_the_inputs() -> None:
    net = mean_net()
    net.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1, 10]))
    assert count(net).nonzero == 10


def test_nodes_may_stand_in_any_order() -> None:
    net = mean_net(node("Relu", "h", "g"), node("Abs", "f", "h"))
    assert count(net).nonzero == 10


def test_nodes_and_operators_are_those_of_the_file() -> None:
    found = count(constant_node(value_float=2.0))
    assert found.nodes == 5
    assert found.operators == {"Constant": 1, "Flatten": 1, "GlobalAveragePool": 1, "MatMul": 1, "Mul": 1}
    assert isinstance(found, Count)


def test_every_allowed_operator_has_a_schema() -> None:
    for op in OPERATORS:
        assert onnx.defs.get_schema(op, OPSETS[-1], "").name == op


# Networks that are refused: name: (network, a part of the reason)


def edit(change: Callable[[ModelProto], object], **options: object) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        made = mean_net(**options)  # type: ignore[arg-type]
        change(made)
        return made

    return build


def set_weight(**fields: object) -> Callable[[], ModelProto]:
    """The ten weights replaced by a tensor with these fields."""
    return edit(lambda m: m.graph.initializer[0].CopyFrom(TensorProto(name="w", **fields)))


def bad(op: str, inputs: str = "f", **attributes: object) -> Callable[[], ModelProto]:
    return mixed_body(node(op, inputs, "g", **attributes), v=scalar(1), i=np.array([0], I64))


def subgraph() -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [])


ONE = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], float_data=[1])
OUTSIDE = onnx.StringStringEntryProto(key="location", value="../secret")
FLOATS40 = b"\x00" * 40

REFUSED: dict[str, tuple[Callable[[], ModelProto], str]] = {
    **{
        f"operator {op}": (bad(op, inputs, **attributes), f"operator '{op}' is not on the list")
        for op, inputs, attributes in [
            ("RandomNormal", "", {"shape": [1, 1]}),
            ("RandomUniformLike", "f", {}),
            ("Multinomial", "f", {}),
            ("Bernoulli", "f", {}),
            ("ConstantOfShape", "i", {}),
            ("Mod", "f v", {"fmod": 1}),
            ("Floor", "f", {}),
            ("Ceil", "f", {}),
            ("Round", "f", {}),
            ("Sign", "f", {}),
            ("BitShift", "f v", {"direction": "LEFT"}),
            ("BitwiseAnd", "f v", {}),
            ("Greater", "f v", {}),
            ("OneHot", "i v v", {}),
            ("Scan", "f", {"num_scan_inputs": 1}),
            ("Range", "v v v", {}),
            ("EyeLike", "f", {}),
            ("ArgMax", "f", {}),
            ("NonZero", "f", {}),
            ("Where", "f f f", {}),
            ("Einsum", "f", {"equation": "ij->ij"}),
            ("Resize", "f", {}),
            ("StringNormalizer", "f", {}),
            ("NoSuchOperator", "f", {}),
        ]
    },
    "a domain of onnxruntime": (bad("FusedMatMul", "f v", domain="com.microsoft"), "domain 'com.microsoft'"),
    "a domain of onnx": (bad("Scaler", domain="ai.onnx.ml"), "domain 'ai.onnx.ml'"),
    "a known operator in another domain": (bad("Relu", domain="com.example"), "domain 'com.example'"),
    "a local function": (edit(lambda m: m.functions.add(name="f", domain="")), "functions of its own"),
    "training information": (edit(lambda m: m.training_info.add()), "training information"),
    "a subgraph": (bad("If", "v", then_branch=subgraph(), else_branch=subgraph()), "subgraph"),
    "a subgraph in an allowed operator": (bad("Relu", body=subgraph()), "subgraph"),
    "a sparse tensor": (edit(lambda m: m.graph.sparse_initializer.add()), "sparse"),
    "a sparse Constant": (
        edit(
            lambda m: m.graph.node.insert(
                0, node("Constant", "", "c", sparse_value=onnx.SparseTensorProto(values=ONE, dims=[1]))
            )
        ),
        "of a kind that is not scored",
    ),
    "external data": (
        set_weight(
            data_type=TensorProto.FLOAT,
            dims=[1, 10],
            data_location=TensorProto.EXTERNAL,
            external_data=[OUTSIDE],
        ),
        "outside the file",
    ),
    "external data not declared as such": (
        set_weight(data_type=TensorProto.FLOAT, dims=[1, 10], raw_data=FLOATS40, external_data=[OUTSIDE]),
        "outside the file",
    ),
    "strings": (
        set_weight(data_type=TensorProto.STRING, dims=[1], string_data=[b"a"]),
        "of type string",
    ),
    "float64": (lambda: mean_net(constants={"w": W10.astype(np.float64)}), "of type double"),
    "complex": (lambda: mean_net(constants={"w": W10.astype(np.complex64)}), "of type complex64"),
    "uint64": (lambda: mean_net(constants={"w": W10.astype(np.uint64)}), "of type uint64"),
    "int4": (set_weight(data_type=TensorProto.INT4, dims=[1, 10], raw_data=b"\x11" * 5), "of type int4"),
    "an unknown type": (set_weight(data_type=77, dims=[1, 10], raw_data=FLOATS40), "of type 77"),
    "segments": (
        set_weight(data_type=1, dims=[1, 10], raw_data=FLOATS40, segment=TensorProto.Segment(begin=0)),
        "in segments",
    ),
    "data stored twice": (
        set_weight(data_type=1, dims=[1, 10], raw_data=FLOATS40, float_data=[1.0] * 10),
        "stores its data twice",
    ),
    "data in the wrong field": (
        set_weight(data_type=1, dims=[1, 10], int32_data=[1] * 10),
        "a field of another type",
    ),
    "too little data": (set_weight(data_type=1, dims=[1, 10], raw_data=b"\x00" * 36), "stores 36 bytes"),
    "too many elements": (set_weight(data_type=1, dims=[1, 10], float_data=[1.0] * 11), "stores 11"),
    "dims of 2**31 by 2**31": (set_weight(data_type=1, dims=[2**31, 2**31], raw_data=FLOATS40), "declares"),
    "a negative dim": (set_weight(data_type=1, dims=[-1, -10], raw_data=FLOATS40), "negative dimension"),
    "a zero dim beside huge ones": (
        set_weight(data_type=1, dims=[0, 2**62, 2**62]),
        "a shape that cannot be",
    ),
    "65 dimensions": (set_weight(data_type=1, dims=[1] * 65, raw_data=b"\x00" * 4), "a shape that cannot be"),
    "an int8 of 300": (
        set_weight(data_type=TensorProto.INT8, dims=[1], int32_data=[300]),
        "a number that its type cannot",
    ),
    "a bool of 2": (set_weight(data_type=TensorProto.BOOL, dims=[1], raw_data=b"\x02"), "neither 0 nor 1"),
    "NaN": (lambda: mean_net(constants={"w": sparse_weights(np.nan)}), "NaN or infinity"),
    "infinity": (lambda: mean_net(constants={"w": sparse_weights(np.inf)}), "NaN or infinity"),
    "NaN as float16": (lambda: cast_weights_with_nan(), "NaN or infinity"),
    "NaN in an attribute": (bad("LeakyRelu", alpha=float("nan")), "NaN or infinite"),
    "NaN in a Constant": (lambda: constant_node(value_float=float("nan")), "NaN or infinite"),
    "Gather that picks pixels by constants": (
        mixed_body(node("Gather", "f i", "g", axis=1), i=np.array([0, 0], I64)),
        "'i' as data",
    ),
    "integers cast to data": (
        mixed_body(node("Cast", "i", "h", to=1), node("Mul", "f h", "g"), i=np.array([3], I64)),
        "turns the integers 'i' into data",
    ),
    "int32 cast to data after a detour": (
        mixed_body(
            node("Reshape", "i s", "j"),
            node("Cast", "j", "h", to=1),
            node("Mul", "f h", "g"),
            i=np.array([3], I64),
            s=np.array([1], I64),
        ),
        "turns the integers 'j' into data",
    ),
    "int32 weights cast to data": (
        mixed_body(node("Cast", "i", "h", to=1), node("Mul", "f h", "g"), i=np.array([3], np.int32)),
        "turns the integers 'i' into data",
    ),
    "a shape cast to data": (
        mixed_body(node("Shape", "x", "s"), node("Cast", "s", "h", to=1), node("Mul", "f h", "g")),
        "turns the integers 's' into data",
    ),
    "numbers cast to integers": (
        mixed_body(node("Cast", "f", "h", to=TensorProto.INT32), node("Cast", "h", "g", to=1)),
        "rounds numbers",
    ),
    "integers added to data": (
        mixed_body(node("Add", "f i", "g"), i=np.array([3], I64)),
        "'i' as data",
    ),
    "an output of integers": (
        lambda: model([node("Shape", "x", "s"), node("Cast", "s", "y", to=TensorProto.INT64)]),
        "made of integers",
    ),
    "positions of MaxPool as data": (
        lambda: model(
            [
                node("MaxPool", "x", "p i", kernel_shape=[28, 28]),
                node("Cast", "i", "j", to=1),
                node("Flatten", "j", "f"),
                node("MatMul", "f w", "y"),
            ],
            {"w": W10},
        ),
        "turns the integers 'i' into data",
    ),
    "257 integers": (
        mixed_body(node("Reshape", "f s", "g"), s=np.ones(257, I64)),
        "257 integers for shapes, kernels, pads and slices; the limit is 256",
    ),
    "no input but initializers": (
        edit(lambda m: setattr(m.graph.input[0], "name", "w")),
        "0 inputs; it must have one, the images",
    ),
    "a second input": (
        edit(lambda m: m.graph.input.append(helper.make_tensor_value_info("z", 1, [1]))),
        "2 inputs",
    ),
    "a second output": (
        edit(lambda m: m.graph.output.append(helper.make_tensor_value_info("f", 1, None))),
        "2 outputs",
    ),
    "BatchNormalization in training": (lambda: normalisation(training_mode=1), "training mode"),
    "Dropout in training": (
        mixed_body(node("Dropout", "f r t", "g"), r=scalar(0.5), t=np.array(True)),
        "training mode",
    ),
    "Dropout that the input may switch on": (
        mixed_body(node("Dropout", "f r f", "g"), r=scalar(0.5)),
        "training mode",
    ),
    "257 nodes": (
        lambda: model([node("Relu", f"{'x' if i == 0 else i}", f"{i + 1}") for i in range(257)]),
        "257 nodes; the limit is 256",
    ),
    "no nodes": (lambda: model([]), "no nodes"),
    "operator set 999": (lambda: mean_net(opset=999), "operator set 999; from 7 to 26"),
    "operator set 6": (lambda: mean_net(opset=6), "operator set 6; from 7 to 26"),
    "no operator set": (edit(lambda m: m.ClearField("opset_import")), "one ai.onnx operator set"),
    "two operator sets": (
        edit(lambda m: m.opset_import.add(domain="", version=13)),
        "one ai.onnx operator set",
    ),
    "an operator newer than its set": (lambda: mean_net(node("Gelu", "f", "g")), "does not exist in"),
    "a cycle": (mixed_body(node("Add", "f h", "g"), node("Relu", "g", "h")), "part of a cycle"),
    "a name that nothing makes": (mixed_body(node("Add", "f h", "g")), "reads 'h', which nothing makes"),
    "two nodes that make one name": (
        mixed_body(node("Relu", "f", "g"), node("Relu", "f", "g")),
        "'g' is given twice",
    ),
    "two initializers of one name": (
        edit(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "'w' is given twice",
    ),
    "an initializer without a name": (
        edit(lambda m: m.graph.initializer.add(data_type=1, dims=[0])),
        "no name",
    ),
    "a node that makes the input": (mixed_body(node("Relu", "f", "x")), "'x' is given twice"),
    "an attribute that the schema does not know": (bad("Relu", secret=0.5), "does not know"),
    "an attribute of a wrong type": (bad("LeakyRelu", alpha=1), "wrong type"),
    "an attribute by reference": (
        edit(lambda m: m.graph.node[1].attribute.add(name="axis", ref_attr_name="a", type=2)),
        "wrong type",
    ),
    "an attribute twice": (
        edit(lambda m: [m.graph.node[1].attribute.add(name="axis", i=1, type=2) for _ in "ab"]),
        "twice",
    ),
    "Constant without a value": (mixed_body(node("Constant", "", "c"), node("Relu", "f", "g")), "one value"),
    "Constant of text": (lambda: constant_node(value_string="weights"), "only numbers"),
    "too many inputs": (bad("Relu", "f f"), "2 inputs"),
    "too few inputs": (bad("Gemm", "f"), "1 inputs"),
    "group 0": (bad("Conv", "x v", group=0), "must be 1 or more"),
    "stride 0": (bad("MaxPool", "x", kernel_shape=[2, 2], strides=[0, 0]), "must be 1 or more"),
    "an int64 image": (lambda: mean_net(image_type=TensorProto.INT64), "must be float32"),
    "a float64 image": (lambda: mean_net(image_type=TensorProto.DOUBLE), "must be float32"),
    "a batch of 1,001": (
        lambda: mean_net(image=[1001, 1, 28, 28]),
        "takes 1001 images at once; the limit is 1000",
    ),
    "a free height": (lambda: mean_net(image=["batch", 1, "h", 28]), "besides the batch"),
    "no shape": (
        edit(lambda m: m.graph.input[0].type.tensor_type.ClearField("shape")),
        "has no shape",
    ),
    "an input that is no tensor": (
        edit(lambda m: m.graph.input[0].type.CopyFrom(helper.make_sequence_type_proto(onnx.TypeProto()))),
        "not a tensor",
    ),
    "an int64 output": (
        edit(lambda m: setattr(m.graph.output[0].type.tensor_type, "elem_type", TensorProto.INT64)),
        "must be a float32 tensor",
    ),
    "an output that nothing makes": (
        edit(lambda m: setattr(m.graph.output[0], "name", "nothing")),
        "'nothing' is made by no node",
    ),
    "an output that is a constant": (
        edit(lambda m: setattr(m.graph.output[0], "name", "w")),
        "its input or a constant",
    ),
}


def cast_weights_with_nan() -> ModelProto:
    made = cast_weights(np.float16)
    made.graph.initializer[0].raw_data = np.full(10, np.nan, np.float16).tobytes()
    return made


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_with_the_reason(name: str) -> None:
    build, reason = REFUSED[name]
    with pytest.raises(Refused) as caught:
        count(build())
    message = str(caught.value)
    assert reason in message
    assert message.isascii() and message.isprintable()


def test_a_refusal_is_bad_input_not_a_fault() -> None:
    assert issubclass(Refused, GolfError)


def test_limits_can_be_widened_for_a_reference_network() -> None:
    names = ["f", *map(str, range(257)), "g"]
    long = mean_net(*(node("Relu", a, b) for a, b in pairwise(names)))
    assert count(long, Limits(nodes=300)).nodes == 261


@pytest.mark.parametrize("op", ["Shape", "Relu", "Flatten"])
def test_refuses_a_node_without_its_first_input(op: str) -> None:
    net = model([node(op, "", "s"), node("GlobalAveragePool", "x", "y")], {})
    net.graph.node[0].input[:] = [""]
    net.graph.node.append(helper.make_node("Add", ["y", "s"], ["z"]))
    net.graph.output[0].name = "z"
    with pytest.raises(Refused, match="has no first input"):
        count(net)
