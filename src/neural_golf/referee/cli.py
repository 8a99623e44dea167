"""`golf verify`.

It prints a table for people, or JSON for programs; the exit code is for scripts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.referee.challenge import challenge_names, load_challenge, load_test_set
from neural_golf.referee.verdict import Verdict, verify

__all__ = [
    "EXIT_CODES",
    "add_challenge",
    "add_data",
    "add_verify_arguments",
    "folders",
    "run_verify",
    "verdict_table",
]

EXIT_CODES = {"PASS": 0, "FAIL": 1, "REFUSED": 2}
NO_VERDICT = 3  # the challenge or its data cannot be read, or the sandbox does not start


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf verify`."""
    parser.description = (
        "Score an ONNX file from anyone. Exit code 0: PASS, 1: FAIL, 2: REFUSED, 3: no verdict."
    )
    parser.add_argument("file", nargs="?", help="the ONNX file; it may come from a stranger")
    add_challenge(parser)
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")
    parser.add_argument("--graph", action="store_true", help="also print the graph, as Mermaid's text")


def run_verify(args: argparse.Namespace) -> int:
    """Run `golf verify`; returns the exit code: 0 PASS, 1 FAIL, 2 REFUSED, 3 where there is no verdict."""
    try:
        challenge = load_challenge(args.challenge)
        images, labels = load_test_set(challenge, *folders(args))
        verdict = verify(args.file, images, labels, challenge)
    except GolfError as error:
        print(f"golf: {error}", file=sys.stderr)
        return NO_VERDICT
    print(json.dumps(verdict.as_dict(), indent=2) if args.json else verdict_table(verdict))
    if args.graph and not args.json:  # the JSON has it anyway
        print("\n".join(verdict.drawing))
    return EXIT_CODES[verdict.verdict]


def verdict_table(verdict: Verdict) -> str:
    """A verdict for people: one line that states it, and then one row for each figure."""
    rows = [("file", verdict.path), ("challenge", verdict.challenge), ("sha256", verdict.sha256)]
    if verdict.correct is not None:
        rows.append(("correct", f"{verdict.correct:,} of {verdict.images:,}"))
    if verdict.parameters is not None:
        rows += [
            ("non-zero parameters", f"{verdict.nonzero:,}"),
            ("parameters", f"{verdict.parameters:,}"),
            ("bits", f"{verdict.bits:,}"),
            ("nodes", f"{verdict.nodes:,}"),
            ("operators", ", ".join(f"{n} {op}" for op, n in verdict.operators.items())),
            ("free integers", f"{verdict.integers:,}"),
        ]
    rows += [("look at", flag) for flag in verdict.flags]
    rows += [("not protected", missing) for missing in verdict.missing]
    rows += [(f"says of itself: {key}", value) for key, value in verdict.metadata.items()]
    shown = [(key, value) for key, value in rows if value is not None]
    width = max(len(key) for key, _ in shown)
    return "\n".join(
        [f"{verdict.verdict}: {verdict.reason}", *(f"  {key:<{width}}  {value}" for key, value in shown)]
    )


def add_challenge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--challenge",
        default="mnist-98",
        metavar="NAME",
        help=f"one of {', '.join(challenge_names())}, or a .yaml file (default: %(default)s)",
    )


def add_data(parser: argparse.ArgumentParser) -> None:
    """The option --data, read by `folders`."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="a folder with the published test files, t10k-*.gz; may be given more than once (default: data)",
    )


def folders(args: argparse.Namespace) -> Sequence[Path]:
    """Where to look for the published test files."""
    return args.data or [Path("data")]
