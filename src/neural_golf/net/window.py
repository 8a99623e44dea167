"""What convolutions and pools have in common: a window that moves over a map, and what it sees beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_golf.net.kind import Layer, Maps

__all__ = ["attributes", "cropped", "padded"]


def padded(layer: Layer, x: Maps, value: float = 0.0) -> Maps:
    """The input of a layer, with `value` around it."""
    sides = (layer.pad, layer.pad)
    return np.pad(x, ((0, 0), sides, sides, (0, 0)), constant_values=value) if layer.pad else x


def cropped(layer: Layer, x: Maps) -> Maps:
    """What `padded` was made of."""
    _, height, width = layer.in_shape
    return x[:, layer.pad : layer.pad + height, layer.pad : layer.pad + width]


def attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of the ONNX node, without those that are ONNX's defaults."""
    told: dict[str, Any] = {"kernel_shape": [layer.kernel] * 2}
    if layer.pad:
        told["pads"] = [layer.pad] * 4
    if layer.stride > 1:
        told["strides"] = [layer.stride] * 2
    if layer.dilation > 1:
        told["dilations"] = [layer.dilation] * 2
    if layer.groups > 1:
        told["group"] = layer.groups
    return told
