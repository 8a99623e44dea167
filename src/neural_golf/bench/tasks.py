"""The tasks that engine and PyTorch do in turns: training, evaluation, zeroing, a study."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.bench.growth import multiply_adds
from neural_golf.bench.machine import Set, busy, in_turns
from neural_golf.bench.plain_torch import NORMAL, compiled_module, module_of, normalised, torch_correct
from neural_golf.engine import Engine, engine
from neural_golf.net.parameters import initialise, masked
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["evaluation", "study", "training", "zeroing"]


def training(network: Network, train: Set, batch: int, quick: bool, peak: float) -> dict[str, Any]:
    """One epoch over all of `train`: engine in full, PyTorch for a number of steps, scaled."""
    import torch

    images, labels = train
    steps = -(-len(images) // batch)
    some = min(steps, (20 if quick else 100) * (128 // batch))
    rows = np.random.default_rng(0).permutation(len(images))
    start = initialise(network, np.random.default_rng(0))
    x = normalised(images)
    y = torch.from_numpy(labels)
    order = torch.from_numpy(rows)

    def with_engine(core: Engine) -> Callable[[], object]:
        def epoch() -> object:
            p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
            return core.adam_epoch(p, m, v, 0, images, labels, rows, batch, 1e-3)

        return epoch

    def with_torch(
        call: Callable[[Tensor], Tensor], module: nn.Module, some: int = some
    ) -> Callable[[], object]:
        adam = torch.optim.Adam(module.parameters(), lr=1e-3)

        def part() -> object:
            for k in range(some):
                at = order[k * batch : (k + 1) * batch]
                adam.zero_grad()
                torch.nn.functional.cross_entropy(call(x[at]), y[at]).backward()  # type: ignore[no-untyped-call]
                adam.step()
            return None

        return part

    module = module_of(network)
    scale = steps / some
    runs: dict[str, tuple[Callable[[], object], float]] = {
        "engine": (with_engine(engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")), 1.0),
        "torch_eager": (with_torch(module, module), scale),
    }
    compiled_torch = None if quick else compiled_module(network, x[:batch], y[:batch])
    if compiled_torch is not None:
        runs["torch_compile"] = (with_torch(*compiled_torch), scale)
    seconds = in_turns(runs, 3 if quick else 5, time.process_time)
    all_threads: dict[str, float] = {}
    cores = os.cpu_count() or 1
    if cores > 1 and not busy():
        many = engine(network, mean=NORMAL[0], std=NORMAL[1], threads=cores, core="compiled")
        torch.set_num_threads(cores)
        few = max(10, some // 5)
        all_threads = in_turns(
            {"engine": (with_engine(many), 1.0),
             "torch_eager": (with_torch(module, module, few), steps / few)},
            3, time.perf_counter,
        )  # fmt: skip
        torch.set_num_threads(1)
    rate = multiply_adds(network) * len(images) / seconds["engine"]
    return {
        "batch": batch,
        "images": len(images),
        "seconds": seconds,
        "torch_steps_timed": some,
        "steps_of_an_epoch": steps,
        "times_faster": seconds["torch_eager"] / seconds["engine"],
        "multiply_adds_per_second": rate,
        "fraction_of_peak": rate / peak,
        "threads": cores,
        "wall_seconds_on_all_threads": all_threads,
    }


def evaluation(core: Engine, parameters: NDArray[np.float32], test: Set, quick: bool) -> dict[str, Any]:
    """Counting correct test images; PyTorch in batches of 128, and of 1,000 as its MNIST example does.

    `times_faster` compares with the faster of the two.
    """
    import torch

    images, labels = test
    module = module_of(core.network, parameters)
    x, y = normalised(images), torch.from_numpy(labels)
    counts: dict[str, int] = {}
    batches = (128, 1000)

    def with_engine() -> None:
        counts["engine"] = core.correct(parameters, images, labels)

    def with_torch(batch: int) -> Callable[[], object]:
        def evaluate() -> None:
            counts[f"torch_eager_{batch}"] = torch_correct(module, x, y, batch)

        return evaluate

    runs: dict[str, tuple[Callable[[], object], float]] = {"engine": (with_engine, 1.0)}
    runs |= {f"torch_eager_{batch}": (with_torch(batch), 1.0) for batch in batches}
    rounds = 3 if quick else 7
    seconds = in_turns(runs, rounds, time.process_time)
    all_threads: dict[str, float] = {}
    cores = os.cpu_count() or 1
    if cores > 1 and not busy():
        many = engine(core.network, mean=NORMAL[0], std=NORMAL[1], threads=cores, core="compiled")
        runs["engine"] = (lambda: many.correct(parameters, images, labels), 1.0)
        torch.set_num_threads(cores)
        all_threads = in_turns(runs, rounds, time.perf_counter)
        torch.set_num_threads(1)
    best = min(seconds[f"torch_eager_{batch}"] for batch in batches)
    return {
        "images": len(images),
        "torch_batches": list(batches),
        "seconds": seconds,
        "correct": counts,
        "times_faster": best / seconds["engine"],
        "threads": cores,
        "wall_seconds_on_all_threads": all_threads,
    }


def zeroing(core: Engine, parameters: NDArray[np.float32], test: Set, quick: bool) -> dict[str, Any]:
    """All weights one by one against the test images; a PyTorch loop in batches of 14 on a sample."""
    import torch

    images, labels = test
    candidates = core.network.weights()
    before = core.correct(parameters, images, labels)
    threshold = min(int(0.98 * len(images)), before - len(images) // 1000)
    masks: list[NDArray[np.bool_]] = []

    def sweep() -> None:
        masks.append(core.zero_one_by_one(parameters, candidates, images, labels, threshold))

    x, y = normalised(images), torch.from_numpy(labels)
    sample = candidates[:: -(-len(candidates) // (1 if quick else 3))]

    def with_torch() -> None:
        for q in sample:
            changed = parameters.copy()
            changed[q] = 0
            torch_correct(module_of(core.network, changed), x, y, 14)

    seconds = in_turns(
        {"engine": (sweep, 1.0), "torch_batch_14": (with_torch, len(candidates) / len(sample))},
        1 if quick else 3, time.process_time,
    )  # fmt: skip
    mask = masks[0]
    record: dict[str, Any] = {
        "candidates": len(candidates),
        "images": len(images),
        "threshold": threshold,
        "correct_before": before,
        "correct_after": core.correct(masked(parameters, mask), images, labels),
        "zeroed": int((~mask).sum()),
        "seconds": seconds,
        "torch_candidates_timed": len(sample),
        "times_faster": seconds["torch_batch_14"] / seconds["engine"],
        "alone_seconds": in_turns(
            {"a": (lambda: core.zero_alone(parameters, candidates, images, labels), 1.0)},
            1,
            time.process_time,
        )["a"],
    }
    if not quick:
        naive = Engine._zero_one_by_one(
            core, parameters.copy(), candidates, images, labels, threshold, None, 1
        )
        record["same_mask_as_the_naive_loop"] = bool((naive == mask).all())
        if not record["same_mask_as_the_naive_loop"]:
            raise GolfError(
                "bench: zeroing does not decide as the naive loop does; this is a bug of the engine"
            )
    return record


def study(network: Network, train: Set, test: Set, quick: bool) -> dict[str, Any]:
    """Trials per minute of an Optuna study as the ladder's: 8 epochs, batch 4 to 32, one judgement.

    The engine runs whole trials; for PyTorch every trial is 50 steps, scaled to its 8 epochs.
    """
    import optuna
    import torch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    images, labels = train
    epochs, trials = 8, (2 if quick else 6)
    core = engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")
    x, y = normalised(images), torch.from_numpy(labels)
    start = initialise(network, np.random.default_rng(0))
    scaled = 0.0

    def suggest(trial: optuna.Trial) -> tuple[int, float]:
        return trial.suggest_int("batch", 4, 32), trial.suggest_float("rate", 1e-5, 1e-2, log=True)

    def with_engine(trial: optuna.Trial) -> float:
        batch, rate = suggest(trial)
        p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
        rng = np.random.default_rng(0)
        for epoch in range(epochs):
            step = epoch * -(-len(images) // batch)
            core.adam_epoch(p, m, v, step, images, labels, rng.permutation(len(images)), batch, rate)
        return core.correct(p, *test)

    def with_torch(trial: optuna.Trial) -> float:
        nonlocal scaled
        batch, rate = suggest(trial)
        module = module_of(network, start)
        adam = torch.optim.Adam(module.parameters(), lr=rate)
        begin = time.process_time()
        for k in range(50):
            adam.zero_grad()
            part = slice(k * batch, (k + 1) * batch)
            torch.nn.functional.cross_entropy(module(x[part]), y[part]).backward()  # type: ignore[no-untyped-call]
            adam.step()
        scaled += (time.process_time() - begin) / 50 * epochs * -(-len(images) // batch)
        return 0.0

    def study(objective: Callable[[optuna.Trial], float]) -> float:
        begin = time.process_time()
        optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).optimize(
            objective, n_trials=trials
        )
        return time.process_time() - begin

    seconds = study(with_engine)
    study(with_torch)
    return {
        "epochs_of_a_trial": epochs,
        "trials": trials,
        "trials_per_minute": {"engine": 60 * trials / seconds, "torch_eager": 60 * trials / scaled},
        "times_faster": scaled / seconds,
    }
