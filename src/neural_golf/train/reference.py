"""The stage `reference`: PyTorch's own MNIST example, trained here, as a yardstick.

https://github.com/pytorch/examples/blob/main/mnist/main.py: its network, its optimiser (Adadelta,
learning rate 1, gamma 0.7 per epoch) and its batch size; the epochs are in params.yaml.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.config import Config
from neural_golf.net.kind import Layer
from neural_golf.net.parameters import fold_normalisation, initialise
from neural_golf.net.spec import Network
from neural_golf.train.fit import save

if TYPE_CHECKING:
    import torch

__all__ = ["run"]


def run(config: Config) -> None:
    """Train the reference network once per seed of its roster."""
    import torch

    from neural_golf.engine.modules import sequential

    section = config.reference
    network = Network.parse(section.network)
    train, heldout = data.read("train"), data.read("heldout")
    torch.set_num_threads(1)  # a seed per core beats two cores on one seed
    torch.use_deterministic_algorithms(True)
    images, held = (_tensor(part.pixels, section.mean, section.std) for part in (train, heldout))
    targets = torch.from_numpy(train.labels.astype(np.int64))

    def one(seed: int) -> longwork.Piece:
        def compute(state: Path) -> longwork.Piece:
            start = time.perf_counter()
            random = torch.Generator().manual_seed(seed)  # of dropout; PyTorch's own is shared by threads
            module = sequential(pooled_first(network.layers), random)
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
                for rows in longwork.progress(batches, desc=f"reference seed {seed}", leave=False):
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
                longwork.say("reference", f"seed {seed}", text)
            vector = torch.nn.utils.parameters_to_vector(
                p.contiguous() for p in module.parameters()
            ).detach().numpy()  # fmt: skip
            record = {
                "seed": seed,
                "heldout_correct": correct,
                "heldout_ties": ties,
                "seconds": round(time.perf_counter() - start, 2),
                "curve": [[round(loss, 6), accuracy] for loss, accuracy in curve],
            }
            return {"parameters": fold_normalisation(network, vector, section.mean, section.std)}, record

        key = longwork.folder("reference", section=section.model_dump(), seed=seed, data=data.digest())
        return longwork.finished(key, compute)

    results = longwork.in_parallel(config.roster.reference, one)
    save("reference", network, results, section.model_dump(exclude={"network"}), len(heldout))


def pooled_first(layers: Sequence[Layer]) -> list[Layer]:
    """The layers with max pooling before ReLU where it stands after: the same values and gradients, of a
    quarter of the numbers.
    """
    found = list(layers)
    for at, (first, second) in enumerate(itertools.pairwise(layers)):
        if (first.kind, second.kind) == ("relu", "maxpool"):
            found[at : at + 2] = second, first
    return found


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
