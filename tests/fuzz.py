"""A seeded fuzzer of the referee.

    python tests/fuzz.py --bulk 200000 --whole 3000 --honest 20000 --cheats 20000 --seed 1

Every case is made from (seed, number) alone, so a finding can be made again: --show NUMBER writes a mutated file.

bulk    mutated files are parsed, counted and rebuilt in a limited process that cannot write. Whatever is neither a
        count nor a refusal is a crash, and so is a rebuilt file that counts less. Where onnxruntime itself dies of a
        file, which in the sandbox is a refusal, another process goes on with the next one.
whole   the sandbox, as `golf verify` runs it.
honest  an oracle: networks of known weights, written in some honest way, must get their known count (wrapping.py).
cheats  networks of known weights that hide them must get at least their count, or be refused (cheating.py).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np

import attacks
from cheating import cheat
from mutating import case, models, pool
from neural_golf.referee import child
from neural_golf.referee.counting import add_up, inspect
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.frame import parse
from neural_golf.referee.rebuilding import rebuild
from neural_golf.referee.rules import Limits, Refused
from neural_golf.referee.sandbox import Sandbox
from neural_golf.referee.scoring import TestImages, count_with_images
from wrapping import honest

HANG_SECONDS = 10  # of processor time, so that a busy machine makes no finding
IMAGES = 200  # real ones, on which the oracle's networks are counted

# The table of docs/rules.md.
RULES = Path(__file__).parents[1] / "docs/rules.md"
PLACE = re.compile(r"<!-- fuzz: written by .*?<!-- end of fuzz -->", re.DOTALL)
NAMES = {
    "bulk": "mutated files: parse, count, rebuild",
    "whole": "mutated files: the whole of `golf verify`",
    "honest": "known networks, honestly wrapped: the known count",
    "cheats": "known networks, hidden: no less than that",
}
HEADER = (
    "| stage | cases | counted or scored | refused | crashes | hangs | wrong counts | peak memory |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
)


@dataclass
class Report:
    """What became of the cases. `crashes` names each (seed, number) and what happened."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    runtime_crashes: int = 0  # onnxruntime itself died of it: in the sandbox, a refusal
    timeouts: int = 0  # over the limit of time, inside the sandbox: a refusal
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # counts
    slowest_seconds: float = 0.0
    peak_mib: int = 0
    seconds: float = 0.0

    @property
    def findings(self) -> list[str]:
        return self.crashes + self.hangs + self.wrong


def peak_mib() -> int:
    """Of this process. Not ru_maxrss: across fork and exec it keeps what the parent, a long test run, had taken."""
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) >> 10


def watched(name: str, judge: Callable[[], str | None], report: Report) -> None:
    """Run one case. `judge` returns a wrong count, raises Refused, or is content."""

    def too_long(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    signal.signal(signal.SIGPROF, too_long)
    begin = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
    try:
        wrong = judge()
        report.accepted += 1
        report.wrong += [f"{name}: {wrong}"] if wrong else []
    except Refused as refusal:
        if not (str(refusal).isascii() and str(refusal).isprintable()):
            report.crashes.append(f"{name}: a refusal that is not printable ASCII")
        report.refused += 1
    except MemoryError:  # as in the sandbox
        report.refused += 1
    except TimeoutError:
        report.hangs.append(name)
    except Exception as error:
        report.crashes.append(f"{name}: {type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    report.slowest_seconds = max(report.slowest_seconds, time.process_time() - begin)
    report.cases += 1


def counted_and_rebuilt(data: bytes) -> str | None:
    folded = inspect(parse(data))
    first = add_up(folded)
    rebuild(folded, activations=True)
    rebuild(folded, rounded=0, grid=1)
    rebuild(folded, rounded=0)
    again = add_up(inspect(parse(rebuild(folded)), Limits(nodes=1000, wires=1000)))
    numbers = [sum(c.parts.get(k, 0) for k in ("stored", "made of constants")) for c in (first, again)]
    scales = len({int(i) for n in folded.scales for i in n.ids.ravel()})
    return (
        f"the rebuilt file counts {numbers[1]}, not {numbers[0]}"
        if sum(numbers[1:]) + scales < numbers[0]
        else None
    )


def bulk(seed: int, start: int, cases: int, tell: Callable[[Report], None] = lambda _: None) -> Report:
    """Mutated files, in this process. Called inside a limited one. `tell` gets the report before each case."""
    report = Report()
    for number in range(start, start + cases):
        tell(report)
        data = case(seed, number)
        watched(f"{seed}/{number}", lambda data=data: counted_and_rebuilt(data), report)  # type: ignore[misc]
    report.peak_mib = peak_mib()
    return report


def bulk_limited(seed: int, cases: int, start: int = 0) -> Report:
    """`bulk` in processes of its own, which may not write, with bounded memory and time."""
    begin = time.monotonic()
    total = Report()
    while total.cases < cases:
        asked = [
            sys.executable,
            __file__,
            "--inside",
            str(seed),
            str(start + total.cases),
            str(cases - total.cases),
        ]
        run = subprocess.run(asked, capture_output=True, text=True, timeout=60 + cases)
        lines = run.stdout.splitlines()
        last = Report(**json.loads(lines[-1])) if lines else Report()
        if run.returncode < 0 and lines:  # the report before the case of which onnxruntime died
            last.cases, last.refused, last.runtime_crashes = last.cases + 1, last.refused + 1, 1
        elif run.returncode != 0 or not lines:
            word = run.stderr.strip().splitlines()[-1:] or ["no word"]
            last.crashes.append(f"{seed}/?: the process ended with {run.returncode}: {word[0]}")
            last.cases = cases - total.cases
        _add(total, last)
    total.seconds = time.monotonic() - begin
    return total


def _add(total: Report, part: Report) -> None:
    for name in ("cases", "accepted", "refused", "runtime_crashes", "crashes", "hangs", "wrong"):
        setattr(total, name, getattr(total, name) + getattr(part, name))
    for name in ("slowest_seconds", "peak_mib"):
        setattr(total, name, max(getattr(total, name), getattr(part, name)))


def whole(seed: int, cases: int, start: int = 0) -> Report:
    """The sandbox, as `golf verify` uses it, on five images."""
    report = Report()
    begin = time.monotonic()
    images = np.random.default_rng(seed).integers(0, 256, (5, 1, 28, 28), np.uint8)
    limits = Limits(cpu_seconds=3)
    with tempfile.TemporaryDirectory() as folder, Sandbox(images, limits) as sandbox:
        path = Path(folder) / "case.onnx"
        for number in range(start, start + cases):
            path.write_bytes(case(seed, number))
            since = time.monotonic()
            try:
                answer = sandbox.judge(path)
            except NoVerdict as error:
                report.hangs.append(f"{seed}/{number}: {error}")
                report.cases += 1
                continue
            report.slowest_seconds = max(report.slowest_seconds, time.monotonic() - since)
            report.peak_mib = max(report.peak_mib, answer.peak_kib >> 10)
            report.cases += 1
            reason = answer.refused
            if reason is None:
                report.accepted += 1
                continue
            report.refused += 1
            report.runtime_crashes += "crashed" in reason
            report.timeouts += "processor time" in reason
            if "referee failed" in reason or "child process" in reason:
                report.crashes.append(f"{seed}/{number}: {reason}")
            left = sorted(os.listdir(folder))  # noqa: PTH208 (names)
            if left != ["case.onnx"]:
                report.crashes.append(f"{seed}/{number}: it wrote {left}")
    report.seconds = time.monotonic() - begin
    return report


@cache
def pictures() -> TestImages:
    """Training images, or, where there are none, blobs that are not like noise."""
    digits = attacks.training_images(IMAGES)
    if digits is not None:
        return TestImages(digits[0])
    coarse = np.random.default_rng(0).integers(0, 256, (IMAGES, 1, 7, 7))
    return TestImages(np.kron(coarse * (coarse > 150), np.ones((1, 1, 4, 4))).astype(np.uint8))


def known(seed: int, cases: int, start: int = 0, hidden: bool = False) -> Report:
    """The oracle. A network that was drawn so that it answers the same to every image is refused either way."""
    report = Report()
    begin = time.monotonic()
    pictures()

    def judge(number: int) -> str | None:
        model, count, plain = (cheat if hidden else honest)(seed, number)
        try:
            found = count_with_images(inspect(parse(model.SerializeToString())), pictures()).nonzero
        except Refused as refusal:
            if not hidden:
                count_with_images(inspect(plain), pictures())  # must be refused too
                return f"refused: {refusal}"
            raise
        return f"counted {found}, has {count}" if found < count or (found > count and not hidden) else None

    for number in range(start, start + cases):
        watched(f"{seed}/{number}", lambda number=number: judge(number), report)  # type: ignore[misc]
    report.seconds, report.peak_mib = time.monotonic() - begin, peak_mib()
    return report


def cheats(seed: int, cases: int, start: int = 0) -> Report:
    return known(seed, cases, start, hidden=True)


STAGES: dict[str, Callable[[int, int], Report]] = {
    "bulk": bulk_limited,
    "whole": whole,
    "honest": known,
    "cheats": cheats,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, cases in (("bulk", 100_000), ("whole", 2_000), ("honest", 5_000), ("cheats", 5_000)):
        parser.add_argument(f"--{name}", type=int, default=cases, metavar="N", help=NAMES[name])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, metavar="NUMBER", help="write one mutated file, and stop")
    parser.add_argument("--write", action="store_true", help="write the table of docs/rules.md")
    parser.add_argument("--inside", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        pool(), models()
        missing = child.limit(Limits(cpu_seconds=36_000))
        report = bulk(*args.inside, tell=lambda r: print(json.dumps(asdict(r)), flush=True))
        print(json.dumps(asdict(report)))
        return len(missing) if sys.platform == "linux" else 0
    if args.show is not None:
        sys.stdout.buffer.write(case(args.seed, args.show))
        return 0
    found = 0
    lines = list(HEADER)
    for name, stage in STAGES.items():
        report = stage(args.seed, getattr(args, name))
        found += len(report.findings)
        print(f"{name}: {json.dumps(asdict(report), indent=2)}")
        numbers = (report.cases, report.accepted, report.refused)
        numbers += tuple(len(kind) for kind in (report.crashes, report.hangs, report.wrong))
        shown = " | ".join(f"{number:,}" for number in numbers)
        lines.append(f"| {NAMES[name]} | {shown} | {report.peak_mib} MiB |")
    if args.write:
        begin = f"<!-- fuzz: written by `python tests/fuzz.py {' '.join(sys.argv[1:])}` -->"
        text = RULES.read_text(encoding="utf-8")
        table = "\n".join(lines)
        made = PLACE.sub(lambda _: f"{begin}\n\n{table}\n\n<!-- end of fuzz -->", text)
        RULES.write_text(made, encoding="utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
