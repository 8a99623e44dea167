"""Long work: independent pieces on all cores, each of which can go on from where it was killed.

A piece keeps its state in .golf/<stage>/<key>/, where the key is a digest of everything that its
result depends on. Nothing there is a result: deleting .golf only costs time.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_tensors, write_tensors
from neural_golf.base.yaml12 import read_stages

__all__ = [
    "Elsewhere",
    "Piece",
    "Pieces",
    "Stopped",
    "alone",
    "computed",
    "cores",
    "finished",
    "folder",
    "folders",
    "forget",
    "in_parallel",
    "keep",
    "kept",
    "note_seconds",
    "processor",
    "progress",
    "rest",
    "say",
]

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")
R = TypeVar("R")

Piece = tuple[dict[str, NDArray[Any]], dict[str, Any]]  # arrays, and a record that is JSON
# What computes each piece of a stage, or finds it computed, by its key: "seed-3", as `golf piece` calls it.
Pieces = Mapping[str, Callable[[], Piece]]

_FINISHED = "finished.safetensors"
TIMINGS = Path("results/timings.csv")

_stop = threading.Event()
_timings = threading.Lock()
_here = threading.local()  # `hurried`: this thread has other pieces to go on with


class Stopped(BaseException):
    """Raised inside a piece by `say` after Ctrl-C; the piece's state on disk is whole."""


class Elsewhere(BaseException):
    """Raised by `finished` where another run is at the piece and this thread has others to go on with."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder(stage: str, **depends: Any) -> Path:
    """The folder of one piece's unfinished state, named by what its result depends on.

    The stage's rooms, as dvc.yaml lists them, are part of it (the whole package where it lists none),
    so changed code never goes on from old state.
    """
    return folders(stage)(**depends)


def folders(stage: str) -> Callable[..., Path]:
    """`folder` for many pieces of a stage, whose rooms are read once."""
    rooms = hashlib.sha256()
    for path in _modules(stage):
        rooms.update(path.as_posix().encode() + path.read_bytes())

    def named(**depends: Any) -> Path:
        digest = rooms.copy()
        digest.update(json.dumps(depends, sort_keys=True, default=str).encode())
        return Path(".golf") / stage / digest.hexdigest()[:16]

    return named


def _modules(stage: str) -> list[Path]:
    listed = [Path(__file__).parents[1]]
    if Path("dvc.yaml").exists():
        stages = read_stages(Path("dvc.yaml"))
        if stage in stages:
            listed = [Path(dep) for dep in stages[stage].get("deps", []) if dep.startswith("src/")]
    files = {f for path in listed for f in (path.rglob("*") if path.is_dir() else [path])}
    return sorted(f for f in files if f.suffix in (".py", ".cpp", ".hpp", ".inc"))


def finished(state: Path, compute: Callable[[Path], Piece], timed: bool = True) -> Piece:
    """The result of a piece: read from disk if an earlier run finished it, and otherwise computed and kept.

    `compute` gets the folder, where it may keep state of its own to go on from. Its seconds are noted where
    `timed`: not for commands that people use outside the project.
    """
    path = state / _FINISHED
    hurried = getattr(_here, "hurried", False)
    with alone(state / "lock", f"the piece {state.name} of {state.parent.name}", wait=not hurried):
        found = kept(path)
        if found is None:
            start = time.perf_counter()
            tensors, record = compute(state)
            keep(path, tensors, {"record": json.dumps(record)})
            if timed:
                note_seconds(state.parent.name, state.name, time.perf_counter() - start)
            found = kept(path)
    if found is None:
        raise GolfError(f"{path} is not as it was written: the disk has a fault")
    tensors, metadata = found
    return tensors, json.loads(metadata["record"])


def forget(state: Path) -> None:
    """Let the next run compute a piece again that `finished` has kept."""
    (state / _FINISHED).unlink(missing_ok=True)


def keep(path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write what `kept` goes on from: a safetensors file that tells a digest of itself."""
    write_tensors(path, tensors, {**metadata, "digest": _digest(tensors, metadata)})


def kept(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]] | None:
    """Tensors and metadata that `keep` wrote; None where there are none.

    A file that was cut, or altered in any byte that counts, is told and taken for none.
    """
    try:
        path.open("rb").close()  # a file that may not be read is another trouble, and not mended here
    except FileNotFoundError:
        return None
    try:
        tensors, metadata = read_tensors(path)
    except GolfError:
        tensors, metadata = {}, {}
    if metadata.pop("digest", "") == _digest(tensors, metadata):
        return tensors, metadata
    print(f"golf: {path} is damaged, so what it held is computed again", file=sys.stderr)
    return None


def _digest(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> str:
    hasher = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        hasher.update(f"{name} {tensor.dtype} {tensor.shape}".encode() + tensor.tobytes())
    return hasher.hexdigest()


@contextlib.contextmanager
def alone(path: Path, what: str, wait: bool = True) -> Iterator[None]:
    """Hold a lock that the system lets go of when its holder ends, however that ends; wait for other holders.

    It holds between threads, processes and, where the file system can do it, machines. `what` is said of
    it if it is waited for. Without `wait` it raises Elsewhere instead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    said = time.monotonic() + 1
    with path.open("ab") as file:
        while fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if _stop.is_set():
                    raise Stopped from None
                if not wait:
                    raise Elsewhere from None
                if time.monotonic() > said:
                    print(f"golf: waiting for another run, which is at {what}", file=sys.stderr, flush=True)
                    said = math.inf
                time.sleep(0.05)
            except OSError:  # a file system without locks: two runs compute the same, and both are right
                break
        yield


def note_seconds(stage: str, piece: str, seconds: float) -> None:
    """Add a line to results/timings.csv, the one place for what differs between machines and runs.

    It is no result, and neither Git nor DVC knows it. For a piece that was killed, the line tells only its
    last part.
    """
    TIMINGS.parent.mkdir(parents=True, exist_ok=True)
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    line = (now, stage, piece, f"{seconds:.2f}", platform.node(), processor())
    with _timings, TIMINGS.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if not file.tell():
            writer.writerow(("finished", "stage", "piece", "seconds", "host", "processor"))
        writer.writerow(line)


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def in_parallel(
    pieces: Sequence[T],
    work: Callable[[T], R],
    workers: int | None = None,
    stop: Callable[[], object] = lambda: None,
) -> list[R]:
    """`work` on every piece, one thread per core; results in the order of the pieces.

    Threads are enough: the engine computes outside Python's global lock. A piece that another run is at is
    put off until all others are begun, so that several runs, on any number of machines, share them out. The
    first error stops the others at their next `say`. Ctrl-C stops all of them, with their state on disk.
    `stop` is called then, and may end what a piece waits for.
    """
    _stop.clear()
    results: dict[int, R] = {}
    with ThreadPoolExecutor(max(1, workers or cores())) as pool:
        futures = {pool.submit(_unless_elsewhere, work, piece): at for at, piece in enumerate(pieces)}
        try:
            while futures:
                for future in wait(futures, return_when=FIRST_COMPLETED).done:
                    at = futures.pop(future)
                    try:
                        results[at] = future.result()
                    except Elsewhere:
                        futures[pool.submit(work, pieces[at])] = at
        except BaseException:
            _stop.set()
            stop()
            pool.shutdown(cancel_futures=True)
            raise
    return [results[at] for at in range(len(pieces))]


def _unless_elsewhere(work: Callable[[T], R], piece: T) -> R:
    """`work` on the piece; raises Elsewhere instead of waiting for another run."""
    _here.hurried = True
    try:
        return work(piece)
    finally:
        _here.hurried = False


def computed(pieces: Pieces) -> dict[str, Piece]:
    """All pieces of a stage, by their keys, each from disk or computed here."""
    return dict(zip(pieces, in_parallel([*pieces.values()], lambda work: work()), strict=True))


def say(stage: str, piece: str, text: str) -> None:
    """One line of progress; also the place where a piece stops after Ctrl-C."""
    if _stop.is_set():
        raise Stopped
    print(f"{stage} {piece}: {text}", file=sys.stderr, flush=True)


def rest(seconds: float) -> None:
    """Wait; also a place where a piece stops after Ctrl-C."""
    if _stop.wait(seconds):
        raise Stopped


def progress(items: Iterable[T], **kwargs: Any) -> Iterable[T]:
    """A progress bar where a person watches, and nothing in a log."""
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(items, disable=not sys.stderr.isatty(), **kwargs)
    return bar
