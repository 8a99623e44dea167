"""Networks as C: the same answers as onnxruntime's, with no warning, no wrong access, and no library."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from conftest import Digits
from nets import mean_net
from neural_golf import cli
from neural_golf.base.files import write_tensors
from neural_golf.device.source import Given, write_source
from neural_golf.device.whole import Whole, calibrated
from neural_golf.engine.form import canonical_plain
from neural_golf.net.form import Form
from neural_golf.net.layers import KINDS
from neural_golf.net.onnx import unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network
from neural_golf.packed import encode
from test_layers import BETWEEN, WAYS

ROOT = Path(__file__).parent.parent
ENTRIES = ROOT / "leaderboard"
STRICT = ["-std=c99", "-Os", "-pedantic", "-Wall", "-Wextra", "-Werror"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

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


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network to be compiled, and what it is given."""

    network: Network
    parameters: NDArray[np.float32]
    given: Given = Given()
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
    """All networks of CASES, first with float and then with whole numbers, in one program that looks for wrong
    accesses, and images for each.
    """

    program: Program
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
    folder = tmp_path_factory.mktemp("everything")
    return Everything(compiled(folder, floats + wholes, *SANITIZED), images)


@needs_gcc
@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_every_kind_of_layer_gives_in_c_what_it_gives_in_numpy(number: int, everything: Everything) -> None:
    case, images = everything.program.cases[number], everything.images[number]
    logits, classes = everything.program(images, number)
    wanted = expected(case.network, case.parameters, images)
    np.testing.assert_allclose(logits, wanted, atol=1e-4, rtol=1e-4)
    assert classes.tolist() == logits.argmax(axis=1).tolist()


@needs_gcc
@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS)
def test_whole_numbers_give_in_c_what_they_give_in_numpy(number: int, everything: Everything) -> None:
    place = len(CASES) + number
    case, images = everything.program.cases[place], everything.images[number]
    assert case.whole
    logits, classes = everything.program(images, place)
    found, wanted = logits * case.whole.scales[-1], expected(case.network, case.parameters, images)
    assert np.abs(found - wanted).max() <= 0.15 * np.abs(wanted).max()
    if case.network.form is None and "norm" not in case.network.spec:  # the device rounds these in float32
        assert logits.tolist() == case.whole.logits(images).tolist()
    assert classes.tolist() == logits.argmax(axis=1).tolist()


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


def test_the_command_writes_a_file_and_its_header(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entry, out = ENTRIES / "mnist-98/golf98-heldout-200/model.onnx", tmp_path / "digits.c"
    assert cli.main(["c", str(entry), "-o", str(out), "--name", "digit"]) == 0
    assert '#include "digits.h"' in out.read_text()
    assert "int digit(const unsigned char *image, float *logits);" in (tmp_path / "digits.h").read_text()
    assert "200 numbers that are not zero" in capsys.readouterr().out


def test_a_golf_file_is_written_too_and_with_bits_the_command_tells_the_accuracy(
    tmp_path: Path, rng: np.random.Generator, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network.parse(["conv 4 k3 turns nobias", "abs", "maxpool 3", "linear 5 nobias"], (1, 8, 8))
    parameters = rng.integers(-4, 5, network.size).astype(np.float32)
    (tmp_path / "small.golf").write_bytes(encode(network, parameters))
    images = odd_images(network.in_shape, rng)
    labels = expected(network, parameters, images).argmax(axis=1)
    for part in ("train", "heldout"):
        write_tensors(tmp_path / f"{part}.safetensors", {"images": images, "labels": labels})
    command = ["c", str(tmp_path / "small.golf"), "-o", str(tmp_path / "a.c")]
    assert cli.main(command) == 0
    assert cli.main([*command, "--bits", "8", "--data", str(tmp_path)]) == 0
    assert "8 held-out images: 1.0000 right as it is, " in capsys.readouterr().out
    assert cli.main([*command, "--bits", "8", "--data", str(tmp_path / "none")]) == 1
    assert "train.safetensors is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-o", "net.txt"], "-o net.txt should end in .c"),
        (["-o", "net.c", "--name", "two words"], "--name 'two words' should be letters, digits and _"),
        (["-o", "net.c", "--name", "int"], "--name int means something else in C"),
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
    for command in ("c", "plain"):
        assert cli.main([command, str(tmp_path / "a.onnx"), "-o", str(tmp_path / "a.c")]) == 1
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and "a.onnx" in lines[0]


@pytest.mark.parametrize("entry", ["mnist-98/golf98-heldout-200", "mnist-99/golf99-heldout-450"])
def test_plain_onnx_has_no_turned_kernels_and_gives_the_same_answers(
    entry: str, digits: Digits, tmp_path: Path
) -> None:
    path, out = ENTRIES / entry / "model.onnx", tmp_path / "plain.onnx"
    assert cli.main(["plain", str(path), "-o", str(out)]) == 0
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


ARM = {
    "cortex-m0": ("microbit", ["-mcpu=cortex-m0"]),
    "cortex-m4": ("mps2-an386", ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]),
}
BARE_MAIN = """
#include "net.h"
extern unsigned stack_top[];
static const unsigned char images[COUNT][NET_CHANNELS * NET_HEIGHT * NET_WIDTH] = {ALL_IMAGES};
static const unsigned char classes[COUNT] = {ALL_CLASSES};
static int ask(int what, const void *with)
{
  register int r0 __asm__("r0") = what;
  register const void *r1 __asm__("r1") = with;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
void start(void)
{
  LOGIT logits[NET_CLASSES];
  unsigned end[2];
  int i;
  FPU
  end[0] = 0x20026; /* an exit of the program's own will */
  end[1] = 0;
  for (i = 0; i < COUNT; i++) end[1] += net(images[i], logits) != classes[i];
  ask(0x20, end);
}
__attribute__((section(".vectors"), used)) static void *const vectors[] = {stack_top, (void *)start};
"""
LINKING = """
MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 256K RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 16K }
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .bss (NOLOAD) : { *(.bss*) *(COMMON) *(.data*) } > RAM
  stack_top = 0x20004000;
}
"""


@pytest.mark.skipif(
    not (shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm")),
    reason="no arm-none-eabi-gcc or no qemu-system-arm here, which run the C on a Cortex-M",
)
@pytest.mark.parametrize("bits", [None, 8])
@pytest.mark.parametrize("core", ARM)
def test_a_microcontroller_gives_the_same_classes(
    core: str, bits: int | None, digits: Digits, tmp_path: Path
) -> None:
    entry = "mnist-98/golf98-heldout-200"
    network, parameters = unpack((ENTRIES / entry / "model.onnx").read_bytes(), entry)
    images = digits[0][:12]
    whole = calibrated(network, parameters, digits[0][:200]) if bits else None
    made = write_source(network, parameters, whole=whole)
    logits = whole.logits(images) if whole else expected(network, parameters, images)
    machine, flags = ARM[core]
    main = BARE_MAIN.replace("COUNT", str(len(images))).replace("LOGIT", "int" if whole else "float")
    main = main.replace("ALL_IMAGES", ",".join("{" + ",".join(map(str, i.ravel())) + "}" for i in images))
    main = main.replace("ALL_CLASSES", ",".join(map(str, logits.argmax(axis=1))))
    main = main.replace(
        "FPU", "*(volatile unsigned *)0xE000ED88 |= 0xF << 20;" if core == "cortex-m4" else ""
    )
    for name, text in (("net.c", made.code), ("net.h", made.header), ("main.c", main), ("m.ld", LINKING)):
        (tmp_path / name).write_text(text)
    build = [
        "arm-none-eabi-gcc", *flags, "-mthumb", *STRICT[:2], "-ffreestanding", "-ffunction-sections",
        "-fdata-sections", "-fstack-usage", "-nostartfiles", "-nostdlib", "-T", "m.ld", "-Wl,--gc-sections",
        "net.c", "main.c", "-lgcc", "-o", "net.elf",
    ]  # fmt: skip
    ran = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    run = [
        "qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none",
        "-semihosting", "-kernel", "net.elf",
    ]  # fmt: skip
    assert subprocess.run(run, cwd=tmp_path, timeout=60).returncode == 0
