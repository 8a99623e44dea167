"""`golf prune MODEL.onnx --data D --keep 0.98 -o small.onnx`."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import needed
from neural_golf.data.given import Given, given
from neural_golf.engine import Engine, engine
from neural_golf.net.foreign import Feed, Foreign, Model, UnknownLayer, load_model, model_of, read_foreign
from neural_golf.net.onnx import model_proto
from neural_golf.net.spec import Network
from neural_golf.packed import SUFFIX
from neural_golf.prune.making import Curve, descended, zeroed
from neural_golf.prune.refusing import refuse
from neural_golf.prune.report import Report, write_report
from neural_golf.prune.runtime import Runtime
from neural_golf.prune.showing import found, plain_feed
from neural_golf.results.export import of_classes

__all__ = ["run_prune"]

Vector = NDArray[np.float32]
FEW = 100  # images, below which what comes out is told to be doubtful
AGREE = 0.995  # of the images: what the engine and onnxruntime must answer alike


@dataclass(frozen=True)
class _Made:
    """What came out: the file and how it wants its images; parameters, or where onnxruntime prunes weights,
    that are not zero and in all; and the curve on the way.
    """

    content: bytes
    feed: Feed
    nonzero: int
    size: int
    counted: str
    curve: Curve


def run_prune(args: argparse.Namespace) -> int:
    """Run `golf prune`; returns 0. Raises GolfError in one line for what cannot be pruned."""
    if not 0 < args.keep < 1:
        raise GolfError(f"--keep {args.keep:g} should be a share between 0 and 1, such as 0.98")
    if args.seed < 0:
        raise GolfError(f"--seed {args.seed} should be 0 or more")
    if args.output.suffix != ".onnx":
        raise GolfError(f"-o {args.output} should end in .onnx")
    if args.output.resolve() == args.file.resolve():
        raise GolfError(f"-o {args.output} is the network itself, which would be lost; choose another name")
    for suffix in (".onnx", ".csv", ".json"):
        if (path := args.output.with_suffix(suffix)).is_dir():
            beside = "" if suffix == ".onnx" else f": {path}, which stands beside it,"
            raise GolfError(f"-o {args.output}{beside} is a folder; choose another name")
    name = str(args.file)
    model = _model(args.file)
    parts = given(args.data)
    runtime, right, of = found(model, parts, name)
    print(f"{name}: pixels {runtime.feed.name}, {right} of {of} training images right", flush=True)
    for few in _few(args, parts):
        print(few, flush=True)
    made = _made(args, _read(args, runtime, parts), runtime, parts)
    # What is told of the file is what onnxruntime makes of it, as anybody would run it.
    file = Runtime(
        model_of(onnx.load_from_string(made.content), str(args.output)), made.feed, str(args.output)
    )
    heldout, test = parts.heldout, parts.test() if parts.test else None
    report = Report(
        model=name, data=parts.name, keep=args.keep, retrained=args.retrain, pixels=made.feed.name,
        counted=made.counted, size=made.size, nonzero=made.nonzero,
        heldout=len(heldout), heldout_right=file.right(heldout.pixels, heldout.labels),
        test=len(test) if test else 0, test_right=file.right(test.pixels, test.labels) if test else None,
        sha256=hashlib.sha256(made.content).hexdigest(),
    )  # fmt: skip
    paths = write_report(args.output, report, made.curve, made.content)
    shape = ", ".join(map(str, made.feed.shape))
    print(f"{args.output}: {report.nonzero:,} of {report.size:,} {made.counted} are left, {report.told}")
    print(f"it wants pixels {made.feed.name} as [batch, {shape}]; see also {', '.join(map(str, paths))}")
    return 0


def _model(path: Path) -> Model:
    """The network as it is, which must be one that can be judged."""
    if path.suffix == SUFFIX:
        raise GolfError(f"{path} is no ONNX file: `golf unpack {path} -o {path.stem}.onnx` makes one of it")
    if path.is_file() and not path.stat().st_size:
        raise GolfError(f"{path} is empty")
    model = load_model(path)
    refuse(model, str(path))
    return model


def _few(args: argparse.Namespace, parts: Given) -> Iterator[str]:
    """What is to be said where there are too few images to believe what comes out."""
    if len(parts.heldout) < FEW:
        yield (
            f"{parts.name}: only {len(parts.heldout)} held-out images decide about every zero, so expect "
            "clearly less on others"
        )
    if args.retrain and len(parts.train) < FEW:
        yield (
            f"{parts.name}: {len(parts.train)} training images are few for --retrain: it seldom leaves fewer "
            "weights than zeroing"
        )


def _read(args: argparse.Namespace, runtime: Runtime, parts: Given) -> Foreign | None:
    """The network for the engine, or None, which is said, where only onnxruntime can run it."""
    channels, height, width = parts.train.pixels.shape[1:]
    some = parts.train[: min(500, len(parts.train))]
    try:
        read = read_foreign(runtime.model, (channels, height, width), runtime.feed)
        if not np.isfinite(read.parameters).all():
            raise UnknownLayer("its numbers are too large to be folded into one another")
        own = engine(read.network).logits(read.parameters, some.pixels).argmax(axis=1)
        if (own == runtime.answers(some.pixels).argmax(axis=1)).mean() < AGREE:
            raise UnknownLayer("the engine does not answer as onnxruntime does; please report this network")
    except UnknownLayer as error:
        if args.retrain:
            raise GolfError(f"{args.file}: {error}; without --retrain, onnxruntime can prune it") from None
        print(f"{args.file}: {error}, so onnxruntime runs it, which takes longer", flush=True)
        return None
    left_out = f"; {read.squashed} is left out" if read.squashed else ""
    print(f"{args.file}: {', '.join(read.network.spec)}{left_out}", flush=True)
    return read


def _made(args: argparse.Namespace, read: Foreign | None, runtime: Runtime, parts: Given) -> _Made:
    """Zeroed, or retrained. Raises GolfError where the network has less right than is to be kept."""
    core: Engine | Runtime = engine(read.network, threads=longwork.cores()) if read else runtime
    parameters = read.parameters if read else runtime.parameters
    heldout, goal = parts.heldout, needed(args.keep, len(parts.heldout))
    right, nonzero = (
        core.correct(parameters, heldout.pixels, heldout.labels),
        int(np.count_nonzero(parameters)),
    )
    share, counted = right / len(heldout), "parameters" if read else "weights"
    print(f"{args.file}: {nonzero:,} {counted}, {share:.4f} of the held-out images right", flush=True)
    if right < goal:
        raise GolfError(
            f"{args.file} has {share:.4f} of the held-out images right, below --keep {args.keep:g}, so there "
            "is nothing to prune: ask for less, or train it longer"
        )
    made, curve = zeroed(core, parameters, parts, goal)
    if args.retrain and not isinstance(core, Runtime):
        made, more = descended(core, parameters, made, parts, goal, args.seed)
        curve += more
    curve = [("as given", nonzero, share), *curve]
    counts = int(np.count_nonzero(made)), len(made), counted
    if read is None:
        return _Made(runtime.written(made), runtime.feed, *counts, curve)
    return _Made(_content(read.network, made, parts), plain_feed(read.network.in_shape), *counts, curve)


def _content(network: Network, parameters: Vector, parts: Given) -> bytes:
    """The ONNX file, as `golf export` writes them."""
    shape = ", ".join(map(str, network.in_shape))
    named = of_classes(parts.classes, parts.low, parts.high)
    unit = "0 to 1 for the range of each channel" if "range" in named else "pixel / 255, 0 is background"
    told = {
        "title": "Neural Golf: pruned",
        "dataset": parts.name,
        "network": ", ".join(network.spec),
        "parameters": str(network.size),
        "nonzero": str(np.count_nonzero(parameters)),
        "chosen_on": "held-out images",
        "input": f"float32 [batch, {shape}], {unit}; no other normalisation",
        "output": f"float32 [batch, {network.classes}] logits; index k is class k",
        **named,
    }
    content: bytes = model_proto(network, parameters, told).SerializeToString(deterministic=True)
    return content
