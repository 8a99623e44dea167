"""Each part of the benchmark runs in a process of its own, which is told how many threads there are before
any library is loaded: JAX asks only then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from neural_golf.base.errors import GolfError
from neural_golf.bench.growth import growth
from neural_golf.bench.machine import BLOG, JUDGED, read, trained
from neural_golf.bench.peers.peer import NORMAL
from neural_golf.bench.tasks import evaluation, study, training, zeroing
from neural_golf.engine import engine
from neural_golf.net.spec import Network

__all__ = ["PARTS", "inside", "part"]


def _training(batch: int) -> Callable[[Path, bool, int], Any]:
    def run(train: Path, quick: bool, threads: int) -> Any:
        clock = time.process_time if threads == 1 else time.perf_counter
        return training(Network.parse(BLOG), read(train), batch, quick, threads, clock)

    return run


def _evaluation(train: Path, quick: bool, threads: int) -> Any:
    clock = time.process_time if threads == 1 else time.perf_counter
    core = engine(Network.parse(BLOG), mean=NORMAL[0], std=NORMAL[1], core="compiled")
    parameters = trained(core, read(train), 2 if quick else 8)
    return evaluation(core.network, parameters, read(train, JUDGED), quick, threads, clock)


def _zeroing(train: Path, quick: bool, threads: int) -> Any:
    core = engine(Network.parse(BLOG), mean=NORMAL[0], std=NORMAL[1], core="compiled")
    return zeroing(core, trained(core, read(train), 2 if quick else 8), read(train, JUDGED), quick)


def _study(train: Path, quick: bool, threads: int) -> Any:
    return study(Network.parse(BLOG), read(train), read(train, JUDGED), quick)


def _growth(train: Path, quick: bool, threads: int) -> Any:
    return growth(read(train), quick)


PARTS: dict[str, Callable[[Path, bool, int], Any]] = {
    "training_128": _training(128),
    "training_14": _training(14),
    "evaluation": _evaluation,
    "zeroing": _zeroing,
    "study": _study,
    "growth": _growth,
}


def part(name: str, train: Path, quick: bool, threads: int = 1) -> Any:
    """A part's record, measured in a process of its own. Raises GolfError where it fails."""
    code = "import sys; from neural_golf.bench.apart import inside; inside(*sys.argv[1:])"
    words = [name, str(train), "quick" if quick else "", str(threads)]
    flags = ["--xla_cpu_enable_fast_math=true"]  # JAX is a little faster with it
    flags += ["--xla_cpu_multi_thread_eigen=false"] if threads == 1 else []
    print(f"bench: {name} on {threads} thread{'s' * (threads > 1)}", file=sys.stderr, flush=True)
    told = {"NPROC": str(threads), "OMP_NUM_THREADS": str(threads), "XLA_FLAGS": " ".join(flags)}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=os.environ | told, capture_output=True, text=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise GolfError(f"bench: {name}: {why[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def inside(name: str, train: str, quick: str, threads: str) -> None:
    """The inside of `part`: prints the record as JSON."""
    print(json.dumps(PARTS[name](Path(train), bool(quick), int(threads))))
