"""Long work: independent pieces on all cores, each of which goes on where it was killed.

A piece keeps its state in .golf/<stage>/<key>/, where the key is a digest of everything that its
result depends on. Nothing there is a result: deleting .golf loses time only.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar

import yaml
from numpy.typing import NDArray

from neural_golf.base.files import read_tensors, write_tensors

__all__ = ["Piece", "Stopped", "cores", "finished", "folder", "in_parallel", "progress", "say"]

T = TypeVar("T")
R = TypeVar("R")

Piece = tuple[dict[str, NDArray[Any]], dict[str, Any]]  # arrays, and a record that is JSON

_stop = threading.Event()


class Stopped(BaseException):
    """Raised inside a piece by `say` after Ctrl-C; the piece's state on disk is whole."""


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def folder(stage: str, **depends: Any) -> Path:
    """The folder of one piece's unfinished state, named by what its result depends on.

    The stage's modules, as dvc.yaml lists them, are part of it (without a dvc.yaml, the whole
    package is): changed code never goes on from old state.
    """
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True, default=str).encode())
    for path in _modules(stage):
        digest.update(path.as_posix().encode() + path.read_bytes())
    return Path(".golf") / stage / digest.hexdigest()[:16]


def _modules(stage: str) -> list[Path]:
    listed = [Path(__file__).parent]
    if Path("dvc.yaml").exists():
        deps = yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage]["deps"]
        listed = [Path(dep) for dep in deps if dep.startswith("src/")]
    files = {f for path in listed for f in (path.rglob("*") if path.is_dir() else [path])}
    return sorted(f for f in files if f.suffix in (".py", ".cpp", ".hpp", ".inc"))


def finished(state: Path, compute: Callable[[Path], Piece]) -> Piece:
    """The result of a piece: read back if an earlier run finished it, else computed and kept.

    `compute` gets the folder, where it may keep state of its own to go on from.
    """
    path = state / "finished.safetensors"
    if not path.exists():
        tensors, record = compute(state)
        write_tensors(path, tensors, {"record": json.dumps(record)})
    tensors, metadata = read_tensors(path)
    return tensors, json.loads(metadata["record"])


def in_parallel(pieces: Sequence[T], work: Callable[[T], R], workers: int | None = None) -> list[R]:
    """`work` on every piece, one thread per core; results in the order of the pieces.

    Threads are enough: the engine computes outside Python's global lock. The first error stops the
    others at their next `say`. Ctrl-C stops all of them, with their state on disk.
    """
    _stop.clear()
    with ThreadPoolExecutor(max(1, workers or cores())) as pool:
        futures = [pool.submit(work, piece) for piece in pieces]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
        except BaseException:
            _stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


def say(stage: str, piece: str, text: str) -> None:
    """One line of progress; also the place where a piece stops after Ctrl-C."""
    if _stop.is_set():
        raise Stopped
    print(f"{stage} {piece}: {text}", file=sys.stderr, flush=True)


def progress(items: Iterable[T], **kwargs: Any) -> Iterable[T]:
    """A bar where a person watches; nothing in a log."""
    from tqdm import tqdm

    bar: Iterable[T] = tqdm(items, disable=not sys.stderr.isatty(), **kwargs)
    return bar
