"""The referee: it scores anyone's ONNX file, and only its figures are believed. It never loads torch.

    from neural_golf.referee.challenge import load_challenge
    from neural_golf.referee.verdict import verify
    verdict = verify("model.onnx", images, labels, load_challenge("mnist-98"))

An untrusted file is opened, counted and run in a limited child process (`referee/sandbox.py`). docs/rules.md
tells players what counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.referee.challenge import Challenge
from neural_golf.referee.counting import Count, count
from neural_golf.referee.rules import LIMITS, RULES_VERSION, Limits, Refused
from neural_golf.referee.sandbox import Answer, Sandbox

__all__ = [
    "LIMITS",
    "RULES_VERSION",
    "Count",
    "Limits",
    "Refused",
    "Verdict",
    "count",
    "verify",
    "verify_many",
]


@dataclass(frozen=True)
class Verdict:
    """The referee's verdict on one file. Counts are None if the file was refused before it was counted."""

    verdict: Literal["PASS", "FAIL", "REFUSED"]
    reason: str
    path: str
    challenge: str | None
    images: int
    threshold: int | None
    correct: int | None = None
    coarse: int | None = None  # correct with parameters rounded to bfloat16; None without probes
    parameters: int | None = None
    nonzero: int | None = None
    bits: int | None = None
    nodes: int | None = None
    operators: dict[str, int] = field(default_factory=dict)
    integers: int | None = None
    flags: tuple[str, ...] = ()
    sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # protections of the sandbox that this system does not give
    rules: int = RULES_VERSION
    drawing: tuple[str, ...] = ()  # the graph as Mermaid's text, for a person to look at

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {key: list(getattr(self, key)) for key in ("flags", "missing", "drawing")}


def verify(
    path: str | os.PathLike[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    challenge: Challenge | None = None,
    *,
    limits: Limits = LIMITS,
) -> Verdict:
    """Score one ONNX file on uint8 images [n, channels, height, width] with labels [n].

    PASS needs the challenge's threshold (without a challenge, a file that can be scored passes). Raises
    GolfError only for wrong arguments: whatever is wrong with the file is REFUSED.
    """
    return verify_many([path], images, labels, challenge, limits=limits)[0]


def verify_many(
    paths: Iterable[str | os.PathLike[str]],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer[Any]],
    challenge: Challenge | None = None,
    *,
    limits: Limits = LIMITS,
    jobs: int = 1,
    fresh: bool = False,
    probes: bool = True,
) -> list[Verdict]:
    """Score several files, each as `verify` does, in its own limited fork of a child process.

    `jobs` child processes work side by side. The verdicts come in the order of the paths. With `fresh` each
    file gets a new child process. This is slower, and it is right for files of several strangers: a file that
    takes over its fork can then reach no verdict but its own. Without `probes` a file is run only once, in
    batches, which takes a third of the time. This is right for our own files, and for more images of a file
    that was probed. It does not find a network that looks at the other images of its batch or that hides
    something in the last bits of its parameters.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not images.size:
        found = f"{images.dtype} {images.shape}"
        raise GolfError(f"verify: images must be uint8 [n, channels, height, width], not {found}")
    if labels.shape != (len(images),):
        raise GolfError(f"verify: {len(images)} images need as many labels, not {labels.shape}")
    if challenge is not None and challenge.images != len(images):
        raise GolfError(f"verify: {challenge.name} is about {challenge.images} images, not {len(images)}")
    if challenge is not None:
        limits = replace(limits, classes=challenge.classes)
    paths = list(paths)
    with ExitStack() as stack:
        idle: SimpleQueue[Sandbox] = SimpleQueue()
        for _ in range(max(1, min(jobs, len(paths)))):
            idle.put(stack.enter_context(Sandbox(images, limits)))

        def judge(path: str | os.PathLike[str]) -> Answer:
            sandbox = idle.get()
            try:
                return sandbox.judge(path, probes)
            finally:
                if fresh:
                    sandbox.stop()
                idle.put(sandbox)

        with ThreadPoolExecutor(idle.qsize()) as pool:
            answers = list(pool.map(judge, paths))
    return [
        _verdict(path, answer, labels, challenge, probes) for path, answer in zip(paths, answers, strict=True)
    ]


def _verdict(
    path: str | os.PathLike[str],
    answer: Answer,
    labels: NDArray[np.integer[Any]],
    challenge: Challenge | None,
    probes: bool,
) -> Verdict:
    n = len(labels)
    name = None if challenge is None else challenge.name
    threshold = None if challenge is None else challenge.threshold
    flags: list[str] = []
    known: dict[str, Any] = {
        "sha256": answer.sha256,
        "metadata": dict(answer.metadata),
        "missing": tuple(answer.missing),
        "drawing": tuple(answer.drawing),
    }
    shown = ascii(Path(path).name)[1:-1]
    if answer.count is not None:
        counted = answer.count.model_dump()
        flags += counted.pop("flags")
        known |= counted
    correct = coarse = None
    refused = answer.refused
    if refused is None:
        try:
            correct = int((answer.decode("classes", n) == labels).sum())
            coarse = int((answer.decode("coarse", n) == labels).sum()) if probes else None
        except Refused as refusal:
            refused = str(refusal)
    if refused is not None or correct is None:
        return Verdict("REFUSED", refused or "", shown, name, n, threshold, flags=tuple(flags), **known)
    if coarse is not None and (correct - coarse) * 100 > n:
        points = (correct - coarse) * 100 / n
        what = f"bfloat16 parameters lose {points:.1f} points ({correct} to {coarse} correct)"
        flags.append(f"precision probe: {what}")
    if answer.ties:
        flags.append(f"{answer.ties} image(s) tie within rounding between single and batched runs")
    passed = threshold is None or correct >= threshold
    reason = f"{correct} of {n} correct" + ("" if threshold is None else f", {threshold} needed")
    verdict: Literal["PASS", "FAIL"] = "PASS" if passed else "FAIL"
    return Verdict(verdict, reason, shown, name, n, threshold, correct, coarse, flags=tuple(flags), **known)
