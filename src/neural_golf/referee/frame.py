"""A file's frame: whether its bytes are an ONNX model, its operator set, its input and its output."""

from __future__ import annotations

import math

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from neural_golf.referee.rules import OPSETS, Refused

__all__ = ["graph_input", "graph_output", "opset_of", "parse"]

BATCH = 1000  # images that a network with a fixed batch may take at once
NUMBERS = 1 << 24  # that these, or one image, may have in all

# What a file that is no ONNX model starts with.
_MAGIC = (
    (b"version https://git-lfs", "it is a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (b"PK\x03\x04", "it is a zip archive (a PyTorch checkpoint?)"),
    (b"\x80\x02", "it is a Python pickle"),
    (b"\x80\x03", "it is a Python pickle"),
    (b"\x80\x04", "it is a Python pickle"),
    (b"\x80\x05", "it is a Python pickle"),
    (b"\x1f\x8b", "it is compressed with gzip"),
    (b"\x89HDF", "it is an HDF5 file"),
)


def parse(data: bytes) -> onnx.ModelProto:
    """The bytes of a file as a model, without unknown fields. Raises Refused for other formats."""
    if not data:
        raise Refused("the file is empty")
    for magic, what in _MAGIC:
        if data.startswith(magic):
            raise Refused(f"not an ONNX model: {what}")
    if data[4:8] == b"ORTM":
        raise Refused("not an ONNX model: it is onnxruntime's own .ort format")
    if data[:200].lstrip()[:1] == b"<":
        raise Refused("not an ONNX model: it is HTML or XML (a web page saved in place of the file?)")
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise Refused(
            "not an ONNX model: it does not parse (cut off, altered or nested too deep?)"
        ) from error
    model.DiscardUnknownFields()
    if not model.HasField("graph"):
        raise Refused("not an ONNX model: it holds no graph")
    return model


def opset_of(model: onnx.ModelProto) -> int:
    versions = {int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")}
    if len(versions) != 1:  # skl2onnx may name the same one twice
        raise Refused("it must import one ai.onnx operator set")
    (version,) = versions
    if version not in OPSETS:
        other = "a newer" if version < OPSETS[0] else "an older"
        scored = f"from {OPSETS[0]} to {OPSETS[-1]} are scored"
        raise Refused(f"operator set {version}; {scored}: export it again with {other} one")
    return version


def graph_input(graph: onnx.GraphProto) -> tuple[str, int, tuple[int, ...], int | None]:
    """The input's name, type, shape of one image, and how many images it takes at once (None: any number).

    Files of IR version 3 list their initializers among the inputs; these are none. Raises Refused.
    """
    initializers = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in initializers]
    if len(inputs) != 1:
        raise Refused(f"the graph has {len(inputs)} inputs; it must have one, the images")
    value = inputs[0]
    if value.type.WhichOneof("value") != "tensor_type":
        raise Refused("the graph's input is not a tensor")
    tensor = value.type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.UINT8):
        raise Refused("the graph's input must be float32 (pixels from 0 to 1) or uint8 (raw pixels)")
    if not tensor.HasField("shape"):
        raise Refused("the graph's input has no shape; declare [batch, channels, height, width]")
    dims = [d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in tensor.shape.dim]
    dims[:1] = [None if n == -1 else n for n in dims[:1]]  # as MXNet and Paddle write a free one
    if not 2 <= len(dims) <= 4 or any(d is not None and d < 1 for d in dims):
        raise Refused("the graph's input has a wrong shape; declare [batch, channels, height, width]")
    if dims[0] is not None and dims[0] > BATCH:
        asked = f"the graph's input takes {dims[0]} images at once"
        raise Refused(f"{asked}; the limit is {BATCH}: export it with a free batch")
    shape = tuple(d for d in dims[1:] if d is not None)
    if len(shape) != len(dims) - 1:
        raise Refused("the graph's input has a free dimension besides the batch")
    numbers = math.prod(d or 1 for d in dims)
    if numbers > NUMBERS:
        raise Refused(f"the graph's input takes {numbers} numbers at once; the limit is {NUMBERS}")
    return value.name, tensor.elem_type, shape, dims[0]


def graph_output(graph: onnx.GraphProto) -> str:
    if len(graph.output) != 1:
        raise Refused(f"the graph has {len(graph.output)} outputs; it must have one")
    value = graph.output[0]
    # A tool that cuts a graph (skl2onnx) may leave the output without a type; the run then tells it.
    untyped = value.type.WhichOneof("value") is None
    if not untyped and value.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused("the graph's output must be a float32 tensor [batch, classes]")
    return str(value.name)
