"""Hostile files: name, how it is made, and a part of the reason the referee must give.

test_hostile.py judges each in the sandbox; the fuzzer mutates them.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from onnx import ModelProto, StringStringEntryProto, TensorProto, helper

from nets import W10, linear_net, mean_net, model, node

F = np.float32
I64 = np.int64

Bytes = Callable[[], bytes]


def bomb(*body: object, **constants: object) -> ModelProto:
    """`x` through a body to `g` (any shape), whose mean is `f` [batch, 1]."""
    arrays = {k: np.array(v, I64) for k, v in constants.items()}
    nodes = [*body, node("ReduceMean", "g", "s", keepdims=0), node("Reshape", "s one", "f")]
    more = {"w": W10, "one": np.array([1, 1], I64)}
    return model([*nodes, node("MatMul", "f w", "y")], more | arrays)  # type: ignore[arg-type]


def loop_forever() -> ModelProto:
    body = helper.make_graph(
        [node("Identity", "go", "on")],
        "body",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])],
        [helper.make_tensor_value_info("on", 9, [])],
    )
    loop = node("Loop", "- true", "-", body=body)
    return mean_net(loop, node("Identity", "f", "g"), constants={"true": np.array(True)})


def if_nested(depth: int) -> bytes:
    """If in If, by hand: helper and protobuf themselves would stop at a depth of 100."""

    def field(number: int, data: bytes) -> bytes:
        size, length = len(data), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + data

    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + bytes([20 << 3 & 127 | 128, 1, 5]) + field(6, graph)
        graph = field(1, field(1, b"c") + field(4, b"If") + field(5, attribute))
    return b"\x08\x0a" + field(7, graph) + field(8, b"\x10\x11")


def external(location: str) -> ModelProto:
    made = mean_net()
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.append(StringStringEntryProto(key="location", value=location))
    return made


def with_dims(*dims: int) -> ModelProto:
    made = mean_net()
    made.graph.initializer[0].dims[:] = dims
    return made


def renamed(name: str) -> ModelProto:
    """A cycle through a node and a tensor of this name."""
    made = mean_net(node("Add", "f BAD", "g"), node("Relu", "g", "BAD"))
    made.graph.node[2].name = name
    made.graph.node[2].input[1] = made.graph.node[3].output[0] = name
    return made


def convolution(**attributes: object) -> ModelProto:
    """A 1x1 convolution with attributes of its own."""
    return model(
        [
            node("Conv", "x k", "c", **attributes),
            node("GlobalAveragePool", "c", "m"),
            node("Flatten", "m", "f"),
            node("MatMul", "f w", "y"),
        ],
        {"k": np.ones((1, 1, 1, 1), F), "w": W10},
    )


def many_nodes(count: int) -> ModelProto:
    return model([node("Relu", "x" if i == 0 else str(i), str(i + 1)) for i in range(count)])


def nan_logits() -> ModelProto:
    return mean_net(node("Sub", "f f", "z"), node("Div", "z z", "g"))


def attribute_injection() -> ModelProto:
    """Keys of external data that set attributes of the reader (onnx below 1.21)."""
    made = external("data.bin")
    for key in ("__class__", "tensor_proto", "basepath"):
        made.graph.initializer[0].external_data.append(StringStringEntryProto(key=key, value="x"))
    return made


def good() -> bytes:
    return linear_net(np.ones((784, 10), F), np.ones(10, F), "gemm").SerializeToString()


def model_bytes(build: Callable[[], ModelProto]) -> Bytes:
    return lambda: build().SerializeToString()


HUGE = [50_000, 1_000, 28, 28]

FILES: dict[str, tuple[Bytes, str]] = {
    "empty": (lambda: b"", "the file is empty"),
    "random bytes": (lambda: np.random.default_rng(7).bytes(50_000), "does not parse"),
    "truncated": (lambda: good()[:-500], "does not parse"),
    "Git LFS pointer": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "Git LFS pointer",
    ),
    "HTML": (lambda: b"\n<!doctype html><html><body>404</body></html>", "HTML or XML"),
    "pickle": (lambda: pickle.dumps({"weights": [1.0]}), "Python pickle"),
    "pickle that runs a command": (
        lambda: (
            b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."
        ),
        "Python pickle",
    ),
    "PyTorch checkpoint": (lambda: b"PK\x03\x04" + b"\x00" * 100, "zip archive"),
    ".ort file": (lambda: b"\x20\x00\x00\x00ORTM" + b"\x00" * 200, ".ort format"),
    "safetensors": (lambda: b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "does not parse"),
    "external data ../": (model_bytes(lambda: external("../../../../etc/passwd")), "outside the file"),
    "external data absolute": (model_bytes(lambda: external("/etc/passwd")), "outside the file"),
    "external data by address": (
        model_bytes(lambda: external("*/_ORT_MEM_ADDR_/*")),
        "outside the file",
    ),
    "external data that sets attributes": (model_bytes(attribute_injection), "outside the file"),
    "dims 2**31 x 2**31": (model_bytes(lambda: with_dims(2**31, 2**31)), "stores 40 bytes"),
    "negative dims": (model_bytes(lambda: with_dims(-1, -10)), "negative dimension"),
    "Expand bomb": (
        model_bytes(lambda: bomb(node("Expand", "x shape", "g"), shape=HUGE)),
        "numbers; the limit is 67108864",
    ),
    "Tile bomb": (
        model_bytes(lambda: bomb(node("Tile", "x times", "g"), times=[1, 1, 2000, 2000])),
        "numbers; the limit is 67108864",
    ),
    "Pad bomb": (
        model_bytes(lambda: bomb(node("Pad", "x pads", "g"), pads=[0, 0, 0, 0, 0, 0, 50_000, 50_000])),
        "numbers; the limit is 67108864",
    ),
    "Expand to 2**62": (
        model_bytes(lambda: bomb(node("Expand", "x shape", "g"), shape=[2**31, 2**31, 28, 28])),
        "numbers; the limit is 67108864",
    ),
    "Resize bomb": (model_bytes(lambda: bomb(node("Resize", "x", "g"))), "'Resize' is not on the list"),
    "Einsum bomb": (
        model_bytes(lambda: bomb(node("Einsum", "x x", "g", equation="abcd,efgh->abcdefgh"))),
        "'Einsum' is not on the list",
    ),
    "a million million products": (
        model_bytes(
            lambda: bomb(
                node("Tile", "x times", "t"),
                node("Reshape", "t col", "c"),
                node("Reshape", "t row", "r"),
                node("Mul", "c r", "g"),
                times=[1, 1, 40, 40],
                col=[-1, 1],
                row=[1, -1],
            )
        ),
        "bad_alloc",
    ),
    "Conv-padding bomb": (
        model_bytes(lambda: convolution(pads=[40_000] * 4)),
        "bad_alloc",
    ),
    "Conv padding of 2**62": (model_bytes(lambda: convolution(pads=[2**62] * 4)), "onnxruntime"),
    "Conv with negative padding": (model_bytes(lambda: convolution(pads=[-100] * 4)), "onnxruntime"),
    "Conv group 0": (model_bytes(lambda: convolution(group=0)), "must be 1 or more"),
    "Conv stride 0": (model_bytes(lambda: convolution(strides=[0, 0])), "must be 1 or more"),
    "Conv group 2**62": (model_bytes(lambda: convolution(group=2**62)), "onnxruntime"),
    "infinite Loop": (model_bytes(loop_forever), "subgraph"),
    "If nested 5,000 deep": (lambda: if_nested(5_000), "does not parse"),
    "If nested 20 deep": (lambda: if_nested(20), "subgraph"),
    "custom operator": (
        model_bytes(lambda: mean_net(node("Steal", "f", "g", domain="my.own"))),
        "domain 'my.own'",
    ),
    "cycle": (model_bytes(lambda: renamed("BAD")), "part of a cycle"),
    "duplicate names": (
        model_bytes(lambda: mean_net(node("Relu", "f", "g"), node("Relu", "f", "g"))),
        "'g' is given twice",
    ),
    "operator set 999": (model_bytes(lambda: mean_net(opset=999)), "operator set 999"),
    "wrong input shape": (model_bytes(lambda: mean_net(image=["b", 3, 32, 32])), "[batch, 3x32x32]"),
    "wrong input rank": (model_bytes(lambda: mean_net(image=["b"])), "wrong shape"),
    "wrong input type": (model_bytes(lambda: mean_net(image_type=TensorProto.STRING)), "must be float32"),
    "wrong output shape": (
        model_bytes(lambda: model([node("Flatten", "x", "y")])),
        "it answers with 1x784 numbers; 1x10 are wanted",
    ),
    "NaN weights": (
        model_bytes(lambda: mean_net(constants={"w": np.full((1, 10), np.nan, F)})),
        "NaN or infinity",
    ),
    "NaN logits": (model_bytes(nan_logits), "it answers NaN or infinity"),
    "infinite logits": (
        model_bytes(lambda: mean_net(node("Sub", "f f", "z"), node("Log", "z", "g"))),
        "it answers NaN or infinity",
    ),
    "RandomNormal": (
        model_bytes(lambda: mean_net(node("RandomNormal", "", "r", shape=[1]), node("Add", "f r", "g"))),
        "'RandomNormal' is not on the list",
    ),
    "batch-dependent output": (
        model_bytes(
            lambda: mean_net(node("ReduceMean", "f", "a", axes=[0], keepdims=1), node("Sub", "f a", "g"))
        ),
        "depends on the batch",
    ),
    "names with ANSI codes": (model_bytes(lambda: renamed("\x1b[31mred\x1b[0m\r\n")), r"\x1b[31mred"),
    "names with <script>": (model_bytes(lambda: renamed("<script>alert(1)</script>")), "<script>"),
    "names that turn the text around": (model_bytes(lambda: renamed("\u202etxt")), r"\u202etxt"),
    "a name of 80,000 characters": (model_bytes(lambda: renamed("\U0001f3cc" * 80_000)), "..."),
    "names that are not text": (
        lambda: (
            mean_net(constants={"SPARE": np.ones(1, F)}).SerializeToString().replace(b"SPARE", b"SP\xff\xfeE")
        ),
        "is not text (UTF-8)",
    ),
    "an operator that is not printable, with a subgraph": (
        model_bytes(lambda: mean_net(node("Loo\x7f\n", "f", "g", body=helper.make_graph([], "b", [], [])))),
        r"Loo\x7f\n holds a subgraph",
    ),
    "20,000 nodes": (model_bytes(lambda: many_nodes(20_000)), "20000 nodes; the limit is 256"),
    "200,000 empty nodes": (
        lambda: b"\x08\x0a\x3a\x80\xb5\x18" + b"\x0a\x00" * 200_000 + b"\x42\x02\x10\x11",
        "200000 nodes",
    ),
    "a wrong Gemm": (
        model_bytes(lambda: mean_net(node("Gemm", "f v", "g"), constants={"v": np.ones((7, 7), F)})),
        "onnxruntime",
    ),
    "float16 into float32": (
        model_bytes(lambda: mean_net(node("Add", "f v", "g"), constants={"v": np.ones(1, np.float16)})),
        "onnxruntime does not load it",
    ),
}


def make_special(name: str, folder: Path) -> Path:
    """The bad things in a file system that are not ordinary files."""
    path = folder / "bad.onnx"
    match name:
        case "3 GB sparse file":
            with path.open("wb") as file:
                file.truncate(3 << 30)
        case "symlink":
            (folder / "real.onnx").write_bytes(good())
            path.symlink_to(folder / "real.onnx")
        case "symlink to nothing":
            path.symlink_to(folder / "nothing")
        case "/dev/zero":
            return Path("/dev/zero")
        case "named pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "absent":
            pass
        case "a path with NUL":
            return Path("a\x00b")
    return path


SPECIAL = {
    "3 GB sparse file": "3221225472 bytes; the limit is 1048576",
    "symlink": "symbolic link",
    "symlink to nothing": "symbolic link",
    "/dev/zero": "a device, not a file",
    "named pipe": "a named pipe, not a file",
    "folder": "a folder, not a file",
    "absent": "cannot be opened: No such file",
    "a path with NUL": "cannot be opened",
}
