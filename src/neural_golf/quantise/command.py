"""`golf pack` and `golf unpack`: a network into a file of few bytes, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neural_golf import config, data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.config.sections import Pack
from neural_golf.engine import engine
from neural_golf.net.checkpoint import read_checkpoint
from neural_golf.net.spec import Network
from neural_golf.packed import SUFFIX, decode, encode
from neural_golf.packed.file import MOST_BYTES, bill
from neural_golf.packed.graph import read_network, to_onnx
from neural_golf.quantise.making import prepared, smallest, whole

__all__ = ["run_pack", "run_unpack"]

Vector = NDArray[np.float32]


def run_unpack(args: argparse.Namespace) -> int:
    """Run `golf unpack`; returns 0. Raises GolfError for what is no canonical file."""
    try:
        with args.file.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise GolfError(f"{args.file} cannot be read: {error.strerror}") from None
    try:
        made = to_onnx(content)
    except GolfError as error:
        raise GolfError(f"{args.file}: {error}") from None
    write_bytes(args.output, made)
    print(f"{args.file}: {len(content):,} bytes; written to {args.output}")
    return 0


def run_pack(args: argparse.Namespace) -> int:
    """Run `golf pack`; returns 0. Raises GolfError where no number of levels keeps what is asked for."""
    if not 0 < args.keep < 1:
        raise GolfError(f"--keep {args.keep:g} should be a share between 0 and 1, such as 0.978")
    if args.output.suffix != SUFFIX:
        raise GolfError(f"{args.output} should end in {SUFFIX}")
    settings = config.load().pack
    network, parameters = _read(args.file, args.which)
    train, heldout = data.read("train"), data.read("heldout")
    if train.pixels.shape[1:] != network.in_shape:
        raise GolfError(f"{args.file} is for images of another shape than this run's data")
    core = engine(network)
    labels = heldout.labels.astype(np.int64)
    before = core.correct(parameters, heldout.pixels, labels) / len(heldout)
    print(f"{args.file}: {np.count_nonzero(parameters)} weights, {before:.4f} of the held-out images right")
    network, parameters = prepared(network, parameters, train, settings)
    core, best = engine(network), (0.0, 0)
    for most in settings.levels:
        piece = f"levels up to {most}"
        made = whole("pack", piece, network, parameters, train, settings, most)
        share = core.correct(made, heldout.pixels, labels) / len(heldout)
        size = len(encode(network, made))
        print(f"{piece}: {share:.4f} of the held-out images right, {size} bytes", flush=True)
        if share >= args.keep:
            _write(args.output, network, made, settings, piece)
            return 0
        best = max(best, (share, most))
    raise GolfError(
        f"no number of levels keeps {args.keep:g} of the held-out images right; "
        f"the best are levels up to {best[1]}, with {best[0]:.4f}"
    )


def _read(path: Path, run: str | None) -> tuple[Network, Vector]:
    """The network of an ONNX or `.golf` file, or of one run of a checkpoint."""
    if path.suffix == ".safetensors":
        checkpoint = read_checkpoint(path)
        names = [one.name(path.stem) for one in checkpoint.runs]
        if run is None and len(names) == 1:
            run = names[0]
        if run not in names:
            raise GolfError(f"{path} has no network {run!r}; name one with --run, such as {names[0]}")
        return checkpoint.network, checkpoint.baked(names.index(run))
    if run is not None:
        raise GolfError("--run goes with a checkpoint (.safetensors)")
    network, parameters, _ = read_network(path)
    return network, parameters


def _write(path: Path, network: Network, parameters: Vector, settings: Pack, piece: str) -> None:
    """Write the smallest file among a network's twins, and say what it is made of."""
    content = smallest("pack", piece, network, parameters, settings)
    made, values = decode(content)
    write_bytes(path, content)
    parts = ", ".join(f"{bits:.0f} bits {name}" for name, bits in bill(made, values).items() if bits)
    print(f"{path}: {len(content)} bytes ({parts}), {np.count_nonzero(values)} weights")
