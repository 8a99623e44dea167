"""Networks as data: counts, shapes, masks and the folded normalisation."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from neural_golf.base import statistics
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net import spec
from neural_golf.net.parameters import fold_normalisation, initialise, masked
from neural_golf.net.spec import Network

BLOG = [
    "conv 4 k4",
    "prelu",
    "maxpool 2",
    "conv 5 k3",
    "prelu",
    "maxpool 2",
    "conv 4 k3",
    "prelu",
    "linear 10",
]


def test_doctests() -> None:
    for module in (spec, statistics):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed


@pytest.mark.parametrize(
    ("row", "count"), [("reference", 1_199_882), ("baseline", 1_055), ("tuned", 807), ("prelu", 820)]
)
def test_the_blogs_counts_are_exact(settings: Config, row: str, count: int) -> None:
    assert Network.parse(getattr(settings, row).network).size == count


def test_the_blogs_counts_layer_by_layer() -> None:
    sizes = {t.name: t.size for t in Network.parse(BLOG).tensors}
    assert sizes == {
        "conv1.weight": 64, "conv1.bias": 4, "prelu1.slope": 4,
        "conv2.weight": 180, "conv2.bias": 5, "prelu2.slope": 5,
        "conv3.weight": 180, "conv3.bias": 4, "prelu3.slope": 4,
        "linear1.weight": 360, "linear1.bias": 10,
    }  # fmt: skip


def test_the_options_of_windows_set_shapes_and_add_no_parameter() -> None:
    plain = [
        "conv 4 k5",
        "abs",
        "maxpool 2",
        "conv 4 k3",
        "abs",
        "maxpool 2",
        "conv 4 k3",
        "abs",
        "linear 10",
    ]
    fine = ["conv 4 k5", "abs", "maxpool 2", "conv 4 k3 same", "abs", "maxpool 2 s1", "conv 4 k3 d2", "abs",
            "avgpool 3 s2", "linear 10"]  # fmt: skip
    assert Network.parse(plain).tensors == Network.parse(fine).tensors
    sides = [layer.out_shape[1] for layer in Network.parse(fine).layers]
    assert sides == [24, 24, 12, 12, 12, 11, 7, 7, 3, 1]
    for words, side in (
        ("maxpool 3 s2 p1", 14), ("maxpool 5 s4", 6), ("maxpool 2 s5 p1", 6), ("avgpool 4 s3", 9),
        ("conv 1 k3 d5", 18), ("conv 1 k3 d5 same", 28), ("conv 1 k7 d2 same", 28), ("conv 1 k2 d27", 1),
    ):  # fmt: skip
        assert Network.parse([words, "gap"]).layers[0].out_shape[1:] == (side, side), words


def test_a_tied_kernel_counts_once() -> None:
    network = Network.parse(
        ["conv 4 k3 same", "conv 4 k3 same", "conv 4 k3 same tied=conv2", "gap", "linear 10"]
    )
    assert network.size == 40 + 148 + 4 + 50
    assert network.layers[2].weight is network.layers[1].weight


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (["conv 4"], "write it as: conv CHANNELS kKERNEL"),
        (["conv 4 3"], "'3' should be k"),
        (["conv 0 k3"], "positive"),
        (["conv 4 k4 same"], "odd"),
        (["conv 4 k3 g3"], "3 groups do not divide"),
        (["conv 4 k3 blue"], "unknown word 'blue'"),
        (["conv 4 k3 d2 d3"], "d is given more than once"),
        (["conv 4 k3 d0"], "'d0' should be d and a positive whole number"),
        (["conv 4 k3 d14"], "a 3x3 kernel with dilation 14 covers 29x29 pixels and does not fit"),
        (["conv 4 k3 z2"], "unknown word 'z2'"),
        (["conv 4 k3 tied=conv9"], "no earlier layer 'conv9'"),
        (["maxpool 30"], "a 30x30 window does not fit"),
        (["maxpool 3 s0"], "'s0' should be s and a positive whole number"),
        (["maxpool 3 p2"], "padding of 2 is more than half of a 3x3 window"),
        (["maxpool 36 p3"], "a 36x36 window does not fit"),
        (["maxpool 3 2"], "unknown word '2'"),
        (["avgpool 3 p1"], "unknown word 'p1'"),
        (["avgpool 3 s2 p1"], r"write it as: avgpool SIZE \[sSTRIDE\]"),
        (["pool 2"], "unknown kind 'pool'"),
        (["leaky 2"], "from 0 to 1"),
        (["relu 2"], "write it as: relu"),
        (["norm 2"], "write it as: norm"),
        (["conv 4 k3", "gap", "norm"], r"'norm' \(input 4x1x1\): a map of one pixel"),
        (["linear 10", "norm"], "a map of one pixel"),
        ([], "last layer must give one number per class"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_with_the_reason(spec: list[str], why: str) -> None:
    with pytest.raises(GolfError, match=why):
        Network.parse(spec)


def test_starting_parameters_have_hes_bounds_before_relu_and_pytorchs_elsewhere(
    rng: np.random.Generator,
) -> None:
    network = Network.parse(BLOG)
    named = network.unpack(initialise(network, rng))
    for name, bound in (("conv1", np.sqrt(6 / 16)), ("conv2", np.sqrt(6 / 36)), ("conv3", np.sqrt(6 / 45))):
        assert 0.9 * bound < np.abs(named[f"{name}.weight"]).max() <= np.float32(bound)
        assert not named[f"{name}.bias"].any()
    for part in ("weight", "bias"):
        assert np.abs(named[f"linear1.{part}"]).max() <= 1 / np.sqrt(36)
    assert np.abs(named["linear1.weight"]).max() > 0.9 / np.sqrt(36)
    assert (named["prelu2.slope"] == 0.25).all()


def test_pack_undoes_unpack_and_refuses_another_architecture(rng: np.random.Generator) -> None:
    network = Network.parse(BLOG)
    vector = initialise(network, rng)
    named = network.unpack(vector)
    assert np.array_equal(network.pack(named), vector)
    del named["conv1.bias"]
    with pytest.raises(GolfError, match=r"another architecture: conv1\.bias"):
        network.pack(named)


def test_masked_parameters_are_positive_zeros() -> None:
    values = masked(np.array([-1.0, 2.0, -3.0], np.float32), np.array([False, True, False]))
    assert values.tolist() == [0.0, 2.0, 0.0]
    assert not np.signbit(values[[0, 2]]).any()


def test_masked_parameters_have_no_influence(rng: np.random.Generator) -> None:
    """The Jacobian of the logits is zero for them, and so is every change of them."""
    network = Network.parse(BLOG)
    parameters = initialise(network, rng)
    mask = rng.random(network.size) < 0.5
    images = rng.random((3, 1, 28, 28), np.float32)
    core = engine(network)
    want = core.logits(masked(parameters, mask), images)
    for _ in range(5):
        changed = np.where(mask, parameters, rng.normal(size=network.size)).astype(np.float32)
        assert np.array_equal(core.logits(masked(changed, mask), images), want)
    changed = parameters.copy()
    changed[np.flatnonzero(mask)[0]] += 1
    assert not np.array_equal(core.logits(masked(changed, mask), images), want)


def test_the_folded_normalisation_changes_nothing(rng: np.random.Generator) -> None:
    network = Network.parse(BLOG)
    parameters = initialise(network, rng)
    pixels = rng.integers(0, 256, (5, 1, 28, 28), np.uint8)
    normalised = engine(network, mean=0.1307, std=0.3081).logits(parameters, pixels)
    folded = engine(network).logits(fold_normalisation(network, parameters, 0.1307, 0.3081), pixels)
    np.testing.assert_allclose(folded, normalised, atol=2e-5)


@pytest.mark.parametrize("first", ["conv 4 k3 same", "conv 4 k3 nobias"])
def test_a_mean_is_not_folded_where_it_would_change_the_result(first: str, rng: np.random.Generator) -> None:
    network = Network.parse([first, "gap", "linear 10"])
    with pytest.raises(GolfError, match="can take in a mean only"):
        fold_normalisation(network, initialise(network, rng), 0.1, 0.3)
