"""AffineGrid and GridSample under the rules: what is free, what counts, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

from nets import model, node
from neural_golf.referee.counting import count, inspect
from neural_golf.referee.rebuilding import rebuild
from neural_golf.referee.rules import Refused
from neural_golf.referee.verdict import verify

UNIT = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)
TEN = np.ones((2, 10), np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def coordinates(
    *body: Any, kernel: str = "k", size: Sequence[int] = (1, 1, 28, 28), **more: Any
) -> ModelProto:
    """The image, weighted by coordinates `g` [1, h, w, 2] that `body` makes a kernel of, and ten weights of each."""
    nodes = [
        node("AffineGrid", "t s", "g"),
        *body,
        node("Conv", f"x {kernel}", "c"),
        node("GlobalAveragePool", "c", "m"),
        node("Flatten", "m", "f"),
    ]
    nodes.append(node("MatMul", "f w", "y"))
    return model(nodes, {"t": UNIT, "s": ints(*size), "w": TEN} | more, opset=20)


def resampled(*body: Any, read: str = "x", options: dict[str, Any] | None = None, **more: Any) -> ModelProto:
    """The mean of what GridSample reads where `g` says, times ten weights; `body` makes `g`."""
    nodes = [
        *body,
        node("GridSample", f"{read} g", "z", **(options or {})),
        node("GlobalAveragePool", "z", "q"),
    ]
    nodes += [node("Flatten", "q", "f"), node("MatMul", "f w", "y")]
    return model(nodes, {"t": UNIT, "w": TEN[:1]} | more, opset=20)


# A matrix that moves with the image, [batch, 2, 3], and coordinates of it.
MOVING = [
    node("GlobalAveragePool", "x", "m"), node("Reshape", "m three", "v"), node("Mul", "t v", "u"),
]  # fmt: skip
GRID = [*MOVING, node("Shape", "x", "s"), node("AffineGrid", "u s", "g")]
THREE = {"three": ints(-1, 1, 1)}
KERNEL = node("Transpose", "g", "k", perm=[3, 0, 1, 2])
NONZERO = 20 + 2  # ten weights for each coordinate, and the ones of the matrix
RESAMPLED = 10 + 2 + 2  # and a number of the image that stands in a matrix is repeated in two dimensions


def test_whole_coordinates_count_as_their_matrix() -> None:
    assert count(coordinates(KERNEL)).nonzero == NONZERO
    one_half = coordinates(KERNEL, node("Split", "k", "a b", axis=0, num_outputs=2), kernel="b")
    one_half.graph.initializer[2].CopyFrom(numpy_helper.from_array(TEN[:1], "w"))
    assert count(one_half).nonzero == 10 + 2
    turned = [KERNEL, node("Reshape", "k flat", "r"), node("Reshape", "r back", "kk")]
    assert count(coordinates(*turned, kernel="kk", flat=ints(-1), back=ints(2, 1, 28, 28))).nonzero == NONZERO


@pytest.mark.parametrize(
    ("body", "more", "each"),
    [
        # Without the first column: 28 x 27 places, of which the y are all there, but not alone.
        ([KERNEL, node("Slice", "k one end axis", "kk")],
         {"one": ints(1), "end": ints(28), "axis": ints(3)}, 2 * 28 * 27),
        ([node("Mul", "g two", "h"), node("Transpose", "h", "kk", perm=[3, 0, 1, 2])],
         {"two": np.full(1, 2, np.float32)}, 2 * 784),
        ([KERNEL, node("Concat", "k other", "kk", axis=0)], {"other": np.zeros((0, 1, 28, 28), np.float32)}, 2),
    ],
)  # fmt: skip
def test_coordinates_that_are_cut_or_computed_with_count_one_by_one(
    body: list[Any], more: dict[str, np.ndarray], each: int
) -> None:
    assert count(coordinates(*body, kernel="kk", **more)).nonzero == 20 + each


@pytest.mark.parametrize(("size", "places"), [((28, 28), 0), ((1, 28), 0), ((14, 28), 1), ((7, 5), 2)])
def test_a_size_that_no_image_has_chooses_places(size: tuple[int, int], places: int) -> None:
    net = coordinates(KERNEL, size=(1, 1, *size))
    assert count(net).nonzero == NONZERO + places


@pytest.mark.parametrize(
    "size", [(1, 1, 28), (1, 1, 0, 28), (1, 1, -28, 28), (2, 1, 28, 28), (1, 1, 1 << 20, 1 << 20)]
)
def test_a_size_that_there_is_not_is_refused(size: tuple[int, ...]) -> None:
    with pytest.raises(Refused, match=r"AffineGrid( asks for| makes|: )"):
        count(coordinates(KERNEL, size=size))


def test_what_runs_is_made_of_the_matrix() -> None:
    """Rounded to 4 significant bits are the numbers that count, and not every coordinate that they make."""
    net = coordinates(KERNEL)
    net.graph.initializer[0].CopyFrom(numpy_helper.from_array(UNIT * np.float32(1.03), "t"))
    folded = inspect(net)
    for rounded, unit in ((None, 1.03), (8, 1.0)):
        made = onnx.load_from_string(rebuild(folded, rounded=rounded))
        found = [numpy_helper.to_array(t) for t in made.graph.initializer]
        (matrix,) = [array for array in found if array.shape == (1, 2, 3)]
        np.testing.assert_allclose(matrix, UNIT * unit, rtol=1e-6)
        assert max(array.size for array in found) == 20  # no coordinate is stored
        onnxruntime.InferenceSession(made.SerializeToString())


def test_the_division_is_open_where_the_graph_resamples() -> None:
    assert count(coordinates(KERNEL)).division == "plain"
    assert count(resampled(*GRID, **THREE)).division == "open"
    unused = resampled(*GRID, **THREE)
    unused.graph.node[-2].CopyFrom(node("Flatten", "m", "f"))
    assert count(unused).division == "plain"


def test_stored_places_count() -> None:
    grid = np.linspace(0.1, 0.9, 20).reshape(1, 1, 10, 2).astype(np.float32)
    moved = [node("GlobalAveragePool", "x", "m"), node("Reshape", "m four", "v"), node("Add", "grid v", "g")]
    net = resampled(*moved, grid=grid, four=ints(-1, 1, 1, 1))
    assert count(net).parts == {"stored": 10 + 20, "places": 2}  # what moves them stands in many places


def test_stored_numbers_are_not_looked_up() -> None:
    table = np.ones((1, 1, 28, 28), np.float32)
    with pytest.raises(Refused, match=r"GridSample looks up stored numbers \('table'\) where the image says"):
        count(resampled(*GRID, read="table", table=table, **THREE))


def test_a_table_in_disguise_is_not_looked_up_either(tmp_path: Path, rng: np.random.Generator) -> None:
    table = rng.random((1, 1, 28, 28), np.float32)
    nothing = [node("Sub", "x x", "none"), node("Add", "none table", "hidden")]
    net = resampled(*nothing, *GRID, read="hidden", table=table, **THREE)
    (tmp_path / "a.onnx").write_bytes(net.SerializeToString())
    images = rng.integers(0, 256, (300, 1, 28, 28)).astype(np.uint8) // rng.integers(
        1, 9, (300, 1, 1, 1)
    ).astype(np.uint8)
    found = verify(tmp_path / "a.onnx", images, np.zeros(300, np.uint8))
    assert found.verdict == "REFUSED" and "looks up stored numbers" in found.reason


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "nearest"}, r"the mode of GridSample must be linear or bilinear \('nearest'\)"),
        ({"mode": "cubic"}, r"linear or bilinear \('cubic'\)"),
        ({"padding_mode": "reflection"}, r"the padding_mode of GridSample must be zeros or border \('reflection'\)"),
        ({"mode": b"\xff"}, "the mode of GridSample must be"),
        ({}, None), ({"mode": "linear", "padding_mode": "border", "align_corners": 1}, None),
    ],
)  # fmt: skip
def test_numbers_are_not_rounded_or_taken_apart_by_reading(options: dict[str, Any], said: str | None) -> None:
    net = resampled(*GRID, options=options, **THREE)
    if said is None:
        assert count(net).nonzero == RESAMPLED
        return
    with pytest.raises(Refused, match=said):
        count(net)


def test_a_grid_of_many_numbers_is_a_product() -> None:
    """An affine grid is six numbers; one that is anything else is as many as it has, less the 64 that are free."""
    free = [*GRID[:-1], node("AffineGrid", "u s", "a"), node("Relu", "a", "g")]
    assert count(resampled(*GRID, **THREE)).nonzero == RESAMPLED
    found = count(resampled(*free, **THREE))
    assert found.parts["products of activations"] == 784 - 64


def test_a_second_resampling_is_a_wire() -> None:
    nodes = [*GRID, node("GridSample", "x g", "z0")]
    nodes += [node("GridSample", f"z{k} g", f"z{k + 1}") for k in range(40)]
    with pytest.raises(Refused, match="wires"):
        count(resampled(*nodes, read="z40", **THREE))
    assert count(resampled(*nodes[:20], read="z14", **THREE)).nonzero == RESAMPLED


def test_a_shape_of_coordinates_does_not_depend_on_the_image() -> None:
    net = coordinates(node("Cast", "x", "i", to=7), node("AffineGrid", "t i", "gg"), KERNEL)
    net.graph.node[-3].CopyFrom(node("Conv", "x gg", "m"))
    with pytest.raises(Refused, match=r"rounds numbers to integers|depends on the image"):
        count(net)
