"""How time and memory grow with parameters, images and threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from neural_golf.base.errors import GolfError
from neural_golf.bench.machine import BLOG, JUDGED, Clock, Set, busy, in_turns, read, trained
from neural_golf.bench.peers.peer import NORMAL
from neural_golf.engine import engine
from neural_golf.net.layers import KINDS
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network

__all__ = ["growth", "memory", "multiply_adds", "resident"]

WIDTHS = ((1, 1, 1), (2, 2, 2), (4, 5, 4), (8, 8, 8), (12, 16, 12), (24, 24, 16))


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
        if layer.weight is None or not KINDS[layer.kind].weighted:
            continue
        _, height, width = layer.out_shape
        for after in layers[i + 1 :]:
            if after.kind == "maxpool":
                height, width = (
                    min(size, (windows - 1) * stride + kernel - pad)
                    for size, windows, stride, kernel, pad in zip(
                        (height, width),
                        after.out_shape[1:],
                        after.stride,
                        after.kernel,
                        after.pad,
                        strict=True,
                    )
                )
            if not KINDS[after.kind].activation:
                break
        total += (2 if i == 0 else 3) * layer.weight.size * height * width
    return total


def memory(what: str, train: Path) -> float:
    """Peak resident size in MiB of a fresh process that loads the data and does `what`."""
    code = (
        "import sys; from pathlib import Path; from neural_golf.bench.growth import resident; "
        "resident(sys.argv[1], Path(sys.argv[2]))"
    )
    print(f"bench: memory of {what}", file=sys.stderr, flush=True)
    command = [sys.executable, "-c", code, what, str(train)]
    done = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode:
        raise GolfError(f"bench: measuring the memory of {what} failed: {done.stderr.strip()[-300:]}")
    return float(json.loads(done.stdout))


def resident(what: str, train: Path) -> None:
    """The inside of `memory`: prints the peak in MiB."""
    import resource

    train_set, judged = read(train), read(train, JUDGED)
    if what != "data":
        network = Network.parse(BLOG)
        core = engine(network, mean=NORMAL[0], std=NORMAL[1], core="compiled")
        parameters = initialise(network, np.random.default_rng(0))
        if what == "training":
            trained(core, train_set, 1)
        else:
            core.zero_one_by_one(parameters, network.weights(), *judged, 0)
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts the parent's pages in ru_maxrss of a fresh process
        peak = next(
            int(line.split()[1])
            for line in status.read_text(encoding="utf-8").splitlines()
            if "VmHWM" in line
        )
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    print(peak / 1024)


def growth(train: Set, quick: bool) -> dict[str, list[dict[str, float]]]:
    """Seconds of an epoch as parameters, images and threads grow, at batch 128, and as batches shrink."""
    images, labels = train

    def epoch(network: Network, n: int, threads: int, clock: Clock, batch: int = 128) -> float:
        core = engine(network, mean=NORMAL[0], std=NORMAL[1], threads=threads, core="compiled")
        start = initialise(network, np.random.default_rng(0))
        rows = np.random.default_rng(0).permutation(len(images))[:n]

        def once() -> object:
            p, m, v = start.copy(), np.zeros_like(start), np.zeros_like(start)
            return core.adam_epoch(p, m, v, 0, images, labels, rows, batch, 1e-3)

        return in_turns({"a": (once, 1.0)}, 3, clock)["a"]

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
    if busy():
        print("golf: the machine is busy, so nothing is timed on several threads", file=sys.stderr)
    counts = sorted({1, 2, os.cpu_count() or 1} & set(range(1, 1 + (os.cpu_count() or 1))))
    return {
        "parameters": widths,
        "images": [{"images": n, "seconds": epoch(blog, n, 1, time.process_time)} for n in sizes],
        "batches": [
            {"batch": b, "images": fixed, "seconds": epoch(blog, fixed, 1, time.process_time, b)}
            for b in (4, 8, 9, 16, 32, 128)
        ],
        "threads": []
        if busy()
        else [{"threads": k, "wall_seconds": epoch(blog, most, k, time.perf_counter)} for k in counts],
    }
