"""ONNX files: the network's own numbers, masks baked in, the same bytes every time."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import initialise, masked
from neural_golf.net.spec import Network
from neural_golf.referee.verdict import count
from neural_golf.results.export import config_digest, name_of

SPECS = {
    "blog": [
        "conv 4 k4",
        "prelu",
        "maxpool 2",
        "conv 5 k3",
        "prelu",
        "maxpool 2",
        "conv 4 k3",
        "prelu",
        "linear 10",
    ],
    "relu": ["conv 8 k4", "relu", "maxpool 2", "conv 5 k3", "relu", "maxpool 2", "linear 10 nobias"],
    "separable": [
        "conv 6 k3 same",
        "leaky 0.2",
        "maxpool 2",
        "conv 6 k3 g6 nobias",
        "conv 5 k1",
        "gap",
        "linear 10",
    ],
    "tied": [
        "conv 4 k3 same",
        "conv 4 k3 same",
        "relu",
        "conv 4 k3 same tied=conv2",
        "avgpool 4",
        "linear 10",
    ],
    "headless": ["conv 10 k3", "relu", "gap"],
    "normalised": ["conv 4 k4", "norm", "abs", "maxpool 2", "conv 5 k3 nobias", "norm", "relu", "linear 10"],
    "normalised turns": [
        "norm",
        "conv 8 k3 turns",
        "norm",
        "abs",
        "maxpool 4",
        "conv 4 k3 turns",
        "norm",
        "linear 10",
    ],
}


@pytest.mark.parametrize("name", SPECS)
def test_onnxruntime_computes_what_the_engine_computes(name: str, rng: np.random.Generator) -> None:
    network = Network.parse(SPECS[name])
    mask = rng.random(network.size) < 0.7
    parameters = masked(initialise(network, rng), mask)
    model = model_proto(network, parameters, {})
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = rng.random((7, 1, 28, 28), np.float32)
    (logits,) = session.run(["logits"], {"image": images})
    np.testing.assert_allclose(logits, engine(network).logits(parameters, images), atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_the_referee_counts_what_the_project_counts(name: str, rng: np.random.Generator) -> None:
    network = Network.parse(SPECS[name])
    mask = rng.random(network.size) < 0.7
    weights = rng.uniform(0.1, 1.0, network.size).astype(np.float32)  # none is 0 by itself
    counted = count(model_proto(network, masked(weights, mask), {}))
    slopes = sum(
        layer.kind == "leaky" for layer in network.layers
    )  # an attribute that is not the default counts
    assert counted.parameters == network.size + slopes
    assert counted.nonzero == mask.sum() + slopes


def test_no_zero_is_negative(rng: np.random.Generator) -> None:
    network = Network.parse(SPECS["blog"])
    model = model_proto(network, initialise(network, rng) * np.float32(-0.0), {})
    for tensor in model.graph.initializer:
        assert not np.signbit(onnx.numpy_helper.to_array(tensor)).any()


def test_the_bytes_depend_on_the_network_only(rng: np.random.Generator) -> None:
    network = Network.parse(SPECS["blog"])
    parameters = initialise(network, rng)
    one, other = (
        model_proto(network, parameters, {"a": "1", "b": "2"}).SerializeToString(deterministic=True)
        for _ in "12"
    )
    assert one == other
    assert b"/home" not in one and b".py" not in one  # no source paths


def test_the_card_is_inside() -> None:
    network = Network.parse(SPECS["headless"])
    model = model_proto(network, np.zeros(network.size, np.float32), {"seed": "3"})
    assert {p.key: p.value for p in model.metadata_props} == {"seed": "3"}


def test_names_are_readable() -> None:
    assert name_of("baseline", {"seed": 3}) == "baseline-3"
    assert name_of("pruned", {"seed": 0, "judge": "test", "order": "index"}) == "pruned-test-index-0"


def test_the_source_in_a_card_depends_on_what_the_networks_come_from(settings: Config) -> None:
    def with_change(section: str, **change: object) -> str:
        changed = getattr(settings, section).model_copy(update=change)
        return config_digest(settings.model_copy(update={section: changed}))

    same = config_digest(settings)
    assert with_change("tuned", epochs=7) != same
    assert with_change("prune", threshold=0.7) != same
    assert with_change("handbook", seeds=9) == same
    assert with_change("search", trials=99) == same
    assert with_change("page", samples=9) == same
