"""The attacks on the referee: networks that hide their weights, built from our own entries by scripts.

    python tests/attacks.py --table                    what the referee says of each, as a Markdown table
    python tests/attacks.py --table --only wire --json found.json
    python tests/attacks.py --write FOLDER             the files

The referee is whichever `import neural_golf` finds. The images are the last 10,000 training images of MNIST, never
the test images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from onnx import ModelProto

sys.path.insert(0, str(Path(__file__).parent))  # when another folder's referee is asked

from attacking.beating import BEATING
from attacking.conduct import CONDUCT, NEVER
from attacking.drafts import DRAFTS
from attacking.eight import EIGHT
from attacking.integers import INTEGERS
from attacking.nothing import NOTHING
from attacking.packing import PACKING
from attacking.quantised import QUANTISED
from attacking.resampling import RESAMPLING
from attacking.shared import SHARED
from attacking.sources import SOURCES
from attacking.sums import SUMS
from attacking.surgery import ROOT, Attack
from attacking.trembling import TREMBLING
from attacking.wires import WIRES
from attacking.zeros import ZEROS
from neural_golf.referee import rules, verdict
from neural_golf.referee.challenge import read_idx

Digits = tuple[np.ndarray, np.ndarray]

ATTACKS: dict[str, Attack] = (
    WIRES
    | PACKING
    | EIGHT
    | QUANTISED
    | INTEGERS
    | ZEROS
    | SUMS
    | TREMBLING
    | SOURCES
    | SHARED
    | BEATING
    | CONDUCT
    | NOTHING
    | DRAFTS
    | RESAMPLING
)


def training_images(n: int) -> Digits | None:
    """The last n training images of MNIST [n, 1, 28, 28] and labels, or None where they are not to be had."""
    places = yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"]["mnist"]["places"]
    for place in [ROOT / "data/raw", *(ROOT / p for p in places if "://" not in p)]:
        images = next(place.rglob("train-images-idx3-ubyte.gz"), None) if place.is_dir() else None
        if images is not None:
            labels = images.with_name("train-labels-idx1-ubyte.gz")
            return read_idx(images)[-n:, None], read_idx(labels)[-n:]
    return None


def judged(build: Callable[[], ModelProto], digits: Digits, folder: Path) -> verdict.Verdict:
    path = folder / "attack.onnx"
    path.write_bytes(build().SerializeToString())
    return verdict.verify(path, *digits)


def holds(attack: Attack, found: verdict.Verdict) -> bool:
    """Whether the referee holds: the file is refused, its weights count, or it no longer works."""
    if found.verdict == "REFUSED" or found.nonzero is None or found.nonzero >= attack.real:
        return True
    works = attack.harmless / 1000 if attack.harmless else 0.8
    return attack.real < NEVER and found.correct is not None and found.correct < works * found.images


def row(name: str, attack: Attack, found: verdict.Verdict) -> str:
    said = "refused: " + found.reason if found.verdict == "REFUSED" else f"counts {found.nonzero:,}"
    if found.flags and found.verdict != "REFUSED":
        said += "; " + "; ".join(found.flags)
    right = "" if found.correct is None else f"{found.correct:,}"
    passed = "" if holds(attack, found) else "**gets through**"
    return f"| {name} | {attack.real:,} | {said.replace('|', chr(92) + '|')} | {right} | {passed} |"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", action="store_true", help="print a Markdown table")
    parser.add_argument("--only", default="", metavar="WORDS", help="attacks of whose name this is a part")
    parser.add_argument("--images", type=int, default=10_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts too")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write the files")
    args = parser.parse_args()
    chosen = {name: attack for name, attack in ATTACKS.items() if args.only in name}
    if args.write:
        args.write.mkdir(parents=True, exist_ok=True)
        for name, attack in chosen.items():
            file = "".join(c if c.isalnum() else "-" for c in name)
            (args.write / f"{file}.onnx").write_bytes(attack.build().SerializeToString())
    if not args.table:
        return 0
    digits = training_images(args.images)
    if digits is None:
        print("the training images of MNIST are not to be had", file=sys.stderr)
        return 3
    print(f"| attack | real weights | version {rules.RULES_VERSION} | right of {args.images:,} | |")
    print("|---|--:|---|--:|---|")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, attack in chosen.items():
            since = time.monotonic()
            said = judged(attack.build, digits, Path(folder))
            print(row(name, attack, said), flush=True)
            found[name] = {
                "real": attack.real,
                "verdict": said.verdict,
                "reason": said.reason,
                "count": said.nonzero,
                "correct": said.correct,
                "flags": list(said.flags),
                "holds": holds(attack, said),
                "seconds": round(time.monotonic() - since, 1),
            }
    if args.json:
        args.json.write_text(json.dumps({"rules": rules.RULES_VERSION, "attacks": found}, indent=1))
    return 0 if all(f["holds"] for f in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
