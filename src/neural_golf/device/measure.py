"""A network compiled for Cortex-M and run in qemu: bytes of flash and RAM, instructions, and its answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.device.command import of_data
from neural_golf.device.source import Given, Source, template, write_source
from neural_golf.device.tables import number
from neural_golf.device.whole import calibrated
from neural_golf.net.onnx import model_proto
from neural_golf.net.spec import Network
from neural_golf.packed import SUFFIX
from neural_golf.packed.graph import read_network
from neural_golf.results.on_device import BUILDS, Build, Measured

__all__ = ["COMPILER", "EMULATOR", "made_images", "measured", "versions"]

COMPILER, EMULATOR = "arm-none-eabi-gcc", "qemu-system-arm"
SECONDS = 300  # for qemu; a longer run has gone astray
MOST_LETTERS = 160  # of a reason
IMAGES = 2  # whose answers are compared
INSTRUCTION = 64  # nanoseconds of qemu's clock for one, by -icount shift=6
FLAGS = ["-mthumb", "-Os", "-std=c99", "-ffreestanding", "-ffunction-sections", "-fdata-sections"]


@dataclass(frozen=True)
class Board:
    """A board of qemu: its compiler flags, the bytes that it has, and the frequency that its timer counts."""

    machine: str
    flags: tuple[str, ...]
    flash: int
    ram: int
    megahertz: int


BOARDS = {
    "cortex-m0": Board("microbit", ("-mcpu=cortex-m0",), 256 << 10, 16 << 10, 16),
    "cortex-m4": Board(
        "mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), 4 << 20, 4 << 20, 25
    ),
}


class _Unfit(Exception):
    """What a board is too small for; the message says why."""


def versions() -> tuple[str, str]:
    """The compiler's and the emulator's name and version. Raises GolfError where one of them is not there."""
    found = []
    for name, words in ((COMPILER, ["-dumpfullversion"]), (EMULATOR, ["--version"])):
        if shutil.which(name) is None:
            raise GolfError(f"{name} is not installed: apt install gcc-arm-none-eabi qemu-system-arm")
        told = subprocess.run(
            [name, *words], capture_output=True, text=True, encoding="utf-8", errors="replace", check=True
        ).stdout
        version = re.search(r"\d+(\.\d+)+", told)
        found.append(f"{name} {version[0] if version else 'of an unknown version'}")
    return found[0], found[1]


def made_images(shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Images of no data set, the same on every machine: [n, channels, height, width].

    The first is an upright stroke, the others are rectangles of noise. What a network needs hardly depends on
    the image, and this way no data set has to be there.
    """
    rng = np.random.default_rng(0)
    _, height, width = shape
    images = np.zeros((16, *shape), np.uint8)
    border = height // 7
    images[0, :, border : height - border, max(0, width // 2 - 1) : width // 2 + 1] = 255
    for image in images[1:]:
        top, left = (int(rng.integers(0, side // 2 + 1)) for side in (height, width))
        part = image[:, top : top + height // 2 + 1, left : left + width // 2 + 1]
        part[:] = rng.integers(0, 256, part.shape)
    return images


def measured(path: Path) -> Measured:
    """What the network of an ONNX or `.golf` file needs on each board, as it is and in whole numbers.

    Raises GolfError where a board's answers are not those of onnxruntime, which would be a fault of the C.
    """
    try:
        network, parameters, told = read_network(path)
        given, _ = of_data(path, network, told)
        images = made_images(network.in_shape)
        answers = _by_onnxruntime(path, network, parameters, images)
        plain = write_source(network, parameters, given=given)
    except GolfError as error:
        return Measured(why=_short(str(error).removeprefix(f"{path}: ").replace(f"{path} ", "it ")))
    builds: dict[str, Build | str] = {}
    for name in BUILDS:
        core, kind = name.split()
        try:
            if kind == "float":
                made, wanted, close = plain, answers, 1e-4 * (1 + np.abs(answers).max())
            else:
                whole = calibrated(network, parameters, images)
                made = write_source(network, parameters, given=given, whole=whole)
                rounds = network.form or "norm" in network.spec  # in float32 on the board
                wanted, close = whole.logits(images), np.inf if rounds else 0.0
        except GolfError as error:
            builds[name] = _short(str(error))
            continue
        try:
            builds[name], found = _on_board(BOARDS[core], made, given, images[:IMAGES], kind == "float")
        except _Unfit as error:
            builds[name] = str(error)
            continue
        if not np.abs(found - wanted[:IMAGES]).max() <= close:
            raise GolfError(f"{path}: the answers of {name} are not those that they should be")
    return Measured(plain.adds, builds)


def _short(text: str) -> str:
    """At most a line of a table; a stranger's file may be quoted in it."""
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."


def _by_onnxruntime(
    path: Path, network: Network, parameters: NDArray[np.float32], images: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """The logits [n, classes] of a file. Raises GolfError if its layers, by its metadata, have others."""
    seen = {"image": images.astype(np.float32) / 255}
    ours = model_proto(network, parameters, {}).SerializeToString()
    wanted = onnxruntime.InferenceSession(ours).run(None, seen)[0]
    if path.suffix != SUFFIX:
        session = onnxruntime.InferenceSession(path)
        (found,) = session.run(None, {session.get_inputs()[0].name: seen["image"]})
        if found.shape != wanted.shape or not np.allclose(found, wanted, atol=1e-4, rtol=1e-4):
            raise GolfError(f"{path}: the layers that its metadata names are not those of its graph")
    return np.asarray(wanted)


def _on_board(
    board: Board, made: Source, given: Given, images: NDArray[np.uint8], floats: bool
) -> tuple[Build, NDArray[Any]]:
    """What a network needs on a board, and its logits [n, classes]."""
    values = [_numbers(image, given) for image in images]
    told = {
        "pixel": given.pixel, "logit": "float" if floats else "int", "count": len(images),
        "images": ", ".join(f"{{ {', '.join(one)} }}" for one in values), "fpu": board is BOARDS["cortex-m4"],
        "flash": board.flash, "ram": board.ram,
    }  # fmt: skip
    texts = {"net.c": made.code, "net.h": made.header}
    texts |= {name: template(f"{name}.j2").render(told) for name in ("board.c", "board.ld", "memory.c")}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        gcc = [COMPILER, *board.flags, *FLAGS]
        _ran([*gcc, "-c", "net.c", "board.c"], folder)
        _ran([*gcc, "-fno-tree-loop-distribute-patterns", "-c", "memory.c"], folder)
        link = ["-nostartfiles", "-nostdlib", "-T", "board.ld", "-Wl,--gc-sections", "-o", "net.elf"]
        _ran([*gcc, *link, "board.o", "net.o", "memory.o", "-lgcc"], folder)
        size = _sections(_ran(["arm-none-eabi-size", "-A", "net.elf"], folder).stdout)
        words = [
            "-M", board.machine, "-nographic", "-monitor", "none", "-serial", "none", "-semihosting",
            "-icount", "shift=6", "-kernel", "net.elf",
        ]  # fmt: skip
        ran = _ran([EMULATOR, *words], folder)
    stack, wraps, ticks, *rest = (int(line, 16) for line in (ran.stdout + ran.stderr).split())
    answers = np.array(rest, np.uint32).reshape(len(images), -1)[:, 1:]
    count = (wraps * 0x1000000 + ticks) * 1000 / (board.megahertz * INSTRUCTION)
    build = Build(size[".text"] + size[".data"], size[".data"] + size[".bss"] + stack, round(count))
    return build, answers.view(np.float32 if floats else np.int32)


def _numbers(image: NDArray[np.uint8], given: Given) -> list[str]:
    """An image in C, as the function is given it."""
    if not given.low:
        return list(map(str, image.ravel().tolist()))
    low, high = (np.array(end)[:, None, None] for end in (given.low, given.high))
    return [number(value) for value in (low + image / 255 * (high - low)).ravel().tolist()]


def _ran(command: Sequence[str], folder: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended well. Raises _Unfit if not, with its last words."""
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _Unfit(f"{command[0]} did not end within {SECONDS} seconds") from None
    if ran.returncode:
        small = re.search(r"region `(\w+)' overflowed by (\d+) bytes", ran.stderr)
        if small:
            raise _Unfit(
                f"the board has {int(small[2]):,} bytes of {small[1]} too few".replace("FLASH", "flash")
            )
        lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise GolfError(f"{command[0]}: {lines[-1]}")
    return ran


def _sections(text: str) -> Mapping[str, int]:
    """Bytes by section, from what `size -A` says."""
    found = dict.fromkeys((".text", ".data", ".bss"), 0)
    for line in text.splitlines():
        name, *words = line.split() or [""]
        if name in found:
            found[name] = int(words[0])
    return found
