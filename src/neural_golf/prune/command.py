"""`golf prune MODEL.onnx --data D --keep 0.98 -o small.onnx`."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.base.statistics import needed
from neural_golf.data.given import Given, given
from neural_golf.engine import engine
from neural_golf.net.foreign import Foreign, UnknownLayer, load_model, read_foreign
from neural_golf.net.onnx import model_proto
from neural_golf.net.spec import Network
from neural_golf.prune.making import Curve, descended, zeroed
from neural_golf.prune.report import Report, write_report
from neural_golf.prune.runtime import Runtime
from neural_golf.prune.showing import found

__all__ = ["run_prune"]

Vector = NDArray[np.float32]
AGREE = 0.995  # of the images: what the engine and onnxruntime must answer alike


@dataclass(frozen=True)
class Done:
    """A network with zeros: the file, what its parameters are, and how many held-out images are right."""

    content: bytes
    nonzero: int
    parameters: int
    right: int
    test_right: int | None
    shown: str  # how it wants its images
    curve: Curve


def run_prune(args: argparse.Namespace) -> int:
    """Run `golf prune`; returns 0. Raises GolfError in one line for what cannot be pruned."""
    if not 0 < args.keep < 1:
        raise GolfError(f"--keep {args.keep:g} should be a share between 0 and 1, such as 0.98")
    if args.output.suffix != ".onnx":
        raise GolfError(f"{args.output} should end in .onnx")
    model, parts = load_model(args.file), given(args.data)
    name = str(args.file)
    runtime, right, of = found(model, parts.train, len(parts.classes), name)
    print(f"{name}: pixels {runtime.feed.name}, {right} of {of} training images right", flush=True)
    read: Foreign | None = None
    try:
        shape = parts.train.pixels.shape[1:]
        read = read_foreign(model, (shape[0], shape[1], shape[2]), runtime.feed)
        _agree(read, runtime, parts)
    except UnknownLayer as error:
        if args.retrain:
            raise GolfError(f"{name}: {error}; without --retrain, onnxruntime can prune it") from None
        print(f"{name}: {error}, so onnxruntime runs it, which takes longer", flush=True)
        read = None
    goal = needed(args.keep, len(parts.heldout))
    done = _with_engine(args, read, parts, goal) if read else _with_runtime(args, runtime, parts, goal)
    report = Report(
        model=name, data=parts.name, keep=args.keep, retrained=args.retrain, pixels=done.shown,
        parameters=done.parameters, nonzero=done.nonzero, heldout=len(parts.heldout),
        heldout_right=done.right, test=len(parts.test()) if parts.test else 0, test_right=done.test_right,
        sha256=hashlib.sha256(done.content).hexdigest(),
    )  # fmt: skip
    paths = write_report(args.output, report, done.curve)
    write_bytes(args.output, done.content)  # last: where it is, the rest is too
    if done.test_right is None:
        told = "the data have no test part"
    else:
        told = f"{done.test_right} of {report.test} test images right, which chose nothing"
    print(
        f"{args.output}: {done.nonzero:,} of {done.parameters:,} parameters are left, "
        f"{done.right / len(parts.heldout):.4f} of the held-out images right; {told}"
    )
    print(f"it wants pixels {done.shown}; see {', '.join(map(str, paths))}")
    return 0


def _agree(read: Foreign, runtime: Runtime, parts: Given) -> None:
    """Raises UnknownLayer where the engine and onnxruntime answer differently: then a layer was misread."""
    some = parts.train[: min(500, len(parts.train))]
    own = engine(read.network).logits(read.parameters, some.pixels).argmax(axis=1)
    if (own == runtime.answers(some.pixels).argmax(axis=1)).mean() < AGREE:
        raise UnknownLayer("the engine does not answer as onnxruntime does; please report this network")


def _enough(name: str, right: int, goal: int, parts: Given, keep: float) -> None:
    if right < goal:
        raise GolfError(
            f"{name} has {right / len(parts.heldout):.4f} of the held-out images right, below --keep "
            f"{keep:g}, so there is nothing to prune: ask for less, or train it longer"
        )


def _with_engine(args: argparse.Namespace, read: Foreign, parts: Given, goal: int) -> Done:
    network, parameters = read.network, read.parameters
    core = engine(network, threads=longwork.cores())
    heldout = parts.heldout
    right = core.correct(parameters, heldout.pixels, heldout.labels)
    print(
        f"{args.file}: {', '.join(network.spec)}; {np.count_nonzero(parameters):,} parameters, "
        f"{right / len(heldout):.4f} of the held-out images right", flush=True,
    )  # fmt: skip
    _enough(str(args.file), right, goal, parts, args.keep)
    start: Curve = [("as given", int(np.count_nonzero(parameters)), right / len(heldout))]
    made, curve = zeroed(core, parameters, parts, goal)
    if args.retrain:
        made, more = descended(core, parameters, made, parts, goal, args.seed)
        curve = curve + more
    right = core.correct(made, heldout.pixels, heldout.labels)
    content = _content(network, made, parts)
    test = parts.test() if parts.test else None
    test_right = None if test is None else core.correct(made, test.pixels, test.labels)
    return Done(
        content, int(np.count_nonzero(made)), network.size, right, test_right,
        f"from 0 to 1, float32 [batch, {', '.join(map(str, network.in_shape))}]", start + curve,
    )  # fmt: skip


def _content(network: Network, parameters: Vector, parts: Given) -> bytes:
    """The ONNX file, as `golf export` writes them."""
    shape = ", ".join(map(str, network.in_shape))
    told = {
        "title": "Neural Golf: pruned",
        "dataset": parts.name,
        "network": ", ".join(network.spec),
        "parameters": str(network.size),
        "nonzero": str(np.count_nonzero(parameters)),
        "chosen_on": "held-out images",
        "input": f"float32 [batch, {shape}], pixel / 255, 0 is background; no other normalisation",
        "output": f"float32 [batch, {network.classes}] logits; index k is class k",
    }
    content: bytes = model_proto(network, parameters, told).SerializeToString(deterministic=True)
    return content


def _with_runtime(args: argparse.Namespace, runtime: Runtime, parts: Given, goal: int) -> Done:
    heldout, parameters = parts.heldout, runtime.parameters
    right = runtime.correct(parameters, heldout.pixels, heldout.labels)
    print(
        f"{args.file}: {np.count_nonzero(parameters):,} weights, {right / len(heldout):.4f} of the held-out "
        "images right", flush=True,
    )  # fmt: skip
    _enough(str(args.file), right, goal, parts, args.keep)
    start: Curve = [("as given", int(np.count_nonzero(parameters)), right / len(heldout))]
    made, curve = zeroed(runtime, parameters, parts, goal)
    right = runtime.correct(made, heldout.pixels, heldout.labels)
    test = parts.test() if parts.test else None
    test_right = None if test is None else runtime.correct(made, test.pixels, test.labels)
    return Done(
        runtime.written(made), int(np.count_nonzero(made)), len(made), right, test_right,
        f"{runtime.feed.name}, as the original", start + curve,
    )  # fmt: skip
