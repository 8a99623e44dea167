"""`golf device`: what the networks of leaderboard and ladder need on a microcontroller, as a table."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json
from neural_golf.device.measure import measured, versions
from neural_golf.results.ladder import update_marked
from neural_golf.results.on_device import BUILDS, DEVICE, UNKNOWN, Build, DeviceTable, Measured, read_device
from neural_golf.results.result import VERIFIED, by_variant, read_results, representative

__all__ = ["document", "run_device"]

DOCUMENT = Path("docs/device.md")
NETWORKS = ("mnist-98/prelu", "mnist-98/golf98-heldout-200")  # in the document
SMALLEST = ("mnist-98", "mnist-99")  # challenges whose smallest network is there too
CORES = {"cortex-m4": "Cortex-M4", "cortex-m0": "Cortex-M0"}
KINDS = {"float": "float", "int8": "8 bits"}
# What was measured of others before this generator was written (issue 19): with -Os and an image as input.
TO_BEAT = {
    "mnist-98/prelu": [("a general ONNX-to-C compiler", "Cortex-M4 | float | 4,424 | 20,000 | \u2013")],
    "mnist-98/golf98-heldout-200": [
        ("a general ONNX-to-C compiler", "Cortex-M4 | float | 14,732 | 36,864 | \u2013"),
        ("a first prototype of this one", "Cortex-M4 | float | 3,202 | 5,984 | \u2013"),
        ("a first prototype of this one", "Cortex-M4 | 8 bits | 2,688 | \u2013 | \u2013"),
    ],
}


def run_device(args: argparse.Namespace) -> int:
    """Run `golf device`; returns 0. Writes the table after each network, so a stopped run goes on from there.

    Raises GolfError without compiler and emulator, for a file that is not there, and where the table was
    measured by other versions of them.
    """
    found, compiler, emulator = read_device(), *versions()
    other = found.networks and (found.compiler, found.emulator) != (compiler, emulator)
    if other and (args.files or not args.again):
        raise GolfError(
            f"{DEVICE} was measured with {found.compiler} and {found.emulator}; with those of this machine "
            "`golf device --again` measures all of it anew"
        )
    files = args.files or everything()
    digests = {_digest(path): path for path in reversed(files)}  # of equal files the first one
    known = {} if args.again and not args.files else dict(found.networks)
    for number, (digest, path) in enumerate(reversed(digests.items()), 1):
        if args.again or digest not in known:
            known[digest] = measured(path)
            DeviceTable(compiler, emulator, known).write(DEVICE)
        print(f"{number} of {len(digests)}: {path}: {_told(known[digest])}", flush=True)
    kept = known if args.files else {digest: known[digest] for digest in digests}
    table = DeviceTable(compiler, emulator, kept)
    table.write(DEVICE)
    if DOCUMENT.exists():  # not in a task's folder
        update_marked(DOCUMENT, "device", document(table, Path("leaderboard")))
    return 0


def document(table: DeviceTable, leaderboard: Path) -> str:
    """The table of docs/device.md: what two networks need, and the smallest of two challenges, beside
    the figures that were to be beaten.
    """
    ranked = read_json(leaderboard / "leaderboard.json")
    names = [*NETWORKS, *(f"{name}/{ranked[name]['ranked'][0]['entry']}" for name in SMALLEST)]
    lines = [
        "| network | board | numbers | flash (B) | RAM (B) | instructions |",
        "|---|---|---|--:|--:|--:|",
    ]
    for name in dict.fromkeys(names):
        found = table.networks.get(_digest(leaderboard / name / "model.onnx"), Measured())
        for which in BUILDS:
            build = found.builds.get(which, UNKNOWN)
            figures = (build.flash, build.ram, build.instructions) if isinstance(build, Build) else ()
            cells = [f"{n:,}" for n in figures] or [str(build), UNKNOWN, UNKNOWN]
            core, kind = which.split()
            lines.append(f"| {' | '.join([name, CORES[core], KINDS[kind], *cells])} |")
        lines += [f"| {name}, {who} | {where} |" for who, where in TO_BEAT.get(name, ())]
    return "\n".join(lines) + f"\n\nMeasured with {table.compiler} and {table.emulator}."


def everything() -> list[Path]:
    """The files of the leaderboard, and of each row and variant of the ladder the one that stands for it."""
    entries = [path for kind in ("onnx", "golf") for path in Path("leaderboard").glob(f"*/*/model.{kind}")]
    groups = by_variant(read_results()) if VERIFIED.exists() else {}
    rows = [Path(representative(group).path) for group in groups.values()]
    return sorted(entries) + sorted(path for path in rows if path.exists())  # large ones are not in Git


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise GolfError(f"{path} cannot be read: {error.strerror}") from None


def _told(one: Measured) -> str:
    if one.why:
        return f"no C: {one.why}"
    parts = [f"{one.multiply_adds:,} multiply-adds"]
    for name in BUILDS:
        build = one.builds[name]
        parts.append(f"{name}: {_figures(build) if isinstance(build, Build) else build}")
    return "; ".join(parts)


def _figures(build: Build) -> str:
    return f"flash {build.flash:,}, RAM {build.ram:,}, instructions {build.instructions:,}"
