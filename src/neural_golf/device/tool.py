"""`golf device`: what the networks of leaderboard and ladder need on a microcontroller, as a table."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.device.measure import measured, versions
from neural_golf.results.on_device import BUILDS, DEVICE, Build, DeviceTable, Measured, read_device
from neural_golf.results.result import VERIFIED, by_variant, read_results, representative

__all__ = ["run_device"]


def run_device(args: argparse.Namespace) -> int:
    """Run `golf device`; returns 0. Writes the table after each network, so a stopped run goes on from there.

    Raises GolfError without compiler and emulator, for a file that is not there, and where the table was
    measured by other versions of them.
    """
    found, compiler, emulator = read_device(), *versions()
    if found.networks and (found.compiler, found.emulator) != (compiler, emulator):
        if args.files or not args.again:
            raise GolfError(
                f"{DEVICE} was measured with {found.compiler} and {found.emulator}, and here are {compiler} and "
                f"{emulator}: `golf device --again` measures all of it anew"
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
    DeviceTable(compiler, emulator, kept).write(DEVICE)
    return 0


def everything() -> list[Path]:
    """The files of the leaderboard, and of each row and variant of the ladder the one that stands for it."""
    entries = [path for kind in ("onnx", "golf") for path in Path("leaderboard").glob(f"*/*/model.{kind}")]
    groups = by_variant(read_results()) if VERIFIED.exists() else {}
    return sorted(entries) + sorted(Path(representative(group).path) for group in groups.values())


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
