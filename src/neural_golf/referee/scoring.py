"""Runs an inspected network on images, in one fixed setting. Only the child process imports this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto

from neural_golf.referee.counting import Graph, rebuild
from neural_golf.referee.rules import Refused

__all__ = ["Predictions", "TestImages", "predict"]

Array = NDArray[Any]
Classes = NDArray[np.uint8]

CHUNK = 32  # images of a batch in the permuted pass
PERMUTATION_SEED = 20240229
ROUNDING = 1e-4  # of the largest logit: how far two orders of the same sums may differ


@dataclass(frozen=True)
class Predictions:
    """The class of each image [n] by its first maximum, and the same with bfloat16 parameters if it was
    probed.
    """

    classes: Classes
    coarse: Classes | None
    ties: int  # images whose class differs between single and batch, but only by rounding


class TestImages:
    """Test images [n, channels, height, width] as raw bytes and as float32 from 0 to 1, and two orders.

    It is made once, before the forks, which share it.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.raw = images
        self.unit = images.astype(np.float32) / np.float32(255)
        self.straight = np.arange(len(images))
        self.shuffled = np.random.default_rng(PERMUTATION_SEED).permutation(len(images))


def predict(graph: Graph, images: TestImages, classes: int, probes: bool = True) -> Predictions:
    """Run a network of so many classes on the images, one by one; permuted batches must give the same
    answers.

    Without `probes` only the permuted batches are run, once. That is for our own files, and for more images
    of a file that was probed. Raises Refused for a wrong input or output shape, logits that are not finite,
    an answer that depends on the other images of a batch, and whatever onnxruntime will not run.
    """
    pixels = _feed(graph, images)
    free = graph.batch is None
    order, chunk = (images.shuffled, CHUNK) if free else (images.straight, 1)
    session = _session(rebuild(graph))
    if not probes:
        return Predictions(_classes(_run(session, graph, pixels, classes, order, chunk)), None, 0)
    logits = _run(session, graph, pixels, classes, images.straight, 1)
    ties = _agree(logits, _run(session, graph, pixels, classes, images.shuffled, CHUNK)) if free else 0
    session = _session(rebuild(graph, coarse=True))
    coarse = _run(session, graph, pixels, classes, order, chunk, finite=False)
    return Predictions(_classes(logits), _classes(coarse), ties)


def _classes(logits: Array) -> Classes:
    classes: Classes = logits.argmax(1).astype(np.uint8)
    return classes


def _feed(graph: Graph, images: TestImages) -> Array:
    """Pixels [n, ...] as the graph declares its input. With one channel all layouts share their bytes."""
    n, channels, height, width = images.raw.shape
    accepted: set[tuple[int, ...]] = {(channels, height, width)}
    if channels == 1:
        accepted |= {(height, width, 1), (height, width), (height * width,)}
    if graph.input_shape not in accepted:
        shown = "x".join(map(str, graph.input_shape))
        raise Refused(
            f"the graph's input is [batch, {shown}]; declare [batch, {channels}, {height}, {width}]"
        )
    pixels = images.raw if graph.input_type == TensorProto.UINT8 else images.unit
    return pixels.reshape(n, *graph.input_shape)


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime has one class per status code, all direct children of Exception
        raise Refused(f"onnxruntime does not load it: {_one_line(error)}") from error


def _run(
    session: Any, graph: Graph, pixels: Array, classes: int, order: Array, chunk: int, finite: bool = True
) -> Array:
    """Logits [n, classes] of pixels [n, ...], run in this order, `chunk` images at a time."""
    logits = np.empty((len(pixels), classes), np.float32)
    wanted = [graph.output_name]
    how = "image by image" if chunk == 1 else f"in permuted batches of {chunk}"
    for start in range(0, len(pixels), chunk):
        chosen = order[start : start + chunk]
        part = pixels[chosen]
        try:
            out = session.run(wanted, {graph.input_name: part})[0]
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise Refused(f"onnxruntime does not run it {how}: {_one_line(error)}") from error
        if out.shape != (len(part), classes) or out.dtype != np.float32:
            shown = "x".join(map(str, out.shape))
            wrong = f"{len(part)} image(s) give {out.dtype} of shape {shown}"
            raise Refused(f"run {how}, {wrong}, not float32 of shape {len(part)}x{classes}")
        logits[chosen] = out
    if finite and not np.isfinite(logits).all():
        raise Refused(f"run {how}, it answers NaN or infinity")
    return logits


def _agree(single: Array, batched: Array) -> int:
    """The number of images whose class differs by rounding alone. Raises Refused where it is more."""
    differ = np.flatnonzero(single.argmax(1) != batched.argmax(1))
    one, other = single[differ].astype(np.float64), batched[differ].astype(np.float64)
    allowed = ROUNDING * np.maximum(np.abs(one).max(1, initial=0), np.abs(other).max(1, initial=0))
    real = int((np.abs(one - other).max(1, initial=0) > allowed).sum())
    if real:
        raise Refused(f"its answer depends on the batch: {real} image(s) get another class among others")
    return len(differ)


def _one_line(error: Exception) -> str:
    """An error's message in printable ASCII, cut to one short line."""
    text = ascii(" ".join(str(error).split()))[1:-1]
    return text if len(text) <= 300 else text[:297] + "..."
