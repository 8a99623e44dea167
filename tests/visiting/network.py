"""One real network, taken from the leaderboard, which every stranger's file computes in a form of its own.

    x -> h1 (Conv 4x4) -> r1 -> p1 (MaxPool) -> h2 (Conv 3x3) -> r2 -> p2 -> h3 (Conv 3x3) -> r3 -> f -> y (Gemm)

Where a form computes something else (a gate, a normalisation of each image), the last layer is fitted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, numpy_helper

from attacks import training_images
from nets import Constants, model, node

ROOT: Final = Path(__file__).parents[2]
F = np.float32
I64 = np.int64
MEAN, STD = 0.1307, 0.3081

FIRST, SECOND, THIRD, LAST = 8 * 16 + 8, 5 * 72 + 5, 4 * 45 + 4, 10 * 36 + 10  # weights and biases
OWN = FIRST + SECOND + THIRD + LAST  # 1,055 numbers, none of them zero

JUDGED = 2_000  # the last training images, on which the files are judged
FITTED = 3_000  # the training images before them, on which a last layer is fitted
Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of honest file: the verdict it must get, part of the reason, and its non-zero parameters."""

    build: Callable[[], ModelProto]
    verdict: str
    words: str = ""
    count: int | None = None
    flag: str = ""  # part of a flag that it may get


def passes(build: Callable[[], ModelProto], count: int = OWN) -> Kind:
    return Kind(build, "PASS", "", count)


def fails(build: Callable[[], ModelProto], hint: str, count: int = OWN) -> Kind:
    return Kind(build, "FAIL", hint, count)


def refused(build: Callable[[], ModelProto], reason: str) -> Kind:
    return Kind(build, "REFUSED", reason)


@cache
def _stored() -> Weights:
    graph = onnx.load(ROOT / "leaderboard/mnist-98/baseline/model.onnx").graph
    return {t.name: numpy_helper.to_array(t) for t in graph.initializer}


def weights() -> Weights:
    """w1, b1 … w4, b4 of the network; each call gives copies."""
    names = {"conv1": 1, "conv2": 2, "conv3": 3, "linear1": 4}
    kinds = {"weight": "w", "bias": "b"}
    parts = {name: name.split(".") for name in _stored()}
    return {f"{kinds[kind]}{names[layer]}": _stored()[n].copy() for n, (layer, kind) in parts.items()}


def body(**parts: Sequence[NodeProto]) -> list[NodeProto]:
    """The nodes of the network. By the name of what it makes, a node is exchanged for others."""
    plain = [
        node("Conv", "x w1 b1", "h1", kernel_shape=[4, 4]),
        node("Relu", "h1", "r1"),
        node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 w2 b2", "h2", kernel_shape=[3, 3]),
        node("Relu", "h2", "r2"),
        node("MaxPool", "r2", "p2", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p2 w3 b3", "h3", kernel_shape=[3, 3]),
        node("Relu", "h3", "r3"),
        node("Flatten", "r3", "f"),
        node("Gemm", "f w4 b4", "y", transB=1),
    ]
    assert set(parts) <= {n.output[0] for n in plain}
    return [new for old in plain for new in parts.get(old.output[0], [old])]


def net(
    constants: Constants | None = None,
    *,
    drop: str = "",
    before: Sequence[NodeProto] = (),
    parts: dict[str, Sequence[NodeProto]] | None = None,
    **options: Any,
) -> ModelProto:
    """The network with some of its nodes exchanged and with more constants, or others.

    drop: names of constants that are left out; before: nodes that make `x` of the image `image`.
    """
    kept = {k: v for k, v in weights().items() if k not in drop.split()} | dict(constants or {})
    made = model([*before, *body(**(parts or {}))], kept, **options)
    if before:
        made.graph.input[0].name = "image"
    return made


def fitted(make: Callable[[Constants], ModelProto], features: int = 36) -> ModelProto:
    """What `make` makes of w4 and b4, fitted by least squares to training images that judge no file."""
    blank = make({"w4": np.ones((10, features), F), "b4": np.ones(10, F)})
    last = next(n for n in blank.graph.node if n.output[0] == "y")
    blank.graph.output[0].CopyFrom(onnx.ValueInfoProto(name=last.input[0]))
    images, labels = digits()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(blank.SerializeToString(), options)
    seen = [session.run(None, {blank.graph.input[0].name: part})[0] for part in np.split(images, 12)]
    f = np.concatenate([np.concatenate(seen), np.ones((len(images), 1), F)], 1).astype(np.float64)
    wanted = np.eye(10)[labels]
    solved = np.linalg.solve(f.T @ f + 1e-3 * np.eye(features + 1), f.T @ wanted).T
    return make({"w4": solved[:, :-1].astype(F), "b4": solved[:, -1].astype(F)})


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images [n, 1, 28, 28] from 0 to 1, and labels, for a last layer."""
    found = training_images(FITTED + JUDGED)
    if found is None:
        raise FileNotFoundError("the training images of MNIST are in none of the places of params.yaml")
    return found[0][:FITTED].astype(F) / F(255), found[1][:FITTED]


def for_pixels(scale: float, shift: float) -> Weights:
    """A first layer for pixels that are scale times the usual ones, plus shift. No padding, so it is exact."""
    w = weights()
    w1 = w["w1"].astype(np.float64) / scale
    return {"w1": w1.astype(F), "b1": (w["b1"] - w1.sum((1, 2, 3)) * shift).astype(F)}


def scaled(first: float, second: float = 1, third: float = 1) -> Weights:
    """Layers whose answers are so much larger, and which take it back in the next: a Relu does not mind."""
    w = weights()
    return {
        "w1": w["w1"] * F(first), "b1": w["b1"] * F(first),
        "w2": w["w2"] * F(second / first), "b2": w["b2"] * F(second),
        "w3": w["w3"] * F(third / second), "b3": w["b3"] * F(third),
        "w4": w["w4"] / F(third),
    }  # fmt: skip


def near(*shape: int, size: float = 0.3, around: float = 0.0) -> np.ndarray:
    """Numbers around one, none of them zero, as a layer that was trained has them; always the same."""
    rng = np.random.default_rng([20240229, *shape])
    found = rng.uniform(0.2, 1, shape) * rng.choice([-1, 1], shape)
    return (around + size * found).astype(F)
