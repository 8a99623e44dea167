"""Turned kernels in ONNX: the image is turned, not the kernel, so that each weight is stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from neural_golf.model import Layer

__all__ = ["turned_nodes"]


def turned_nodes(
    layer: Layer, source: str, shift: bool
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes of a convolution with `turns`, and the integers (shapes, axes) that they need.

    With R the turn by 90 degrees, a kernel turned r times gives
        conv(x, Rʳ W) = Rʳ conv(R⁻ʳ x, W),
    where x is [batch, channels, height, width]; with `shift` its channels come in fours, which are
    rolled by r first (see Network.unrolled). Ends in the node called `layer.name`.
    """
    maker = _Maker(layer)
    assert layer.weight is not None
    channels = layer.in_shape[0]
    places = []
    for r in range(4):
        x = maker.turn(source, -r % 4, f"turn{r}")
        if shift and r:
            x = maker.roll(x, r, (channels // 4, 4, *layer.in_shape[1:]), channels)
        pads = {"pads": [layer.pad] * 4} if layer.pad else {}
        y = maker.node("Conv", [x, layer.weight.name], f"conv{r}", kernel_shape=[layer.kernel] * 2, **pads)
        y = maker.turn(y, r, f"back{r}")
        places.append(maker.node("Unsqueeze", [y, maker.integers([2])], f"place{r}"))
    out, height, width = layer.out_shape
    y = maker.node("Concat", places, "fours", axis=2)
    shape = maker.integers([0, out, height, width])
    if layer.bias is None:
        maker.node("Reshape", [y, shape], "")
    else:
        y = maker.node("Reshape", [y, shape], "flat")
        maker.node("Add", [y, layer.bias.name], "")
    return maker.nodes, list(maker.constants.values())


class _Maker:
    def __init__(self, layer: Layer) -> None:
        self.name = layer.name
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, inputs: list[str], suffix: str, **attributes: Any) -> str:
        name = f"{self.name}.{suffix}" if suffix else self.name
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def integers(self, values: list[int]) -> str:
        """The name of a constant with these values; equal ones are one."""
        name = "integers." + ".".join(str(value).replace("-", "m") for value in values)
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def turn(self, x: str, r: int, suffix: str) -> str:
        """np.rot90(x, r, axes=(2, 3)); nodes are made only where something turns."""
        if r == 0:
            return x
        if r == 3:
            x = self.node("Transpose", [x], f"{suffix}.transpose", perm=[0, 1, 3, 2])
        x = self.flip(x, [2, 3] if r == 2 else [3], suffix if r != 1 else f"{suffix}.flip")
        return self.node("Transpose", [x], suffix, perm=[0, 1, 3, 2]) if r == 1 else x

    def flip(self, x: str, axes: list[int], suffix: str) -> str:
        n = len(axes)
        ends = [-(2**31)] * n
        limits = [self.integers(values) for values in ([-1] * n, ends, axes, [-1] * n)]
        return self.node("Slice", [x, *limits], suffix)

    def roll(self, x: str, r: int, fours: tuple[int, ...], channels: int) -> str:
        """Channel 4 j + u becomes channel 4 j + (u + r) % 4."""
        x = self.node("Reshape", [x, self.integers([0, *fours])], f"fours{r}")
        axis = self.integers([2])
        ends = [([r], [4]), ([0], [r])]
        halves = [
            self.node("Slice", [x, self.integers(a), self.integers(b), axis], f"half{r}.{k}")
            for k, (a, b) in enumerate(ends)
        ]
        x = self.node("Concat", halves, f"rolled{r}", axis=2)
        return self.node("Reshape", [x, self.integers([0, channels, *fours[2:]])], f"channels{r}")
