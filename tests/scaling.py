"""What it costs to run pieces as jobs, measured here, and 1,000 candidates of a study simulated with these figures.

    python tests/scaling.py            measures and prints the tables
    python tests/scaling.py --write    also puts them into docs/scaling.md

The figures of Slurm need what `make test-slurm` needs, and are left out elsewhere.
"""

from __future__ import annotations

import argparse
import heapq
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/cluster")]

from slurm import Missing, slurm  # noqa: E402

from neural_golf import config  # noqa: E402
from neural_golf.base.longwork import processor  # noqa: E402
from neural_golf.engine import engine  # noqa: E402
from neural_golf.net.parameters import initialise  # noqa: E402
from neural_golf.net.spec import Network  # noqa: E402
from test_pipeline import workspace  # noqa: E402

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
GOLF = (sys.executable, "-m", "neural_golf.cli")
CANDIDATES, CORES, TOGETHER = 1000, (2, 32, 512), 4
FEW = 2  # jobs; of these and of many, the difference is measured
RULES = """rule all:
    input: expand("out/{{n}}", n=range({jobs})),
rule one:
    output: touch("out/{{n}}"),
    resources: mem_mb=100, runtime=5,
    shell: "true"
"""


def seconds(command: Sequence[str], folder: Path, cores: int | None = None) -> float:
    """Of a command, which has to succeed, on so many cores."""
    pinned = ["taskset", "-c", ",".join(map(str, range(cores)))] if cores else []
    start = time.perf_counter()
    done = subprocess.run([*pinned, *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def median(command: Sequence[str], folder: Path, times: int = 3) -> float:
    return statistics.median(seconds(command, folder) for _ in range(times))


def per_job(folder: Path, many: int, *words: str) -> float:
    """Seconds that one more job without any work takes Snakemake."""
    taken = []
    for jobs in (FEW, many):
        place = folder / f"{jobs}"
        place.mkdir(parents=True)
        (place / "Snakefile").write_text(RULES.format(jobs=jobs))
        taken.append(seconds([sys.executable, "-m", "snakemake", *words], place))
    return max(0.0, taken[1] - taken[0]) / (many - FEW)  # never less than nothing, on a busy machine


@dataclass(frozen=True)
class Costs:
    """Seconds. piece: the command for a piece that is finished. local: a job of Snakemake on this machine.
    stage: a stage that DVC finds up to date. submit: `sbatch`. slot: how long a Slurm job without work has its
    CPU.
    """

    piece: float
    local: float
    stage: float
    submit: float | None
    slot: float | None


def costs(scratch: Path) -> Costs:
    """Measured on the demo."""
    folder = workspace(scratch / "demo")
    for stage in ("data", "baseline"):
        seconds([*GOLF, "stage", stage], folder)
    submit = slot = None
    try:
        with slurm(scratch / "slurm", nodes=2, cpus=1):
            submit = median(["sbatch", "-o", "/dev/null", "--wrap", "true"], folder, 5)
            words = [
                "--executor",
                "slurm",
                "--jobs",
                "50",
                "--slurm-no-account",
                "--slurm-status-command",
                "squeue",
            ]
            words += ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5"]
            slot = 2 * per_job(scratch / "jobs-slurm", 10, *words)
    except Missing as why:
        print(f"scaling: without Slurm: {why}", file=sys.stderr)
    return Costs(
        piece=median([*GOLF, "piece", "baseline", "seed-0"], folder),
        local=per_job(scratch / "jobs-local", 102, "--cores", "1"),
        stage=median([*GOLF, "stage", "baseline"], folder),
        submit=submit,
        slot=slot,
    )


def candidate() -> tuple[float, float]:
    """Seconds of an epoch of the study's network with the smallest and the largest batch, on as many images as in
    params.yaml: of noise, since what is on them changes nothing.
    """
    settings = config.load(ROOT / "params.yaml")
    tune = settings.needed("tune")
    network = Network.parse(tune.network, (1, 28, 28))
    core, rng = engine(network), np.random.default_rng(0)
    images = 60_000 - settings.data.heldout - tune.validation
    pixels = core.seen(rng.integers(0, 256, (images, 1, 28, 28), np.uint8))
    labels, order = rng.integers(0, 10, images).astype(np.uint8), np.arange(images)
    found = []
    for batch in tune.batch:
        parameters = initialise(network, np.random.default_rng(0))
        moments = [np.zeros_like(parameters), np.zeros_like(parameters)]
        start = time.perf_counter()
        core.adam_epoch(parameters, *moments, 0, pixels, labels, order, batch=batch, lr=1e-4)
        found.append(time.perf_counter() - start)
    return found[0], found[1]


def growth(folder: Path) -> list[tuple[str, int, list[float]]]:
    """Seconds of the demo's baseline against seeds, and of its study against trials, on one core and on two."""
    path = workspace(folder) / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["baseline"]["epochs"] = params["tune"]["epochs"] = 20
    seconds([*GOLF, "data"], folder)
    lines = []
    for stage, key, counts in (("baseline", "seeds", (2, 4, 8)), ("tune", "trials", (6, 12, 24))):
        for count in counts:
            (params["rows"] if key == "seeds" else params)[stage][key] = (
                list(range(count)) if key == "seeds" else count
            )
            path.write_text(yaml.safe_dump(params))
            taken = []
            for cores in (1, 2):
                shutil.rmtree(folder / ".golf" / stage, ignore_errors=True)
                taken.append(seconds([*GOLF, stage], folder, cores))
            lines.append((f"{stage}, {key}", count, taken))
    return lines


def drawn(epoch: tuple[float, float]) -> list[float]:
    """Seconds of each candidate: any batch, and half of them are stopped after the first epochs that the pruner lets
    them have.
    """
    tune = config.load(ROOT / "params.yaml").needed("tune")
    rng = np.random.default_rng(0)
    epochs = np.where(rng.random(CANDIDATES) < 0.5, tune.epochs, tune.warmup_epochs + 1)
    # The time goes with the number of batches, and so with 1 / batch.
    share = (1 / rng.uniform(*tune.batch, CANDIDATES) - 1 / tune.batch[1]) / (
        1 / tune.batch[0] - 1 / tune.batch[1]
    )
    return list(epochs * (epoch[1] + share * (epoch[0] - epoch[1])))


def simulated(
    work: Sequence[float], cores: int, submit: float, start: float, rounds: bool, together: int
) -> float:
    """Seconds until all is done. One process submits a job after the other; a job takes `start` on its core and then
    does `together` candidates, one after the other. With `rounds`, as many candidates as there are cores are planned
    at a time, and the next round waits for all of them.
    """
    size = cores * together if rounds else len(work)
    now = 0.0
    for first in range(0, len(work), size):
        batch = work[first : first + size]
        free, submitted, ends = [now] * cores, now, [now]
        for at in range(0, len(batch), together):
            submitted += submit
            begun = max(heapq.heappop(free), submitted)
            ends.append(begun + start + sum(batch[at : at + together]))
            heapq.heappush(free, ends[-1])
        now = max(ends)
    return now


def ways(found: Costs) -> dict[str, tuple[float, float, bool, int]]:
    """What is simulated: seconds to submit a job and to start it, rounds, candidates in one job."""
    submit, slot = found.local + (found.submit or 0.0), found.piece + (found.slot or 0.0)
    return {
        "a job each, in rounds": (submit, slot, True, 1),
        f"{TOGETHER} in a job, in rounds": (submit, slot, True, TOGETHER),
        "a job each, no rounds": (submit, slot, False, 1),
        f"{TOGETHER} in a job, no rounds": (submit, slot, False, TOGETHER),
        "workers that stay": (0.0, 0.0, False, 1),
    }


def slowest(work: Sequence[float], cores: int, how: tuple[float, float, bool, int]) -> str:
    """Without what the study would gain most: submitting, starting, the ends of rounds; or its last candidates,
    for which there are too few to keep all cores at work. Where these take less than a twentieth: the work.
    """
    submit, start, rounds, together = how
    if sum(work) / cores > 0.95 * simulated(work, cores, *how):
        return "the work itself"
    without = {
        "submitting": (0.0, start, rounds, together),
        "starting": (submit, 0.0, rounds, together),
        "rounds": (submit, start, False, together),
    }
    gains = {
        name: simulated(work, cores, *how) - simulated(work, cores, *less) for name, less in without.items()
    }
    gains["the last ones"] = simulated(work, cores, 0.0, 0.0, False, together) - sum(work) / cores
    return max(gains, key=lambda name: gains[name])


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines)) + "\n"


def shown(quick: bool) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        found = costs(Path(scratch))
        grown = [] if quick else growth(Path(scratch, "growth"))
    return tables(found, candidate(), grown)


def tables(found: Costs, epoch: tuple[float, float], grown: Sequence[tuple[str, int, list[float]]]) -> str:
    work = drawn(epoch)
    told = [
        ("`golf piece` for a piece that is finished", found.piece),
        ("a job of Snakemake on this machine, without work", found.local),
        ("a stage that DVC finds up to date", found.stage),
        ("`sbatch`", found.submit),
        ("a Slurm job of Snakemake without work, on its CPU", found.slot),
        ("an epoch of the study's network, smallest batch", epoch[0]),
        ("an epoch of the study's network, largest batch", epoch[1]),
        (f"a candidate, mean of {CANDIDATES:,} drawn", statistics.mean(work)),
    ]
    lines = [(name, "not measured" if value is None else f"{value:.2f}") for name, value in told]
    text = f"Processor: {processor()}, {os.cpu_count()} cores.\n\n" + grid(("what", "seconds"), lines)
    text += (
        ""
        if not grown
        else "\n"
        + grid(
            ("demo", "number", "1 core, s", "2 cores, s"),
            [(name, str(count), *(f"{value:.1f}" for value in taken)) for name, count, taken in grown],
        )
    )
    lines = []
    for way, how in ways(found).items():
        cells = []
        for cores in CORES:
            taken = simulated(work, cores, *how)
            cells.append(
                f"{taken / 60:,.1f} ({100 * sum(work) / cores / taken:.0f} %) {slowest(work, cores, how)}"
            )
        lines.append((way, *cells))
    ideal = [f"{sum(work) / cores / 60:,.1f}" for cores in CORES]
    lines.append(("nothing but the work", *ideal))
    header = [f"{CANDIDATES:,} candidates, minutes (use)", *(f"{cores} cores" for cores in CORES)]
    return text + "\n" + grid(header, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without the time against seeds and trials")
    parser.add_argument("--write", action="store_true", help="into docs/scaling.md")
    options = parser.parse_args()
    text = shown(options.quick)
    print(text)
    if options.write:
        page = ROOT / "docs/scaling.md"
        begin, end = (
            "<!-- scaling: written by `python tests/scaling.py --write` -->\n",
            "<!-- end of scaling -->",
        )
        before, _, rest = page.read_text(encoding="utf-8").partition(begin)
        page.write_text(before + begin + text + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
