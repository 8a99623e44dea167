"""`golf bench`: the engine beside the strongest peers, in turns; every time is a median of several.

Times on one thread are CPU seconds of the process (time.process_time), so that other work on the machine
does not count; times on several threads are seconds on the wall. All that is compared is run in turns in one
process. Where a peer is slow, a part is timed and scaled up, and the record says which part. A peer that is
not installed is left out, and the record says so.
"""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from neural_golf.base.files import write_json
from neural_golf.base.longwork import processor
from neural_golf.bench.apart import part
from neural_golf.bench.growth import memory, multiply_adds
from neural_golf.bench.machine import BLOG, busy, peak
from neural_golf.bench.table import line, table
from neural_golf.net.spec import Network

__all__ = ["line", "main", "multiply_adds", "table"]


def main(train: Path, out: Path, *, quick: bool = False) -> dict[str, Any]:
    """Measure everything, write `out` (JSON) and return it: `table` and `line` show it.

    `train` is a safetensors file with "images" uint8 [N, 1, 28, 28] and "labels" [N], all that is needed.
    `quick` times fewer and smaller things and leaves out torch.compile, so that minutes become seconds.
    Raises GolfError where the compiled core or a file is missing, and where a peer computes something else.
    """
    record = measure(train, quick)
    write_json(out, record)
    return record


def measure(train: Path, quick: bool) -> dict[str, Any]:
    threads = [1]
    if busy():
        print("golf: the machine is busy, so no peers are timed on several threads", file=sys.stderr)
    elif (os.cpu_count() or 1) > 1:
        threads.append(os.cpu_count() or 1)

    def each(name: str) -> dict[str, Any]:
        return {str(k): part(name, train, quick, k) for k in threads}

    return facts(quick) | {
        "training": [each("training_128"), each("training_14")],
        "evaluation": each("evaluation"),
        "zeroing": part("zeroing", train, quick),
        "study": part("study", train, quick),
        "memory": {what: memory(what, train) for what in ("data", "training", "sweep")},
        "growth": part("growth", train, quick),
    }


def facts(quick: bool) -> dict[str, Any]:
    """What was measured, and with what."""
    from neural_golf.engine.compiled import Compiled, instruction_sets

    network = Network.parse(BLOG)
    core = Compiled(network, 0.0, 1.0)
    return {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "instructions": core.instructions,
            "instruction_sets": instruction_sets(),
            "python": platform.python_version(),
            "load_at_start": os.getloadavg()[0],
            "versions": {name: _version(name) for name in ("torch", "jax", "onnxruntime")},
        },
        "quick": quick,
        "network": list(BLOG),
        "parameters": network.size,
        "peak_multiply_adds_per_second": peak(core.instructions, 3),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
