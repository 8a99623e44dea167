"""What a file misses that fails for its pixels or the order of its classes alone: one sentence, and only then."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from nets import linear_net, model, node
from neural_golf.referee.challenge import load_challenge
from neural_golf.referee.hints import conventions, hint, order_hint
from neural_golf.referee.verdict import Verdict, verify

F = np.float32
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Linear = tuple[NDArray[np.float64], NDArray[np.float64]]
UNIT = np.random.default_rng(3).random((5, 1, 4, 4)).astype(F)


def named(unit: NDArray[np.float32], raw: bool = False) -> dict[str, NDArray[np.float32]]:
    found = conventions(unit, raw)
    assert len(dict(found)) == len(found)  # no name stands twice
    return dict(found)


@pytest.mark.parametrize("raw", [False, True])
def test_each_convention_gives_other_float32_pixels_of_the_same_shape(raw: bool) -> None:
    own = UNIT * F(255) if raw else UNIT
    seen = [own]
    for name, pixels in named(UNIT, raw).items():
        assert (pixels.dtype, pixels.shape) == (np.float32, UNIT.shape), name
        assert not any(np.allclose(pixels, other) for other in seen), name
        seen.append(pixels)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normalised by 0.1307 and 0.3081", lambda u: (u - 0.1307) / 0.3081),
        ("normalised by 0.286 and 0.353", lambda u: (u - 0.286) / 0.353),
        ("normalised by 0.5 and 0.5", lambda u: 2 * u - 1),
        ("inverted and normalised by 0.5 and 0.5", lambda u: 1 - 2 * u),
        ("from 0 to 255", lambda u: 255 * u),
        ("inverted", lambda u: 1 - u),
        ("inverted, from 0 to 255", lambda u: 255 - 255 * u),
        ("whose rows and columns are exchanged", lambda u: u.transpose(0, 1, 3, 2)),
    ],
)
def test_the_conventions_do_what_they_say(
    name: str, expected: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    assert np.allclose(named(UNIT)[name], expected(UNIT), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("divided by 255", lambda u: u),
        ("normalised by 0.1307 and 0.3081", lambda u: (u - 0.1307) / 0.3081),
        ("inverted", lambda u: 255 - 255 * u),
        ("inverted and divided by 255", lambda u: 1 - u),
        ("whose rows and columns are exchanged", lambda u: 255 * u.transpose(0, 1, 3, 2)),
    ],
)
def test_raw_pixels_have_conventions_of_their_own(
    name: str, expected: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> None:
    assert np.allclose(named(UNIT, raw=True)[name], expected(UNIT), atol=1e-4)


def test_coloured_images_are_normalised_by_channel() -> None:
    unit = np.random.default_rng(4).random((2, 3, 4, 5)).astype(F)
    found = named(unit)
    cifar = found["normalised by (0.4914, 0.4822, 0.4465) and (0.247, 0.2435, 0.2616)"]
    assert np.allclose(cifar[:, 1], (unit[:, 1] - 0.4822) / 0.2435, atol=1e-5)
    assert not any("0.1307" in name or "rows" in name for name in found)  # they are not square


def test_the_hint_names_the_best_convention() -> None:
    told = hint({"a": 700, "b": 990, "c": 989}, 500, 1000)
    assert told == "of 1,000 images it gets 990 right with pixels b, and 500 without: put that into the graph"


@pytest.mark.parametrize(("right", "named"), [((990, 990), "a"), ((988, 990), "a"), ((987, 990), "b")])
def test_a_simpler_convention_that_is_nearly_as_good_goes_before(right: tuple[int, int], named: str) -> None:
    told = hint(dict(zip("ab", right, strict=True)), 500, 1000)
    assert told is not None and f"pixels {named}," in told


@pytest.mark.parametrize(
    ("right", "told"), [({"a": 509}, False), ({"a": 510}, True), ({"a": 9}, False), ({}, False)]
)
def test_a_convention_that_is_not_clearly_better_is_no_hint(right: dict[str, int], told: bool) -> None:
    assert (hint(right, 500, 1000) is not None) == told


LABELS = np.arange(1000) % 10


def test_classes_in_another_order_are_told() -> None:
    found = (LABELS + 9) % 10  # as if it began to count at 1, and ended with 0
    found[:20] = 3
    told = order_hint(found, LABELS, 10)
    assert told is not None
    assert told.startswith("it gets 982 right with its classes in another order, and 2 as they are: ")
    assert told.endswith(
        "and it has 0 for 1, 1 for 2, 2 for 3, 3 for 4, 4 for 5, 5 for 6, 6 for 7, 7 for 8, 8 for 9, 9 for 0"
    )


def test_two_classes_exchanged_are_told_alone() -> None:
    found = np.where(LABELS == 4, 9, np.where(LABELS == 9, 4, LABELS))
    told = order_hint(found, LABELS, 10)
    assert told is not None and told.endswith("and it has 4 for 9, 9 for 4")


@pytest.mark.parametrize(
    "found",
    [
        LABELS,
        np.zeros(1000, np.int64),
        np.random.default_rng(5).integers(0, 10, 1000),
        np.where(LABELS == 4, 9, LABELS),  # one class is never answered
        np.where(np.arange(1000) % 7 < 4, np.random.default_rng(6).integers(0, 10, 1000), (LABELS + 1) % 10),
    ],
    ids=["right", "one answer", "by chance", "no order", "mostly wrong in any order"],
)
def test_a_network_that_is_only_bad_gets_no_other_order(found: NDArray[np.int64]) -> None:
    assert order_hint(found, LABELS, 10) is None


# With the referee


@pytest.fixture(scope="module")
def linear(digits: Digits) -> Linear:
    """Ridge regression: weight [784, 10] and bias [10]."""
    x = digits[0].reshape(len(digits[0]), -1) / 255
    x = np.hstack([x, np.ones((len(x), 1))])
    solved = np.linalg.solve(x.T @ x + np.eye(785), x.T @ np.eye(10)[digits[1]])
    return solved[:-1], solved[-1]


def judged(folder: Path, digits: Digits, weight: NDArray, bias: NDArray, raw: bool = False) -> Verdict:  # type: ignore[type-arg]
    made = linear_net(weight.astype(F), bias.astype(F), "gemm")
    if raw:
        nodes = [
            node("Cast", "x", "p", to=TensorProto.FLOAT),
            node("Flatten", "p", "f"),
            node("Gemm", "f w b", "y"),
        ]
        made = model(nodes, {"w": weight.astype(F), "b": bias.astype(F)}, image_type=TensorProto.UINT8)
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    n = len(digits[1])
    easy = load_challenge("mnist-98").model_copy(update={"images": n, "threshold": int(0.94 * n)})
    return verify(path, *digits, easy)


def test_exchanged_rows_and_columns_are_told(tmp_path: Path, digits: Digits, linear: Linear) -> None:
    weight = linear[0].reshape(28, 28, 10).swapaxes(0, 1).reshape(784, 10)
    found = judged(tmp_path, digits, weight, linear[1])
    assert found.verdict == "FAIL" and "pixels whose rows and columns are exchanged" in found.reason, (
        found.reason
    )


def test_a_network_that_inverts_raw_pixels_is_told(tmp_path: Path, digits: Digits, linear: Linear) -> None:
    weight, bias = -linear[0], linear[1] + linear[0].sum(0)  # for 1 - pixel / 255
    found = judged(tmp_path, digits, weight, bias, raw=True)
    assert found.verdict == "FAIL" and "pixels inverted and divided by 255" in found.reason, found.reason


def test_a_file_that_passes_gets_no_hint(tmp_path: Path, digits: Digits, linear: Linear) -> None:
    found = judged(tmp_path, digits, *linear)
    assert found.verdict == "PASS" and re.fullmatch(r"\d+ of 1797 correct, 1689 needed", found.reason)


def test_the_verdict_tells_of_another_order(tmp_path: Path) -> None:
    images = np.zeros((1000, 1, 28, 28), np.uint8)
    images[np.arange(1000), 0, 0, LABELS] = 255
    weight = np.zeros((784, 10), np.float32)
    weight[np.arange(10), (np.arange(10) + 1) % 10] = 1
    path = tmp_path / "net.onnx"
    path.write_bytes(linear_net(weight, np.zeros(10, np.float32)).SerializeToString())
    challenge = load_challenge("mnist-98").model_copy(update={"images": 1000, "threshold": 900})
    found = verify(path, images, LABELS, challenge)
    assert found.verdict == "FAIL" and "0 for 9, 1 for 0" in found.reason
