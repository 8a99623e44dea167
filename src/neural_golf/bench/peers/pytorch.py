"""PyTorch as people use it: eager; with channels last and a fused optimiser; with torch.compile as well."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.bench.peers.peer import NORMAL, Evaluation, Training, Vector, Work
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["evaluate", "module_of", "normalised", "train", "trained_in_steps"]


def normalised(images: NDArray[np.uint8]) -> Tensor:
    import torch

    return (torch.from_numpy(images).float() / 255 - NORMAL[0]) / NORMAL[1]


def module_of(network: Network, parameters: Vector) -> nn.Module:
    """The network as one would write it with torch.nn."""
    import torch

    from neural_golf.engine.modules import sequential

    module = sequential(network.layers)
    torch.nn.utils.vector_to_parameters(torch.from_numpy(parameters.copy()), module.parameters())
    return module


def train(tuned: bool = False, compiled: bool = False) -> Callable[[Training], Work]:
    """tuned: channels last and a fused Adam; compiled: through torch.compile."""

    def work(task: Training) -> Work:
        import torch

        module = module_of(task.network, task.start)
        x = normalised(task.data[0])
        if tuned:
            module.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)

        def start() -> Vector:
            vector = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
            return np.asarray(vector.numpy().copy())

        def reset() -> None:
            torch.nn.utils.vector_to_parameters(torch.from_numpy(task.start.copy()), module.parameters())

        call = torch.compile(module, dynamic=False) if compiled else module
        return trained_in_steps(task, module, call, x, torch.from_numpy(task.data[1]), reset, start, tuned)

    return work


def trained_in_steps(
    task: Training,
    module: nn.Module,
    call: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    reset: Callable[[], None],
    found: Callable[[], Vector],
    fused: bool,
    networks: int = 1,
) -> Work:
    """The usual loop of `task.steps` steps: logits [batch, classes], or [batch, networks, classes] of several
    networks at once.
    """
    import torch

    torch.set_num_threads(task.threads)
    order = torch.from_numpy(task.rows)
    options: dict[str, Any] = {"fused": True} if fused else {}

    def steps() -> Vector:
        reset()
        adam = torch.optim.Adam(module.parameters(), lr=task.rate, **options)
        for k in range(task.steps):
            at = order[k * task.batch : (k + 1) * task.batch]
            adam.zero_grad()
            logits, wanted = call(x[at]), y[at]
            if networks > 1:
                logits, wanted = logits.flatten(0, 1), wanted.repeat_interleave(networks)
            loss = torch.nn.functional.cross_entropy(logits, wanted) * networks
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        return found()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps()  # what compiles does so now
    return Work(steps, task.epoch / task.steps / networks, task.steps)


def evaluate(tuned: bool = False, compiled: bool = False) -> Callable[[Evaluation, int], Work]:
    """As `train`; in batches of one size."""

    def work(task: Evaluation, batch: int) -> Work:
        import torch

        torch.set_num_threads(task.threads)
        module = module_of(task.network, task.parameters).eval()
        x, y = normalised(task.data[0]), torch.from_numpy(task.data[1])
        if tuned:
            module.to(memory_format=torch.channels_last)
            x = x.contiguous(memory_format=torch.channels_last)
        call = torch.compile(module) if compiled else module

        def right() -> int:
            with torch.inference_mode():
                parts = zip(torch.split(x, batch), torch.split(y, batch), strict=True)
                return sum(int((call(a).argmax(1) == b).sum()) for a, b in parts)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            right()
        return Work(right)

    return work
