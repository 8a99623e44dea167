"""Thousands of mutated files: the referee counts or refuses each, and never dies, hangs or writes. And an oracle:
networks of known weights get their known count, however they are wrapped.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto

import fuzz
from cheating import cheat
from neural_golf.referee import counting
from wrapping import drawn, honest

SEED = 20261122


def test_counting_survives_thousands_of_mutated_files() -> None:
    report = fuzz.bulk_limited(SEED, 6_000)
    assert report.findings == []
    assert report.cases == 6_000
    assert report.accepted > 300, "the mutations are too wild: hardly a file gets past the rules"
    assert report.refused > 3_000
    assert report.slowest_seconds < 3 and report.peak_mib < 1_000


def test_the_sandbox_survives_hundreds_of_mutated_files() -> None:
    report = fuzz.whole(SEED, 200)
    assert report.findings == []
    assert report.accepted > 10
    assert report.peak_mib < 3 << 10


def test_a_known_network_gets_its_count_however_it_is_written() -> None:
    report = fuzz.known(SEED, 200)
    assert report.findings == []
    assert report.accepted > 190


def test_a_network_that_hides_weights_never_gets_less() -> None:
    report = fuzz.cheats(SEED, 200)
    assert report.findings == []
    assert report.accepted > 40, "the tricks are too bold: hardly a file gets past the walls"


def test_a_case_is_made_from_its_number_alone() -> None:
    assert [fuzz.case(1, n) for n in (3, 5)] == [fuzz.case(1, n) for n in (3, 5)]
    assert len({fuzz.case(1, n) for n in range(50)}) > 45
    for make in (honest, cheat):
        assert make(1, 3)[0] == make(1, 3)[0]
        assert make(1, 3)[0] != make(1, 4)[0]


def answers(model: ModelProto, image: np.ndarray) -> np.ndarray:
    """The logits of one image of 784 bytes, whatever layout and type the model declares."""
    alone = ModelProto()
    alone.CopyFrom(model)
    weights = {t.name for t in model.graph.initializer}
    (given,) = (i for i in model.graph.input if i.name not in weights)
    del alone.graph.input[:]
    alone.graph.input.append(given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        alone.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    tensor = given.type.tensor_type
    pixels = image.reshape([d.dim_value or 1 for d in tensor.shape.dim])
    if tensor.elem_type != TensorProto.UINT8:
        pixels = pixels.astype(np.float32) / 255
    return session.run(None, {given.name: pixels})[0]


@pytest.mark.parametrize("make", [honest, cheat])
def test_what_is_wrapped_still_computes_the_same(make: object) -> None:
    """An oracle whose networks do something else would prove nothing."""
    rng = np.random.default_rng(SEED)
    for number in range(60):
        model, count, plain = make(SEED, number)  # type: ignore[operator]
        image = rng.integers(0, 256, 784, np.uint8)
        found, expected = answers(model, image), answers(plain, image)
        assert np.allclose(found, expected, rtol=0.02, atol=0.02 * np.abs(expected).max()), number
        assert count > 0


def test_the_count_of_a_drawn_network_is_that_of_its_tensors() -> None:
    rng = random.Random(3)
    for _ in range(30):
        plain = drawn(rng)
        arrays = [
            a for layer in plain.layers for a in (layer.weight, layer.bias, layer.slope) if a is not None
        ]
        if all(layer.normal is None for layer in plain.layers):
            assert plain.count == sum(np.count_nonzero(a) for a in arrays)


def test_the_fuzzer_sees_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fuzzer that finds nothing is believed only if it finds what is there."""

    def faulty(data: bytes) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(fuzz, "parse", faulty)
    assert len(fuzz.bulk(SEED, 0, 10).crashes) == 10


def test_the_oracle_sees_a_wrong_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a referee that overlooks one number in all, every honest network is a finding."""
    right = counting.add_up

    def one_less(*args: object, **options: object) -> counting.Count:
        found = right(*args, **options)  # type: ignore[arg-type]
        return replace(found, nonzero=found.nonzero - 1)

    monkeypatch.setattr("neural_golf.referee.scoring.add_up", one_less)
    assert len(fuzz.known(SEED, 10).wrong) == 10
