"""The outside of the sandbox: it opens an untrusted file, hands its descriptor over, and waits for a limited
time.

The parent reads nothing of the file and believes nothing of the answer: it is size-limited, parsed as
JSON, validated, and only then turned into a verdict. The labels never leave the parent.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import importlib.util
import json
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neural_golf.base.errors import GolfError
from neural_golf.referee.drawing import LINE
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.rules import LIMITS, Limits, Probe, Refused
from neural_golf.referee.unpacking import is_packed

__all__ = ["PATIENCE", "Answer", "Sandbox", "open_untrusted", "read_untrusted"]

# Processor time decides. How long the parent waits for it, in times of the processor seconds that a file may
# use, only says when this machine is too busy, or the child too stuck, to say anything about the file.
PATIENCE = 30.0

_START_SECONDS = 60  # a cold start reads onnxruntime from disk
_ENDED = struct.Struct("<iqd")
_NEEDED = ("neural_golf", "numpy", "ml_dtypes", "onnx", "onnxruntime", "google.protobuf", "typing_extensions")
_BOOT = """\
import json, sys
ask = json.loads(sys.argv[1])
sys.path[:0] = ask["path"]
from neural_golf.referee.lifeline import die_with
die_with(ask["parent"])
from neural_golf.referee import child
child.main(ask["socket"], ask["images"], tuple(ask["shape"]), child.Limits(**ask["limits"]))
"""

_Text = Annotated[str, Field(max_length=2000, pattern=r"^[ -~]*$")]
_Number = Annotated[int, Field(ge=0, lt=1 << 53)]


# What a file does to its process: it crashes, or runs into a limit. Any other signal comes from elsewhere.
_OF_THE_FILE = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
_OF_THE_FILE |= {signal.SIGSYS, signal.SIGXCPU, signal.SIGXFSZ}
# Why a file cannot be opened that says something of this machine and nothing of the file.
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ENOSPC}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AnswerCount(_Strict):
    parameters: _Number
    nonzero: _Number
    bits: _Number
    nodes: _Number
    operators: dict[_Text, _Number]
    integers: _Number
    parts: dict[_Text, _Number]
    halves: _Number
    flags: list[_Text]
    division: Literal["plain", "open"]


class Answer(_Strict):
    """What the child says about one file. The parent adds `peak_kib`, the peak of its resident memory, and
    `bytes`, the file's length.
    """

    refused: _Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    metadata: dict[_Text, Annotated[str, Field(max_length=20_000, pattern=r"^[ -~]*$")]] = {}
    count: AnswerCount | None = None
    drawing: list[Annotated[str, Field(max_length=2000, pattern=LINE)]] = []
    classes: str | None = None
    probes: dict[Probe, list[str]] = {}  # for each grid
    hints: dict[_Text, str] = {}
    ties: _Number = 0
    one_by_one: _Number = 0
    batch: _Number = 1
    missing: list[_Text] = []
    peak_kib: _Number = 0
    bytes: _Number | None = None

    def decode(self, n: int) -> NDArray[np.uint16]:
        """The classes [n]. Raises Refused where the child did not send that many."""
        return _classes(self.classes, (n,))

    def decode_probes(self, n: int) -> dict[Probe, list[NDArray[np.uint16]]]:
        """For each grid of a probe, the classes of the first images of `probing_order(n)`. Raises Refused for
        too many.
        """
        sizes = range(1, n + 1)
        return {probe: [_classes(text, sizes) for text in grids] for probe, grids in self.probes.items()}

    def decode_hints(self, n: int) -> dict[str, NDArray[np.uint16]]:
        """The classes of the first images of `probing_order(n)`, by the convention of their pixels. Raises
        Refused for too many.
        """
        return {name: _classes(text, range(1, n + 1)) for name, text in self.hints.items()}


def _classes(text: str | None, sizes: Container[int]) -> NDArray[np.uint16]:
    try:
        classes = np.frombuffer(base64.b64decode(text or "", validate=True), np.uint16)
    except ValueError:
        classes = np.empty(0, np.uint16)
    if len(classes) not in sizes:
        raise Refused("the child process gave an answer that makes no sense")
    return classes


def open_untrusted(path: Path, limits: Limits = LIMITS) -> int:
    """A descriptor of a regular file of allowed size. It never follows a link and never waits.

    Raises Refused for anything else: links, folders, pipes, devices, empty or too large files. Raises
    NoVerdict where it is this machine that cannot open it.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise Refused("it is a symbolic link")
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise NoVerdict(f"verify: no verdict: the file cannot be opened: {error.strerror}") from error
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
        raise Refused(f"the file cannot be opened: {why}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
            raise Refused(f"it is {kinds.get(stat.S_IFMT(found.st_mode), 'a device')}, not a file")
        if found.st_size == 0:
            raise Refused("the file is empty")
        if found.st_size > limits.file_bytes:
            raise Refused(f"the file has {found.st_size} bytes; the limit is {limits.file_bytes}")
    except Refused:
        os.close(descriptor)
        raise
    return descriptor


def read_untrusted(path: Path, limits: Limits = LIMITS) -> bytes:
    """The bytes of a file that `open_untrusted` opens, for a digest or a copy: nobody looks into them."""
    with os.fdopen(open_untrusted(path, limits), "rb") as file:
        return file.read(limits.file_bytes + 1)


class Sandbox:
    """A child process that judges files on fixed images, one after another, each in its own fork.

    Use it as a context manager. `images` are uint8 [n, channels, height, width]; without them files are only
    counted. An answer is waited for `patience` times the processor seconds that a file may use.

    Raises GolfError on a system that cannot fork.
    """

    def __init__(
        self,
        images: NDArray[np.uint8] | None = None,
        limits: Limits = LIMITS,
        patience: float = PATIENCE,
    ) -> None:
        if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
            raise GolfError("verify: this system cannot fork a limited process; use Linux, macOS or WSL")
        self.images = None if images is None else np.ascontiguousarray(images)
        self.limits = limits
        self.wait_seconds = patience * limits.cpu_seconds
        self._over = False
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def judge(self, path: str | os.PathLike[str], probes: bool = True) -> Answer:
        """The child's validated answer about one file. A refusal is an answer, not an error.

        Without `probes` it comes from one pass in batches, and constants in disguise are not looked for.
        Raises NoVerdict where there is no answer for a reason that is not in the file: the child process
        does not start, is ended from outside, or is given no processor.
        """
        return self._open_and_ask(path, b"c" if self.images is None else b"s" if probes else b"b")

    def hints(self, path: str | os.PathLike[str]) -> Answer:
        """An answer that has only `hints`: the classes for pixels as other tools have them.

        Raises NoVerdict as `judge` does.
        """
        return self._open_and_ask(path, b"h")

    def _open_and_ask(self, path: str | os.PathLike[str], request: bytes) -> Answer:
        try:
            descriptor = open_untrusted(Path(path), self.limits)
        except Refused as refusal:
            return Answer(refused=str(refusal))
        try:
            size = os.fstat(descriptor).st_size
            answer = self._ask(descriptor, request.upper() if is_packed(path) else request)
            return answer.model_copy(update={"bytes": size})
        except Refused as refusal:
            self.stop()  # whatever happened in there, the next file gets a new child
            return Answer(refused=str(refusal))
        except OSError as error:  # the child is gone, or this machine has no descriptor left
            self.stop()
            raise NoVerdict(f"verify: no verdict: {error.strerror or error}") from error
        except BaseException:
            self.stop()
            raise
        finally:
            os.close(descriptor)

    def _ask(self, descriptor: int, request: bytes) -> Answer:
        control = self._start()
        deadline = time.monotonic() + self.wait_seconds
        read_end, write_end = os.pipe()
        try:
            try:
                socket.send_fds(control, [request], [descriptor, write_end])
            finally:
                os.close(write_end)
            text = bytearray()
            while part := self._read(read_end, deadline):
                text += part
                if len(text) > self.limits.reply_bytes:
                    raise Refused("the child process gave an answer that is too long")
        finally:
            os.close(read_end)
        ended = bytearray()
        while len(ended) < _ENDED.size:
            part = self._read(control.fileno(), deadline)
            if not part:
                raise NoVerdict("verify: no verdict: the child process was ended from outside")
            ended += part
        status, peak, seconds = _ENDED.unpack(ended)
        if os.WIFSIGNALED(status):
            raise _signalled(os.WTERMSIG(status), seconds, self.limits)
        try:
            return Answer.model_validate_json(bytes(text)).model_copy(update={"peak_kib": peak})
        except ValidationError as error:
            raise Refused("the child process gave an answer that makes no sense") from error

    def _read(self, descriptor: int, deadline: float) -> bytes:
        wait = deadline - time.monotonic()
        if wait <= 0 or not select.select([descriptor], [], [], wait)[0]:
            raise NoVerdict(
                f"verify: no verdict: in {self.wait_seconds:g} seconds the file did not get its "
                f"{self.limits.cpu_seconds} seconds of processor time; this machine is too busy"
            )
        return os.read(descriptor, 1 << 16)

    def _start(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self.stop()
        try:
            self._control = self._launch()
        except OSError as error:
            raise NoVerdict(
                f"verify: no verdict: the sandbox does not start: {error.strerror or error}"
            ) from error
        if self._over:
            raise NoVerdict("verify: no verdict: it was stopped")
        ready = select.select([self._control], [], [], _START_SECONDS)[0] and _received(self._control)
        if ready != b"+" and self._process is not None:
            self.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
            self.stop()
            why = " ".join(ascii(said[-1])[1:-1].split()) if said else "no reason given"
            raise NoVerdict(f"verify: no verdict: the sandbox does not start: {why}")
        return self._control

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as file, theirs:
            pixels = -1
            if self.images is not None:
                file.write(self.images.data)
                file.flush()
                pixels = file.fileno()
            ask: dict[str, Any] = {
                "path": _import_roots(),
                "parent": os.getpid(),
                "socket": theirs.fileno(),
                "images": pixels,
                "shape": [] if self.images is None else list(self.images.shape),
                "limits": asdict(self.limits),
            }
            passed = [theirs.fileno()] + ([pixels] if pixels >= 0 else [])
            empty = tempfile.mkdtemp(prefix="golf-")
            try:
                # -I: no environment variables, no user site, no current folder; -S: no site-packages hooks
                # either. What it needs is named in sys.path by the parent, so editable installs work.
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _BOOT, json.dumps(ask)],
                    cwd=empty,
                    env={},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=passed,
                    start_new_session=True,
                )
            finally:
                Path(empty).rmdir()  # the child stays in it, so it can make nothing there
        return ours

    def kill(self, over: bool = False) -> None:
        """End the child process at once; a thread that waits for its answer gets NoVerdict.

        After `over` there is no other.
        """
        self._over = self._over or over
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the child process. The next file gets a new one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
            self._process = None
        if self._control is not None:
            self._control.close()  # last, since a child that sees this ends by itself, in its own way
            self._control = None


def _import_roots() -> list[str]:
    """The folders from which the child imports: where this interpreter finds the packages it needs."""
    roots: dict[str, None] = {}
    for name in _NEEDED:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise GolfError(f"verify: the package {name} is missing; install neural-golf again")
        origin = Path(spec.origin)
        depth = name.count(".") + (1 if origin.name == "__init__.py" else 0)
        roots[str(origin.parents[depth].resolve())] = None
    return list(roots)


def _received(control: socket.socket) -> bytes:
    try:
        return control.recv(1)
    except ConnectionError:
        return b""


def _signalled(number: int, seconds: float, limits: Limits) -> GolfError:
    """Why a process that ended by a signal has no answer: because of the file, or not."""
    if number == signal.SIGXCPU or (number == signal.SIGKILL and seconds >= limits.cpu_seconds):
        return Refused(f"it needs more than {limits.cpu_seconds} seconds of processor time")
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    if number in _OF_THE_FILE:
        return Refused(f"onnxruntime crashed on it ({name})")
    return NoVerdict(f"verify: no verdict: the child process was ended from outside ({name})")
