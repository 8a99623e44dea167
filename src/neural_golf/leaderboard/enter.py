"""`golf enter`: puts our own networks on the leaderboard, one for each row, chosen before it is scored.

Of each row and variant of the ladder, the seed that stands for it (`representative`) is entered for every
challenge that it passes. If it does not pass, the row has no entry, though another seed might pass: to look
for that one would be to choose on the test images. The card names the command that makes the network again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.leaderboard.entries import Card, Entry, TestSet, submit
from neural_golf.referee.challenge import Challenge, challenge_names, load_challenge, load_test_set
from neural_golf.results.model_cards import method
from neural_golf.results.result import VERIFIED, Result, by_variant, chosen_on, read_results, representative

__all__ = ["CODE", "command", "enter"]

CODE = "src/neural_golf"  # of this repository, where all our networks are made


def enter(workspace: Path, root: Path, data: Sequence[Path]) -> Iterator[str]:
    """Enter a workspace's networks under root; yields a line on each row and challenge."""
    settings = config.load(workspace / "params.yaml")
    known = _workspaces(Path("params.yaml"))
    variants = by_variant(read_results(workspace / VERIFIED))
    known_ones = (c for c in map(load_challenge, challenge_names()) if c.score == "nonzero")
    challenges = [c for c in known_ones if c.dataset == settings.data.dataset]
    if not challenges:
        yield f"nothing of {workspace} is entered: there is no challenge on {settings.data.dataset}"
    for challenge in challenges:
        test_set = load_test_set(challenge, *data)
        for variant, group in variants.items():
            best = representative(group)
            entry = f"{challenge.name}/{variant.name}"
            path = workspace / "results/onnx" / f"{best.name}.onnx"
            if best.correct < challenge.threshold:
                what = f"{best.name} has {best.correct:,} right, {challenge.threshold:,} needed"
            elif not path.exists():
                what = f"{path} is not there, because it is larger than the referee's limit"
            else:
                card = _card(settings, group, command(variant.row, workspace, known))
                made = _submit(path, best, card, challenge, test_set, root, variant.name)
                yield f"entered {entry}: {made.verdict.nonzero} non-zero, {made.verdict.reason}"
                continue
            stays = root / challenge.name / variant.name
            yield f"no entry {entry}: {what}" + (f"; {stays} is of an earlier run" if stays.exists() else "")


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
        code=CODE,
        seed=representative(group).seed,
        command=command,
    )


def _submit(
    path: Path,
    run: Result,
    card: Card,
    challenge: Challenge,
    test_set: TestSet,
    root: Path,
    name: str,
) -> Entry:
    if hashlib.sha256(path.read_bytes()).hexdigest() != run.sha256:
        raise GolfError(f"enter: {path} is not the file that `golf verify` scored; run the pipeline again")
    return submit(path, name, card, challenge, test_set, root, replace=True)
