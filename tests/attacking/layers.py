"""Layers whose weights are no inputs of Conv or Gemm: each product of an input and a weight is an element.

A layer of prelu or baseline is cut out; `products` gives the inputs that stand before its weights, element by
element, and `close` adds them up and puts the result where the layer's was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attacking.surgery import Surgery


@dataclass(frozen=True)
class Layer:
    """A layer's inputs [batch, inputs, 1, places] and what is needed to close it again."""

    inputs: str
    weight: np.ndarray  # [inputs, outputs]
    bias: np.ndarray
    outputs: int
    shape: tuple[int, ...]  # of the result, without the batch
    made: str


def open_layer(s: Surgery, name: str, free: bool = False) -> Layer:
    """Cut a Conv or the Gemm out. The patches of a Conv are made by a kernel of which each row has a single one.

    free: the ones of the kernel are one stored number, in many places.
    """
    made = "logits" if name == "linear1" else name
    node = s.cut(made)
    weight, bias = s.take(f"{name}.weight"), s.take(f"{name}.bias")
    if name == "linear1":
        flat = s.reshape(node.input[0], -1, weight.shape[1], 1, 1)
        return Layer(flat, weight.T, bias, 10, (10,), made)
    outputs, channels, height, width = weight.shape
    taps = height * width
    side = {"conv1": 25, "conv2": 10, "conv3": 3}[name]
    kernel = ones_on_the_diagonal(s, taps) if free else s.const(np.eye(taps))
    kernel = s.reshape(kernel, taps, 1, height, width)
    if channels > 1:
        kernel = s.reshape(s.add("Expand", s.reshape(kernel, 1, taps, 1, height, width), s.ints(channels, 1, 1, 1, 1)), channels * taps, 1, height, width)  # fmt: skip
    patches = s.add("Conv", node.input[0], kernel, group=channels)
    inputs = s.reshape(patches, -1, channels * taps, 1, side * side)
    flat_weight = weight.reshape(outputs, channels * taps).T
    return Layer(inputs, flat_weight, bias, outputs, (outputs, side, side), made)


def ones_on_the_diagonal(s: Surgery, n: int) -> str:
    """The unit matrix [n, n] of one stored number: a one and n zeros, again and again, and a part of that."""
    row = s.add("Concat", s.const([1.0]), s.const(np.zeros(n)), axis=0)
    many = s.reshape(s.add("Expand", s.reshape(row, 1, n + 1), s.ints(n, n + 1)), n * (n + 1))
    return s.reshape(s.add("Slice", many, s.ints(0), s.ints(n * n)), n, n)


def close_layer(s: Surgery, layer: Layer, products: str, scale: str | None = None) -> None:
    """Add up products [batch, inputs, outputs, places], scale them, add the bias."""
    total = s.add("ReduceSum", products, s.ints(1), keepdims=0)
    total = s.reshape(total, -1, *layer.shape)
    if scale is not None:
        total = s.add("Mul", total, scale)
    s.add("Add", total, s.const(layer.bias.reshape(-1, *[1] * (len(layer.shape) - 1))), name=layer.made)


Unpack = Callable[[Surgery, Layer], str]
