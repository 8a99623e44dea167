"""`golf bench`: the engine and PyTorch in one process, in turns; every time is a median of several.

Times on one thread are CPU seconds of the process (time.process_time), so that other work on the
machine does not count; times on several threads are seconds on the wall. Where PyTorch is slow, a
part is timed and scaled up, and the record says which part.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from neural_golf.base.files import write_json
from neural_golf.base.longwork import processor
from neural_golf.bench.growth import growth, memory, multiply_adds
from neural_golf.bench.machine import BLOG, Set, peak, read, trained
from neural_golf.bench.plain_torch import NORMAL
from neural_golf.bench.table import table
from neural_golf.bench.tasks import evaluation, study, training, zeroing
from neural_golf.net.spec import Network

__all__ = ["main", "multiply_adds"]


def main(train: Path, test: Path, out: Path, *, quick: bool = False) -> str:
    """Measure everything, write `out` (JSON), return the table as Markdown.

    `train` and `test` are safetensors files with "images" uint8 [N, 1, 28, 28] and "labels" [N].
    `quick` times fewer and smaller things and leaves out torch.compile, so that minutes become seconds.
    Raises GolfError where the compiled core or a file is missing.
    """
    record = measure(read(train), read(test), (train, test), quick)
    write_json(out, record)
    return table(record)


def measure(train: Set, test: Set, files: tuple[Path, Path], quick: bool) -> dict[str, Any]:
    import torch

    from neural_golf.engine.compiled import Compiled, instruction_sets

    torch.set_num_threads(1)
    network = Network.parse(BLOG)
    core = Compiled(network, *NORMAL)
    parameters = trained(core, train, 2 if quick else 8)
    fastest = peak(core.instructions, 3)
    record: dict[str, Any] = {
        "machine": {
            "processor": processor(), "cores": os.cpu_count(), "instructions": core.instructions,
            "instruction_sets": instruction_sets(), "torch": torch.__version__,
            "python": platform.python_version(),
            "load_at_start": os.getloadavg()[0],
        },
        "quick": quick,
        "network": list(BLOG),
        "parameters": network.size,
        "peak_multiply_adds_per_second": fastest,
        "training": [training(network, train, batch, quick, fastest) for batch in (128, 14)],
        "evaluation": evaluation(core, parameters, test, quick),
        "zeroing": zeroing(core, parameters, test, quick),
        "study": study(network, train, test, quick),
        "memory": {what: memory(what, files) for what in ("data", "training", "sweep")},
        "growth": growth(train, quick),
    }  # fmt: skip
    return record
