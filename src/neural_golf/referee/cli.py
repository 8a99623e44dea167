"""`golf verify`.

It prints a table for people, or JSON for programs; the exit code is for scripts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.referee.challenge import challenge_names, load_challenge, load_test_set, own_challenges
from neural_golf.referee.exits import ENDS, EXIT_CODES, NO_VERDICT, UNWRITTEN, complain, written
from neural_golf.referee.unpacking import is_packed
from neural_golf.referee.verdict import Verdict, verify

__all__ = [
    "add_challenge",
    "add_data",
    "add_verify_arguments",
    "check_usage",
    "folders",
    "run_verify",
    "verdict_table",
]

_CHALLENGE = "mnist-98"


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `golf verify`."""
    parser.description = f"Score an ONNX or .golf file from anyone. {ENDS}"
    parser.add_argument(
        "file", nargs="?", type=_a_name, help="the ONNX or .golf file; it may come from a stranger"
    )
    add_challenge(parser, ", or a .yaml file")
    add_data(parser)
    parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")
    parser.add_argument("--graph", action="store_true", help="also print the graph, as Mermaid's text")


def _a_name(text: str) -> str:
    if not text.strip():  # a variable of a script that is empty, and not the stage `verify`
        raise argparse.ArgumentTypeError("the file's name is empty")
    return text


def check_usage(args: argparse.Namespace, error: Callable[[str], object]) -> None:
    """Call `error` for options about a file where none is named: the stage `verify` takes no options."""
    asked = {"--json": args.json, "--graph": args.graph, "--data": args.data is not None}
    asked["--challenge"] = args.challenge != _default()
    if args.file is None and any(asked.values()):
        error(f"verify: {next(name for name, given in asked.items() if given)} needs an ONNX file")


def run_verify(args: argparse.Namespace) -> int:
    """Run `golf verify FILE`; returns the exit code: 0 PASS, 1 FAIL, 2 REFUSED, 3 where there is no verdict,
    74 where it cannot be written.
    """
    try:
        challenge = load_challenge(args.challenge, files=True)
        images, labels = load_test_set(challenge, *folders(args))
        verdict = verify(args.file, images, labels, challenge)
    except GolfError as error:
        complain(f"golf: {error}")
        return NO_VERDICT
    text = json.dumps(verdict.as_dict(), indent=2) if args.json else verdict_table(verdict)
    if args.graph and not args.json:  # the JSON has it anyway
        text = "\n".join((text, *verdict.drawing))
    if not written(text):
        complain("golf: verify: the verdict cannot be written")
        return UNWRITTEN
    return EXIT_CODES[verdict.verdict]


def verdict_table(verdict: Verdict) -> str:
    """A verdict for people: one line that states it, and then one row for each figure."""
    rows = [("file", verdict.path), ("challenge", verdict.challenge), ("sha256", verdict.sha256)]
    if is_packed(verdict.path) and verdict.bytes is not None:
        rows.append(("bytes", f"{verdict.bytes:,}"))
    if verdict.correct is not None:
        rows.append(("correct", f"{verdict.correct:,} of {verdict.images:,}"))
    if verdict.parameters is not None:
        rows += [
            ("non-zero parameters", f"{verdict.nonzero:,}"),
            ("  of which", ", ".join(f"{n:,} {what}" for what, n in verdict.parts.items()) or None),
            ("division", verdict.division),
            ("parameters", f"{verdict.parameters:,}"),
            ("bits", f"{verdict.bits:,}"),
            ("nodes", f"{verdict.nodes:,}"),
            ("operators", ", ".join(f"{n} {op}" for op, n in verdict.operators.items())),
            ("integers", f"{verdict.integers:,}"),
        ]
    if verdict.one_by_one:
        how = f"{verdict.one_by_one:,} images one by one"
        rest = verdict.images - verdict.one_by_one
        rows.append(("run", how + (f", {rest:,} in batches of {verdict.batch}" if rest else "")))
    rows += [(f"points lost: {name}", f"{lost:.2f}") for name, lost in verdict.losses.items()]
    rows += [("look at", flag) for flag in verdict.flags]
    rows += [("not protected", missing) for missing in verdict.missing]
    rows += [(f"says of itself: {key}", value) for key, value in verdict.metadata.items()]
    shown = [(key, value) for key, value in rows if value is not None]
    width = max(len(key) for key, _ in shown)
    return "\n".join(
        [f"{verdict.verdict}: {verdict.reason}", *(f"  {key:<{width}}  {value}" for key, value in shown)]
    )


def add_challenge(parser: argparse.ArgumentParser, more: str = "") -> None:
    """The option --challenge; `more`: what it may be besides a name."""
    parser.add_argument(
        "--challenge",
        default=_default(),
        metavar="NAME",
        help=f"one of {', '.join([*own_challenges(), *challenge_names()])}{more} (default: %(default)s)",
    )


def _default() -> str:
    """The challenge that is meant where none is named: in a task's folder its own."""
    return next(iter(own_challenges()), _CHALLENGE)


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
