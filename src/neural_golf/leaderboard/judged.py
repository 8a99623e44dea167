"""Judges files that are entered: each in a child process of its own, as strangers' files need, on all cores.

The same bytes, entered in several challenges on the same images, are run once. Each challenge then has its
own verdict, by its own threshold.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base import longwork
from neural_golf.referee.challenge import Challenge
from neural_golf.referee.judging import Judges
from neural_golf.referee.rules import LIMITS, Limits, Refused
from neural_golf.referee.sandbox import read_untrusted
from neural_golf.referee.unpacking import is_packed
from neural_golf.referee.verdict import Verdict, limits_of, verdicts

__all__ = ["Case", "TestSet", "judged"]

TestSet = tuple[NDArray[np.uint8], NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class Case:
    """A file, and a challenge in which it is judged."""

    challenge: Challenge
    file: Path
    name: str  # of the entry, for the line that tells its verdict


def judged(
    stage: str, cases: Sequence[Case], test_set: Callable[[Challenge], TestSet], limits: Limits = LIMITS
) -> list[Verdict]:
    """The verdict on each case, in their order; says a line on each as it is judged.

    Raises NoVerdict where the referee cannot tell about one of them: then nothing is returned.
    """
    groups: dict[object, list[int]] = {}
    for k, case in enumerate(cases):
        groups.setdefault((case.challenge.data, _bytes_of(case.file, limits)), []).append(k)
    found: dict[int, Verdict] = {}
    lock = threading.Lock()
    with ExitStack() as stack:
        known: dict[object, tuple[Judges, NDArray[np.integer[Any]]]] = {}
        for case in cases:
            if case.challenge.data not in known:
                images, labels = test_set(case.challenge)
                judges = Judges(images, limits_of(limits, case.challenge), apart=True)
                known[case.challenge.data] = stack.enter_context(judges), labels

        def judge(group: Sequence[int]) -> None:
            asked = [cases[k] for k in group]
            judges, labels = known[asked[0].challenge.data]
            made = verdicts(judges, asked[0].file, labels, [case.challenge for case in asked])
            with lock:
                for k, case, verdict in zip(group, asked, made, strict=True):
                    found[k] = verdict
                    text = f"{verdict.verdict}, {len(found)} of {len(cases)} entries judged"
                    longwork.say(stage, f"{case.challenge.name}/{case.name}", text)

        def stop() -> None:
            for judges, _ in known.values():
                judges.kill()

        longwork.in_parallel(list(groups.values()), judge, stop=stop)
    return [found[k] for k in range(len(cases))]


def _bytes_of(path: Path, limits: Limits) -> object:
    """What a file has in common with those that are judged with it: its kind, and a digest of its bytes. What
    cannot be opened has nothing in common with any other.
    """
    try:
        return is_packed(path), hashlib.sha256(read_untrusted(path, limits)).hexdigest()
    except Refused:
        return path
