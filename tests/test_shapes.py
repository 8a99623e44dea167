"""Random networks of colours and series, with unequal sides, strides and sums: the same in numpy, PyTorch, the core,
onnxruntime, as a `.golf` file, and on the site; and counted by the referee as what they store.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from neural_golf.engine import engine
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode
from neural_golf.packed.file import as_packed, told_scales
from neural_golf.packed.grammar import version
from neural_golf.packed.graph import to_onnx
from neural_golf.referee.counting import count
from neural_golf.referee.rules import Refused
from test_engine import random_shape, random_spec
from test_links import read, same

KINDS = ("conv", "conv", "conv", "activation", "maxpool", "avgpool", "add", "add", "norm")


def drawn(rng: np.random.Generator) -> tuple[Network, np.ndarray]:
    """A random network as a file has it, whose numbers are whole numbers times a scale."""
    shape = random_shape(rng)
    network = Network.parse(random_spec(rng, shape, KINDS), shape)
    values = (rng.integers(-6, 7, network.size) * (rng.random(network.size) < 0.7)).astype(np.float32)
    network, values = as_packed(network, values)
    for tensor, told in zip(network.tensors, told_scales(network, values != 0), strict=True):
        values[tensor.slice] *= np.float32(0.03125 if told else 1)
    return network, values


@pytest.mark.parametrize("seed", range(4))
def test_a_random_network_is_the_same_everywhere(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    made = [drawn(rng) for _ in range(25)]
    assert {version(network.spec) for network, _ in made} == {1, 2}
    shown = {n.in_shape: rng.integers(0, 256, (4, *n.in_shape)).astype(np.uint8) for n, _ in made}
    files = [encode(*one) for one in made]
    for content, (network, values), told in zip(
        files, made, read(files, tmp_path, *shown.values()), strict=True
    ):
        again, numbers = decode(content)
        assert again == network
        assert numbers.tobytes() == (values + np.float32(0)).tobytes()
        assert same(told, network, values), (network.spec, told)
        pixels = shown[network.in_shape]
        exact = Plain(network, values.astype(np.float64)).forward(pixels.transpose(1, 2, 3, 0) / 255)[-1]
        wanted = exact.reshape(-1, len(pixels)).T
        scale = max(np.abs(wanted).max(), 1e-6)
        np.testing.assert_allclose(told["logits"], wanted, atol=1e-9 * scale)
        found = {core: engine(network, core=core).logits(values, pixels) for core in ("auto", "torch")}
        for onnx in (model_proto(network, values, {}).SerializeToString(), to_onnx(content)):
            session = onnxruntime.InferenceSession(onnx)
            (found["onnx"],) = session.run(["logits"], {"image": pixels.astype(np.float32) / 255})
        for logits in found.values():
            np.testing.assert_allclose(logits, wanted, atol=2e-4 * scale, err_msg=str(network.spec))
        loaded, back = unpack(to_onnx(content), "it")
        assert loaded == network
        assert back.tobytes() == (values + np.float32(0)).tobytes()


def test_a_sum_stores_nothing_and_is_a_wire(rng: np.random.Generator) -> None:
    block = ["conv 4 k1x3 same", "abs", "add {}"]
    for blocks in (2, 32, 33):
        spec = ["conv 4 k1x5 s1x2", "relu"]
        for k in range(blocks):
            spec += [word.format(f"add{k}" if k else "relu1") for word in block]
        network = Network.parse([*spec, "gap", "linear 10"], (6, 1, 40))
        values = rng.normal(size=network.size).astype(np.float32) * (rng.random(network.size) < 0.5)
        model = model_proto(network, values, {})
        if blocks > 32:
            with pytest.raises(Refused, match="33 wires"):
                count(model)
            continue
        found = count(model)
        assert found.parameters == network.size
        assert found.nonzero == np.count_nonzero(values)
