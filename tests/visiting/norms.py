"""The same network with normalisations: folded where nothing stands between, else fitted anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto

from visiting.network import OWN, F, Kind, fitted, near, net, node, passes, refused, weights


def normalisation(channels: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Scale, offset, mean and variance, and what they come to: a factor and what is added."""
    four = {
        "s": near(channels, around=1),
        "o": near(channels),
        "mu": near(channels),
        "var": near(channels, around=1.5),
    }
    factor = four["s"] / np.sqrt(four["var"] + F(1e-5))
    return four, factor, four["o"] - four["mu"] * factor


def normalised_conv() -> ModelProto:
    """A Conv without a bias: the normalisation has it."""
    four, factor, _ = normalisation(8)
    w = weights()
    four |= {"w1": w["w1"] / factor[:, None, None, None], "o": w["b1"] + four["mu"] * factor}
    parts = {
        "h1": [
            node("Conv", "x w1", "c1", kernel_shape=[4, 4]),
            node("BatchNormalization", "c1 s o mu var", "h1", epsilon=1e-5, momentum=0.9),
        ]
    }
    return net(four, drop="b1", parts=parts)


def normalised_gemm() -> ModelProto:
    four, factor, added = normalisation(10)
    w = weights()
    four |= {"w4": w["w4"] / factor[:, None], "b4": (w["b4"] - added) / factor}
    parts = {
        "y": [node("Gemm", "f w4 b4", "z", transB=1), node("BatchNormalization", "z s o mu var", "y")],
    }
    return net(four, parts=parts)


def normalised_matmul(bias: bool) -> ModelProto:
    """Keras' Dense and its normalisation: MatMul, and an Add where the Dense has a bias."""
    four, factor, added = normalisation(10)
    w = weights()
    four |= {"w4": (w["w4"] / factor[:, None]).T.copy()}
    four |= {"b4": (w["b4"] - added) / factor} if bias else {"o": w["b4"] + four["mu"] * factor}
    sums = [node("Add", "mm b4", "z")] if bias else []
    last = node("BatchNormalization", f"{'z' if bias else 'mm'} s o mu var", "y", epsilon=1e-5)
    return net(four, drop="" if bias else "b4", parts={"y": [node("MatMul", "f w4", "mm"), *sums, last]})


def normalised_sum() -> ModelProto:
    """Conv, its bias in an Add, and the normalisation, as TensorFlow has them."""
    four, factor, added = normalisation(8)
    w = weights()
    four |= {"w1": w["w1"] / factor[:, None, None, None]}
    four |= {"b1": ((w["b1"] - added) / factor).reshape(1, 8, 1, 1)}
    parts = {
        "h1": [
            node("Conv", "x w1", "c1", kernel_shape=[4, 4]),
            node("Add", "c1 b1", "d1"),
            node("BatchNormalization", "d1 s o mu var", "h1"),
        ]
    }
    return net(four, parts=parts)


def of_length_one() -> ModelProto:
    """torch.nn.functional.normalize: divided by a norm that Expand repeats."""
    parts = {
        "f": [
            node("Flatten", "r3", "g"),
            node("ReduceL2", "g", "norm", axes=[1], keepdims=1),
            node("Clip", "norm least", "safe"),
            node("Shape", "g", "shape"),
            node("Expand", "safe shape", "wide"),
            node("Div", "g wide", "f"),
        ]
    }
    return fitted(lambda last: net({"least": np.array(1e-12, F)} | dict(last), parts=parts))


def layer_normalised() -> ModelProto:
    two = {"s": near(36, around=1), "o": near(36)}
    parts = {"f": [node("Flatten", "r3", "g"), node("LayerNormalization", "g s o", "f")]}
    return fitted(lambda last: net(two | dict(last), parts=parts))


def layer_normalised_by_hand() -> ModelProto:
    """As PyTorch wrote it before operator set 17."""
    four = {
        "s": near(36, around=1),
        "o": near(36),
        "two": np.array(2, F),
        "least": np.array(1e-5, F),
    }
    parts = {
        "f": [
            node("Flatten", "r3", "g"),
            node("ReduceMean", "g", "m", axes=[-1]),
            node("Sub", "g m", "d"),
            node("Pow", "d two", "q"),
            node("ReduceMean", "q", "v", axes=[-1]),
            node("Add", "v least", "w"),
            node("Sqrt", "w", "deviation"),
            node("Div", "d deviation", "n"),
            node("Mul", "n s", "ns"),
            node("Add", "ns o", "f"),
        ]
    }
    return fitted(lambda last: net(four | dict(last), parts=parts, opset=16))


def normalised_pool(training: bool = False) -> ModelProto:
    """Behind a pool, where a scale and an offset for each channel are left."""
    four, factor, added = normalisation(5)
    w = weights()
    w3 = w["w3"] / factor[None, :, None, None]
    four |= {"w3": w3, "b3": w["b3"] - (w3 * added[None, :, None, None]).sum((1, 2, 3))}
    four = {k: v.astype(F) for k, v in four.items()}
    more: dict[str, Any] = {"training_mode": 1} if training else {}
    pool = node("MaxPool", "r2", "q2", kernel_shape=[2, 2], strides=[2, 2])
    outputs = "p2 running_mean running_var" if training else "p2"
    return net(four, parts={"p2": [pool, node("BatchNormalization", "q2 s o mu var", outputs, **more)]})


def whitened(axes: Sequence[int] | None) -> Callable[[], ModelProto]:
    """Each image less its mean and divided by its deviation."""
    given: dict[str, Any] = {} if axes is None else {"axes": list(axes)}
    before = [node("MeanVarianceNormalization", "image", "x", **given)]
    w = weights()
    first = {"w1": w["w1"] * F(0.3), "b1": w["b1"] + w["w1"].sum((1, 2, 3)) * F(0.13)}
    return lambda: fitted(lambda last: net(first | dict(last), before=before))


def instance_normalised() -> ModelProto:
    two = {"s": near(8, around=1), "o": weights()["b1"]}
    parts = {
        "h1": [
            node("Conv", "x w1", "c1", kernel_shape=[4, 4]),
            node("InstanceNormalization", "c1 s o", "h1", epsilon=1e-5),
        ]
    }
    return fitted(lambda last: net(two | dict(last), drop="b1", parts=parts))


def local_response() -> ModelProto:
    """AlexNet's numbers; alpha is not the schema's."""
    lrn = node("LRN", "q1", "p1", size=5, alpha=2e-5, beta=0.75, bias=1.0)
    return net(parts={"p1": [node("MaxPool", "r1", "q1", kernel_shape=[2, 2], strides=[2, 2]), lrn]})


NORMS: dict[str, Kind] = {
    "BatchNormalization behind a Conv without a bias": passes(normalised_conv),
    "BatchNormalization behind a Gemm": passes(normalised_gemm),
    "BatchNormalization behind a MatMul": passes(lambda: normalised_matmul(bias=False)),
    "BatchNormalization behind a MatMul and an Add (Keras)": passes(lambda: normalised_matmul(bias=True)),
    "BatchNormalization behind a Conv and an Add (TensorFlow)": passes(normalised_sum),
    "BatchNormalization behind a pool": passes(normalised_pool, OWN + 5 + 5),
    "BatchNormalization in training mode": refused(lambda: normalised_pool(training=True), "training mode"),
    "MeanVarianceNormalization of each image": passes(whitened([1, 2, 3])),
    "MeanVarianceNormalization over the batch (the schema's axes)": refused(
        whitened(None), "depends on the batch"
    ),
    "InstanceNormalization behind a Conv without a bias": passes(instance_normalised, OWN + 8),
    "LayerNormalization": passes(layer_normalised, OWN + 72),
    "LayerNormalization spelled out (operator set 16)": passes(layer_normalised_by_hand, OWN + 72 + 2),
    "features of length one, by ReduceL2, Clip and Expand (which counts)": passes(of_length_one, OWN + 2),
    "LRN with an alpha of its own": passes(local_response, OWN + 1),
}
