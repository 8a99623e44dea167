"""What convolutions and pools have in common: a window that moves over a map, and what it sees beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from neural_golf.net.kind import Layer, Maps

__all__ = ["attributes", "cropped", "padded"]


def padded(layer: Layer, x: Maps, value: float = 0.0) -> Maps:
    """The input of a layer, with `value` around it."""
    down, across = layer.pad
    sides = ((0, 0), (down, down), (across, across), (0, 0))
    return np.pad(x, sides, constant_values=value) if any(layer.pad) else x


def cropped(layer: Layer, x: Maps) -> Maps:
    """What `padded` was made of."""
    (_, height, width), (down, across) = layer.in_shape, layer.pad
    return x[:, down : down + height, across : across + width]


def attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of the ONNX node, without those that are ONNX's defaults."""
    told: dict[str, Any] = {"kernel_shape": layer.kernel}
    if any(layer.pad):
        told["pads"] = layer.pad * 2
    if layer.stride != (1, 1):
        told["strides"] = layer.stride
    if layer.dilation != (1, 1):
        told["dilations"] = layer.dilation
    if layer.groups > 1:
        told["group"] = layer.groups
    return told
