"""`golf bench`: the engine beside PyTorch, in one process, in turns, medians of several.

Times on one thread are CPU seconds of the process (time.process_time), so that other work on the
machine does not count; times on several threads are seconds on the wall. Where PyTorch is slow, a
part is timed and scaled up, and the record says which part.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.bench.baseline import NORMAL, compiled_module, module_of, normalised, torch_correct
from neural_golf.bench.table import table
from neural_golf.engine import Engine, engine
from neural_golf.errors import GolfError
from neural_golf.model import Network, initialise, masked
from neural_golf.records import read_tensors, write_json

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["main", "multiply_adds"]

BLOG = (
    "conv 4 k4", "prelu", "maxpool 2", "conv 5 k3", "prelu", "maxpool 2", "conv 4 k3", "prelu", "linear 10",
)  # fmt: skip
WIDTHS = ((1, 1, 1), (2, 2, 2), (4, 5, 4), (8, 8, 8), (12, 16, 12), (24, 24, 16))

Clock = Callable[[], float]
Set = tuple[NDArray[np.uint8], NDArray[np.int64]]  # images [N, 1, 28, 28], labels [N]


def main(train: Path, test: Path, out: Path, *, quick: bool = False) -> str:
    """Measure everything, write `out` (JSON), return the table as Markdown.

    `train` and `test` are safetensors files with "images" uint8 [N, 1, 28, 28] and "labels" [N].
    `quick` times fewer and smaller things and leaves out torch.compile: minutes become seconds.
    Raises GolfError where the compiled core or a file is missing.
    """
    record = measure(_read(train), _read(test), (train, test), quick)
    write_json(out, record)
    return table(record)


def measure(train: Set, test: Set, files: tuple[Path, Path], quick: bool) -> dict[str, Any]:
    import torch

    from neural_golf.engine.compiled import Compiled, instruction_sets

    torch.set_num_threads(1)
    network = Network.parse(BLOG)
    core = Compiled(network, *NORMAL)
    parameters = _trained(core, train, 2 if quick else 8)
    peak = _peak(core.instructions, 3)
    record: dict[str, Any] = {
        "machine": {
            "processor": _processor(), "cores": os.cpu_count(), "instructions": core.instructions,
            "instruction_sets": instruction_sets(), "torch": torch.__version__,
            "python": platform.python_version(),
            "load_at_start": os.getloadavg()[0],
        },
        "quick": quick,
        "network": list(BLOG),
        "parameters": network.size,
        "peak_multiply_adds_per_second": peak,
        "training": [_training(network, train, batch, quick, peak) for batch in (128, 14)],
        "evaluation": _evaluation(core, parameters, test, quick),
        "zeroing": _zeroing(core, parameters, test, quick),
        "study": _study(network, train, test, quick),
        "memory": {what: _memory(what, files) for what in ("data", "training", "sweep")},
        "growth": _growth(train, quick),
    }  # fmt: skip
    return record


def multiply_adds(network: Network) -> int:
    """Multiply-adds that training on one image needs: forward, weight gradient, input gradient.

    Convolution outputs that pooling cuts off do not count, nor does the input gradient of the
    first layer.

    >>> multiply_adds(Network.parse(["conv 2 k5", "relu", "maxpool 4", "linear 10"]))
    59760
    """
    total = 0
    layers = network.layers
    for i, layer in enumerate(layers):
        if layer.kind not in ("conv", "linear") or layer.weight is None:
            continue
        _, height, width = layer.out_shape
        for after in layers[i + 1 :]:
            if after.kind == "maxpool":
                height, width = after.out_shape[1] * after.kernel, after.out_shape[2] * after.kernel
            if after.kind not in ("relu", "leaky", "prelu"):
                break
        total += (2 if i == 0 else 3) * layer.weight.size * height * width
    return total


def _training(network: Network, train: Set, batch: int, quick: bool, peak: float) -> dict[str, Any]:
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
    seconds = _in_turns(runs, 3 if quick else 5, time.process_time)
    all_threads: dict[str, float] = {}
    cores = os.cpu_count() or 1
    if cores > 1 and not _busy():
        many = engine(network, mean=NORMAL[0], std=NORMAL[1], threads=cores, core="compiled")
        torch.set_num_threads(cores)
        few = max(10, some // 5)
        all_threads = _in_turns(
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


def _evaluation(core: Engine, parameters: NDArray[np.float32], test: Set, quick: bool) -> dict[str, Any]:
    """Counting correct test images; PyTorch at the faster of batch 128 and 1,000."""
    import torch

    images, labels = test
    module = module_of(core.network, parameters)
    x, y = normalised(images), torch.from_numpy(labels)
    counts: dict[str, int] = {}

    def with_engine() -> None:
        counts["engine"] = core.correct(parameters, images, labels)

    def with_torch(batch: int) -> Callable[[], object]:
        def evaluate() -> None:
            counts[f"torch_eager_{batch}"] = torch_correct(module, x, y, batch)

        return evaluate

    runs: dict[str, tuple[Callable[[], object], float]] = {"engine": (with_engine, 1.0)}
    runs |= {f"torch_eager_{batch}": (with_torch(batch), 1.0) for batch in (128, 1000)}
    seconds = _in_turns(runs, 3 if quick else 7, time.process_time)
    best = min(seconds["torch_eager_128"], seconds["torch_eager_1000"])
    return {
        "images": len(images),
        "seconds": seconds,
        "correct": counts,
        "times_faster": best / seconds["engine"],
    }


def _zeroing(core: Engine, parameters: NDArray[np.float32], test: Set, quick: bool) -> dict[str, Any]:
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

    seconds = _in_turns(
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
        "alone_seconds": _in_turns(
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


def _study(network: Network, train: Set, test: Set, quick: bool) -> dict[str, Any]:
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


def _memory(what: str, files: tuple[Path, Path]) -> float:
    """Peak resident size in MiB of a fresh process that loads the data and does `what`."""
    code = (
        "import sys; from pathlib import Path; from neural_golf import bench; "
        "bench._resident(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, what, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GolfError(f"bench: measuring the memory of {what} failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout))


def _resident(what: str, train: Path, test: Path) -> None:
    """The inside of `_memory`: prints the peak in MiB."""
    import resource

    train_set, test_set = _read(train), _read(test)
    if what != "data":
        network = Network.parse(BLOG)
        core = engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")
        parameters = initialise(network, np.random.default_rng(0))
        if what == "training":
            _trained(core, train_set, 1)
        else:
            core.zero_one_by_one(parameters, network.weights(), *test_set, 0)
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts the parent's pages in ru_maxrss of a fresh process
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    print(peak / 1024)


def _growth(train: Set, quick: bool) -> dict[str, list[dict[str, float]]]:
    """Seconds of an epoch at batch 128 as parameters, images and threads grow."""
    images, labels = train

    def epoch(network: Network, n: int, threads: int, clock: Clock) -> float:
        core = engine(network, mean=NORMAL[0], std=NORMAL[1], threads=threads, core="compiled")
        start = initialise(network, np.random.default_rng(0))
        rows = np.random.default_rng(0).permutation(len(images))[:n]

        def once() -> object:
            p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
            return core.adam_epoch(p, m, v, 0, images, labels, rows, 128, 1e-3)

        return _in_turns({"a": (once, 1.0)}, 3, clock)["a"]

    blog = Network.parse(BLOG)
    most = min(len(images), 6_000 if quick else 60_000)
    fixed = min(most, 12_800)
    widths = []
    for a, b, c in WIDTHS:
        network = Network.parse(
            [f"conv {a} k4", "prelu", "maxpool 2", f"conv {b} k3", "prelu", "maxpool 2",
             f"conv {c} k3", "prelu", "linear 10"]
        )  # fmt: skip
        seconds = epoch(network, fixed, 1, time.process_time)
        rate = multiply_adds(network) * fixed / seconds
        widths.append({
            "parameters": network.size, "images": fixed, "seconds": seconds, "multiply_adds_per_second": rate,
        })  # fmt: skip
    sizes = sorted({n for n in (600, 6_000, 60_000, most) if n <= most})
    if _busy():
        print("golf: the machine is busy, so nothing is timed on several threads", file=sys.stderr)
    counts = sorted({1, 2, os.cpu_count() or 1} & set(range(1, 1 + (os.cpu_count() or 1))))
    return {
        "parameters": widths,
        "images": [{"images": n, "seconds": epoch(blog, n, 1, time.process_time)} for n in sizes],
        "threads": []
        if _busy()
        else [{"threads": k, "wall_seconds": epoch(blog, most, k, time.perf_counter)} for k in counts],
    }


def _in_turns(
    runs: dict[str, tuple[Callable[[], object], float]], rounds: int, clock: Clock
) -> dict[str, float]:
    """Median seconds, times the scale, of each; all are run once per round, in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (run, scale) in runs.items():
            begin = clock()
            run()
            times[name].append((clock() - begin) * scale)
    return {name: statistics.median(each) for name, each in times.items()}


def _peak(instructions: str, rounds: int) -> float:
    """The most multiply-adds per second that one core does, all in registers."""
    from neural_golf.engine import _core

    best = 0.0
    for _ in range(rounds):
        begin = time.process_time()
        count = _core.peak(10_000_000, instructions)
        best = max(best, count / (time.process_time() - begin))
    return best


def _busy() -> bool:
    """Whether other work would spoil seconds on the wall: threads that wait for each other stall."""
    return os.getloadavg()[0] > 0.5 + 0.5 * (os.cpu_count() or 1)


def _trained(core: Engine, train: Set, epochs: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    parameters = initialise(core.network, rng)
    m, v = np.zeros_like(parameters), np.zeros_like(parameters)
    images, labels = train
    steps = -(-len(images) // 64)
    for epoch in range(epochs):
        rate = 6e-3 * 0.7**epoch
        core.adam_epoch(
            parameters, m, v, epoch * steps, images, labels, rng.permutation(len(images)), 64, rate
        )
    return parameters


def _read(path: Path) -> Set:
    tensors, _ = read_tensors(path)
    return tensors["images"], tensors["labels"].astype(np.int64)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
