"""Honest files as strangers' tools write them, and what the referee says of each.

    python tests/strangers.py                   the table of docs/rules.md: what version 1 said, and what is said now
    python tests/strangers.py --said            what the referee says of each file, whichever referee it is
    python tests/strangers.py --write FOLDER    the files

All files compute one network of the leaderboard in one form or another (tests/visiting). They are judged on the
last 2,000 training images of MNIST, never on the test images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # when another folder's referee is asked

from attacks import Digits, training_images
from neural_golf.referee.challenge import Challenge
from neural_golf.referee.rules import RULES_VERSION
from neural_golf.referee.verdict import Verdict, verify_many
from visiting.files import FILES
from visiting.layers import LAYERS
from visiting.network import JUDGED, Kind
from visiting.pixels import PIXELS
from visiting.quantised import QUANTISED

KINDS: dict[str, Kind] = FILES | PIXELS | LAYERS | QUANTISED
THRESHOLD = 1_880  # of the images; the network itself gets 1,986 right

# What version 1 said: python tests/strangers.py --said, with PYTHONPATH at the src of branch main.
VERSION_1: dict[str, str] = {}


def challenge() -> Challenge:
    file = {"name": "x.gz", "md5": "0" * 32}
    made: dict[str, Any] = {
        "name": "strangers",
        "title": "training images",
        "dataset": "mnist",
        "split": "test",
        "files": {"images": file, "labels": file},
        "images": JUDGED,
        "threshold": THRESHOLD,
        "score": "nonzero",
        "rules": RULES_VERSION,
    }
    return Challenge.model_validate(made)


def write(folder: Path) -> list[Path]:
    """The files, in the order of the table."""
    paths = [folder / f"{k:02}.onnx" for k in range(len(KINDS))]
    for path, kind in zip(paths, KINDS.values(), strict=True):
        path.write_bytes(kind.build().SerializeToString())
    return paths


def judged(digits: Digits, folder: Path, jobs: int = 1) -> dict[str, Verdict]:
    found = verify_many(write(folder), *digits, challenge(), jobs=jobs)
    return dict(zip(KINDS, found, strict=True))


def short(found: Verdict) -> str:
    """A verdict in a few words."""
    if found.verdict == "REFUSED":
        return f"refused: {found.reason}"
    if found.verdict == "PASS":
        return f"passes with {found.nonzero:,}"
    _, found_hint, hint = found.reason.partition("; ")
    return f"fails, with a hint: {hint}" if found_hint else f"fails: {found.correct:,} of {found.images:,}"


def now(kind: Kind) -> str:
    """What the tests see to."""
    if kind.verdict == "PASS":
        return f"passes with {kind.count:,}"
    if kind.verdict == "FAIL":
        return f"fails, with a hint: pixels {kind.words}"
    return f"refused: {kind.words}"


def strangers() -> str:
    """The table of docs/rules.md."""
    rows = ["| kind of file | version 1 said | now |", "|---|---|---|"]
    for name, kind in KINDS.items():
        said = VERSION_1[name].replace("|", "\\|").replace("*", "\\*")
        rows.append(f"| {name} | {said} | {now(kind)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--said", action="store_true", help="ask the referee, and print its answers as JSON")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files")
    args = parser.parse_args()
    if args.write:
        args.write.mkdir(parents=True, exist_ok=True)
        write(args.write)
    elif args.said:
        digits = training_images(JUDGED)
        if digits is None:
            print("the training images of MNIST are not to be had", file=sys.stderr)
            return 3
        with tempfile.TemporaryDirectory() as folder:
            found = judged(digits, Path(folder))
        print(json.dumps({name: short(verdict) for name, verdict in found.items()}, indent=4))
    else:
        print(strangers())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
