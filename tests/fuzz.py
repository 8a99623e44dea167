"""A seeded mutation fuzzer of the referee.

    python tests/fuzz.py --bulk 200000 --whole 3000 --seed 1

Every case is made from (seed, number) alone, so a finding can be made again: --show NUMBER writes the file.
Two stages. Bulk: parse, count and rebuild, many cases in one limited process that cannot write; whatever
is neither a count nor a refusal is a crash, and a rebuilt file must count the same. Whole: the sandbox,
onnxruntime included, as `golf verify` runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import FrameType

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto

from neural_golf.referee import child
from neural_golf.referee.counting import inspect, rebuild
from neural_golf.referee.frame import parse
from neural_golf.referee.rules import OPERATORS, Limits, Refused
from neural_golf.referee.sandbox import Sandbox

HANG_SECONDS = 5  # of processor time, so that a busy machine makes no finding
EXTREMES = (0, 1, -1, 2, 3, 7, 28, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63))


# The table of docs/rules.md.
RULES = Path(__file__).parents[1] / "docs/rules.md"
PLACE = re.compile(r"<!-- fuzz: written by .*?<!-- end of fuzz -->", re.DOTALL)
NAMES = {"bulk": "parse, count, rebuild", "whole": "the whole of `golf verify`"}
HEADER = (
    "| stage | cases | counted or scored | refused | crashes | hangs | peak memory |",
    "|---|--:|--:|--:|--:|--:|--:|",
)


@dataclass
class Report:
    """What became of the cases. `crashes` names each (seed, number) and what happened."""

    cases: int = 0
    accepted: int = 0
    refused: int = 0
    runtime_crashes: int = 0  # onnxruntime itself died of it, inside the sandbox: a refusal
    timeouts: int = 0  # over the limit of time, inside the sandbox: a refusal
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0
    peak_mib: int = 0
    seconds: float = 0.0


@cache
def pool() -> tuple[bytes, ...]:
    """The files to mutate: every hand-counted network and every hostile file."""
    from hostile import FILES
    from test_counting import COUNTED

    good = [build().SerializeToString() for build, *_ in COUNTED.values()]
    return tuple(data for data in good + [build() for build, _ in FILES.values()] if 0 < len(data) < 100_000)


@cache
def models() -> tuple[ModelProto, ...]:
    """Those of the pool that parse, for edits of their structure."""
    found = []
    for data in pool():
        try:
            found.append(parse(data))
        except Refused:
            continue
    return tuple(m for m in found if len(m.graph.node) < 400)


def case(seed: int, number: int) -> bytes:
    """The file of one case."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.random()
    if kind < 0.25:
        return mutated_bytes(rng)
    return mutated_model(rng, gently=kind < 0.6)


def mutated_bytes(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(pool()))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del data[at : at + rng.choice((1, 2, 8, 100))]
            case 3:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))
            case 4:
                other = rng.choice(pool())
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + rng.choice((4, 40, 400))]
            case 5:
                del data[at:]
            case _:
                data[at:at] = data[at : at + 50]
        if not data:
            return b"\x08"
    return bytes(data)


def mutated_model(rng: random.Random, gently: bool) -> bytes:
    model = ModelProto()
    model.CopyFrom(rng.choice(models()))
    if gently:
        nudge(rng, model)
        return model.SerializeToString()
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        edit(rng, model)
    return model.SerializeToString()


UNARY = (
    "Relu",
    "Exp",
    "Log",
    "Sqrt",
    "Softmax",
    "Transpose",
    "GlobalMaxPool",
    "Flatten",
    "Identity",
    "Shape",
)


def nudge(rng: random.Random, model: ModelProto) -> None:
    """A change that the rules often allow, so that onnxruntime sees the file: numbers and operators."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.ints and rng.random() < 0.5:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice((0, 1, 2, 3, 5, 27, 28, 1000))
            elif attribute.type == AttributeProto.INT and rng.random() < 0.5:
                attribute.i = rng.choice((-2, -1, 0, 1, 2, 3, 10))
        if len(node.input) == 1 and rng.random() < 0.2:
            node.op_type = rng.choice(UNARY)
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.INT64 and weight.raw_data and rng.random() < 0.7:
            values = np.frombuffer(weight.raw_data, "<i8").copy()
            values[rng.randrange(len(values))] = rng.choice((-1, 0, 1, 2, 10, 28, 4096, *EXTREMES))
            weight.raw_data = values.tobytes()
        elif rng.random() < 0.2:
            weight.dims[:] = rng.sample(list(weight.dims), len(weight.dims))


def edit(rng: random.Random, model: ModelProto) -> None:
    """One change of a model's structure."""
    graph = model.graph
    node = rng.choice(graph.node) if graph.node else graph.node.add(op_type="Relu")
    names = [t.name for t in graph.initializer] + [n for m in graph.node for n in m.output] + ["x", "", "new"]
    names = [n for n in names if isinstance(n, str)]  # protobuf cannot write the others again
    weight = rng.choice(graph.initializer) if graph.initializer else graph.initializer.add(name="w2")
    match rng.randrange(16):
        case 0:
            node.op_type = rng.choice(sorted(OPERATORS))
        case 1 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
        case 2:
            node.input.append(rng.choice(names))
        case 3 if node.output:
            node.output[rng.randrange(len(node.output))] = rng.choice(names)
        case 4:
            node.output.append(rng.choice(names))
        case 5 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(EXTREMES)
            attribute.f = rng.choice((0.0, -0.0, 1e38, float("nan"), float("inf"), 1e-45))
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(EXTREMES)
        case 6:
            attribute = node.attribute.add(name=rng.choice(("axis", "alpha", "pads", "group", "to", "value")))
            attribute.type = rng.choice(AttributeProto.AttributeType.values())
            attribute.ints.append(rng.choice(EXTREMES))
        case 7:
            weight.dims[:] = [rng.choice(EXTREMES) for _ in range(rng.randrange(5))]
        case 8:
            weight.data_type = rng.choice(TensorProto.DataType.values())
        case 9 if weight.raw_data:
            raw = bytearray(weight.raw_data)
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            weight.raw_data = bytes(raw)
        case 10:
            getattr(weight, rng.choice(("float_data", "int32_data", "int64_data"))).append(3)
        case 11:
            graph.node.add().CopyFrom(node)
        case 12 if len(graph.node) > 1:
            del graph.node[rng.randrange(len(graph.node))]
        case 13:
            model.opset_import[0].version = rng.choice((7, 9, 11, 13, 17, 18, 19, 21, 23, 26, *EXTREMES))
        case 14:
            shape = graph.input[0].type.tensor_type if graph.input else graph.input.add().type.tensor_type
            shape.elem_type = rng.choice((1, 2, 7, 10))
            if shape.shape.dim:
                rng.choice(shape.shape.dim).dim_value = rng.choice(EXTREMES)
        case _ if graph.output:
            graph.output[0].name = rng.choice(names)


def bulk(seed: int, start: int, cases: int) -> Report:
    """Parse, count and rebuild, in this process. Called inside a limited one."""

    def too_long(_: int, __: FrameType | None) -> None:
        raise TimeoutError

    report = Report()
    signal.signal(signal.SIGPROF, too_long)
    for number in range(start, start + cases):
        data = case(seed, number)
        begin = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, HANG_SECONDS)
        try:
            graph = inspect(parse(data))
            again = inspect(parse(rebuild(graph)))
            rebuild(graph, coarse=True)
            kept = ("parameters", "nonzero", "bits", "integers")
            if any(getattr(graph.count, k) != getattr(again.count, k) for k in kept):
                report.crashes.append(f"{seed}/{number}: the rebuilt file counts differently")
            report.accepted += 1
        except Refused as refusal:
            if not (str(refusal).isascii() and str(refusal).isprintable()):
                report.crashes.append(f"{seed}/{number}: a refusal that is not printable ASCII")
            report.refused += 1
        except TimeoutError:
            report.hangs.append(f"{seed}/{number}")
        except Exception as error:
            report.crashes.append(f"{seed}/{number}: {type(error).__name__}: {error}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        report.slowest_seconds = max(report.slowest_seconds, time.process_time() - begin)
        report.cases += 1
    # Not ru_maxrss: across fork and exec it keeps what the parent, a long test run, had taken.
    status = Path("/proc/self/status")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    report.peak_mib = (int(peak[1]) if peak else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) >> 10
    return report


def bulk_limited(seed: int, cases: int, start: int = 0) -> Report:
    """`bulk` in a process of its own, which may not write, with bounded memory and time."""
    begin = time.monotonic()
    asked = [sys.executable, __file__, "--inside", str(seed), str(start), str(cases)]
    run = subprocess.run(asked, capture_output=True, text=True, timeout=60 + cases)
    if run.returncode != 0:
        last = run.stderr.strip().splitlines()[-1:] or ["no word"]
        return Report(cases=cases, crashes=[f"{seed}/?: the process ended with {run.returncode}: {last[0]}"])
    report = Report(**json.loads(run.stdout))
    report.seconds = time.monotonic() - begin
    return report


def whole(seed: int, cases: int, start: int = 0) -> Report:
    """The sandbox, as `golf verify` uses it, on five images."""
    report = Report()
    begin = time.monotonic()
    images = np.random.default_rng(seed).integers(0, 256, (5, 1, 28, 28), np.uint8)
    limits = Limits(cpu_seconds=3, wall_seconds=120)
    with tempfile.TemporaryDirectory() as folder, Sandbox(images, limits) as sandbox:
        path = Path(folder) / "case.onnx"
        for number in range(start, start + cases):
            path.write_bytes(case(seed, number))
            since = time.monotonic()
            answer = sandbox.judge(path)
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
            if "longer than" in reason:
                report.hangs.append(f"{seed}/{number}: {reason}")
            if "referee failed" in reason or "child process" in reason:
                report.crashes.append(f"{seed}/{number}: {reason}")
            left = sorted(os.listdir(folder))  # noqa: PTH208 (names)
            if left != ["case.onnx"]:
                report.crashes.append(f"{seed}/{number}: it wrote {left}")
    report.seconds = time.monotonic() - begin
    return report


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bulk", type=int, default=100_000, metavar="N")
    parser.add_argument("--whole", type=int, default=2_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--show", type=int, metavar="NUMBER", help="write one case to standard output, and stop"
    )
    parser.add_argument("--write", action="store_true", help="write the table of docs/rules.md")
    parser.add_argument("--inside", type=int, nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        pool(), models()
        missing = child.limit(Limits(cpu_seconds=3600))
        report = bulk(*args.inside)
        print(json.dumps(asdict(report)))
        return len(missing) if sys.platform == "linux" else 0
    if args.show is not None:
        sys.stdout.buffer.write(case(args.seed, args.show))
        return 0
    found = 0
    lines = list(HEADER)
    for name, stage, cases in (("bulk", bulk_limited, args.bulk), ("whole", whole, args.whole)):
        report = stage(args.seed, cases)
        found += len(report.crashes) + len(report.hangs)
        print(f"{name}: {json.dumps(asdict(report), indent=2)}")
        numbers = (report.cases, report.accepted, report.refused, len(report.crashes), len(report.hangs))
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
