"""The stage `reference`: PyTorch's own MNIST example, trained here, as a yardstick.

https://github.com/pytorch/examples/blob/main/mnist/main.py: its network, its optimiser (Adadelta,
learning rate 1, gamma 0.7 per epoch) and its batch size; the epochs are in params.yaml.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.config.sections import Reference
from neural_golf.net.checkpoint import Run
from neural_golf.net.parameters import fold_normalisation, initialise
from neural_golf.net.spec import Network
from neural_golf.train.stage import Trained, save

if TYPE_CHECKING:
    import torch

__all__ = ["run"]


def run(config: Config, row: str) -> None:
    """Train the row's network once per seed."""
    import torch

    section: Reference = config.settings(row)
    facts = data.facts()
    network = data.network(section.network)
    train, heldout = data.read("train"), data.read("heldout")
    torch.set_num_threads(1)  # a seed per core beats two cores on one seed
    torch.use_deterministic_algorithms(True)
    images, held = (_tensor(part.pixels, facts.mean, facts.std) for part in (train, heldout))
    targets = torch.from_numpy(train.labels.astype(np.int64))

    def one(seed: int) -> Trained:
        def compute(state: Path) -> longwork.Piece:
            random = torch.Generator().manual_seed(seed)  # of dropout; PyTorch's own is shared by threads
            module = modules(network, random)
            torch.nn.utils.vector_to_parameters(
                torch.from_numpy(initialise(network, np.random.default_rng(seed))), module.parameters()
            )
            module = module.to(memory_format=torch.channels_last)  # twice as fast on a CPU
            optimiser = torch.optim.Adadelta(module.parameters(), lr=section.learning_rate)
            schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, section.gamma)
            curve: list[list[float]] = []
            for epoch in range(section.epochs):
                order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(train)))
                total = 0.0
                batches = order.split(section.batch)  # type: ignore[no-untyped-call]
                for rows in longwork.progress(batches, desc=f"{row} seed {seed}", leave=False):
                    with torch.autocast("cpu", torch.bfloat16, enabled=section.precision == "bfloat16"):
                        logits = module(images[rows].contiguous(memory_format=torch.channels_last))
                    loss = torch.nn.functional.cross_entropy(logits.float(), targets[rows])
                    optimiser.zero_grad()
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimiser.step()
                    total += loss.item() * len(rows)
                schedule.step()
                correct, ties = _correct(module, held, heldout.labels)
                curve.append([total / len(train), correct / len(heldout)])
                loss_now, accuracy = curve[-1]
                text = f"epoch {epoch + 1}/{section.epochs}, loss {loss_now:.4f}, held-out {accuracy:.2%}"
                longwork.say(row, f"seed {seed}", text)
            vector = torch.nn.utils.parameters_to_vector(
                p.contiguous() for p in module.parameters()
            ).detach().numpy()  # fmt: skip
            record = Run(seed, heldout_correct=correct, heldout_ties=ties)
            vector = fold_normalisation(network, vector, facts.mean, facts.std)
            kept = [[round(loss, 6), accuracy] for loss, accuracy in curve]
            return {"parameters": vector}, {"run": asdict(record), "curve": kept}

        key = longwork.folder(row, section=section.model_dump(), seed=seed, data=facts.digest)
        tensors, found = longwork.finished(key, compute)
        return tensors["parameters"], Run(**found["run"]), found["curve"]

    results = longwork.in_parallel(config.rows[row].seeds, one)
    save(row, network, results, section.model_dump(exclude={"network"}), len(heldout))


def modules(network: Network, random: torch.Generator) -> torch.nn.Sequential:
    """The network as ordinary PyTorch modules; parameters in the order of the flat vector.

    Where a ReLU stands before max pooling, the pooling comes first: the same values and gradients, of a
    quarter of the numbers.
    """
    import torch
    from torch import nn

    class Dropout(nn.Module):
        """nn.Dropout with a generator of its own (Srivastava et al. 2014)."""

        def __init__(self, rate: float) -> None:
            super().__init__()
            self.rate = rate

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                return x
            keep = torch.rand(x.shape, generator=random) >= self.rate
            return x * keep / (1 - self.rate)

    kinds = {"relu": nn.ReLU}
    parts: list[nn.Module] = []
    layers = list(network.layers)
    for at, (first, second) in enumerate(itertools.pairwise(network.layers)):
        if (first.kind, second.kind) == ("relu", "maxpool"):
            layers[at : at + 2] = second, first
    for layer in layers:
        c, h, w = layer.in_shape
        match layer.kind:
            case "conv":
                parts.append(
                    nn.Conv2d(
                        c,
                        layer.out_shape[0],
                        layer.kernel,
                        1,
                        layer.pad,
                        1,
                        layer.groups,
                        layer.bias is not None,
                    )
                )
            case "linear":
                parts += [nn.Flatten(), nn.Linear(c * h * w, layer.out_shape[0], layer.bias is not None)]
            case "maxpool":
                parts.append(nn.MaxPool2d(layer.kernel))
            case "dropout":
                parts.append(Dropout(layer.value))
            case kind if kind in kinds:
                parts.append(kinds[kind]())
            case kind:
                raise GolfError(f"params.yaml: reference.network: {kind!r} is not for the reference network")
    return nn.Sequential(*parts)


def _tensor(pixels: NDArray[np.uint8], mean: float, std: float) -> torch.Tensor:
    import torch

    return (torch.from_numpy(pixels).float() / 255 - mean) / std


def _correct(module: torch.nn.Module, images: torch.Tensor, labels: NDArray[np.uint8]) -> tuple[int, int]:
    """Correct of the images and near ties (see train.score), in float32."""
    import torch

    module.eval()
    with torch.no_grad():
        best = [module(part).topk(2, dim=1) for part in images.split(500)]  # type: ignore[no-untyped-call]
    module.train()
    values, guess = (torch.cat(parts).numpy() for parts in zip(*best, strict=True))
    return int((guess[:, 0] == labels).sum()), int((values[:, 0] - values[:, 1] < 1e-4).sum())
