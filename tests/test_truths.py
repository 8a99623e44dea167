"""Honest networks whose count is known without any rule: by hand, or from the leaderboard.

"Counts as folded" means: what meets the image once everything that stands still has been computed. A
BatchNormalization has four numbers per channel, and two of them meet the image, a scale and an offset. Behind a
convolution, of which each output has weights and a bias, it multiplies the weights and moves the bias, and no number
is left of its own. So the file with the normalisation and the file in which an exporter folded it count the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from nets import W10, linear_net, mean_net, model, node
from neural_golf.referee.counting import count

F = np.float32
ROOT = Path(__file__).parents[1]
RNG = np.random.default_rng(20240229)


def drawn(*shape: int) -> np.ndarray:
    """Numbers of which none is zero, all different."""
    found = RNG.permutation(np.arange(1, int(np.prod(shape)) + 1)).reshape(shape)
    return (found * np.where(found % 2, 1, -1) / found.size).astype(F)


def body(*nodes: NodeProto, **constants: np.ndarray) -> Callable[[], ModelProto]:
    """The mean of an image through some nodes, times ten weights."""
    return lambda: mean_net(*nodes, constants=constants)


def pictures(*nodes: NodeProto, channels: int, **constants: np.ndarray) -> Callable[[], ModelProto]:
    """The image through some nodes to `g` [batch, channels, height, width], its means, and ten answers."""
    head = {"head": drawn(channels, 10)}
    tail = [node("GlobalAveragePool", "g", "m"), node("Flatten", "m", "f"), node("MatMul", "f head", "y")]
    return lambda: model([*nodes, *tail], constants | head)


def five_slopes(op: str) -> list[NodeProto]:
    names = ["f", "a", "b", "c", "d", "g"]
    slope = " slope" if op == "PRelu" else ""
    own = {} if op == "PRelu" else {"alpha": 0.2}
    return [node(op, f"{one}{slope}", other, **own) for one, other in pairwise(names)]


def normalised(op: str, folded: bool = False, bias: bool = True) -> Callable[[], ModelProto]:
    """A convolution of three outputs, or a Gemm, and a normalisation; or the same, folded by hand."""
    channels = 3
    weight, offset = drawn(channels, 1, 3, 3) if op == "Conv" else drawn(channels, 784), drawn(channels)
    scale, shift, mean = 1 + drawn(channels), drawn(channels), drawn(channels)
    variance = np.abs(drawn(channels)) + 1
    factor = scale / np.sqrt(variance + 1e-5)
    start = offset if bias else np.zeros(channels, F)
    if folded:
        weight = (weight * factor.reshape(-1, *[1] * (weight.ndim - 1))).astype(F)
        constants = {"w": weight, "b": ((start - mean) * factor + shift).astype(F)}
        layer = node("Conv", "x w b", "n") if op == "Conv" else node("Gemm", "z w b", "n", transB=1)
        nodes = [layer]
    else:
        constants = {"w": weight, "s": scale, "o": shift, "mu": mean, "var": variance}
        constants |= {"b": offset} if bias else {}
        names = "w b" if bias else "w"
        layer = node("Conv", f"x {names}", "c") if op == "Conv" else node("Gemm", f"z {names}", "c", transB=1)
        nodes = [layer, node("BatchNormalization", "c s o mu var", "n")]
    if op == "Conv":
        return pictures(*nodes, node("Relu", "n", "g"), channels=channels, **constants)
    head = {"head": drawn(channels, 10)}
    nodes = [node("Flatten", "x", "z"), *nodes, node("Relu", "n", "g"), node("MatMul", "g head", "y")]
    return lambda: model(nodes, constants | head)


def block(name: str, into: str, out: str) -> list[NodeProto]:
    """Depthwise, then pointwise, with the same weights wherever it stands."""
    return [
        node("Conv", f"{into} depth db", f"{name}d", kernel_shape=[3, 3], pads=[1] * 4, group=4),
        node("Relu", f"{name}d", f"{name}r"),
        node("Conv", f"{name}r point pb", f"{name}p"),
        node("Relu", f"{name}p", out),
    ]


def separable(blocks: int) -> Callable[[], ModelProto]:
    constants = {"first": drawn(4, 1, 3, 3), "depth": drawn(4, 1, 3, 3), "db": drawn(4)}
    constants |= {"point": drawn(4, 4, 1, 1), "pb": drawn(4)}
    names = ["a", *(f"n{k}" for k in range(1, blocks)), "g"]
    nodes = [node("Conv", "x first", "a", kernel_shape=[3, 3])]
    for k, (one, other) in enumerate(pairwise(names)):
        nodes += block(f"b{k}", one, other)
    return pictures(*nodes, channels=4, **constants)


def in_parts(*how: NodeProto) -> Callable[[], ModelProto]:
    """Ten stored weights, which come to `w` in some other way."""
    nodes = [node("GlobalAveragePool", "x", "m"), node("Flatten", "m", "f"), *how, node("MatMul", "f w", "y")]
    return lambda: model(nodes, {"stored": W10.ravel(), "row": np.array([1, 10]), "two": np.array([2, 5]), "five": np.array([5, 1, 2])})  # fmt: skip


SLOPES = np.array([0.25], F)
HALF = np.array(0.5, F)

# name: (network, what counts), each by hand. Unless its name says otherwise a network adds to ten weights.
TRUTHS: dict[str, tuple[Callable[[], ModelProto], int]] = {
    # Once per stored number
    "a PRelu's slope used five times": (body(*five_slopes("PRelu"), slope=SLOPES), 11),
    "five LeakyRelus that each store a slope": (body(*five_slopes("LeakyRelu")), 15),
    "Sub and Div by mean and deviation": (
        body(node("Sub", "f mu", "c"), node("Div", "c sd", "g"), mu=HALF, sd=np.array(0.3, F)),
        12,
    ),
    "a mean of zero and a deviation": (
        body(node("Sub", "f mu", "c"), node("Div", "c sd", "g"), mu=np.array(0, F), sd=np.array(0.3, F)),
        11,
    ),
    "pixels divided by 255": (lambda: linear_net(drawn(784, 10), drawn(10), "uint8"), 7851),
    # Normalisations count as folded
    "a normalisation alone": (
        body(node("BatchNormalization", "f s o mu var", "g"), s=SLOPES, o=SLOPES, mu=SLOPES, var=SLOPES),
        12,
    ),
    "a normalisation of which the offset becomes zero": (
        body(
            node("BatchNormalization", "f s o mu var", "g", epsilon=0.0),
            s=np.ones(1, F),
            o=SLOPES,
            mu=SLOPES,
            var=np.ones(1, F),
        ),
        11,
    ),
    "a convolution with a bias and its normalisation": (normalised("Conv"), 3 * 9 + 3 + 30),
    "a convolution without a bias and its normalisation": (normalised("Conv", bias=False), 3 * 9 + 3 + 30),
    "the same, folded": (normalised("Conv", folded=True), 3 * 9 + 3 + 30),
    "a Gemm and its normalisation": (normalised("Gemm"), 3 * 784 + 3 + 30),
    "a Gemm and its normalisation, folded": (normalised("Gemm", folded=True), 3 * 784 + 3 + 30),
    "a normalisation behind a pool is not folded away": (
        pictures(
            node("Conv", "x w", "c"),
            node("MaxPool", "c", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("BatchNormalization", "p s o mu var", "g"),
            channels=3,
            w=drawn(3, 1, 3, 3),
            s=1 + drawn(3),
            o=drawn(3),
            mu=drawn(3),
            var=1 + np.abs(drawn(3)),
        ),
        27 + 2 * 3 + 30,
    ),
    "a convolution that two read keeps its own weights": (
        pictures(
            node("Conv", "x w", "c"),
            node("BatchNormalization", "c s o mu var", "n"),
            node("Add", "c n", "g"),
            channels=3,
            w=drawn(3, 1, 3, 3),
            s=1 + drawn(3),
            o=drawn(3),
            mu=drawn(3),
            var=1 + np.abs(drawn(3)),
        ),
        27 + 2 * 3 + 30,
    ),
    # Products of two activations
    "x times x": (body(node("Mul", "f f", "g")), 10),
    "x times its sigmoid": (body(node("Sigmoid", "f", "s"), node("Mul", "f s", "g")), 10),
    "x times a function of a function of x": (
        body(
            node("Mul", "f half", "h"),
            node("Erf", "h", "e"),
            node("Add", "e one", "p"),
            node("Mul", "f p", "g"),
            half=HALF,
            one=np.array(1, F),
        ),
        12,
    ),
    "a gate for each of four channels is free": (
        pictures(
            node("Conv", "x w", "c"),
            node("GlobalAveragePool", "c", "s"),
            node("Conv", "s v", "t"),
            node("Sigmoid", "t", "u"),
            node("Mul", "c u", "g"),
            channels=4,
            w=drawn(4, 1, 3, 3),
            v=drawn(4, 4, 1, 1),
        ),
        36 + 16 + 40,
    ),
    "a product of two pictures costs what is beyond 64": (
        pictures(
            node("Conv", "x w", "c", kernel_shape=[19, 19]),
            node("Conv", "x v", "d", kernel_shape=[19, 19]),
            node("Mul", "c d", "g"),
            channels=1,
            w=drawn(1, 1, 19, 19),
            v=drawn(1, 1, 19, 19),
        ),
        2 * 361 + 10 + (100 - 64),
    ),
    "a product in which both are repeated costs all of the smaller": (
        lambda: model(
            [
                node("ReduceMean", "x", "r", axes=[3], keepdims=1),
                node("ReduceMean", "x", "q", axes=[2], keepdims=1),
                node("Mul", "r q", "p"),
                node("GlobalMaxPool", "p", "m"),
                node("Flatten", "m", "f"),
                node("MatMul", "f w", "y"),
            ],
            {"w": W10},
        ),
        10 + 28,
    ),
    # Sharing
    "a separable block": (separable(1), 36 + 36 + 4 + 16 + 4 + 40),
    "a separable block used three times": (separable(3), 36 + 36 + 4 + 16 + 4 + 40),
    "weights in another shape": (in_parts(node("Reshape", "stored row", "w")), 10),
    "weights turned over and back": (
        in_parts(
            node("Reshape", "stored two", "a"),
            node("Transpose", "a", "b", perm=[1, 0]),
            node("Transpose", "b", "c", perm=[1, 0]),
            node("Reshape", "c row", "w"),
        ),
        10,
    ),
    "weights cut in halves and joined": (
        in_parts(
            node("Split", "stored", "a b", axis=0),
            node("Concat", "b a", "c", axis=0),
            node("Reshape", "c row", "w"),
        ),
        10,
    ),
    "one weight in ten places": (
        lambda: model(
            [
                node("GlobalAveragePool", "x", "m"),
                node("Flatten", "m", "f"),
                node("Expand", "one row", "w"),
                node("MatMul", "f w", "y"),
            ],
            {"one": SLOPES, "row": np.array([1, 10])},
        ),
        1,
    ),
    "a weight and its negative": (
        body(node("Neg", "v", "u"), node("Mul", "f v", "a"), node("Mul", "a u", "g"), v=HALF),
        12,
    ),
    # Wherever a number meets the image
    "a number that Pad puts around the image": (
        lambda: model(
            [
                node("Pad", "x pads v", "p"),
                node("GlobalAveragePool", "p", "m"),
                node("Flatten", "m", "f"),
                node("MatMul", "f w", "y"),
            ],
            {"w": W10, "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "v": HALF},
        ),
        10 + 1 + 4,
    ),
    "limits": (body(node("Clip", "f low high", "g"), low=-HALF, high=HALF), 12),
    "the larger of a number and the image": (body(node("Max", "f v", "g"), v=HALF), 11),
    "an exponent": (body(node("Pow", "f v", "g"), v=HALF), 11),
    "a number beside the image": (
        lambda: model(
            [
                node("ReduceMean", "x", "f", axes=[2, 3], keepdims=0),
                node("Transpose", "f", "t", perm=[1, 0]),
                node("ReduceMean", "t", "u", axes=[1], keepdims=1),
                node("Concat", "u v", "c", axis=0),
                node("ReduceMean", "c", "d", axes=[0], keepdims=1),
                node("Add", "f d", "e"),
                node("MatMul", "e w", "y"),
            ],
            {"w": W10, "v": np.array([[0.5]], F)},
            image=[1, 1, 28, 28],
        ),
        11,
    ),
    "a scale of quantisation and its zero point": (
        body(
            node("QuantizeLinear", "f s z", "q"),
            node("DequantizeLinear", "q t z", "g"),
            s=HALF,
            t=np.array(0.25, F),
            z=np.array(3, np.uint8),
        ),
        13,
    ),
    "a scale of a normalisation over channels": (
        pictures(
            node("Conv", "x w", "c"),
            node("InstanceNormalization", "c s o", "g"),
            channels=3,
            w=drawn(3, 1, 3, 3),
            s=drawn(3),
            o=drawn(3),
        ),
        27 + 6 + 30,
    ),
    "eight-bit weights of which one is the zero point": (
        lambda: model(
            [
                node("GlobalAveragePool", "x", "m"),
                node("Flatten", "m", "f"),
                node("DequantizeLinear", "q s z", "w"),
                node("MatMul", "f w", "y"),
            ],
            {"q": np.arange(1, 11, dtype=np.int8).reshape(1, 10), "s": HALF, "z": np.array(7, np.int8)},
        ),
        9 + 2,
    ),
    "a stored number that is never read": (lambda: mean_net(constants={"spare": np.ones(5, F)}), 10),
}


@pytest.mark.parametrize("name", TRUTHS)
def test_an_honest_network_counts_as_by_hand(name: str) -> None:
    build, expected = TRUTHS[name]
    made = build()
    onnx.checker.check_model(made)
    found = count(made)
    assert found.nonzero == expected, getattr(found, "parts", None)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("op", ["Conv", "Gemm"])
def test_a_normalisation_changes_no_count(op: str, bias: bool) -> None:
    assert count(normalised(op, bias=bias)()).nonzero == count(normalised(op, folded=True)()).nonzero


def entries() -> list[Path]:
    return sorted((ROOT / "leaderboard").glob("*/*/model.onnx"))


@pytest.mark.parametrize("path", entries(), ids=lambda p: f"{p.parts[-3]}/{p.parts[-2]}")
def test_every_entry_keeps_its_count_to_the_digit(path: Path) -> None:
    """The count of an entry is that of its stored weights, which no rule has to find."""
    model = onnx.load(path)
    floats = [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT]
    stored = sum(int(np.count_nonzero(onnx.numpy_helper.to_array(t))) for t in floats)
    assert count(model).nonzero == stored
    board = json.loads((ROOT / "leaderboard/leaderboard.json").read_text())
    here = board[path.parts[-3]]
    lists = [rows for rows in here.values() if isinstance(rows, list)]
    published = {row["nonzero"] for rows in lists for row in rows if row["entry"] == path.parts[-2]}
    assert published == {stored}
