"""`golf verify FILE`: a table for people, --json for programs, the exit code for scripts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from neural_golf.challenge import challenge_names, load_challenge, load_test_set
from neural_golf.verify import Verdict, verify

__all__ = ["EXIT_CODES", "add_verify_arguments", "run_verify", "verdict_table"]

EXIT_CODES = {"PASS": 0, "FAIL": 1, "REFUSED": 2}


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf verify`."""
    parser.description = "Score an ONNX file from anyone. Exit code 0: PASS, 1: FAIL, 2: REFUSED."
    parser.add_argument("file", nargs="?", help="the ONNX file; it may come from a stranger")
    parser.add_argument(
        "--challenge",
        default="mnist-98",
        metavar="NAME",
        help=f"one of {', '.join(challenge_names())}, or a .yaml file (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("data"),
        metavar="FOLDER",
        help="the folder with the published test files, t10k-*.gz (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")


def run_verify(args: argparse.Namespace) -> int:
    """Run `golf verify`; returns the exit code. Raises GolfError for a wrong challenge or missing data."""
    challenge = load_challenge(args.challenge)
    images, labels = load_test_set(challenge, args.data)
    verdict = verify(args.file, images, labels, challenge)
    print(json.dumps(verdict.as_dict(), indent=2) if args.json else verdict_table(verdict))
    return EXIT_CODES[verdict.verdict]


def verdict_table(verdict: Verdict) -> str:
    """A verdict for people: one line that says it, then one row per figure."""
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
    rows += [(f"card: {key}", value) for key, value in verdict.card.items()]
    shown = [(key, value) for key, value in rows if value is not None]
    width = max(len(key) for key, _ in shown)
    return "\n".join(
        [f"{verdict.verdict}: {verdict.reason}", *(f"  {key:<{width}}  {value}" for key, value in shown)]
    )
