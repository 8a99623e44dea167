"""`golf enter`: puts our own networks on the leaderboard, one for each row, chosen before it is scored.

Of each row and variant of the ladder, the seed that stands for it (`representative`) is entered for every
challenge that it passes. Rows by packing are entered with their .golf files, where bytes are ranked, and all
others with their ONNX files, where parameters are. If that seed does not pass, the row has no entry, though
another seed might pass: to look for that one would be to choose on the test images. The card names the
command that makes the network again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.leaderboard.entries import Card, Failed
from neural_golf.leaderboard.entries import enter as submitted
from neural_golf.leaderboard.judged import Case, judged
from neural_golf.referee.challenge import (
    Challenge,
    challenge_names,
    load_challenge,
    load_test_set,
    own_challenges,
)
from neural_golf.results.model_cards import method
from neural_golf.results.result import (
    VERIFIED,
    Result,
    Variant,
    by_variant,
    chosen_on,
    golf_file,
    read_results,
    representative,
)
from neural_golf.results.verify import same_network

__all__ = ["CODE", "command", "enter"]

# Of this repository, where all our networks are made. A task has no code; its settings say what was run.
CODE, SETTINGS = "src/neural_golf", "params.yaml"


def enter(workspace: Path, root: Path, data: Sequence[Path]) -> Iterator[str]:
    """Enter a workspace's networks under root; yields a line on each row and challenge.

    A file is judged once for all challenges on its images, and all files side by side.
    """
    settings = config.load(workspace / "params.yaml")
    known = _workspaces(Path("params.yaml"))
    variants = by_variant(read_results(workspace / VERIFIED))
    known_challenges = map(load_challenge, [*own_challenges(), *challenge_names()])
    challenges = [one for one in known_challenges if one.dataset == settings.data.dataset]
    if not challenges:
        yield f"nothing of {workspace} is entered: there is no challenge on {settings.data.dataset}"
    rows = [
        _row(workspace, challenge, v, group)
        for challenge in challenges
        for v, group in _of(challenge, variants)
    ]
    cases = [row.case for row in rows if row.case]
    told = iter(judged("enter", cases, lambda challenge: load_test_set(challenge, *data)))
    for row in rows:
        entry, what = f"{row.challenge.name}/{row.variant.name}", row.why_not
        if row.case:
            card = _card(settings, row.group, command(row.variant.row, workspace, known))
            try:
                made = submitted(row.case.file, row.variant.name, card, row.challenge, next(told), root)
            except Failed as failed:  # such as by rounding, which the stage `verify` does not try
                what = failed.verdict.reason
            else:
                packed = row.challenge.score == "bytes"
                size = f"{made.verdict.bytes} bytes" if packed else f"{made.verdict.nonzero} non-zero"
                yield f"entered {entry}: {size}, {made.verdict.reason}"
                continue
        stays = root / entry
        yield f"no entry {entry}: {what}" + (f"; {stays} is of an earlier run" if stays.exists() else "")


@dataclass(frozen=True)
class _Row:
    """A row and variant in one challenge, and the file that stands for it, or why there is none."""

    challenge: Challenge
    variant: Variant
    group: Sequence[Result]
    case: Case | None
    why_not: str


def _of(
    challenge: Challenge, variants: Mapping[Variant, Sequence[Result]]
) -> Iterator[tuple[Variant, Sequence[Result]]]:
    """The variants that a challenge ranks: those with .golf files where it ranks bytes, and the others."""
    packed = challenge.score == "bytes"
    return ((v, group) for v, group in variants.items() if (group[0].bytes is not None) == packed)


def _row(workspace: Path, challenge: Challenge, variant: Variant, group: Sequence[Result]) -> _Row:
    """Raises GolfError as `_check` does."""
    best = representative(group)
    onnx = workspace / "results/onnx" / f"{best.name}.onnx"
    path = workspace / golf_file(best.name) if challenge.score == "bytes" else onnx
    why = ""
    if best.correct < challenge.threshold:
        why = f"{best.name} has {best.correct:,} right, {challenge.threshold:,} needed"
    elif not onnx.exists():
        why = f"{onnx} is not there, because it is larger than the referee's limit"
    else:
        _check(best, onnx, path)
    case = None if why else Case(challenge, path, variant.name)
    return _Row(challenge, variant, group, case, why)


def command(row: str, workspace: Path, known: Collection[str]) -> str:
    """What to run, in the project's folder, to make a row's networks again: Snakemake's rule, or all of a
    workspace, one of `known`, which lies in results/NAME.
    """
    where = workspace.resolve()
    if where.parent.name == "results" and where.name in known:
        return f"golf {where.name}"
    return f"snakemake {row}"


def _workspaces(params: Path) -> Collection[str]:
    """The names of the workspaces that the project's params.yaml describes: they are commands."""
    return tuple(config.read(params).get("workspaces") or ()) if params.exists() else ()


def _card(settings: Config, group: Sequence[Result], command: str) -> Card:
    ladder = settings.ladder
    return Card(
        author=ladder.author,
        method=method(settings, group[0].variant, group),
        chosen_on=chosen_on(group),
        licence=ladder.licence,
        links=list(ladder.links),
        code=CODE if Path(CODE).exists() else SETTINGS,
        seed=representative(group).seed,
        frozen=settings.rows[group[0].row].frozen,
        command=command,
    )


def _check(run: Result, onnx: Path, path: Path) -> None:
    """Raise GolfError if a file is not the one that `golf verify` scored: of a .golf file, if it says another
    network than the ONNX file that was.
    """
    content = onnx.read_bytes()
    same = hashlib.sha256(content).hexdigest() == run.sha256
    if same and path != onnx:
        same = path.exists() and same_network(path.read_bytes(), content)
    if not same:
        raise GolfError(f"enter: {path} is not the file that `golf verify` scored; run the pipeline again")
