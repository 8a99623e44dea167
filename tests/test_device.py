"""Networks as C: the same answers as onnxruntime's, with no warning, no wrong access, and no library."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from conftest import Digits
from nets import mean_net
from neural_golf import cli
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_tensors
from neural_golf.device.measure import made_images
from neural_golf.device.source import Given, write_source
from neural_golf.device.whole import Whole, calibrated
from neural_golf.engine.form import canonical_plain
from neural_golf.net.form import Form
from neural_golf.net.layers import KINDS
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network
from neural_golf.packed import encode
from neural_golf.referee.challenge import load_challenge, load_test_set
from test_layers import BETWEEN, WAYS

ROOT = Path(__file__).parent.parent
ENTRIES = ROOT / "leaderboard"
STRICT = ["-std=c99", "-Os", "-pedantic", "-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

needs_gcc = pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc here, which compiles the C")

# Reads images of the network whose number it is given, and writes each one's logits and class.
MAIN = """
#include <stdio.h>
#include <stdlib.h>
INCLUDES
int main(int count, char **words) {
  switch (count > 1 ? atoi(words[1]) : 0) {
CASES
  }
  return 0;
}
"""
CASE = """
  case NUMBER: {
    static PIXEL image[NAME_CHANNELS * NAME_HEIGHT * NAME_WIDTH];
    LOGIT logits[NAME_CLASSES];
    while (fread(image, sizeof image, 1, stdin) == 1) {
      int found = FUNCTION(image, logits);
      fwrite(logits, sizeof logits, 1, stdout);
      fwrite(&found, sizeof found, 1, stdout);
    }
    break;
  }
"""


BYTES = Given()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network to be compiled, and what it is given."""

    network: Network
    parameters: NDArray[np.float32]
    given: Given = BYTES
    whole: Whole | None = None


@dataclass
class Program:
    """Several networks, compiled into one program, because a compiler needs long to start and to link."""

    path: Path
    cases: Sequence[Case]

    def __call__(
        self, images: NDArray[np.generic], number: int = 0
    ) -> tuple[NDArray[np.generic], NDArray[np.int32]]:
        """The logits [n, classes] and the class [n] of images [n, channels, height, width]."""
        ran = subprocess.run([self.path, str(number)], input=images.tobytes(), capture_output=True)
        assert ran.returncode == 0, ran.stderr.decode()
        case = self.cases[number]
        raw = np.frombuffer(ran.stdout, np.int32).reshape(len(images), case.network.classes + 1)
        logits = raw[:, :-1] if case.whole else raw[:, :-1].copy().view(np.float32)
        return logits, raw[:, -1]


def compiled(folder: Path, cases: Sequence[Case], *flags: str) -> Program:
    includes, switch = [], []
    for number, case in enumerate(cases):
        name = f"net{number}"
        made = write_source(
            case.network, case.parameters, name, case.given, case.whole, f"{name}.h",
            [f"class {k}" for k in range(case.network.classes)] if number % 2 else [],
        )  # fmt: skip
        (folder / f"{name}.c").write_text(made.code)
        (folder / f"{name}.h").write_text(made.header)
        includes.append(f'#include "{name}.h"')
        words = {"NUMBER": str(number), "PIXEL": case.given.pixel, "LOGIT": "int" if case.whole else "float"}
        words |= {"NAME": name.upper(), "FUNCTION": name}
        switch.append(reduce(lambda text, word: text.replace(*word), words.items(), CASE))
    main = MAIN.replace("INCLUDES", "\n".join(includes)).replace("CASES", "".join(switch))
    (folder / "main.c").write_text(main)
    sources = ["main.c", *(f"net{number}.c" for number in range(len(cases)))]
    ran = subprocess.run(
        ["gcc", *STRICT, *flags, "-o", "all", *sources], cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return Program(folder / "all", cases)


def sparse(network: Network, rng: np.random.Generator) -> NDArray[np.float32]:
    """Parameters half of which are zero."""
    parameters = initialise(network, rng) + rng.normal(0, 0.1, network.size).astype(np.float32)
    return np.where(rng.random(network.size) < 0.5, parameters, 0).astype(np.float32)


def odd_images(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Bytes at random; one blank image, one full, one with a single dot."""
    images = rng.integers(0, 256, (8, *shape)).astype(np.uint8)
    images[0], images[1], images[2] = 0, 255, 0
    images[2, 0, shape[1] // 3, shape[2] // 4] = 200
    return images


def expected(network: Network, parameters: np.ndarray, images: np.ndarray) -> np.ndarray:
    seen = images.astype(np.float32) / 255
    if network.form:
        seen = canonical_plain(seen, network.form)
    return Plain(network, parameters).forward(seen.transpose(1, 2, 3, 0))[-1].reshape(network.classes, -1).T


Words = tuple[list[str], tuple[int, int, int], Form | None]  # a spec, the shape of its images, a form


def around(words: str) -> list[str]:
    """A network with a layer of this kind, on images with three channels that are not square."""
    kind = words.split()[0]
    after = [] if KINDS[kind].ends else ["conv 5 k2"]
    return ["conv 4 k4", *BETWEEN.get(kind, []), words, *after, "linear 10"]


# What can go wrong where layers meet.
MEETINGS: list[Words] = [
    (["conv 8 k3 turns mirrors", "abs", "maxpool 3 s2", "conv 8 k3 same turns mirrors", "prelu", "linear 10"],
     (2, 15, 15), None),
    (["conv 8 k3 d2 turns", "leaky 0.1", "avgpool 2", "conv 4 k3 d2 same turns", "gap"], (1, 15, 15), None),
    (["conv 8 k3 s2 turns", "abs", "conv 8 k3 same turns", "add conv1", "relu", "linear 10"], (1, 15, 15), None),
    (["conv 8 k3 turns", "relu", "conv 6 k3", "abs", "conv 8 k3 turns mirrors", "gap"], (1, 12, 12), None),
    (["norm", "conv 4 k3 same", "norm", "relu", "maxpool 2", "relu", "conv 4 k3", "abs", "gap"], (3, 9, 13), None),
    (["conv 4 k3", "conv 4 k3", "relu", "conv 4 k3 tied=conv2", "gap", "linear 10", "relu", "linear 3"],
     (3, 12, 19), None),
    (["maxpool 2", "conv 6 k3 g3 same", "relu", "maxpool 2 s3 p1", "dropout 0.5", "linear 4"], (3, 21, 16), Form()),
    (["norm", "norm", "abs", "abs", "conv 2 k1", "linear 4"], (3, 6, 7), Form(0.3, 0.4, 0.3, 1.0)),
    (["norm", "avgpool 2 s4", "maxpool 2 s3", "linear 2"], (3, 18, 27), None),
    (["linear 10"], (1, 40, 300), None),
    (["linear 2"], (3, 160, 150), None),  # further from weight to weight than 16 bits can say
    (["gap"], (5, 3, 4), None),
    # Rectangles.
    (["conv 4 k3x1 s1x2 d2x1", "relu", "conv 5 k1x5 s2x1 d1x2", "maxpool 2x1", "linear 3"], (3, 15, 40), None),
    (["conv 4 k2x3", "relu", "conv 4 k2x3 s3x2 tied=conv1", "avgpool 1x3 s2x3", "gap"], (4, 15, 40), None),
    (["conv 6 k2 s3", "relu", "maxpool 3x2 s1x2 p1x0", "avgpool 2x1", "linear 300"], (3, 24, 17), None),
    # Sums with an earlier map: over rows that lag, over a mean of all rows, twice, and of the logits.
    (["conv 4 k3", "relu", "conv 4 k5 same", "prelu", "conv 4 k3 same", "add relu1", "abs", "maxpool 2", "gap"],
     (2, 13, 12), None),
    (["conv 4 k3", "norm", "relu", "conv 4 k3 same", "norm", "add conv1", "add norm1", "conv 3 k2", "gap"],
     (2, 9, 8), None),
    (["conv 4 k3", "maxpool 3 s1 p1", "avgpool 1", "add maxpool1", "relu", "add maxpool1", "linear 5",
      "relu", "linear 5", "add linear1"], (1, 9, 12), None),
    (["norm", "dropout 0.1", "abs", "add norm1", "gap"], (2, 5, 6), Form()),
    # Series.
    (["conv 8 k1x5", "relu", "maxpool 1x2", "conv 8 k1x5 same d1x3", "relu", "add maxpool1", "maxpool 1x3", "gap",
      "linear 4"], (6, 1, 100), None),
    (["conv 3 k1x7 s1x3", "norm", "prelu", "avgpool 1x4 s1x2", "linear 2"], (1, 1, 300), None),
    (["linear 3"], (5, 1, 1), None),
    (["conv 3 k1", "relu", "linear 2"], (2, 30, 1), None),
]  # fmt: skip
CASES: list[Words] = [(around(words), (3, 14, 17), None) for words in WAYS] + MEETINGS
IDS = [f"{number} {', '.join(spec)}"[:60] for number, (spec, _, _) in enumerate(CASES)]


@dataclass(frozen=True)
class Everything:
    """All networks of CASES, first with float and then with whole numbers, in two programs: one is small, and
    one looks for wrong accesses. And images for each network.
    """

    programs: tuple[Program, Program]
    images: list[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Everything:
    rng = np.random.default_rng(0)
    floats, wholes, images = [], [], []
    for spec, shape, form in CASES:
        network = Network.parse(spec, shape, form)
        parameters = sparse(network, rng)
        images.append(odd_images(shape, rng))
        floats.append(Case(network=network, parameters=parameters))
        whole = calibrated(network, parameters, images[-1])
        wholes.append(Case(network=network, parameters=parameters, whole=whole))
    small, wary = (tmp_path_factory.mktemp(name) for name in ("small", "wary"))
    cases = floats + wholes
    return Everything((compiled(small, cases), compiled(wary, cases, *SANITIZED)), images)


@needs_gcc
@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_every_kind_of_layer_gives_in_c_what_it_gives_in_numpy(number: int, everything: Everything) -> None:
    images = everything.images[number]
    for program in everything.programs:
        case = program.cases[number]
        logits, classes = program(images, number)
        wanted = expected(case.network, case.parameters, images)
        np.testing.assert_allclose(logits, wanted, atol=1e-4, rtol=1e-4)
        assert classes.tolist() == logits.argmax(axis=1).tolist()


@needs_gcc
@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_whole_numbers_give_in_c_what_they_give_in_numpy(number: int, everything: Everything) -> None:
    images = everything.images[number]
    for program in everything.programs:
        case = program.cases[len(CASES) + number]
        assert case.whole
        logits, classes = program(images, len(CASES) + number)
        found, wanted = logits * case.whole.scales[-1], expected(case.network, case.parameters, images)
        assert np.abs(found - wanted).max() <= 0.15 * np.abs(wanted).max()
        if (
            case.network.form is None and "norm" not in case.network.spec
        ):  # the device rounds these in float32
            assert logits.tolist() == case.whole.logits(images).tolist()
        assert classes.tolist() == logits.argmax(axis=1).tolist()


@needs_gcc
@pytest.mark.parametrize(
    "entry", ["mnist-98/prelu", "mnist-98/golf98-heldout-200", "mnist-99/golf99-heldout-450"]
)
def test_every_test_image_gets_the_class_that_onnxruntime_gives(
    entry: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of entries whose accuracy on these images has long been told. In whole numbers, the accuracy is told."""
    try:
        images, labels = load_test_set(load_challenge("mnist-98"), ROOT / "data", ROOT.parent / "shared")
    except GolfError as error:
        pytest.skip(f"NO TEST IMAGE WAS SHOWN TO THE C: {error}")
    content = (ENTRIES / entry / "model.onnx").read_bytes()
    network, parameters = unpack(content, entry)
    session = onnxruntime.InferenceSession(content)
    (answers,) = session.run(None, {"image": images.astype(np.float32) / 255})
    whole = calibrated(network, parameters, made_images(network.in_shape))
    cases = [
        Case(network=network, parameters=parameters),
        Case(network=network, parameters=parameters, whole=whole),
    ]
    program = compiled(tmp_path, cases)
    logits, classes = program(images)
    np.testing.assert_allclose(logits, answers, atol=1e-4)
    ties = np.sort(answers, axis=1)
    sure = ties[:, -1] - ties[:, -2] > 2e-4
    assert (classes == answers.argmax(axis=1))[sure].all() and sure.sum() >= len(images) - 2
    right, rounded = (int((found == labels).sum()) for found in (classes, program(images, 1)[1]))
    record_property(f"{entry}, right in whole numbers of 8 bits", f"{rounded} instead of {right}")
    assert rounded > 0.95 * right


@needs_gcc
@pytest.mark.parametrize(
    "entry", ["mnist-98/golf98-heldout-200", "mnist-99/golf99-heldout-450", "mnist-98/prelu"]
)
def test_an_entry_gives_the_classes_that_onnxruntime_gives(
    entry: str, digits: Digits, tmp_path: Path
) -> None:
    content = (ENTRIES / entry / "model.onnx").read_bytes()
    network, parameters = unpack(content, entry)
    images = digits[0]
    (answers,) = onnxruntime.InferenceSession(content).run(None, {"image": images.astype(np.float32) / 255})
    kinds = [Given(), Given("float")]
    program = compiled(
        tmp_path, [Case(network=network, parameters=parameters, given=given) for given in kinds]
    )
    for number, seen in enumerate((images, images.astype(np.float32) / 255)):
        logits, classes = program(seen, number)
        np.testing.assert_allclose(logits, answers, atol=1e-4)
        assert classes.tolist() == answers.argmax(axis=1).tolist()


@needs_gcc
def test_whole_numbers_with_a_scale_are_stored_as_bytes(rng: np.random.Generator, tmp_path: Path) -> None:
    network = Network.parse(["conv 8 k3 turns mirrors", "abs", "maxpool 2", "linear 10"], (1, 12, 12), Form())
    parameters = rng.integers(-20, 21, network.size).astype(np.float32)
    for tensor, scale in zip(network.tensors, (0.375, 1.75, 0.0234375, 9.5), strict=True):
        parameters[tensor.slice] *= scale
    images = odd_images(network.in_shape, rng)
    logits, _ = compiled(tmp_path, [Case(network=network, parameters=parameters)])(images)
    wanted = expected(network, parameters, images)
    assert np.abs(logits - wanted).max() <= 1e-4 * np.abs(wanted).max()
    assert "static const signed char weights" in (tmp_path / "net0.c").read_text()


SERIES = ["conv 4 k1x3", "relu", "gap", "linear 3"]


@needs_gcc
@pytest.mark.parametrize("bits", [None, 8])
def test_numbers_of_a_sensor_are_taken_as_they_are(
    bits: int | None, rng: np.random.Generator, tmp_path: Path
) -> None:
    """By the range of each channel, cut off beyond it, as the stage `data` does it."""
    network = Network.parse(SERIES, (3, 1, 20))
    parameters = initialise(network, rng)
    low, high = np.array([-10.0, 0.0, 5.0]), np.array([10.0, 1.0, 5.0])
    raw = rng.normal(0, 8, (9, 3, 1, 20)).astype(np.float32)
    raw[0, 0, 0, :3] = 10, -10, -11
    lengths = np.where(high > low, high - low, np.inf)[:, None, None]
    seen = np.clip((raw - low[:, None, None]) / lengths, 0, 1).astype(np.float32)
    whole = calibrated(network, parameters, (seen * 255).astype(np.uint8)) if bits else None
    given = Given("float", tuple(low), tuple(high))
    program = compiled(
        tmp_path, [Case(network=network, parameters=parameters, given=given, whole=whole)], *SANITIZED
    )
    logits, _ = program(raw)
    wanted = Plain(network, parameters).forward(seen.transpose(1, 2, 3, 0))[-1].reshape(3, -1).T
    found = logits * whole.scales[-1] if whole else logits
    np.testing.assert_allclose(found, wanted, atol=0.03 if bits else 1e-4)


def onnx_file(
    path: Path, network: Network, parameters: NDArray[np.float32] | None = None, /, **told: str
) -> Path:
    if parameters is None:
        parameters = np.ones(network.size, np.float32)
    told = {"network": ", ".join(network.spec), **told}
    path.write_bytes(model_proto(network, parameters, told).SerializeToString())
    return path


@needs_gcc
def test_ranges_and_names_of_classes_come_from_the_file(tmp_path: Path) -> None:
    names = ["walking", 'say "?"', "é"]
    told = {"classes": json.dumps(names), "range": json.dumps([[-1, -1, 0], [1, 1, 2.5]])}
    path = onnx_file(tmp_path / "a.onnx", Network.parse(SERIES, (3, 1, 20)), **told)
    assert cli.main(["c", str(path), "-o", str(tmp_path / "net.c")]) == 0
    header = (tmp_path / "net.h").read_text()
    assert "int net(const float *image, float *logits);" in header
    assert "(-1 to 1, -1 to 1, 0 to 2.5)" in header
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "net.h"\nint main(void) {\n'
        "  static const char *const names[NET_CLASSES] = NET_NAMES; int k;\n"
        "  for (k = 0; k < NET_CLASSES; k++) puts(names[k]);\n  return NET_WIDTH - 20;\n}\n"
    )
    subprocess.run(["gcc", *STRICT, "main.c", "net.c"], cwd=tmp_path, check=True)
    ran = subprocess.run([tmp_path / "a.out"], capture_output=True, check=True)
    assert ran.stdout.decode().splitlines() == names
    assert cli.main(["c", str(path), "-o", str(tmp_path / "net.c"), "--input", "uint8"]) == 0
    assert "const unsigned char *image" in (tmp_path / "net.h").read_text()


@pytest.mark.parametrize(
    ("told", "words", "said"),
    [
        ({"classes": "[1, 2]"}, [], "`classes` in its metadata should be a list of 3 names, as JSON"),
        ({"range": "[[0], [1]]"}, [], "`range` in its metadata should be two lists of 3 numbers, as JSON"),
        ({"range": "no"}, [], "`range` in its metadata should be two lists of 3 numbers, as JSON"),
        ({}, ["--input", "own"], "--input own needs a file whose metadata has a `range`; this one has none"),
    ],
)
def test_metadata_of_another_form_is_told(
    told: dict[str, str], words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = onnx_file(tmp_path / "a.onnx", Network.parse(SERIES, (3, 1, 20)), **told)
    assert cli.main(["c", str(path), "-o", str(tmp_path / "net.c"), *words]) == 1
    assert capsys.readouterr().err == f"golf c: {path}: {said}\n"


def test_the_command_writes_a_file_and_its_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry, out = ENTRIES / "mnist-98/golf98-heldout-200/model.onnx", tmp_path / "digits.c"
    assert cli.main(["c", str(entry), "-o", str(out), "--name", "digit"]) == 0
    assert '#include "digits.h"' in out.read_text()
    assert "int digit(const unsigned char *image, float *logits);" in (tmp_path / "digits.h").read_text()
    assert "200 numbers that are not zero" in capsys.readouterr().out


def test_a_golf_file_is_written_too_and_with_bits_the_command_tells_the_accuracy(
    tmp_path: Path,
    rng: np.random.Generator,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network.parse(["conv 4 k3 turns nobias", "abs", "maxpool 3", "linear 5 nobias"], (1, 8, 8))
    parameters = rng.integers(-4, 5, network.size).astype(np.float32)
    (tmp_path / "small.golf").write_bytes(encode(network, parameters))
    images = odd_images(network.in_shape, rng)
    labels = expected(network, parameters, images).argmax(axis=1)
    images, labels = np.concatenate([images, images[:5]]), np.concatenate([labels, np.arange(5)])
    for part in ("train", "heldout"):
        write_tensors(tmp_path / f"{part}.safetensors", {"images": images, "labels": labels})
    command = ["c", str(tmp_path / "small.golf"), "-o", str(tmp_path / "a.c")]
    assert cli.main(command) == 0
    assert cli.main([*command, "--bits", "8", "--data", str(tmp_path)]) == 0
    share = np.mean(expected(network, parameters, images).argmax(axis=1) == labels)
    assert f"13 held-out images: {share:.4f} right as it is, " in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert cli.main([*command, "--bits", "8"]) == 1
    assert "data/train.safetensors is missing" in capsys.readouterr().err
    assert cli.main([*command, "--bits", "8", "--data", "none"]) == 1
    assert capsys.readouterr().err == "golf c: --data none: there is no such file or folder\n"
    np.savez(tmp_path / "own.npz", x_train=np.tile(images, (5, 1, 1, 1)), y_train=np.arange(65) % 5)
    for number, image in enumerate(odd_images((5, 8, 8), rng).reshape(40, 8, 8)):
        (tmp_path / f"pictures/{number % 5}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / f"pictures/{number % 5}/{number}.png")
    for data, held in (("own.npz", 13), ("pictures", 8)):
        assert cli.main([*command, "--bits", "8", "--data", str(tmp_path / data)]) == 0
        assert capsys.readouterr().out.startswith(f"{held} held-out images: ")
    np.savez(tmp_path / "two.npz", x_train=np.tile(images, (5, 1, 1, 1)), y_train=np.arange(65) % 2)
    assert cli.main([*command, "--bits", "8", "--data", str(tmp_path / "two.npz")]) == 1
    assert "small.golf has 5 outputs, but the data have 2 classes" in capsys.readouterr().err


@pytest.mark.parametrize("number", [np.nan, -np.inf])
@pytest.mark.parametrize("command", [["c"], ["c", "--bits", "8"], ["export", "--plain"]])
def test_numbers_that_are_not_finite_are_told_by_file_and_tensor(
    command: list[str], number: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network.parse(SERIES, (3, 1, 20))
    parameters = np.ones(network.size, np.float32)
    parameters[1] = number
    path = onnx_file(tmp_path / "a.onnx", network, parameters)
    assert cli.main([*command, str(path), "-o", str(tmp_path / "b.c")]) == 1
    assert (
        capsys.readouterr().err == f"golf {command[0]}: {path}: tensor 'conv1.weight' holds NaN or infinity\n"
    )
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("weight", "bias", "said"),
    [
        (1e38, 0.0, "the maps of layer 1 are too large for whole numbers"),
        (1e-30, 1e38, "tensor 'conv1.bias' does not fit in 32 bits"),
    ],
)
def test_huge_numbers_are_too_large_for_whole_ones(weight: float, bias: float, said: str) -> None:
    network = Network.parse(["conv 2 k3", "linear 2"], (3, 9, 9))
    parameters = np.full(network.size, weight, np.float32)
    named = {tensor.name: tensor for tensor in network.tensors}
    parameters[named["conv1.bias"].slice] = bias
    parameters[named["conv1.weight"].slice][::2] /= 3.3
    with pytest.raises(GolfError, match=said):
        calibrated(network, parameters, np.full((2, 3, 9, 9), 255, np.uint8))


@pytest.mark.parametrize("folder", ["net.c", "net.h"])
def test_both_files_are_written_or_none(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = onnx_file(tmp_path / "a.onnx", Network.parse(SERIES, (3, 1, 20)))
    made = tmp_path / "made"
    (made / folder).mkdir(parents=True)
    command = ["c", str(path), "-o", str(made / "net.c")]
    assert cli.main(command) == 1
    assert f"{made / folder} is a folder" in capsys.readouterr().err
    assert [one.name for one in made.iterdir()] == [folder]
    (made / folder).rmdir()
    write = Path.write_text

    def full(self: Path, *text: Any, **how: Any) -> int:
        if self.name == folder:
            raise OSError(28, "No space left on device")
        return write(self, *text, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert cli.main(command) != 0
    assert f"{made / folder}" in capsys.readouterr().err
    assert not list(made.iterdir())


@pytest.mark.parametrize("command", [["c"], ["export", "--plain"]])
def test_the_network_itself_is_not_written_over(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = onnx_file(tmp_path / "a.c", Network.parse(SERIES, (3, 1, 20)))
    content = path.read_bytes()
    assert cli.main([*command, str(path), "-o", str(tmp_path / "no/../a.c")]) == 1
    assert "is the network itself, which would be lost" in capsys.readouterr().err
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "net.txt"], "-o net.txt should end in .c"),
        (["-o", "net.c", "--name", "two words"], "--name 'two words' should be letters, digits and _"),
        (["-o", "net.c", "--name", "logf"], "--name logf means something else in C"),
        (["-o", "net.c", "--name", "memcpy"], "--name memcpy means something else in C"),
        (["-o", "net.c", "--name", "int"], "--name int means something else in C"),
        *(
            (["-o", "net.c", "--name", name], f"--name {name} means something else in C")
            for name in (
                "EOF",
                "HUGE_VAL",
                "INT_MAX",
                "PRIx32",
                "stdin",
                "errno",
                "assert",
                "qsort",
                "size_t",
                "_x",
            )
        ),
        (["-o", "net.c", "--data", "data"], "--data goes with --bits 8"),
    ],
)
def test_what_cannot_be_written_is_told_in_one_line(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    entry = ENTRIES / "mnist-98/golf98-heldout-200/model.onnx"
    assert cli.main(["c", str(entry), *words]) == 1
    assert capsys.readouterr().err.startswith(f"golf c: {said}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no network", mean_net().SerializeToString()])
def test_a_file_without_layers_is_told(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    for command in (["c"], ["export", "--plain"]):
        assert cli.main([*command, str(tmp_path / "a.onnx"), "-o", str(tmp_path / "a.c")]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and "a.onnx" in lines[0]
        assert bool(content) or lines[0].endswith("a.onnx is empty")


@pytest.mark.parametrize("entry", ["mnist-98/golf98-heldout-200", "mnist-99/golf99-heldout-450"])
def test_plain_onnx_has_no_turned_kernels_and_gives_the_same_answers(
    entry: str, digits: Digits, tmp_path: Path
) -> None:
    path, out = ENTRIES / entry / "model.onnx", tmp_path / "plain.onnx"
    assert cli.main(["export", "--plain", str(path), "-o", str(out)]) == 0
    made = onnx.load(out)
    assert {node.op_type for node in made.graph.node} == {"Conv", "Abs", "MaxPool", "Flatten", "Gemm"}
    images = digits[0].astype(np.float32) / 255
    before, after = (
        onnxruntime.InferenceSession(one.read_bytes()).run(None, {"image": images})[0] for one in (path, out)
    )
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    network, parameters = unpack(out.read_bytes(), "plain")
    assert not network.equivariant and network.size == len(parameters)


@pytest.mark.parametrize("words", [["--plain", "a.onnx"], ["-o", "b.onnx"]])
def test_export_without_what_goes_with_it_is_wrongly_written(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", *words])
    assert ended.value.code == cli.USAGE
    assert "--plain MODEL.onnx and -o FILE go together" in capsys.readouterr().err
