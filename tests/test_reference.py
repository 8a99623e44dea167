"""The reference network as PyTorch modules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neural_golf.base import longwork
from neural_golf.config.sections import Reference
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.train.reference import Example

torch = pytest.importorskip("torch")


def test_pooling_before_relu_gives_the_same_values_and_gradients() -> None:
    from neural_golf.engine.modules import sequential
    from neural_golf.train.reference import pooled_first

    network = Network.parse(["conv 3 k3", "relu", "conv 4 k3", "relu", "maxpool 2", "linear 10"])
    parameters = torch.from_numpy(initialise(network, np.random.default_rng(0)))
    images = torch.randint(0, 3, (8, 1, 28, 28), generator=torch.Generator().manual_seed(0)).float()
    images[:, :, :10] = 0  # windows that tie, as in blank borders
    found = []
    for module in (
        sequential(pooled_first(network.layers)),
        torch.nn.Sequential(
            torch.nn.Conv2d(1, 3, 3),
            torch.nn.ReLU(),
            torch.nn.Conv2d(3, 4, 3),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(576, 10),
        ),
    ):
        torch.nn.utils.vector_to_parameters(parameters.clone(), module.parameters())
        logits = module(images)
        torch.nn.functional.cross_entropy(logits, torch.arange(8)).backward()
        found.append([logits, *(p.grad for p in module.parameters())])
    kinds = [type(m).__name__ for m in sequential(pooled_first(network.layers))]
    assert kinds == ["Conv2d", "ReLU", "Conv2d", "MaxPool2d", "ReLU", "Flatten", "Linear"]
    assert all(torch.equal(ours, plain) for ours, plain in zip(*found, strict=True))


@pytest.mark.parametrize("added", ["relu1", "maxpool1"])
def test_what_is_added_to_another_layer_stays_where_it_is(added: str) -> None:
    from neural_golf.train.reference import pooled_first

    size = "maxpool 1" if added == "relu1" else "maxpool 2"
    layers = Network.parse(["conv 3 k3", "relu", size, "conv 3 k3 same", f"add {added}", "linear 10"]).layers
    assert pooled_first(layers) == list(layers)


def test_a_killed_seed_goes_on_to_the_same_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    network = Network.parse(["conv 4 k3", "relu", "maxpool 4", "dropout 0.25", "linear 10"], (1, 28, 28))
    section = Reference(network=network.spec, epochs=3, batch=16, learning_rate=1.0, precision="bfloat16")
    images = torch.from_numpy(rng.random((100, 1, 28, 28), np.float32))
    targets = torch.from_numpy(rng.integers(0, 10, 100))
    whole = Example(network, section, 7, 100)
    losses = [whole.epoch(k, images, targets, "") for k in range(3)]
    first = Example(network, section, 7, 100)
    first.epoch(0, images, targets, "")
    first.save(tmp_path / "state.safetensors", [[losses[0], 0.5]])
    second = Example(network, section, 7, 100)
    found = longwork.kept(tmp_path / "state.safetensors")
    assert found and second.load(*found) == [[losses[0], 0.5]]
    assert [second.epoch(k, images, targets, "") for k in (1, 2)] == losses[1:]
    assert (second.vector() == whole.vector()).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_told_once_and_the_cpu_trains(
    rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    from neural_golf.train.reference import device_of

    device_of.cache_clear()
    network = Network.parse(["conv 4 k3", "relu", "maxpool 4", "dropout 0.25", "linear 10"], (1, 28, 28))
    section = Reference(network=network.spec, epochs=1, batch=16, learning_rate=1.0, precision="bfloat16")
    images = torch.from_numpy(rng.random((64, 1, 28, 28), np.float32))
    targets = torch.from_numpy(rng.integers(0, 10, 64))
    found = []
    for asked in ("cpu", "gpu", "gpu"):
        example = Example(network, section.model_copy(update={"device": asked}), 7, 64)
        example.epoch(0, images, targets, "")
        found.append(example.vector().tobytes())
    assert len(set(found)) == 1
    assert capsys.readouterr().err.count("finds none; the CPU trains") == 1
