"""The stage `verify`: the referee scores every exported file, and its verdict is compared with the record.

A `.golf` file is scored too, and must say the same network as the ONNX file that stands beside it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import pandas as pd

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import METRICS, write_json
from neural_golf.base.longwork import Piece, finished, folders, forget, in_parallel, say
from neural_golf.config import Config
from neural_golf.packed.graph import to_onnx
from neural_golf.referee.challenge import load_challenge, load_test_set, own_challenges
from neural_golf.referee.judging import Judges
from neural_golf.referee.sandbox import read_untrusted
from neural_golf.referee.verdict import LIMITS, Limits, Refused, Verdict, verdicts
from neural_golf.results.export import Exported, read_exported
from neural_golf.results.result import Result, write_results

__all__ = ["run", "same_network"]


def run(config: Config) -> None:
    """Score every exported file, from the file alone, on test and held-out images.

    The files are run in permuted batches, since they are our own. What is entered is scored like anyone
    else's file by `golf enter` and in every `make test`, that is also image by image and with rounded
    parameters.

    Writes results/plots/verify.csv (a line per file) and results/metrics/verify.json (means per
    row). Raises GolfError, with nothing written, where the referee refuses a file or finds other
    counts than training recorded: of parameters, of non-zero ones, or of correct images, near ties
    (see `data.score`) allowed for. So it does where a .golf file does not say what its ONNX file says.
    """
    files = read_exported()
    test, heldout = data.read("test"), data.read("heldout")
    _are_those_of_the_challenge(config, test)
    judged = _judged(config, files, (test, heldout))
    problems = [problem for file in files for problem in compare(file, *judged[file.name][:2])]
    packed = [file for file in files if file.golf]
    problems += [problem for file in packed for problem in compare_packed(file, judged[file.name])]
    if problems:
        raise GolfError(
            f"{len(problems)} exported file(s) are not what training recorded: {'; '.join(problems[:3])}"
        )
    results = [_result(file, *judged[file.name]) for file in files]
    write_results(results)
    write_json(METRICS / "verify.json", _means(results))
    told = f" and {len(packed)} .golf files" if packed else ""
    print(f"verify: {len(files)} ONNX files{told} scored, all as recorded")


def _judged(
    config: Config, files: Sequence[Exported], parts: Sequence[data.Split]
) -> dict[str, list[Verdict]]:
    """The verdicts on each file with test and held-out images, and on its .golf file with both, by its name.

    All cores work. A file is a piece of its own, named by its bytes, the images and the referee's code: a run
    that was killed goes on with the files that it had not judged. A refusal is not kept.
    """
    section = config.verify
    small = dataclasses.replace(LIMITS, file_bytes=section.max_bytes, classes=len(data.facts().classes))
    large = dataclasses.replace(small, file_bytes=section.large_bytes, cpu_seconds=section.large_seconds)
    images = [hashlib.sha256(p.pixels.tobytes() + p.labels.tobytes()).hexdigest() for p in parts]
    named, done = folders("verify"), itertools.count(1)
    with ExitStack() as stack:
        judges = {
            limits: [stack.enter_context(Judges(part.pixels, limits)) for part in parts]
            for limits in (small, large)
        }

        def one(file: Exported) -> list[Verdict]:
            asked = {file.path: large if file.bytes > section.max_bytes else small}
            asked |= {file.golf: small} if file.golf else {}
            said = []

            def compute(_: Path) -> Piece:
                found = [
                    verdicts(judge, path, part.labels, [None], probes=False)[0]
                    for path, limits in asked.items()
                    for judge, part in zip(judges[limits], parts, strict=True)
                ]
                said.append(f"{found[0].reason}, and of the held-out images {found[1].reason}")
                return {}, {"verdicts": [verdict.as_dict() for verdict in found]}

            content = {path: _digest(path, limits) for path, limits in asked.items()}
            key = named(content=content, images=images, limits=list(map(dataclasses.asdict, asked.values())))
            _, record = finished(key, compute, timed=False)
            found = [Verdict.of(values) for values in record["verdicts"]]
            if any(verdict.verdict == "REFUSED" for verdict in found):
                forget(key)
            number = next(done)
            if said:
                say("verify", file.name, f"{said[0]}; {number} of {len(files)} files judged")
            return found

        def stop() -> None:
            for judge in itertools.chain(*judges.values()):
                judge.kill()

        found = in_parallel(files, one, stop=stop)
    return {file.name: each for file, each in zip(files, found, strict=True)}


def _digest(path: str, limits: Limits) -> str:
    """What a file holds, or why it is not opened."""
    try:
        return hashlib.sha256(read_untrusted(Path(path), limits)).hexdigest()
    except Refused as refusal:
        return str(refusal)


def _are_those_of_the_challenge(config: Config, test: data.Split) -> None:
    """Raise GolfError where a task's own challenge is about other test images than this run."""
    for name in own_challenges():
        challenge = load_challenge(name)
        if challenge.dataset == config.data.dataset:
            images, labels = load_test_set(challenge, data.FOLDER)
            if not (np.array_equal(images, test.pixels) and np.array_equal(labels, test.labels)):
                raise GolfError(
                    f"challenges/{name}.yaml is about other test images than data/test.safetensors: the data "
                    "or data.seed have changed since `golf new` wrote it"
                )


def compare(file: Exported, on_test: Verdict, on_heldout: Verdict) -> list[str]:
    """What differs between the referee's verdict on a file and the record of its training."""
    if on_test.verdict == "REFUSED":
        return [f"{file.name}: refused: {on_test.reason}"]
    run = file.run
    checks: tuple[tuple[str, int | str | None, int | str | None, int | None], ...] = (
        ("parameters", on_test.parameters, file.parameters, 0),
        ("non-zero parameters", on_test.nonzero, file.nonzero, 0),
        ("held-out images right", on_heldout.correct, run.heldout_correct, run.heldout_ties),
        ("test images right", on_test.correct, run.test_correct, run.test_ties),
        ("SHA-256", on_test.sha256, file.sha256, 0),
    )
    found = []
    for what, have, want, ties in checks:
        if want is None or have == want:
            continue
        if isinstance(have, int) and isinstance(want, int) and abs(have - want) <= (ties or 0):
            continue
        found.append(f"{file.name}: {have} {what}, {want} recorded")
    return found


def compare_packed(file: Exported, verdicts: Sequence[Verdict]) -> list[str]:
    """What differs between the verdicts on a .golf file and those on the ONNX file beside it.

    verdicts: on the ONNX file with test and held-out images, then on the .golf file with both.
    """
    refused = [verdict for verdict in verdicts if verdict.verdict == "REFUSED"]
    if refused:
        return [f"{refused[0].path}: refused: {refused[0].reason}"]
    found = []
    for plain, packed in zip(verdicts[:2], verdicts[2:], strict=True):
        for what in ("parameters", "nonzero", "bits", "nodes", "division", "correct"):
            have, want = getattr(packed, what), getattr(plain, what)
            if have != want:
                found.append(f"{packed.path}: {what} {have}, and {want} of {plain.path}")
    if not found and not same_network(Path(file.golf or "").read_bytes(), Path(file.path).read_bytes()):
        found.append(f"{file.golf}: it unpacks to another network than that of {file.path}")
    return found


def same_network(golf: bytes, content: bytes) -> bool:
    """Whether a .golf file unpacks to an ONNX file, but for what that says about itself.

    Raises GolfError for what is no .golf file.
    """

    def graph(data: bytes) -> bytes:
        model = onnx.load_from_string(data)
        del model.metadata_props[:]
        made: bytes = model.SerializeToString(deterministic=True)
        return made

    return graph(to_onnx(golf)) == graph(content)


def _result(file: Exported, on_test: Verdict, on_heldout: Verdict, *packed: Verdict) -> Result:
    run = file.run
    counts = (on_test.parameters, on_test.nonzero, on_test.bits, on_test.correct, on_heldout.correct)
    parameters, nonzero, bits, correct, heldout_correct = (count or 0 for count in counts)
    return Result(
        name=file.name, row=file.row, judge=run.judge, order=run.order, size=run.size, entered=run.entered,
        seed=run.seed, parameters=parameters, nonzero=nonzero, bits=bits, correct=correct,
        images=on_test.images, heldout_correct=heldout_correct, heldout_images=on_heldout.images,
        train_correct=run.train_correct, path=file.path, sha256=file.sha256,
        division=on_test.division or "plain", bytes=packed[0].bytes if packed else None,
    )  # fmt: skip


def _means(results: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Per row and variant: means over the seeds, for `dvc metrics`."""
    table = pd.DataFrame(
        {"variant": r.variant.name, "accuracy": r.accuracy, "nonzero": r.nonzero}
        for r in results
        if r.entered
    )
    groups = table.groupby("variant", sort=False)
    means = groups.mean().round({"accuracy": 6, "nonzero": 2}).assign(runs=groups.size())
    found: dict[str, dict[str, float]] = means.to_dict(orient="index")
    return found
