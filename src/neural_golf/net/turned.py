"""Kernels in several positions, in ONNX: each weight is stored once, and the graph turns the kernels."""

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
    """Nodes of a convolution with `turns`, and the integers (shapes, axes, limits) that they need.

    The kernels [n, in, k, k] are doubled with their mirror images (where they have any), then all of them
    with themselves turned by 180 degrees, then by 90, each along an axis of its own, so that they end in the
    order of `Network.unrolled`: [n, m, a, b, in, k, k] with position 4 m + 2 a + b. If the channels that
    they read come in as many positions (`layer.among` is more than 1), these change their places too. All
    this is done with constants, so a runtime can do it beforehand. Ends in the node called `layer.name`.
    """
    assert layer.weight is not None
    steps = ["mirror", "half", "quarter"][-(layer.orbit.bit_length() - 1) :]
    graph = _Graph(layer.name)
    n, channels, *size = layer.weight.shape
    bits = len(steps) if layer.among > 1 else 0
    places = [channels // layer.among, *[2] * bits] if bits else [channels]
    kernels = graph.reshape(layer.weight.name, [n, *[1] * len(steps), *places, *size], "kernels")
    for axis, step in enumerate(steps, 1):
        moved = graph.moved(kernels, step, len(steps) + 1 + len(places) + 2, bits)
        kernels = graph.node("Concat", [kernels, moved], f"{step}.both", axis=axis)
    kernels = graph.reshape(kernels, [-1, channels, *size], "positions")
    bias = [layer.bias.name] if layer.bias else []
    graph.node("Conv", [source, kernels, *bias], "", **attributes(layer))
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

    def moved(self, kernels: str, step: str, rank: int, bits: int) -> str:
        """The kernels in the position q of `step`: turned by q, and what they look for in position h of a
        channel is what they looked for in position q⁻¹ h.

        They are [..., (m,) a, b, k, k], with `rank` axes, or without m, a and b where `bits` is 0. With the
        position r = 2 a + b: a quarter less is b' = 1 − b, and a flips where b was 0; half a turn flips a;
        the mirror image of r is −r, which flips a where b is 1.
        """
        down, across = rank - 2, rank - 1
        a, b = rank - 4, rank - 3
        if step == "half":
            return self.flip(kernels, ([a] if bits else []) + [down, across], step)
        if not bits:
            return self.turn(kernels, rank, step) if step == "quarter" else self.flip(kernels, [across], step)
        even, odd = (f"{self.name}.{step}.of.{k}" for k in range(2))
        self.nodes.append(helper.make_node("Split", [kernels], [even, odd], even, axis=b))
        if step == "quarter":
            parts = [self.flip(odd, [a], f"{step}.wrapped"), even]
            return self.turn(self.node("Concat", parts, f"{step}.moved", axis=b), rank, step)
        parts = [
            self.flip(even, [a - 1, across], f"{step}.even"),
            self.flip(odd, [a - 1, a, across], f"{step}.odd"),
        ]
        return self.node("Concat", parts, step, axis=b)

    def turn(self, x: str, rank: int, suffix: str) -> str:
        """np.rot90(x, 1, axes=(-2, -1)) of a tensor with `rank` axes."""
        x = self.flip(x, [rank - 1], f"{suffix}.flipped")
        return self.node("Transpose", [x], suffix, perm=[*range(rank - 2), rank - 1, rank - 2])
