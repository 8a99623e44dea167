"""`golf submit`, `golf leaderboard` and `golf enter`."""

from __future__ import annotations

import argparse
from pathlib import Path

from neural_golf.leaderboard.entries import (
    Card,
    Entry,
    Failed,
    TestSet,
    load_card,
    submit,
    verified_entries,
)
from neural_golf.leaderboard.history import write_history
from neural_golf.leaderboard.tables import outdated, write_tables
from neural_golf.referee.challenge import Challenge, load_challenge, load_test_set
from neural_golf.referee.cli import add_challenge, add_data, folders, verdict_table
from neural_golf.referee.exits import ENDS, EXIT_CODES, complain

__all__ = [
    "add_enter_arguments",
    "add_leaderboard",
    "add_leaderboard_arguments",
    "add_submit_arguments",
    "run_enter",
    "run_leaderboard",
    "run_submit",
]


def add_submit_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf submit`."""
    parser.description = (
        "Verify an ONNX file (or, where bytes are ranked, a .golf file) and, if it passes, write it and its "
        f"card into the leaderboard. {ENDS}"
    )
    parser.add_argument("file", type=Path, help="the ONNX file, or the .golf file")
    parser.add_argument("--name", required=True, help="the entry's folder: a-z, 0-9, dot, dash, underscore")
    parser.add_argument(
        "--card",
        type=Path,
        required=True,
        help="a YAML file: author, method, chosen_on (train, held-out or test), licence, links if any, and "
        "code, seed and command, without which the entry is shown as not reproducible",
    )
    parser.add_argument("--replace", action="store_true", help="replace the entry of that name")
    add_challenge(parser)
    add_data(parser)
    add_leaderboard(parser)


def run_submit(args: argparse.Namespace) -> int:
    """Run `golf submit`; returns the verdict's exit code, which is that of `golf verify`. Raises GolfError
    where nothing was judged.
    """
    challenge = load_challenge(args.challenge)
    card: Card = load_card(args.card)
    test_set = load_test_set(challenge, *folders(args))
    try:
        entry = submit(
            args.file, args.name, card, challenge, test_set, args.leaderboard, replace=args.replace
        )
    except Failed as error:
        complain(f"golf submit: {error}")
        return EXIT_CODES[error.verdict.verdict]
    print(verdict_table(entry.verdict))
    if card.missing:
        print(f"it will be shown as not reproducible: the card names no {', no '.join(card.missing)}")
    print(f"written to {args.leaderboard / challenge.name / entry.name}; next: golf leaderboard")
    return 0


def add_leaderboard_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf leaderboard`."""
    parser.description = (
        "Verify every entry again and write the leaderboard's README.md, graphs.md and leaderboard.json. "
        "Exit code 1: something is no entry that passes, 3: an entry gets no verdict, and nothing is written."
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the written tables are not these"
    )
    parser.add_argument(
        "--history", action="store_true",
        help="verify nothing; write history.json, how the records fell, from the versions that Git has",
    )  # fmt: skip
    add_data(parser)
    add_leaderboard(parser)


def run_leaderboard(args: argparse.Namespace) -> int:
    """Run `golf leaderboard`; returns 1 if an entry does not pass, if something else lies among them, or,
    with --check, if a table is old.

    Raises GolfError where a challenge's data are not there, and NoVerdict where the referee cannot tell about
    an entry; then nothing is written.
    """
    if args.history:
        for name, steps in write_history(args.leaderboard).items():
            print(f"{name}: {', '.join(f'{step.score} since {step.day}' for step in steps)}")
        return 0

    def test_set(challenge: Challenge) -> TestSet:
        return load_test_set(challenge, *folders(args))

    entries = verified_entries(args.leaderboard, test_set)
    for entry in entries:
        told = entry.verdict if isinstance(entry, Entry) else entry
        print(f"{told.verdict}: {entry.place}: {told.reason}")
    old = outdated(entries, args.leaderboard)
    if args.check:
        for name in old:
            print(f"{args.leaderboard / name} is not up to date; run: golf leaderboard")
    else:
        write_tables(entries, args.leaderboard)
    broken = not all(isinstance(entry, Entry) for entry in entries)
    return int(broken or (args.check and bool(old)))


def add_leaderboard(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--leaderboard",
        type=Path,
        default=Path("leaderboard"),
        metavar="FOLDER",
        help="the leaderboard's folder (default: %(default)s)",
    )


def add_enter_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf enter`."""
    parser.description = (
        "Enter the networks of the ladder: of each row and variant the seed that stands for it, for every "
        "challenge that it passes."
    )
    parser.add_argument(
        "workspace",
        nargs="*",
        type=Path,
        default=[Path()],
        help="folders with params.yaml and results (default: this one); `golf NAME` makes results/NAME",
    )
    add_data(parser)
    add_leaderboard(parser)


def run_enter(args: argparse.Namespace) -> int:
    """Run `golf enter`; returns 0. Raises GolfError where there are no results to enter."""
    from neural_golf.leaderboard.enter import enter  # with pandas, which the referee does without

    for workspace in args.workspace:
        for text in enter(workspace, args.leaderboard, folders(args)):
            print(text)
    print("next: golf leaderboard")
    return 0
