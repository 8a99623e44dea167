"""Kernels in several positions, in ONNX. The image is turned instead of the kernel.

So each weight is stored once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from neural_golf.net.kind import Layer
from neural_golf.net.window import attributes

__all__ = ["turned_nodes"]


def turned_nodes(layer: Layer, source: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes of a convolution with `turns`, and the integers (shapes, axes) that they need.

    A kernel W in position g, which is turned by quarters and perhaps mirrored, gives
        conv(x, g W) = g conv(g⁻¹ x, W),
    where x is [batch, channels, height, width]; if its channels come in as many positions (`layer.among` is
    more than 1), g⁻¹ also changes their places (see Network.unrolled). So x is doubled along the batch
    with x turned by 90 degrees, then both with themselves turned by 180, then perhaps all with their
    mirror images; one convolution does them all; and what was doubled last is turned back first. Ends
    in the node called `layer.name`.
    """
    assert layer.weight is not None
    steps = ["quarter", "half", "mirror"][: layer.orbit.bit_length() - 1]
    graph = _Graph(layer.name)
    channels, *size = layer.in_shape
    bits = len(steps) if layer.among > 1 else 0
    x = source
    if bits:  # channel (j, m, a, b): kernel j in position 4 m + 2 a + b
        x = graph.reshape(x, [0, channels // layer.among, *[2] * bits, *size], "positions")
    for step in steps:
        x = graph.node("Concat", [x, graph.seen_from(x, step, bits)], f"{step}.both", axis=0)
    if bits:
        x = graph.reshape(x, [-1, channels, *size], "images")
    y = graph.node("Conv", [x, layer.weight.name], "conv", **attributes(layer))
    for done, step in enumerate(reversed(steps)):
        y = graph.halves_side_by_side(y, step, axis=2 + done)
    shape = [0, *layer.out_shape]
    if layer.bias is None:
        graph.reshape(y, shape, "")
    else:
        graph.node("Add", [graph.reshape(y, shape, "flat"), layer.bias.name], "")
    return graph.nodes, list(graph.constants.values())


class _Graph:
    """Collects nodes named NAME.suffix, and integer constants, equal ones once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, inputs: Sequence[str], suffix: str, **attributes: Any) -> str:
        name = f"{self.name}.{suffix}" if suffix else self.name
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def split(self, x: str, suffix: str, axis: int) -> tuple[str, str]:
        names = [f"{self.name}.{suffix}.{k}" for k in range(2)]
        self.nodes.append(helper.make_node("Split", [x], names, names[0], axis=axis))
        return names[0], names[1]

    def integers(self, values: Sequence[int]) -> str:
        name = "integers." + ".".join(str(value).replace("-", "m") for value in values)
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def reshape(self, x: str, shape: Sequence[int], suffix: str) -> str:
        return self.node("Reshape", [x, self.integers(shape)], suffix)

    def flip(self, x: str, axes: Sequence[int], suffix: str) -> str:
        n = len(axes)
        limits = [self.integers(values) for values in ([-1] * n, [-(2**31)] * n, axes, [-1] * n)]
        return self.node("Slice", [x, *limits], suffix)

    def turn_back(self, x: str, rank: int, suffix: str) -> str:
        """np.rot90(x, 3, axes=(-2, -1)) of a tensor with `rank` axes."""
        x = self.node("Transpose", [x], f"{suffix}.transposed", perm=_last_two_exchanged(rank))
        return self.flip(x, [rank - 1], suffix)

    def turn(self, x: str, rank: int, suffix: str) -> str:
        """np.rot90(x, 1, axes=(-2, -1)) of a tensor with `rank` axes."""
        x = self.flip(x, [rank - 1], f"{suffix}.flipped")
        return self.node("Transpose", [x], suffix, perm=_last_two_exchanged(rank))

    def seen_from(self, x: str, step: str, bits: int) -> str:
        """x as seen from the position q of `step`: turned by q⁻¹, position h taken from where q h is.

        x is [n, channels, (m,) a, b, height, width], or without m, a and b where `bits` is 0. With the
        position r = 2 a + b: a quarter more is b' = 1 − b, and a flips where b was 1; half a turn more
        flips a; the mirror image of r is −r, which flips a where b is 1.
        """
        rank = 4 + bits
        sides, a, b = [rank - 2, rank - 1], rank - 4, rank - 3
        if step == "half":
            return self.flip(x, ([a] if bits else []) + sides, step)
        if not bits:
            return self.turn_back(x, rank, step) if step == "quarter" else self.flip(x, sides[1:], step)
        even, odd = self.split(x, f"{step}.of", axis=b)
        if step == "quarter":
            x = self.node("Concat", [odd, self.flip(even, [a], f"{step}.wrapped")], f"{step}.moved", axis=b)
            return self.turn_back(x, rank, step)
        parts = [
            self.flip(even, [a - 1, sides[1]], f"{step}.even"),
            self.flip(odd, [a - 1, a, sides[1]], f"{step}.odd"),
        ]
        return self.node("Concat", parts, step, axis=b)

    def halves_side_by_side(self, y: str, step: str, axis: int) -> str:
        """The two halves of the batch as a new axis, the second turned back; y has axis + 2 axes."""
        rank = axis + 2
        first, second = self.split(y, f"{step}.results", axis=0)
        suffix = f"{step}.back"
        if step == "quarter":
            second = self.turn(second, rank, suffix)
        else:
            second = self.flip(second, [rank - 1] if step == "mirror" else [rank - 2, rank - 1], suffix)
        place = self.integers([axis])
        both = [
            self.node("Unsqueeze", [half, place], f"{step}.{k}")
            for k, half in (("first", first), ("second", second))
        ]
        return self.node("Concat", both, f"{step}.places", axis=axis)


def _last_two_exchanged(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]
