"""The stage `reference`: PyTorch's own MNIST example, trained here, as a yardstick.

https://github.com/pytorch/examples/blob/main/mnist/main.py: its network, its optimiser, its rate and its
batch size. The schedule is another one (see `Example`); the epochs are in params.yaml.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork, watch
from neural_golf.config import Config
from neural_golf.config.sections import Reference
from neural_golf.net.checkpoint import Run
from neural_golf.net.kind import Layer
from neural_golf.net.parameters import fold_normalisation, initialise
from neural_golf.net.spec import Network
from neural_golf.train.stage import save

if TYPE_CHECKING:
    import torch

__all__ = ["Example", "pieces", "run"]

Vector = NDArray[np.float32]


def run(config: Config, row: str) -> None:
    """Train the row's network once per seed; a killed seed goes on after its last whole epoch."""
    section: Reference = config.settings(row)
    told = {**section.model_dump(exclude={"network"}), "device": device_of(section.device)}
    network = data.network(section.network)
    save(row, network, longwork.computed(pieces(config, row)), told)


def pieces(config: Config, row: str) -> longwork.Pieces:
    """The row's trainings, as those of `train.stage`."""
    import torch

    section: Reference = config.settings(row)
    facts = data.facts()
    network = data.network(section.network)
    train, heldout = data.read("train"), data.read("heldout")
    torch.set_num_threads(1)  # a seed per core beats two cores on one seed
    torch.use_deterministic_algorithms(True)
    device = device_of(section.device)
    images, held = (_tensor(part.pixels, facts.mean, facts.std).to(device) for part in (train, heldout))
    targets = torch.from_numpy(train.labels.astype(np.int64)).to(device)

    def one(seed: int) -> longwork.Piece:
        def compute(state: Path) -> longwork.Piece:
            example = Example(network, section, seed, len(train))
            path = state / "epoch.safetensors"
            found = longwork.kept(path)
            curve = example.load(*found) if found else []
            while len(curve) < section.epochs:
                loss = example.epoch(len(curve), images, targets, f"{row} seed {seed}")
                correct, _ = _correct(example.module, held, heldout.labels)
                curve.append([round(loss, 6), correct / len(heldout)])
                example.save(path, curve)
                text = f"epoch {len(curve)}/{section.epochs}, loss {loss:.4f}, held-out {curve[-1][1]:.2%}"
                longwork.say(row, f"seed {seed}", text)
                watch.note(row, f"seed {seed}", len(curve), loss=loss, heldout_accuracy=curve[-1][1])
            correct, ties = _correct(example.module, held, heldout.labels)
            record = Run(seed, heldout_correct=correct, heldout_ties=ties)
            vector = fold_normalisation(network, example.vector(), facts.mean, facts.std)
            return {"parameters": vector}, {"run": asdict(record), "curve": curve}

        told = {**section.model_dump(), "device": device}
        key = longwork.folder(row, section=told, seed=seed, data=facts.digest)
        return longwork.finished(key, compute)

    return {f"seed-{seed}": functools.partial(one, seed) for seed in config.rows[row].seeds}


@functools.cache
def device_of(asked: str) -> str:
    """What PyTorch calls the device: "cuda" where params.yaml asks for a GPU and there is one, else "cpu"."""
    import torch

    if asked == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        print("golf: reference.device = gpu, but PyTorch finds none; the CPU trains", file=sys.stderr)
        return "cpu"
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS is not deterministic
    return "cuda"


class Example:
    """One training of the reference network: module, optimiser and the generator of its dropout.

    Adadelta (Zeiler 2012, arXiv:1212.5701). The example multiplies its rate by 0.7 after each of 14 epochs;
    here it falls to 0 linearly, batch by batch, which comes nearly as far in fewer epochs.
    """

    def __init__(self, network: Network, section: Reference, seed: int, images: int) -> None:
        import torch

        from neural_golf.engine.modules import sequential

        self.section, self.seed, self.images = section, seed, images
        self.device = device_of(section.device)
        # PyTorch's own generator is shared by threads.
        self.random = torch.Generator(self.device).manual_seed(seed)
        self.module = sequential(pooled_first(network.layers), self.random)
        start = torch.from_numpy(initialise(network, np.random.default_rng(seed)))
        torch.nn.utils.vector_to_parameters(start, self.module.parameters())
        self.module = self.module.to(self.device)
        self.module = self.module.to(memory_format=torch.channels_last)  # twice as fast on a CPU
        self.optimiser = torch.optim.Adadelta(self.module.parameters(), lr=section.learning_rate)

    def epoch(self, number: int, images: torch.Tensor, targets: torch.Tensor, what: str) -> float:
        """Train for the epoch of this number, counted from 0; returns the mean loss."""
        import torch

        section = self.section
        order = torch.from_numpy(np.random.default_rng([self.seed, number]).permutation(self.images))
        order = order.to(self.device)
        batches = order.split(section.batch)  # type: ignore[no-untyped-call]
        total, all_steps = 0.0, len(batches) * section.epochs
        for step, rows in enumerate(longwork.progress(batches, desc=what, leave=False)):
            done = (number * len(batches) + step) / all_steps
            self.optimiser.param_groups[0]["lr"] = section.learning_rate * (1 - done)
            with torch.autocast(self.device, torch.bfloat16, enabled=section.precision == "bfloat16"):
                logits = self.module(images[rows].contiguous(memory_format=torch.channels_last))
            loss = torch.nn.functional.cross_entropy(logits.float(), targets[rows])
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            total += loss.item() * len(rows)
        return total / self.images

    def vector(self) -> Vector:
        """The parameters [n], in the order of the network."""
        import torch

        whole = torch.nn.utils.parameters_to_vector(p.contiguous() for p in self.module.parameters())
        return np.asarray(whole.detach().cpu().numpy())

    def save(self, path: Path, curve: list[list[float]]) -> None:
        tensors = {"parameters": self.vector(), "random": self.random.get_state().numpy()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"{number}.{name}": value.contiguous().cpu().numpy() for name, value in state.items()}
        longwork.keep(path, tensors, {"curve": json.dumps(curve)})

    def load(self, tensors: dict[str, NDArray[Any]], metadata: dict[str, str]) -> list[list[float]]:
        """Go on from what `save` wrote; returns the curve so far."""
        import torch

        vector = torch.from_numpy(tensors.pop("parameters"))
        self.random.set_state(torch.from_numpy(tensors.pop("random")))
        state: dict[int, dict[str, torch.Tensor]] = {}
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.copy_(vector[: parameter.numel()].view(parameter.shape))
                vector = vector[parameter.numel() :]
        for key, array in tensors.items():
            number, _, name = key.partition(".")
            tensor = torch.from_numpy(array)
            form = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
            state.setdefault(int(number), {})[name] = tensor.contiguous(memory_format=form)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": state})
        curve: list[list[float]] = json.loads(metadata["curve"])
        return curve


def pooled_first(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with max pooling before ReLU where it stands after: the same values and gradients, of a
    quarter of the numbers.
    """
    found, added = list(layers), {layer.adds for layer in layers}
    for at, (first, second) in enumerate(itertools.pairwise(layers)):
        if (first.kind, second.kind) == ("relu", "maxpool") and added.isdisjoint((first.name, second.name)):
            found[at : at + 2] = second, first
    return found


def _tensor(pixels: NDArray[np.uint8], mean: float, std: float) -> torch.Tensor:
    import torch

    return (torch.from_numpy(pixels).float() / 255 - mean) / std


def _correct(module: torch.nn.Module, images: torch.Tensor, labels: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct of the images and near ties (see data.score), in float32."""
    import torch

    module.eval()
    with torch.no_grad():
        best = [module(part).topk(2, dim=1) for part in images.split(500)]  # type: ignore[no-untyped-call]
    module.train()
    values, guess = (torch.cat(parts).cpu().numpy() for parts in zip(*best, strict=True))
    return int((guess[:, 0] == labels).sum()), int((values[:, 0] - values[:, 1] < 1e-4).sum())
