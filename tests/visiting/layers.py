"""The same network with other layers: exactly the same function where it can be, else fitted anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto

from nets import Constants, model
from visiting.network import (
    I64,
    OWN,
    ROOT,
    F,
    Kind,
    fitted,
    near,
    net,
    node,
    passes,
    refused,
    scaled,
    weights,
)

RNG = np.random.default_rng(20240229)


def recurrent() -> ModelProto:
    """An LSTM of four cells that reads the image row by row."""
    nodes = [
        node("Squeeze", "x one", "rows"),
        node("Transpose", "rows", "steps", perm=[1, 0, 2]),
        node("LSTM", "steps w r", "all last", hidden_size=4),
        node("Squeeze", "last zero", "h"),
        node("Gemm", "h v b", "y"),
    ]
    constants = {
        "one": np.array([1], I64), "zero": np.array([0], I64), "w": near(1, 16, 28), "r": near(1, 16, 4),
        "v": near(4, 10), "b": near(10),
    }  # fmt: skip
    return model(nodes, constants)


def activated(
    op: str = "", more: Constants | None = None, nodes: str = "", **how: Any
) -> Callable[[], ModelProto]:
    """Each Relu exchanged for another operator, or for several: `nodes` is "Op inputs output; ..." with h, r."""
    text = nodes or f"{op} h r"

    def one(k: int) -> list[NodeProto]:
        found = []
        for line in text.split(";"):
            kind, *names = [
                n if n in (more or {}) or i == 0 else f"{n}{k}" for i, n in enumerate(line.split())
            ]
            found.append(node(kind, " ".join(names[:-1]), names[-1], **(how if kind == op else {})))
        return found

    def build() -> ModelProto:
        options = {"opset": how["opset"]} if "opset" in how else {}
        constants = scaled(30, 30, 30) if op != "LeakyRelu" else {}
        return net(constants | dict(more or {}), parts={f"r{k}": one(k) for k in (1, 2, 3)}, **options)

    return build


def leaky(slope: float | None) -> Callable[[], ModelProto]:
    own = {} if slope is None else {"alpha": slope}
    parts = {f"r{k}": [node("LeakyRelu", f"h{k}", f"r{k}", **own)] for k in (1, 2, 3)}
    return lambda: fitted(lambda last: net(last, parts=parts))


def relu6(old: bool = False) -> Callable[[], ModelProto]:
    """Small layers, so that no activation comes to 6."""
    small = scaled(0.2, 0.2, 0.1)
    if old:
        parts = {f"r{k}": [node("Clip", f"h{k}", f"r{k}", min=0.0, max=6.0)] for k in (1, 2, 3)}
        return lambda: net(small, parts=parts, opset=9)
    parts = {f"r{k}": [node("Clip", f"h{k} low high", f"r{k}")] for k in (1, 2, 3)}
    return lambda: net(small | {"low": np.array(0, F), "high": np.array(6, F)}, parts=parts)


def prelu() -> ModelProto:
    return onnx.load(ROOT / "leaderboard/mnist-98/prelu/model.onnx")


def wider(*nodes: NodeProto, **constants: np.ndarray) -> Callable[[], ModelProto]:
    """The third layer with a border, so that there are 4 x 5 x 5 features."""
    return lambda: fitted(lambda last: net(constants | dict(last), parts={"h3": nodes}), 100)


def averaged() -> ModelProto:
    """A convolution of ten channels and a global average for the last layer."""
    parts: dict[str, Sequence[NodeProto]] = {
        "f": [node("Conv", "r3 w4 b4", "c4", kernel_shape=[3, 3])],
        "y": [node("GlobalAveragePool", "c4", "g"), node("Flatten", "g", "y")],
    }
    return net({"w4": weights()["w4"].reshape(10, 4, 3, 3)}, parts=parts)


def residual() -> ModelProto:
    """r + Conv(r), and a last layer that takes it back."""
    mix = near(4, 4)
    back = np.linalg.inv(np.eye(4) + mix)
    w4 = np.einsum("kcp,cd->kdp", weights()["w4"].reshape(10, 4, 9), back).reshape(10, 36).astype(F)
    parts = {
        "f": [
            node("Conv", "r3 mix", "side", kernel_shape=[1, 1]),
            node("Add", "r3 side", "sum"),
            node("Flatten", "sum", "f"),
        ]
    }
    return net({"w4": w4, "mix": mix.reshape(4, 4, 1, 1)}, parts=parts)


def branches() -> ModelProto:
    w = weights()
    halves = {
        f"{n}{side}": part for n in ("w1", "b1") for side, part in zip("ab", np.split(w[n], 2), strict=True)
    }
    parts = {
        "h1": [
            node("Conv", "x w1a b1a", "h1a", kernel_shape=[4, 4]),
            node("Conv", "x w1b b1b", "h1b", kernel_shape=[4, 4]),
            node("Concat", "h1a h1b", "h1", axis=1),
        ]
    }
    return net(halves, drop="w1 b1", parts=parts)


def separable() -> ModelProto:
    """The third layer as 20 depthwise kernels of 3 by 3 and a pointwise sum of five of them each."""
    depth = weights()["w3"].transpose(1, 0, 2, 3).reshape(20, 1, 3, 3)
    point = np.tile(np.eye(4, dtype=F), 5).reshape(4, 20, 1, 1)
    parts = {
        "h3": [
            node("Conv", "p2 depth", "d3", kernel_shape=[3, 3], group=5),
            node("Conv", "d3 point b3", "h3", kernel_shape=[1, 1]),
        ]
    }
    return net({"depth": depth, "point": point}, drop="w3", parts=parts)


# Gates that were trained, three epochs of Adam over 22,000 training images: 8 to 2 channels, and back to 8.
SQUEEZE = [
    [-0.56, -0.58, -0.13, -0.22, 0.42, 0.35, -0.16, -1.06],
    [0.03, -0.76, 0.17, 0.08, -0.11, 0.52, 0.44, -0.26],
]
EXCITE = [
    [-0.68, -0.51], [0.28, 0.34], [0.30, -0.40], [-0.17, 1.13],
    [0.38, -0.13], [-0.09, 0.23], [0.69, 1.12], [0.47, -0.15],
]  # fmt: skip
AROUND = [0.65, 0.34, 0.47, 0.29, 0.38, 0.23, 0.46, 0.40]


def excited() -> ModelProto:
    """A squeeze-and-excite gate on eight channels."""
    gate = {
        "g1": np.array(SQUEEZE, F).reshape(2, 8, 1, 1),
        "a1": np.array([0.20, 0.07], F),
        "g2": np.array(EXCITE, F).reshape(8, 2, 1, 1),
        "a2": np.array(AROUND, F),
    }
    parts = {
        "p1": [
            node("MaxPool", "r1", "q1", kernel_shape=[2, 2], strides=[2, 2]),
            node("GlobalAveragePool", "q1", "squeezed"),
            node("Conv", "squeezed g1 a1", "e1", kernel_shape=[1, 1]),
            node("Relu", "e1", "e2"),
            node("Conv", "e2 g2 a2", "e3", kernel_shape=[1, 1]),
            node("Sigmoid", "e3", "gate"),
            node("Mul", "q1 gate", "p1"),
        ]
    }
    return fitted(lambda last: net(gate | dict(last), parts=parts))


def attentive() -> ModelProto:
    """Nine places of four numbers that look at one another."""
    parts = {
        "f": [
            node("Reshape", "r3 rows", "q"),
            node("Transpose", "q", "k", perm=[0, 2, 1]),
            node("MatMul", "k q", "scores"),
            node("Softmax", "scores", "looks", axis=-1),
            node("MatMul", "q looks", "seen"),
            node("Add", "q seen", "both"),
            node("Flatten", "both", "f"),
        ]
    }
    rows = np.array([0, 4, 9], I64)
    return fitted(lambda last: net({"rows": rows} | dict(last), parts=parts))


PADS = np.array([0, 0, 1, 1, 0, 0, 1, 1], I64)
WIDE = OWN + 640  # 10 x 100 weights in place of 10 x 36
SPELLED = "Add h three a; Clip a low six c; Mul h c m; Div m six r"
GELU = "Div h root two; Erf two e; Add e one plus; Mul h plus twice; Mul twice half r"
GELU_NUMBERS = {"root": np.array(2**0.5, F), "one": np.array(1, F), "half": np.array(0.5, F)}
BOUNDS = {"three": np.array(3, F), "six": np.array(6, F), "low": np.array(0, F)}

LAYERS: dict[str, Kind] = {
    "auto_pad SAME_UPPER": passes(
        wider(node("Conv", "p2 w3 b3", "h3", kernel_shape=[3, 3], auto_pad="SAME_UPPER")), WIDE
    ),
    "auto_pad VALID": passes(
        lambda: net(parts={"h3": [node("Conv", "p2 w3 b3", "h3", kernel_shape=[3, 3], auto_pad="VALID")]})
    ),
    "pads of a Conv": passes(
        wider(node("Conv", "p2 w3 b3", "h3", kernel_shape=[3, 3], pads=[1, 1, 1, 1])), WIDE
    ),
    "a Pad before a Conv (each pad counts)": passes(
        wider(node("Pad", "p2 pads", "e2"), node("Conv", "e2 w3 b3", "h3", kernel_shape=[3, 3]), pads=PADS),
        WIDE + 4,
    ),
    "GlobalAveragePool at the end": passes(averaged),
    "a residual Add": passes(residual, OWN + 16),
    "branches joined by Concat": passes(branches),
    "a depthwise and a pointwise Conv": passes(separable, OWN + 20),
    "PRelu with a slope for each channel": passes(prelu, 4 * 16 + 5 * 36 + 4 * 45 + 360 + 2 * 13 + 10),
    "LeakyRelu with the schema's slope": passes(leaky(None)),
    "LeakyRelu with a slope of its own": passes(leaky(0.1), OWN + 3),
    "relu6 as Clip with inputs": passes(relu6(), OWN + 1),
    "relu6 as Clip with attributes (operator set 9)": passes(relu6(old=True), OWN + 3),
    "HardSwish": passes(activated("HardSwish")),
    "HardSwish spelled out": passes(activated(nodes=SPELLED, more=BOUNDS), OWN + 2),
    "Swish: x times its Sigmoid": passes(activated(nodes="Sigmoid h s; Mul h s r")),
    "Mish spelled out": passes(activated(nodes="Softplus h soft; Tanh soft t; Mul h t r")),
    "GELU spelled out": passes(activated(nodes=GELU, more=GELU_NUMBERS), OWN + 3),
    "a squeeze-and-excite gate": passes(excited, OWN + 16 + 2 + 16 + 8),
    "an LSTM over the rows": refused(recurrent, "operator 'LSTM'"),
    "attention": refused(attentive, "both factors of MatMul depend on the image"),
}
