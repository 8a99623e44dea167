"""Networks as C: the same answers as onnxruntime's, with no warning, no wrong access, and no library."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import Digits
from numpy.typing import NDArray
from test_layers import WAYS

from neural_golf.device.source import write_source
from neural_golf.device.whole import Whole, calibrated
from neural_golf.engine.form import canonical_plain
from neural_golf.net.form import Form
from neural_golf.net.layers import KINDS
from neural_golf.net.onnx import unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

ROOT = Path(__file__).parent.parent
ENTRIES = ROOT / "leaderboard"
STRICT = ["-std=c99", "-Os", "-pedantic", "-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here, which compiles the C")

# What reads images from its input, and writes each one's logits and class to its output.
MAIN = """
#include <stdio.h>
#include "net.h"
int main(void) {
  static TYPE image[NET_CHANNELS * NET_HEIGHT * NET_WIDTH];
  LOGIT logits[NET_CLASSES];
  while (fread(image, sizeof image, 1, stdin) == 1) {
    int found = net(image, logits);
    fwrite(logits, sizeof logits, 1, stdout);
    fwrite(&found, sizeof found, 1, stdout);
  }
  return 0;
}
"""


@dataclass
class Program:
    """A compiled network."""

    path: Path
    classes: int
    whole: bool

    def __call__(self, images: NDArray[np.generic]) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
        """The logits [n, classes] and the class [n] of images [n, channels, height, width]."""
        ran = subprocess.run([self.path], input=images.tobytes(), capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()
        raw = np.frombuffer(ran.stdout, np.int32).reshape(len(images), self.classes + 1)
        logits = raw[:, :-1] if self.whole else raw[:, :-1].copy().view(np.float32)
        return logits, raw[:, -1]


def compiled(
    folder: Path, network: Network, parameters: np.ndarray, *flags: str, pixel: str = "unsigned char",
    whole: Whole | None = None,
) -> Program:  # fmt: skip
    made = write_source(network, parameters, pixel=pixel, whole=whole)
    main = MAIN.replace("TYPE", pixel).replace("LOGIT", "int" if whole else "float")
    for name, text in (("net.c", made.code), ("net.h", made.header), ("main.c", main)):
        (folder / name).write_text(text)
    command = ["gcc", *STRICT, *flags, "-o", folder / "net", folder / "net.c", folder / "main.c"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return Program(folder / "net", network.classes, whole is not None)


def sparse(network: Network, rng: np.random.Generator) -> NDArray[np.float32]:
    """Parameters half of which are zero."""
    parameters = initialise(network, rng) + rng.normal(0, 0.1, network.size).astype(np.float32)
    return np.where(rng.random(network.size) < 0.5, parameters, 0).astype(np.float32)


def odd_images(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bytes at random; one blank image, one full, one with a single dot."""
    images = rng.integers(0, 256, (8, *shape)).astype(np.uint8)
    images[0], images[1], images[2] = 0, 255, 0
    images[2, 0, 1, 2] = 200
    return images


def expected(network: Network, parameters: np.ndarray, images: np.ndarray) -> np.ndarray:
    seen = images.astype(np.float32) / 255
    if network.form:
        seen = canonical_plain(seen, network.form)
    return Plain(network, parameters).forward(seen.transpose(1, 2, 3, 0))[-1].reshape(network.classes, -1).T


def around(words: str) -> list[str]:
    """A network with a layer of this kind, on images with three channels that are not square."""
    return ["conv 4 k4", words, *([] if KINDS[words.split()[0]].ends else ["conv 5 k2"]), "linear 10"]


# What can go wrong where layers meet: the spec, the image's shape, the form.
MEETINGS: list[tuple[list[str], tuple[int, int, int], Form | None]] = [
    (["conv 8 k3 turns mirrors", "abs", "maxpool 3 s2", "conv 8 k3 same turns mirrors", "prelu", "linear 10"],
     (2, 15, 15), None),
    (["conv 8 k3 d2 turns", "leaky 0.1", "avgpool 2", "conv 4 k3 d2 same turns", "gap"], (1, 15, 15), None),
    (["conv 8 k3 turns", "relu", "conv 6 k3", "abs", "conv 8 k3 turns mirrors", "gap"], (1, 12, 12), None),
    (["norm", "conv 4 k3 same", "norm", "relu", "maxpool 2", "relu", "conv 4 k3", "abs", "gap"], (3, 9, 13), None),
    (["conv 4 k3", "conv 4 k3", "relu", "conv 4 k3 tied=conv2", "gap", "linear 10", "relu", "linear 3"],
     (3, 12, 19), None),
    (["maxpool 2", "conv 6 k3 g3 same", "relu", "maxpool 2 s3 p1", "dropout 0.5", "linear 4"], (3, 21, 16), Form()),
    (["norm", "norm", "abs", "abs", "conv 2 k1", "linear 4"], (3, 6, 7), Form(0.3, 0.4, 0.3, 1.0)),
    (["norm", "avgpool 2 s4", "maxpool 2 s3", "linear 2"], (3, 18, 27), None),
    (["linear 10"], (1, 40, 300), None),
    (["gap"], (5, 3, 4), None),
]  # fmt: skip
CASES = [(around(words), (3, 14, 17), None) for words in WAYS] + MEETINGS


@needs_gcc
@pytest.mark.parametrize(("spec", "shape", "form"), CASES, ids=lambda value: str(value)[:60])
def test_every_kind_of_layer_gives_in_c_what_it_gives_in_numpy(
    spec: list[str], shape: tuple[int, int, int], form: Form | None, rng: np.random.Generator, tmp_path: Path
) -> None:
    network = Network.parse(spec, shape, form)
    parameters, images = sparse(network, rng), odd_images(shape, rng)
    logits, classes = compiled(tmp_path, network, parameters, *SANITIZED)(images)
    np.testing.assert_allclose(logits, expected(network, parameters, images), atol=1e-4, rtol=1e-4)
    assert classes.tolist() == logits.argmax(axis=1).tolist()


@needs_gcc
@pytest.mark.parametrize("entry", ["mnist-98/golf98-heldout-200", "mnist-99/golf99-heldout-450", "mnist-98/prelu"])
def test_an_entry_gives_the_classes_that_onnxruntime_gives(entry: str, digits: Digits, tmp_path: Path) -> None:
    content = (ENTRIES / entry / "model.onnx").read_bytes()
    network, parameters = unpack(content, entry)
    images = digits[0]
    (answers,) = onnxruntime.InferenceSession(content).run(None, {"image": images.astype(np.float32) / 255})
    for pixel, seen in (("unsigned char", images), ("float", images.astype(np.float32) / 255)):
        logits, classes = compiled(tmp_path, network, parameters, pixel=pixel)(seen)
        np.testing.assert_allclose(logits, answers, atol=1e-4)
        assert classes.tolist() == answers.argmax(axis=1).tolist()


@needs_gcc
def test_whole_numbers_with_a_scale_are_stored_as_bytes(rng: np.random.Generator, tmp_path: Path) -> None:
    network = Network.parse(["conv 8 k3 turns mirrors", "abs", "maxpool 2", "linear 10"], (1, 12, 12), Form())
    parameters = rng.integers(-20, 21, network.size).astype(np.float32)
    for tensor, scale in zip(network.tensors, (0.375, 1.75, 0.0234375, 9.5), strict=True):
        parameters[tensor.slice] *= scale
    images = odd_images(network.in_shape, rng)
    logits, _ = compiled(tmp_path, network, parameters)(images)
    wanted = expected(network, parameters, images)
    assert np.abs(logits - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert "static const signed char weights" in (tmp_path / "net.c").read_text()


@needs_gcc
@pytest.mark.parametrize(("spec", "shape", "form"), CASES, ids=lambda value: str(value)[:60])
def test_whole_numbers_give_in_c_what_they_give_in_numpy(
    spec: list[str], shape: tuple[int, int, int], form: Form | None, rng: np.random.Generator, tmp_path: Path
) -> None:
    network = Network.parse(spec, shape, form)
    parameters, images = sparse(network, rng), odd_images(shape, rng)
    whole = calibrated(network, parameters, images)
    logits, classes = compiled(tmp_path, network, parameters, *SANITIZED, whole=whole)(images)
    found, wanted = logits * whole.scales[-1], expected(network, parameters, images)
    assert np.abs(found - wanted).max() <= 0.15 * np.abs(wanted).max()
    if form is None and "norm" not in spec:  # the device rounds these in float32
        assert logits.tolist() == whole.logits(images).tolist()
    assert classes.tolist() == logits.argmax(axis=1).tolist()
