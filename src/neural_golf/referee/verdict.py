"""The referee: it scores anyone's ONNX file, and only its figures are believed. It never loads torch.

    from neural_golf.referee.challenge import load_challenge
    from neural_golf.referee.verdict import verify
    verdict = verify("model.onnx", images, labels, load_challenge("mnist-98"))

An untrusted file is opened, counted and run in a limited child process (`referee/sandbox.py`). docs/rules.md
tells players what counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.base.longwork import in_parallel
from neural_golf.referee.challenge import Challenge
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.hints import hint, order_hint
from neural_golf.referee.judging import Judges
from neural_golf.referee.rules import LIMITS, RULES_VERSION, Limits, Probe, Refused, probing_order
from neural_golf.referee.sandbox import Answer
from neural_golf.referee.unpacking import SUFFIX, is_packed

__all__ = [
    "LIMITS",
    "RULES_VERSION",
    "Limits",
    "NoVerdict",
    "Refused",
    "Verdict",
    "limits_of",
    "verdicts",
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
    parameters: int | None = None
    nonzero: int | None = None
    bits: int | None = None
    nodes: int | None = None
    operators: dict[str, int] = field(default_factory=dict)
    integers: int | None = None
    parts: dict[str, int] = field(default_factory=dict)  # what the non-zero parameters are made of
    losses: dict[str, float] = field(default_factory=dict)  # points lost with numbers or activations rounded
    one_by_one: int = 0  # images that were run alone; the others in batches
    batch: int = 1
    flags: tuple[str, ...] = ()
    division: Literal["plain", "open"] | None = None  # open: it resamples, as the image says
    sha256: str | None = None
    bytes: int | None = None  # the file's length, which challenges of bytes rank
    metadata: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()  # protections of the sandbox that this system does not give
    rules: int = RULES_VERSION
    drawing: tuple[str, ...] = ()  # the graph as Mermaid's text, for a person to look at

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {key: list(getattr(self, key)) for key in _LISTS}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Verdict:
        """The verdict of which `as_dict` made these."""
        return cls(**{**values, **{key: tuple(values[key]) for key in _LISTS}})


_LISTS = ("flags", "missing", "drawing")  # of a verdict


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
    GolfError only for wrong arguments, and NoVerdict where this machine cannot tell: whatever is wrong with
    the file is REFUSED.
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
    probes: bool = True,
) -> list[Verdict]:
    """Score several files, each as `verify` does, in its own limited fork of a child process.

    `jobs` child processes work side by side. The verdicts come in the order of the paths. For files of
    several strangers `verify` is right: there, a file that takes over its fork can reach no verdict but its
    own. Without `probes` a file is run only once, in batches. This is right for our own files, and for more
    images of a file that was probed. It does not find a network that looks at the other images of its batch,
    that makes constants from the image, or that hides something in the last bits of its parameters.

    Raises GolfError and NoVerdict as `verify` does: with one file that has no verdict, none has.
    """
    with Judges(images, limits_of(limits, challenge)) as judges:
        return in_parallel(
            list(paths),
            lambda path: verdicts(judges, path, labels, [challenge], probes)[0],
            workers=jobs,
            stop=judges.kill,
        )


def limits_of(limits: Limits, challenge: Challenge | None) -> Limits:
    """The limits with as many classes as the challenge's images have."""
    return limits if challenge is None else replace(limits, classes=challenge.classes)


def verdicts(
    judges: Judges,
    path: str | os.PathLike[str],
    labels: NDArray[np.integer[Any]],
    challenges: Sequence[Challenge | None],
    probes: bool = True,
) -> list[Verdict]:
    """The verdicts on one file in several challenges on the same images with labels [n]: it is run once.

    Raises GolfError and NoVerdict as `verify` does.
    """
    n = len(judges.images)
    if labels.shape != (n,):
        raise GolfError(f"verify: {n} images need as many labels, not {labels.shape}")
    for challenge in challenges:
        if challenge is not None and challenge.images != n:
            raise GolfError(f"verify: {challenge.name} is about {challenge.images} images, not {n}")

    def fails(answer: Answer) -> bool:
        return probes and any(_fails(answer, labels, challenge) for challenge in challenges)

    answers = [_of_another_kind(path, challenge) for challenge in challenges]
    if None in answers:
        answer = judges.ask(path, probes, fails)
        answers = [answer if other is None else other for other in answers]
    return [
        _verdict(path, answer or Answer(), labels, challenge, probes)
        for answer, challenge in zip(answers, challenges, strict=True)
    ]


def _of_another_kind(path: str | os.PathLike[str], challenge: Challenge | None) -> Answer | None:
    """The refusal of a file that is not of the kind that a challenge ranks."""
    if challenge is None or challenge.score != "bytes" or is_packed(path):
        return None
    return Answer(
        refused=f"{challenge.name} ranks {SUFFIX} files, and its name does not end so (`golf pack`)"
    )


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
    halves = 0
    known: dict[str, Any] = {
        "sha256": answer.sha256,
        "bytes": answer.bytes,
        "metadata": dict(answer.metadata),
        "missing": tuple(answer.missing),
        "drawing": tuple(answer.drawing),
    }
    shown = ascii(Path(path).name)[1:-1]
    if answer.count is not None:
        counted = answer.count.model_dump()
        flags += counted.pop("flags")
        halves = counted.pop("halves")
        known |= counted
    correct = better = None
    refused = answer.refused
    if refused is None:
        try:
            classes = answer.decode(n)
            correct = int((classes == labels).sum())
            known["losses"] = losses = _losses(answer, classes, labels)
            refused, flag = _precision(losses)
            flags += [flag] if flag else []
            if flag and halves:  # two numbers of 4 bits may be in each
                known |= {what: known[what] + halves for what in ("nonzero", "parameters")}
                known["parts"]["counted twice"] = halves
            better = _order(classes, labels) or _better(answer, classes, labels)
        except Refused as refusal:
            refused = str(refusal)
    passed = correct is not None and (threshold is None or correct >= threshold)
    if refused is not None and correct is not None and not passed:
        flags += [] if better else [refused]  # on wrong pixels a network loses whatever it likes
        refused = None
    if refused is not None or correct is None:
        return Verdict("REFUSED", refused or "", shown, name, n, threshold, flags=tuple(flags), **known)
    if answer.ties:
        flags.append(f"{answer.ties} image(s) tie within rounding between single and batched runs")
    reason = f"{correct} of {n} correct" + ("" if threshold is None else f", {threshold} needed")
    if better and not passed:
        reason += f"; {better}"
    verdict: Literal["PASS", "FAIL"] = "PASS" if passed else "FAIL"
    known |= {"one_by_one": answer.one_by_one, "batch": answer.batch}
    return Verdict(verdict, reason, shown, name, n, threshold, correct, flags=tuple(flags), **known)


BY_CHANCE = 10  # images that a few test images may lose or win by chance

_WHAT: dict[Probe, str] = {
    "wide": "its numbers rounded to 4 significant bits and to 1/256 of their tensor's largest",
    "all": "its numbers, those of 8 bits and fewer too, rounded to 4 significant bits",
    "activations": "its activations rounded to bfloat16",
}


def _losses(
    answer: Answer, classes: NDArray[np.uint16], labels: NDArray[np.integer[Any]]
) -> dict[Probe, float]:
    """Points lost by each probe, on the images that it was run on: on the worst of its grids."""
    order = probing_order(len(labels))

    def points(rounded: NDArray[np.uint16]) -> float:
        part = order[: len(rounded)]
        lost = int((classes[part] == labels[part]).sum()) - int((rounded == labels[part]).sum())
        return lost * 100 / len(part) if abs(lost) > BY_CHANCE else 0.0

    probes = answer.decode_probes(len(labels))
    return {probe: max(map(points, grids)) for probe, grids in probes.items() if grids}


def _fails(answer: Answer, labels: NDArray[np.integer[Any]], challenge: Challenge | None) -> bool:
    if challenge is None:
        return False
    try:
        right = (answer.decode(len(labels)) == labels).sum()
        return answer.refused is None and bool(right < challenge.threshold)
    except Refused:
        return False


def _better(answer: Answer, classes: NDArray[np.uint16], labels: NDArray[np.integer[Any]]) -> str | None:
    """Whether the file does clearly better with pixels of another convention."""
    order = probing_order(len(labels))
    right = {}
    part = order[:0]
    for name, found in answer.decode_hints(len(labels)).items():
        part = order[: len(found)]
        right[name] = int((found == labels[part]).sum())
    return hint(right, int((classes[part] == labels[part]).sum()), len(part))


def _order(found: NDArray[np.uint16], labels: NDArray[np.integer[Any]]) -> str | None:
    """Whether the file has its classes in another order."""
    return order_hint(found, labels, 1 + int(max(found.max(), labels.max())))


def _precision(losses: Mapping[Probe, float]) -> tuple[str | None, str | None]:
    """The reason to refuse and the flag, if more than a point is lost: numbers may be packed in numbers."""
    for name, lost in losses.items():
        if lost <= 1:
            continue
        what = f"with {_WHAT[name]} it loses {lost:.1f} points"
        if name == "all" or "wide" not in losses:
            return None, f"{what}, so those of 8 bits that do not fit into 4 count twice"
        advice = "more than one number may be in each; store them in 8 bits or fewer (the count stays)"
        return f"{what}, so {advice}", None
    return None, None
