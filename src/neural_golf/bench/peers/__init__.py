"""The table of peers: one line each. The first is what the others are measured against."""

from __future__ import annotations

from neural_golf.bench.peers import jax_innermost, onnx_runtime, ours, pytorch, pytorch_grouped
from neural_golf.bench.peers.peer import Peer

__all__ = ["PEERS"]

_LARGE = (128, 1000)

PEERS: dict[str, Peer] = {
    "engine": Peer("this engine", "numpy", ours.train, ours.evaluate, (0,)),
    "torch_eager": Peer("PyTorch, eager", "torch", pytorch.train(), pytorch.evaluate(), _LARGE),
    "torch_tuned": Peer(
        "PyTorch, channels last, fused Adam", "torch", pytorch.train(tuned=True),
        pytorch.evaluate(tuned=True), _LARGE,
    ),
    "torch_compile": Peer(
        "PyTorch, compiled", "torch", pytorch.train(compiled=True),
        pytorch.evaluate(compiled=True), _LARGE, compiles=True,
    ),
    "torch_grouped": Peer("PyTorch, 16 networks at once", "torch", pytorch_grouped.train(compiled=False)),
    "torch_grouped_compile": Peer(
        "PyTorch, 16 networks at once, compiled", "torch", pytorch_grouped.train(compiled=True), compiles=True
    ),
    "jax_im2col": Peer(
        "JAX, batch innermost, im2col", "jax", jax_innermost.train(jax_innermost.im2col),
        jax_innermost.evaluate(jax_innermost.im2col), (jax_innermost.GROUP, *_LARGE), extra="bench",
    ),
    "jax_shifted": Peer(
        "JAX, batch innermost, shift and add", "jax", jax_innermost.train(jax_innermost.shift_and_add),
        jax_innermost.evaluate(jax_innermost.shift_and_add), (jax_innermost.GROUP, *_LARGE), extra="bench",
    ),
    "onnxruntime": Peer(
        "onnxruntime", "onnxruntime", evaluate=onnx_runtime.evaluate, batches=(1, *_LARGE), extra="train"
    ),
}  # fmt: skip
