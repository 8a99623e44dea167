"""The referee holds against every attack of tests/attacks.py: the weights count, or the file is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

import attacks
from attacking.surgery import Attack, entry
from neural_golf.base.longwork import cores
from neural_golf.referee.verdict import Verdict, verify

IMAGES = 1_500  # as many as the precision probe needs to tell a point


@pytest.fixture(scope="module")
def digits() -> attacks.Digits:
    found = attacks.training_images(IMAGES)
    if found is None:
        pytest.skip("the training images of MNIST are in none of the places of params.yaml")
    return found


def classes(model: bytes, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pixels = images.astype(np.float32) / 255
    return session.run(None, {session.get_inputs()[0].name: pixels})[0].argmax(1)


def test_there_are_attacks_of_every_kind() -> None:
    assert len(attacks.ATTACKS) > 60
    assert len({str(a.build) for a in attacks.ATTACKS.values()}) == len(attacks.ATTACKS)


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_is_worth_stopping(name: str, digits: attacks.Digits) -> None:
    """It answers like the network whose weights it hides, in a file of allowed size."""
    attack = attacks.ATTACKS[name]
    data = attack.build().SerializeToString()
    assert len(data) < 1 << 20
    images, labels = digits[0][:500], digits[1][:500]
    found = classes(data, images)
    if attack.like is not None:
        assert (found == classes(entry(attack.like), images)).mean() >= attack.agree
    if attack.least is not None:
        assert (found == labels).mean() * 1000 >= attack.least


@pytest.fixture(scope="module")
def verdicts(
    request: pytest.FixtureRequest, digits: attacks.Digits, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Verdict]]]:
    """The verdicts on the attacks that are asked about; all cores work at them."""
    folder = tmp_path_factory.mktemp("attacks")
    asked = [
        one for one in request.session.items if getattr(one, "originalname", "") == "test_the_referee_holds"
    ]
    pool = ThreadPoolExecutor(cores())
    found = {}
    for number, item in enumerate(asked):
        name = item.callspec.params["name"]
        path = folder / f"{number}.onnx"
        path.write_bytes(attacks.ATTACKS[name].build().SerializeToString())
        found[name] = pool.submit(verify, path, *digits)
    yield found
    pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_the_referee_holds(name: str, verdicts: dict[str, Future[Verdict]]) -> None:
    attack = attacks.ATTACKS[name]
    found = verdicts[name].result()
    assert attacks.holds(attack, found), f"{found.reason}; counted {found.nonzero} of {attack.real}"
    if found.verdict == "REFUSED":
        assert attack.reason and re.search(attack.reason, found.reason), found.reason


def test_a_referee_that_sees_nothing_does_not_hold(digits: attacks.Digits) -> None:
    """The judgement on the referee is itself believed only if it can be bad."""
    attack = Attack(lambda: None, real=820)  # type: ignore[arg-type, return-value]
    passed = Verdict("PASS", "", "x", None, 10, None, correct=10, nonzero=819)
    assert not attacks.holds(attack, passed)
    for change in ({"nonzero": 820}, {"verdict": "REFUSED"}, {"correct": 5}):
        assert attacks.holds(attack, Verdict(**{**passed.__dict__, **change}))
