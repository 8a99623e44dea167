"""The same network for pixels as other tools have them: without the normalisation in the graph, and with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from visiting.network import MEAN, OWN, STD, F, Kind, fails, for_pixels, net, node, passes


def bare(scale: float, shift: float = 0) -> Callable[[], ModelProto]:
    return lambda: net(for_pixels(scale, shift))


def inside(
    scale: float, shift: float, nodes: Sequence[NodeProto], raw: bool = False, **numbers: float
) -> Callable[[], ModelProto]:
    constants = {name: np.array(value, F) for name, value in numbers.items()}
    kind = TensorProto.UINT8 if raw else TensorProto.FLOAT
    return lambda: net(for_pixels(scale, shift) | constants, before=nodes, image_type=kind)


def normalised_first() -> ModelProto:
    """BatchNormalization of the image, whose scale is not learned."""
    four = {"s": 1.0, "o": 0.0, "mu": MEAN, "var": STD**2}
    constants = {name: np.array([value], F) for name, value in four.items()}
    before = [node("BatchNormalization", "image s o mu var", "x", epsilon=0.0)]
    return net(for_pixels(1 / STD, -MEAN / STD) | constants, before=before)


NORMAL = (1 / STD, -MEAN / STD)
BYTES = node("Cast", "image", "pixels", to=TensorProto.FLOAT)


def raw(scale: float, shift: float = 0) -> Callable[[], ModelProto]:
    """Raw pixels that nothing in the graph brings to what it was trained on."""
    return inside(scale, shift, [node("Cast", "image", "x", to=TensorProto.FLOAT)], raw=True)


PIXELS: dict[str, Kind] = {
    "trained on pixels normalised by 0.1307 and 0.3081": fails(
        bare(*NORMAL), "normalised by 0.1307 and 0.3081"
    ),
    "Sub by 0.1307 and Div by 0.3081 in the graph": passes(
        inside(*NORMAL, [node("Sub", "image mean", "c"), node("Div", "c std", "x")], mean=MEAN, std=STD),
        OWN + 2,
    ),
    "a BatchNormalization of the image": passes(normalised_first, OWN + 2),
    "trained on pixels from -1 to 1": fails(bare(2, -1), "normalised by 0.5 and 0.5"),
    "Mul and Sub in the graph, for pixels from -1 to 1": passes(
        inside(2, -1, [node("Mul", "image two", "t"), node("Sub", "t one", "x")], two=2, one=1), OWN + 2
    ),
    "trained on pixels from 0 to 255": fails(bare(255), "from 0 to 255"),
    "Mul by 255 in the graph": passes(inside(255, 0, [node("Mul", "image full", "x")], full=255), OWN + 1),
    "trained on inverted pixels": fails(bare(-1, 1), "inverted"),
    "Sub from 1 in the graph, for inverted pixels": passes(
        inside(-1, 1, [node("Sub", "one image", "x")], one=1), OWN + 1
    ),
    "trained on inverted pixels from 0 to 255": fails(bare(-255, 255), "inverted, from 0 to 255"),
    "a uint8 image, Cast and Div by 255": passes(
        inside(1, 0, [BYTES, node("Div", "pixels full", "x")], raw=True, full=255), OWN + 1
    ),
    "a uint8 image and Cast, trained on pixels from 0 to 255": passes(raw(255)),
    "a uint8 image and Cast, trained on pixels from -1 to 1": fails(raw(2, -1), "normalised by 0.5 and 0.5"),
    "a float32 image and Div by 255, as if it were raw": fails(
        inside(1, 0, [node("Div", "image full", "x")], full=255), "from 0 to 255", OWN + 1
    ),
    "trained on inverted pixels from -1 to 1": fails(bare(-2, 1), "inverted"),
}
