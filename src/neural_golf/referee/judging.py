"""Answers about many files on the same images: each from a fork of a child process, on all cores.

`referee/verdict.py` says what an answer means.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.rules import LIMITS, Limits
from neural_golf.referee.sandbox import Answer, Sandbox

__all__ = ["Judges"]


class Judges:
    """Asks about files on uint8 images [n, channels, height, width], from as many threads as one likes.

    Use it as a context manager. Each file has a fork of its own. With `apart` it has a child process of its
    own, too, as files of several strangers need: a file that takes over its fork can reach no answer but its
    own. Otherwise a child process goes on to the next file.

    Raises GolfError where the images are no such array, and where the system cannot fork.
    """

    def __init__(self, images: NDArray[np.uint8], limits: Limits = LIMITS, *, apart: bool = False) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
            found = f"{images.dtype} {images.shape}"
            raise GolfError(f"verify: images must be uint8 [n, channels, height, width], not {found}")
        self.images, self.limits, self._apart = images, limits, apart
        self._lock = threading.Lock()
        self._idle: list[Sandbox] = []
        self._busy: set[Sandbox] = set()
        self._over = False

    def __enter__(self) -> Judges:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for sandbox in self._idle:
            sandbox.stop()

    def ask(
        self,
        path: str | os.PathLike[str],
        probes: bool = True,
        fails: Callable[[Answer], bool] = lambda _: False,
    ) -> Answer:
        """The answer about one file, as `Sandbox.judge` has it, and with `hints` where it `fails`.

        Raises NoVerdict as `Sandbox.judge` does.
        """
        with self._sandbox() as sandbox:
            answer = sandbox.judge(path, probes)
            if fails(answer):
                answer = answer.model_copy(update={"hints": sandbox.hints(path).hints})
            return answer

    @contextmanager
    def _sandbox(self) -> Iterator[Sandbox]:
        with self._lock:
            if self._over:
                raise NoVerdict("verify: no verdict: it was stopped")
            sandbox = self._idle.pop() if self._idle else Sandbox(self.images, self.limits)
            self._busy.add(sandbox)
        try:
            yield sandbox
        finally:
            if self._apart:
                sandbox.stop()
            with self._lock:
                self._busy.discard(sandbox)
                self._idle += [] if self._apart else [sandbox]

    def kill(self) -> None:
        """End all child processes at once. Who waits for an answer, or asks then, gets NoVerdict."""
        with self._lock:
            self._over = True
            for sandbox in (*self._busy, *self._idle):
                sandbox.kill(over=True)
