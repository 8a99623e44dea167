"""What engine and peers do in turns: training, evaluation, zeroing, a study."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.bench.growth import multiply_adds
from neural_golf.bench.machine import Clock, Set, in_turns
from neural_golf.bench.peers import PEERS
from neural_golf.bench.peers.peer import NORMAL, Evaluation, Peer, Training, Work
from neural_golf.bench.peers.pytorch import module_of, normalised
from neural_golf.bench.plain_sweep import sweep
from neural_golf.engine import Engine, engine
from neural_golf.net.parameters import initialise, masked
from neural_golf.net.spec import Network

__all__ = ["evaluation", "study", "training", "zeroing"]

ROUNDS = 7  # of which the median is taken
AWAY = 2e-3  # a peer's parameters may be from those of the engine after a few steps: they round differently


def training(
    network: Network, train: Set, batch: int, quick: bool, threads: int, clock: Clock
) -> dict[str, Any]:
    """Seconds of one epoch over all of `train` for the engine in full, and for every peer from a number of
    steps. After these the peers have the engine's parameters, up to rounding.
    """
    images = len(train[0])
    rows = np.random.default_rng(0).permutation(images)
    start = initialise(network, np.random.default_rng(0))
    most = max(1, images // batch)
    some = min(most, (6 if quick else 30) * (128 // batch))
    task = Training(network, start, train, rows, batch, some, threads)
    works, left_out = _works(lambda peer: {"": peer.train(task)} if peer.train else {}, quick)
    same = engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")
    few = start.copy()
    same.adam_epoch(
        few, np.zeros_like(few), np.zeros_like(few), 0, *train, rows[: some * batch], batch, task.rate
    )
    for name, work in works.items():
        away = float(np.abs(work.run() - few).max())
        if work.steps == some and away > AWAY:
            raise GolfError(
                f"bench: {name} does not train as the engine does: a parameter is {away:.2g} away"
            )
    seconds = in_turns(_timed(works), 3 if quick else ROUNDS, clock)
    return {
        "batch": batch,
        "images": images,
        "steps_of_an_epoch": task.epoch,
        "steps_timed": {name: work.steps for name, work in works.items()},
        "seconds": seconds,
        "multiply_adds_per_second": multiply_adds(network) * images / seconds["engine"],
        "left_out": left_out,
    }


def evaluation(
    network: Network, parameters: NDArray[np.float32], test: Set, quick: bool, threads: int, clock: Clock
) -> dict[str, Any]:
    """Seconds of counting correct images, by peer and the size of its batches. All count the same, but for
    images that are near ties.
    """
    task = Evaluation(network, parameters, test, threads)

    def made(peer: Peer) -> dict[str, Work]:
        return {f" {batch}": peer.evaluate(task, batch) for batch in peer.batches if peer.evaluate}

    works, left_out = _works(made, quick)
    works = {name.removesuffix(" 0"): work for name, work in works.items()}
    counts = {name: work.run() for name, work in works.items()}
    for name, count in counts.items():
        if abs(int(count) - int(counts["engine"])) > 1 + len(test[0]) // 5000:
            raise GolfError(f"bench: {name} counts {count} images as right, the engine {counts['engine']}")
    return {
        "images": len(test[0]),
        "seconds": in_turns(_timed(works), 3 if quick else ROUNDS, clock),
        "correct": counts,
        "left_out": left_out,
    }


def _works(make: Callable[[Peer], dict[str, Work]], quick: bool) -> tuple[dict[str, Work], dict[str, str]]:
    """What each peer does, by its name, and why others are left out."""
    works: dict[str, Work] = {}
    left_out = {}
    for name, peer in PEERS.items():
        if not peer.installed:
            left_out[name] = f"{peer.needs} is not installed (pip install '.[{peer.extra}]')"
        elif peer.compiles and quick:
            left_out[name] = "a quick run compiles nothing"
        else:
            try:
                works |= {name + more: work for more, work in make(peer).items()}
            except GolfError:
                raise
            except Exception as error:  # no compiler, or a Python that it does not know
                left_out[name] = f"it does not work here ({type(error).__name__})"
    return works, left_out


def _timed(works: dict[str, Work]) -> dict[str, tuple[Callable[[], object], float]]:
    return {name: (work.run, work.scale) for name, work in works.items()}


def zeroing(core: Engine, parameters: NDArray[np.float32], test: Set, quick: bool) -> dict[str, Any]:
    """All weights one by one against so many images: by the engine; by its algorithm in plain PyTorch, which
    must decide alike; and by a plain loop in PyTorch in batches of 14, as the blog has it, on a sample.
    """
    import torch

    torch.set_num_threads(1)
    images, labels = test
    network, candidates = core.network, core.network.weights()
    before = core.correct(parameters, images, labels)
    threshold = min(int(0.98 * len(images)), before - len(images) // 1000)
    masks: dict[str, NDArray[np.bool_]] = {}

    def ours() -> None:
        masks["engine"] = core.zero_one_by_one(parameters, candidates, images, labels, threshold)

    def same() -> None:
        masks["plain"] = sweep(network, parameters, candidates, test, threshold)

    x, y = normalised(images), torch.from_numpy(labels)
    sample = candidates[:: -(-len(candidates) // (1 if quick else 3))]

    def loop() -> None:
        for q in sample:
            changed = parameters.copy()
            changed[q] = 0
            module = module_of(network, changed)
            with torch.no_grad():
                for a, b in zip(torch.split(x, 14), torch.split(y, 14), strict=True):
                    int((module(a).argmax(1) == b).sum())

    seconds = in_turns(
        {"engine": (ours, 1.0), "plain_torch": (same, 1.0), "loop": (loop, len(candidates) / len(sample))},
        1 if quick else ROUNDS, time.process_time,
    )  # fmt: skip
    mask = masks["engine"]
    record: dict[str, Any] = {
        "candidates": len(candidates),
        "images": len(images),
        "threshold": threshold,
        "correct_before": before,
        "correct_after": core.correct(masked(parameters, mask), images, labels),
        "zeroed": int((~mask).sum()),
        "seconds": seconds,
        "loop_candidates_timed": len(sample),
        "decisions_that_differ_in_plain_torch": int((mask != masks["plain"]).sum()),
        "algorithm_times_faster": seconds["loop"] / seconds["plain_torch"],
        "implementation_times_faster": seconds["plain_torch"] / seconds["engine"],
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
    """Trials per minute of an Optuna study as the ladder's: 8 epochs, batch 4 to 32, one judgement."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    images, labels = train
    epochs, trials = 8, (2 if quick else 6)
    core = engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")
    start = initialise(network, np.random.default_rng(0))

    def objective(trial: optuna.Trial) -> float:
        batch, rate = trial.suggest_int("batch", 4, 32), trial.suggest_float("rate", 1e-5, 1e-2, log=True)
        p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
        rng = np.random.default_rng(0)
        for epoch in range(epochs):
            step = epoch * -(-len(images) // batch)
            core.adam_epoch(p, m, v, step, images, labels, rng.permutation(len(images)), batch, rate)
        return core.correct(p, *test)

    begin = time.process_time()
    optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).optimize(objective, n_trials=trials)
    seconds = time.process_time() - begin
    return {"epochs_of_a_trial": epochs, "trials": trials, "trials_per_minute": 60 * trials / seconds}
