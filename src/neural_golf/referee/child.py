"""The inside of the sandbox: a process that imports everything once and then forks a judge for each file.

The parent (`sandbox.py`) talks to it over a socket: one byte that says what to do, with two descriptors,
the opened file and a pipe for the answer. The fork limits itself, reads the file, answers with one JSON
object and exits; this process waits for it and reports how it ended. It never reads the file.
"""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import os
import resource
import socket
import struct
import sys
from dataclasses import asdict
from typing import Any

# onnxruntime may start a telemetry thread when it is imported. A fork must not happen beside a thread, and a
# referee must not phone home. (The sandbox starts with an empty environment, so this is said here.)
os.environ.update(ORT_DISABLE_TELEMETRY="1", OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")

import numpy as np
import numpy.ma  # numpy imports it when it is first needed, which would be in a fork

from neural_golf.referee.counting import add_up
from neural_golf.referee.drawing import drawn
from neural_golf.referee.folding import fold
from neural_golf.referee.frame import parse
from neural_golf.referee.lifeline import Forks, die_with
from neural_golf.referee.reading import read
from neural_golf.referee.rules import Limits, Refused
from neural_golf.referee.scoring import TestImages, count_with_images, hints, predict
from neural_golf.referee.unpacking import unpacked

__all__ = ["BATCHES", "COUNT", "ENDED", "HINTS", "SCORE", "isolate", "judge", "limit", "main"]

COUNT, SCORE, BATCHES, HINTS = b"c", b"s", b"b", b"h"  # in capitals, of a file that has to be unpacked first
_NEW_NETWORK, _NEW_USER, _NO_NEW_PRIVILEGES = 0x40000000, 0x10000000, 38  # <linux/sched.h>, <linux/prctl.h>
# The wait status of the fork, its peak resident memory (KiB on Linux), and its seconds of processor time.
ENDED = struct.Struct("<iqd")


def main(socket_fd: int, images_fd: int, shape: tuple[int, ...], limits: Limits) -> None:
    """Serve until the parent closes the socket or ends. Images are uint8, raw, in the file images_fd."""
    control = socket.socket(fileno=socket_fd)
    images = None
    if images_fd >= 0:
        with open(images_fd, "rb") as file:
            file.seek(0)
            images = TestImages(np.frombuffer(file.read(), np.uint8).reshape(shape))
    unshared = isolate()
    die_with(os.getppid())  # again, since a new identity forgets it
    forks, here = Forks(control), os.getpid()
    control.sendall(b"+")
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not request:
            return
        file_fd, answer_fd = descriptors
        pid = os.fork()
        if pid == 0:
            try:
                die_with(here)
                forks.close()
                control.close()
                null = os.open(os.devnull, os.O_RDWR)
                for standard in (0, 1, 2):
                    os.dup2(null, standard)
                missing = unshared + limit(limits)
                answer = judge(file_fd, None if request.lower() == COUNT else images, limits, request)
                _write(answer_fd, json.dumps(answer | {"missing": missing}).encode())
            finally:
                os._exit(0)
        os.close(file_fd)
        os.close(answer_fd)
        status, usage = forks.wait(pid)
        peak = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss // 1024
        control.sendall(ENDED.pack(status, peak, usage.ru_utime + usage.ru_stime))


def isolate() -> list[str]:
    """Leave the network for good (Linux). Returns what this system does not allow."""
    if sys.platform != "linux":
        return ["network"]
    libc = ctypes.CDLL(None)
    libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    for space in (_NEW_NETWORK, _NEW_NETWORK | _NEW_USER):  # the second is for who is not root
        if libc.unshare(space) == 0:
            return []
    return ["network"]


def limit(limits: Limits) -> list[str]:
    """Put the limits into force. Returns the names of those that this platform does not keep."""
    wanted = {
        "RLIMIT_AS": (limits.memory_bytes, limits.memory_bytes),
        "RLIMIT_CPU": (limits.cpu_seconds, limits.cpu_seconds + 1),
        "RLIMIT_FSIZE": (0, 0),
        "RLIMIT_NOFILE": (limits.open_files, limits.open_files),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NPROC": (0, 0),
    }
    missing = []
    for name, pair in wanted.items():
        number = getattr(resource, name, None)
        try:
            if number is None or (name == "RLIMIT_AS" and sys.platform != "linux"):
                raise OSError  # other systems accept a limit on memory and do not keep it
            resource.setrlimit(number, pair)
        except (OSError, ValueError):
            missing.append(name)
    return missing


def judge(file_fd: int, images: TestImages | None, limits: Limits, request: bytes = SCORE) -> dict[str, Any]:
    """Read, count and (with images) score one file. It never raises, because a refusal is an answer too.

    With HINTS it is run on some images as other tools have their pixels, and not scored. With a request in
    capitals the file is a packed one.
    """
    packed, request = request.isupper(), request.lower()
    answer: dict[str, Any] = {}
    try:
        data = b""
        while len(data) <= limits.file_bytes and (part := os.read(file_fd, 1 << 16)):
            data += part
        answer["sha256"] = hashlib.sha256(data).hexdigest()
        if len(data) > limits.file_bytes:
            raise Refused(f"the file is larger than {limits.file_bytes} bytes")
        model = parse(unpacked(data) if packed else data)
        answer["metadata"] = _metadata(model)
        source = read(model, limits)
        if images is not None:
            images.accept(source)
        folded = fold(source, limits)
        answer["drawing"] = drawn(folded)
        if images is None or request == BATCHES:
            answer["count"] = asdict(add_up(folded))
        elif request == SCORE:
            answer["count"] = asdict(add_up(folded))  # what is known if a look at images ends in a refusal
            answer["count"] = asdict(count_with_images(folded, images, limits))
        if images is not None and request == HINTS:
            answer["hints"] = {k: _packed(v) for k, v in hints(folded, images, limits.classes).items()}
        elif images is not None:
            found = predict(folded, images, limits.classes, request == SCORE)
            answer |= {"ties": found.ties, "one_by_one": found.one_by_one, "batch": found.batch}
            answer["classes"] = _packed(found.classes)
            answer["probes"] = {k: [*map(_packed, grids)] for k, grids in found.probes.items()}
    except Refused as refusal:
        answer["refused"] = str(refusal)
    except MemoryError:
        answer["refused"] = "it needs more memory than it may"
    except Exception as error:
        # A file that finds a fault in the referee is refused, and the fault is named for its author.
        answer["refused"] = f"the referee failed on it ({type(error).__name__})"
    return answer


def _packed(classes: Any) -> str:
    return base64.b64encode(classes.tobytes()).decode()


def _metadata(model: Any) -> dict[str, str]:
    """The file's metadata_props: printable ASCII, at most 64 entries of at most 2,000 characters."""
    entries = list(model.metadata_props)[:64]
    return {ascii(e.key[:100])[1:-1]: ascii(e.value[:2000])[1:-1] for e in entries}


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
