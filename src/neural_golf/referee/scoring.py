"""Runs a counted network on the test images, in one fixed setting. Only the child process imports this."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from neural_golf.referee.counting import MADE, Count, add_up
from neural_golf.referee.folding import Folded, fold
from neural_golf.referee.hints import conventions
from neural_golf.referee.probing import CHUNK, IMAGES, Network, constants_in_disguise, standing_elements
from neural_golf.referee.reading import Model
from neural_golf.referee.rebuilding import INPUT, OUTPUT, rebuild, widths, with_float_input
from neural_golf.referee.rules import LIMITS, Limits, Probe, Refused, probing_order
from neural_golf.referee.running import as_one_line, make_session
from neural_golf.referee.tensors import NARROW, SHIFTS

__all__ = ["Predictions", "TestImages", "count_with_images", "hints", "predict"]

Array = NDArray[Any]
Classes = NDArray[np.uint16]

SAMPLE = 500  # images that are run one by one and in two orders of batches
PROBED = 2500  # images of a probe, if it changes few answers; else all
CHANGED = 0.008  # of the answers: as few as cannot lose a point
HINTED = 1000  # images for each convention of pixels
SEED = 20240229
FEW = 16  # constants in disguise that are looked at one by one
ROUNDING = 1e-4  # of the largest logit: how far two orders of the same sums may differ


@dataclass(frozen=True)
class Predictions:
    """The class of each image [n] by its first maximum, and what the probes found.

    `probes`: the classes with numbers (on each grid) or activations rounded, for the first images of
    `probing_order`, or for all.
    """

    classes: Classes
    ties: int = 0  # images whose class differs between single and batch, but only by rounding
    one_by_one: int = 0  # images that were run alone
    batch: int = 1  # images that were run at once in the rest
    probes: dict[Probe, list[Classes]] = field(default_factory=dict)


class TestImages:
    """Test images [n, channels, height, width] as raw bytes and as float32 from 0 to 1, noise like them, and
    a shuffled order.

    It is made once, before the forks, which share it.
    """

    def __init__(self, images: NDArray[np.uint8]) -> None:
        rng = np.random.default_rng(SEED)
        self.raw = images
        self.unit = images.astype(np.float32) / np.float32(255)
        self.shuffled = probing_order(len(images))
        self.noise = rng.integers(0, 256, (IMAGES, *images.shape[1:]), np.uint8)

    def accept(self, model: Model) -> None:
        """Raises Refused for a model that takes other images. With one channel all layouts share their
        bytes.
        """
        _, channels, height, width = self.raw.shape
        accepted: set[tuple[int, ...]] = {(channels, height, width)}
        if channels == 1:
            accepted |= {(height, width, 1), (height, width), (height * width,)}
        if model.input_shape not in accepted:
            shown = "x".join(map(str, model.input_shape))
            raise Refused(
                f"the graph's input is [batch, {shown}]; declare [batch, {channels}, {height}, {width}]"
            )

    def pixels(self, model: Model) -> tuple[Array, Array]:
        """Images and noise [n, ...] as the graph declares its input. Raises Refused as `accept` does."""
        self.accept(model)
        shape = model.input_shape
        if model.input_type == TensorProto.UINT8:
            return self.raw.reshape(-1, *shape), self.noise.reshape(-1, *shape)
        noise = self.noise.astype(np.float32) / np.float32(255)
        return self.unit.reshape(-1, *shape), noise.reshape(-1, *shape)


def count_with_images(folded: Folded, images: TestImages, limits: Limits = LIMITS) -> Count:
    """The count of a folded network after a look at what it does with images. Raises Refused."""
    pixels, noise = images.pixels(folded.model)
    if (pixels == pixels[0]).all():  # images that are all the same say nothing about a network
        return add_up(folded)
    network = Network(folded)
    batch = folded.model.batch or 1
    some = np.resize(images.shuffled, -(-min(IMAGES, len(pixels)) // batch) * batch)
    real, noise = pixels[some], np.resize(noise, (-(-IMAGES // batch) * batch, *noise.shape[1:]))
    still, exchanged = constants_in_disguise(network, real)
    standing = standing_elements(network, real, noise, {*still, *exchanged})
    plain = add_up(folded, standing=standing)
    many = still | exchanged if len(exchanged) > FEW else still
    counted = add_up(fold(folded.model, limits, many, folded.runner), standing=standing) if many else plain
    more = 0
    if many is still:  # one by one: a gate that hardly moves costs its elements or its weights, what is more
        for name, values in exchanged.items():
            alone = fold(folded.model, limits, still | {name: values}, folded.runner, pruned=True)
            more += max(0, add_up(alone, standing=standing).nonzero - counted.nonzero)
    if more:
        parts = counted.parts | {MADE: counted.parts.get(MADE, 0) + more}
        counted = replace(
            counted, nonzero=counted.nonzero + more, parameters=counted.parameters + more, parts=parts
        )
    if counted.nonzero <= plain.nonzero:  # what stands still on these images may move on others
        return plain
    said = f"{len(still) + len(exchanged)} activation(s) are constants and counted as such"
    return replace(counted, flags=(said,))


def predict(folded: Folded, images: TestImages, classes: int, probes: bool = True) -> Predictions:
    """Run a network of so many classes on the images.

    A sample is run one by one and in shuffled batches, which must agree. The rest is run in batches, or one
    by one if the sample leaves a doubt. Without `probes` all is run in batches, once: that is for our own
    files, and for more images of a file that was probed. Raises Refused for a wrong input or output shape,
    logits that are not finite, an answer that depends on the other images of a batch, and whatever
    onnxruntime will not run.
    """
    pixels, _ = images.pixels(folded.model)
    batch = folded.model.batch
    chunk = batch or min(CHUNK, len(pixels))
    runner = _Runner(rebuild(folded), classes, chunk)
    order = images.shuffled
    if not probes:
        return Predictions(_classes(runner.run(pixels, order)), batch=runner.chunk)
    sample, rest = order[:SAMPLE], order[SAMPLE:]
    logits = np.empty((len(pixels), classes), np.float32)
    logits[sample], ties = _sample(runner, pixels[sample], batch)
    alone = len(sample) if batch in (None, 1) else 0
    if ties and batch is None:  # the doubt: rounding decides some answers, so all are run as one would
        alone, runner = len(pixels), _Runner(rebuild(folded), classes, 1)
    logits[rest] = runner.run(pixels[rest])
    found = _classes(logits)
    probed = {
        probe: [_probed(runner, found, pixels, order) for runner in runners]
        for probe, runners in _probes(folded, classes, chunk).items()
    }
    return Predictions(found, ties, alone, runner.chunk, probed)


def hints(folded: Folded, images: TestImages, classes: int) -> dict[str, Classes]:
    """The classes of the first images of `probing_order` with their pixels as other tools have them."""
    raw = folded.model.input_type == TensorProto.UINT8
    model = with_float_input(folded) if raw else rebuild(folded)
    if model is None:
        return {}
    few = images.unit[images.shuffled[:HINTED]]
    runner = _Runner(model, classes, folded.model.batch or min(CHUNK, len(few)))
    return {
        name: _classes(runner.run(pixels.reshape(len(few), *folded.model.input_shape), finite=False))
        for name, pixels in conventions(few, raw)
    }


def _classes(logits: Array) -> Classes:
    classes: Classes = logits.argmax(1).astype(np.uint16)
    return classes


def _probes(folded: Folded, classes: int, batch: int) -> dict[Probe, list[_Runner]]:
    """Networks with numbers rounded, one for each grid, and one with activations rounded."""

    def on_each_grid(rounded: int) -> list[_Runner]:
        files = [rebuild(folded, rounded=rounded, grid=grid) for grid in range(len(SHIFTS))]
        return [_Runner(file, classes, batch) for file in files]

    found: dict[Probe, list[_Runner]] = {}
    stored = widths(folded)
    if any(w > NARROW for w in stored) or folded.scales:
        found["wide"] = on_each_grid(NARROW)
    if any(w <= NARROW for w in stored):
        found["all"] = on_each_grid(0)
    found["activations"] = [_Runner(rebuild(folded, activations=True), classes, batch)]
    return found


def _probed(runner: _Runner, exact: Classes, pixels: Array, order: Array) -> Classes:
    """The classes of a probe, in the shuffled order: of the first images, or of all if many differ."""
    first = order[:PROBED]
    few = _classes(runner.run(pixels[first], finite=False))
    if len(first) == len(order) or (few != exact[first]).mean() <= CHANGED:
        return few
    return np.concatenate([few, _classes(runner.run(pixels[order[PROBED:]], finite=False))])


def _sample(runner: _Runner, pixels: Array, batch: int | None) -> tuple[Array, int]:
    """Logits of a sample, and how many of its images tie. Raises Refused where the batch decides."""
    shuffled = np.random.default_rng(SEED).permutation(len(pixels))
    if batch == 1:
        return runner.run(pixels), 0
    together = runner.run(pixels, shuffled)
    if batch is None:
        alone = runner.run(pixels, chunk=1)
        return alone, _agree(alone, together)
    straight = runner.run(pixels)
    return straight, _agree(straight, together)


class _Runner:
    """One serialised model, run on pixels in an order, `chunk` images at a time."""

    def __init__(self, model: bytes, classes: int, chunk: int) -> None:
        self._session, self._classes, self.chunk = make_session(model), classes, chunk

    def run(
        self, pixels: Array, order: Array | None = None, chunk: int | None = None, finite: bool = True
    ) -> Array:
        """Logits [n, classes] of pixels [n, ...], as they lie. The last batch is filled up with the first
        image, so that all batches are of one size: a network may know that size.
        """
        n, chunk = len(pixels), chunk or self.chunk
        order = np.arange(n) if order is None else order
        logits = np.empty((n, self._classes), np.float32)
        how = "image by image" if chunk == 1 else f"in batches of {chunk}"
        for start in range(0, n, chunk):
            chosen = order[start : start + chunk]
            part = pixels[chosen]
            if len(part) < chunk:
                part = np.concatenate([part, np.repeat(pixels[:1], chunk - len(part), axis=0)])
            try:
                out = self._session.run([OUTPUT], {INPUT: part})[0]
            except MemoryError:
                raise
            except Exception as error:  # onnxruntime has one class per status code
                raise Refused(f"onnxruntime does not run it {how}: {as_one_line(error)}") from error
            if out.shape != (len(part), self._classes) or out.dtype != np.float32:
                shown = "x".join(map(str, out.shape))
                wrong = f"{len(part)} image(s) give {out.dtype} of shape {shown}"
                raise Refused(f"run {how}, {wrong}, not float32 of shape {len(part)}x{self._classes}")
            logits[chosen] = out[: len(chosen)]
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
