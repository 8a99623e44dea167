"""The canonical form of an image in ONNX: the first nodes of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neural_golf.net.form import FAINT, Form

__all__ = ["FORM_OPSET", "form_nodes", "form_numbers"]

FORM_OPSET = 20  # AffineGrid is new in it


def form_nodes(
    form: Form, shape: tuple[int, int, int], source: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], str]:
    """Nodes that bring images [batch, channels, height, width] into form, their constants, and the name of
    the last one's output.

    Coordinates are measured in units of `width`. One number is that unit: twice in the matrix of coordinates,
    in what puts a zero below kx, and in the last division. So with FAINT, and the ratio of width and height
    where they differ, three numbers are not zero.
    """
    channels, height, width = shape
    g = _Graph()
    unit = g.constant("unit", np.full((1, 1, 1, 1), 1 / form.width))
    row = g.node("Concat", [unit, g.constant("zeros", np.zeros((3, 1, 1, 1)))], "row", axis=0)
    corner, _ = g.split(row, "corner", axis=0)  # unit 0
    rows = g.node("Tile", [row, g.integers(3, 1, 1, 1)], "rows")  # unit 0 0, 0 unit 0, and six more
    matrix, _ = g.split(g.node("Reshape", [rows, g.integers(2, 2, 3)], "matrices"), "matrix", axis=0)
    grid = g.node("AffineGrid", [matrix, g.integers(1, 1, height, width)], "grid")  # [1, height, width, 2]
    places = g.node("Transpose", [grid], "places", perm=[3, 0, 1, 2])  # as kernels: [2, 1, height, width]
    across, down = g.split(places, "place", axis=0)

    ink = source
    if channels > 1:
        ink = g.node("ReduceSum", [source, g.integers(1)], "ink")  # [batch, 1, height, width]
    ink = g.node("Add", [ink, g.constant("faint", np.full(1, FAINT))], "inked")
    flat = g.node("LpNormalization", [g.node("Flatten", [ink], "flat")], "flat_share", p=1)
    share = g.node(
        "Reshape", [flat, g.integers(-1, 1, height, width)], "share"
    )  # of all ink; they add up to 1
    mean = g.node("Conv", [share, places], "mean")  # [batch, 2, 1, 1]: of x and y
    with_y = g.node("Conv", [g.node("Mul", [share, down], "down"), places], "with_y")  # of xy and yy
    xx = g.node("Conv", [g.node("Mul", [share, across], "across"), across], "xx")
    x, y = g.split(mean, "mean_of", axis=1)
    tall = g.node("Sub", [with_y, g.node("Mul", [mean, y], "mean_y")], "tall")  # covariances with y
    xy, yy = g.split(tall, "tall_of", axis=1)
    wide = g.node("Sub", [xx, g.node("Mul", [x, x], "x_x")], "wide")
    slanted = g.node("Div", [g.node("Mul", [xy, xy], "xy_xy"), yy], "slanted")
    narrow = g.node("Sub", [wide, slanted], "narrow")  # what is left of the width after the shear
    columns = [
        g.node("Conv", [g.power(narrow, form.width_exponent / 2, "kx"), corner], "first"),  # kx · unit, 0
        g.scaled(tall, yy, unit, form),
        mean,
    ]
    theta = g.node(
        "Div", [g.node("Concat", columns, "columns", axis=2), unit], "in_units"
    )  # [batch, 2, 3, 1]
    theta = g.node("Squeeze", [theta, g.integers(3)], "theta")
    last = g.node("AffineGrid", [theta, g.node("Shape", [source], "shape")], "sampled")
    return g.nodes, list(g.constants.values()), g.node("GridSample", [source, last], "")


def form_numbers(form: Form) -> NDArray[np.float32]:
    """The numbers that a form adds to those of a network, zeros included."""
    _, constants, _ = form_nodes(form, (1, 2, 2), "")
    arrays = [numpy_helper.to_array(tensor) for tensor in constants]
    return np.concatenate([array.ravel() for array in arrays if array.dtype == np.float32])


class _Graph:
    """Collects nodes and constants, named form.suffix; equal lists of integers once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, inputs: Sequence[str], suffix: str, **attributes: Any) -> str:
        name = f"form.{suffix}" if suffix else "form"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def split(self, x: str, suffix: str, axis: int) -> tuple[str, str]:
        names = [f"form.{suffix}.{k}" for k in range(2)]
        self.nodes.append(helper.make_node("Split", [x], names, names[0], axis=axis, num_outputs=2))
        return names[0], names[1]

    def constant(self, suffix: str, values: Any) -> str:
        name = f"form.{suffix}"
        self.constants[name] = numpy_helper.from_array(np.asarray(values, np.float32), name)
        return name

    def integers(self, *values: int) -> str:
        name = "form.integers." + ".".join(map(str, values))
        self.constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
        return name

    def power(self, x: str, exponent: float, suffix: str) -> str:
        """x to an exponent; without a number of its own where this is a half, a quarter or an eighth."""
        for halvings in range(1, 4):
            if exponent == 0.5**halvings:
                for k in range(halvings):
                    x = self.node("Sqrt", [x], f"{suffix}.{k}")
                return x
        return self.node("Pow", [x, self.constant(f"{suffix}.exponent", exponent)], suffix)

    def scaled(self, tall: str, yy: str, unit: str, form: Form) -> str:
        """The covariances with y [batch, 2, 1, 1] as the matrix's second column, times the unit."""
        spread = yy
        if form.width != form.height:
            ratio = self.constant("ratio", np.full(1, (form.width / form.height) ** 2))
            spread = self.node("Mul", [yy, ratio], "tall_in_units")
        ky = self.power(spread, form.height_exponent / 2, "ky")
        per = self.node("Mul", [self.node("Div", [ky, yy], "ky_yy"), unit], "per")
        return self.node("Mul", [tall, per], "second")
