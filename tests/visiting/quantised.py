"""The same network in fewer bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from visiting.network import OWN, F, Kind, digits, net, node, passes, weights

LAYERS = ("w1", "w2", "w3", "w4")


def halves_stored() -> ModelProto:
    """Weights and biases in float16, cast before they are used."""
    made = net()
    for t in made.graph.initializer:
        half = numpy_helper.to_array(t).astype(np.float16)
        made.graph.node.insert(0, node("Cast", f"{t.name}.half", t.name, to=TensorProto.FLOAT))
        t.CopyFrom(numpy_helper.from_array(half, f"{t.name}.half"))
    return made


def halves_all_through() -> ModelProto:
    """The whole network in float16 with a Cast at both ends, as onnxconverter-common writes it."""
    constants = {name: array.astype(np.float16) for name, array in weights().items()}
    last = [node("Gemm", "f w4 b4", "z", transB=1), node("Cast", "z", "y", to=TensorProto.FLOAT)]
    before = [node("Cast", "image", "x", to=TensorProto.FLOAT16)]
    return net(constants, before=before, parts={"y": last})


def eight_bits(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 numbers, none of them zero, and their scale."""
    scale = F(np.abs(array).max() / 127)
    rounded = np.rint(array / scale)
    return np.where(rounded == 0, np.sign(array), rounded).astype(np.int8), scale


def dequantised() -> ModelProto:
    made = net(drop=" ".join(LAYERS))
    for name in LAYERS:
        q, scale = eight_bits(weights()[name])
        zero = np.array(0, np.int8)
        for part, value in ((f"{name}.q", q), (f"{name}.s", scale), (f"{name}.z", zero)):
            made.graph.initializer.append(numpy_helper.from_array(np.asarray(value), part))
        made.graph.node.insert(0, node("DequantizeLinear", f"{name}.q {name}.s {name}.z", name))
    return made


def largest() -> dict[str, float]:
    """The largest activation of each layer."""
    made = net()
    del made.graph.output[:]
    names = ("r1", "r2", "r3")
    made.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names)
    session = onnxruntime.InferenceSession(made.SerializeToString())
    found = session.run(None, {"x": digits()[0][:1000]})
    return {n: float(a.max()) for n, a in zip(names, found, strict=True)}


def scales() -> dict[str, np.ndarray]:
    found = {"x": np.array(1 / 255, F)}
    return found | {name: np.array(top / 255, F) for name, top in largest().items()}


def quantise_and_back() -> ModelProto:
    """QDQ: the weights in int8, and activations that are rounded to eight bits on their way."""
    made = dequantised()
    for name, scale in scales().items():
        made.graph.initializer.append(numpy_helper.from_array(scale, f"{name}.s"))
    made.graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), "zero"))
    nodes: list[NodeProto] = []
    for old in made.graph.node:
        if old.op_type != "DequantizeLinear":
            old.input[0] += ".back" if old.input[0] in ("x", "r1", "r2", "r3") else ""
        nodes.append(old)
        if old.output[0] in ("r1", "r2", "r3"):
            nodes += around(old.output[0])
    del made.graph.node[:]
    made.graph.node.extend([*around("x"), *nodes])
    return made


def around(name: str) -> list[NodeProto]:
    return [
        node("QuantizeLinear", f"{name} {name}.s zero", f"{name}.q"),
        node("DequantizeLinear", f"{name}.q {name}.s zero", f"{name}.back"),
    ]


def integers_all_through() -> ModelProto:
    """QLinearConv: the Relu is the zero at which a uint8 ends."""
    w, s = weights(), scales()
    s = {"x": s["x"], "p1": s["r1"], "p2": s["r2"], "r3": s["r3"]}
    constants: dict[str, np.ndarray | TensorProto] = {f"{n}.s": v for n, v in s.items()}
    constants |= {"zero": np.array(0, np.uint8), "zero8": np.array(0, np.int8)}
    for k, at in ((1, "x"), (2, "p1"), (3, "p2")):
        q, scale = eight_bits(w[f"w{k}"])
        bias = np.rint(w[f"b{k}"] / (scale * s[at]))
        constants |= {f"w{k}": q, f"w{k}.s": np.array(scale), f"b{k}": bias.astype(np.int32)}
    parts: dict[str, list[NodeProto]] = {"r1": [], "r2": [], "r3": []}
    chain = ((1, "x", "p1", 4), (2, "p1", "p2", 3), (3, "p2", "r3", 3))
    for k, at, to, size in chain:
        out = "r3.q" if k == 3 else f"r{k}"
        text = f"{at if k > 1 else 'x.q'} {at}.s zero w{k} w{k}.s zero8 {to}.s zero b{k}"
        parts[f"h{k}"] = [node("QLinearConv", text, out, kernel_shape=[size, size])]
    parts["h1"].insert(0, node("QuantizeLinear", "x x.s zero", "x.q"))
    parts["r3"] = [node("DequantizeLinear", "r3.q r3.s zero", "r3")]
    return net(constants, parts=parts)  # type: ignore[arg-type]


def dynamic(batch: int | str) -> Callable[[], ModelProto]:
    """onnxruntime's quantize_dynamic: the last layer's input gets its scale from the image, or from the batch."""

    def build() -> ModelProto:
        q, scale = eight_bits(weights()["w4"].T)
        last = [
            node("DynamicQuantizeLinear", "f", "fq fs fz"),
            node("MatMulInteger", "fq w4 fz zero8", "i"),
            node("Cast", "i", "whole", to=TensorProto.FLOAT),
            node("Mul", "fs w4.s", "s"),
            node("Mul", "whole s", "z"),
            node("Add", "z b4", "y"),
        ]
        constants = {"w4": q, "w4.s": np.array(scale), "zero8": np.array(0, np.int8)}
        return net(constants, parts={"y": last}, image=[batch, 1, 28, 28])

    return build


STILL = "activation(s) are constants"  # the scales of images that are much alike

QUANTISED: dict[str, Kind] = {
    "float16 weights and Cast": passes(halves_stored),
    "float16 all through": passes(halves_all_through),
    "int8 weights and DequantizeLinear": passes(dequantised, OWN + 4),
    "QDQ: weights and activations in eight bits": passes(quantise_and_back, OWN + 4 + 4),
    "QLinearConv": passes(integers_all_through, OWN + 3 + 4),
    "a dynamically quantised Gemm, a batch of 1": passes(dynamic(1), OWN + 1),
    "a dynamically quantised Gemm, a free batch": Kind(dynamic("batch"), "PASS", "", OWN + 1, STILL),
}
