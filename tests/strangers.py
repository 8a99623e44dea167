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
from visiting.norms import NORMS
from visiting.pixels import PIXELS
from visiting.quantised import QUANTISED

KINDS: dict[str, Kind] = FILES | PIXELS | NORMS | LAYERS | QUANTISED
THRESHOLD = 1_800  # of the images; the network itself gets 1,986 right

# What version 1 said: python tests/strangers.py --said, with PYTHONPATH at the src of branch main.
VERSION_1: dict[str, str] = {
    "initializers among the inputs (IR version 3)": "refused: 'w1' is an initializer and an input at once",
    "nodes out of order": "refused: Gemm reads 'f', which nothing before it makes (a cycle, or out of order)",
    "weights in a second file (PyTorch's default)": "refused: tensor 'w1' keeps its data outside the file",
    "weights as Constant nodes": "passes with 1,055",
    "initializers that nothing reads, doc strings, metadata": "passes with 1,416",
    "operator sets of domains that it does not use": "passes with 1,055",
    "functions of its own (PyTorch without optimisation)": "refused: it defines functions of its own (ModelProto.functions)",
    "Identity and Dropout": "passes with 1,056",
    "Dropout with its ratio as an attribute (operator set 10)": "passes with 1,056",
    "a Dropout in training mode": "refused: Dropout runs in training mode",
    "a batch of 1": "passes with 1,055",
    "a batch of 64": "refused: the graph's input has a fixed batch of 64; it must be free or 1",
    "a batch of 100": "refused: the graph's input has a fixed batch of 100; it must be free or 1",
    "the batch by another name": "passes with 1,055",
    "the batch without a name": "passes with 1,055",
    "the batch as -1 (MXNet, Paddle)": "refused: the graph's input has a wrong shape; declare [batch, channels, height, width]",
    "images [n, 28, 28, 1] and a Transpose": "passes with 1,055",
    "images [n, 784] and a Reshape": "passes with 1,055",
    "images [n, 28, 28] and an Unsqueeze": "passes with 1,055",
    "images of 32 by 32 pixels": "refused: the graph's input is [batch, 1x32x32]; declare [batch, 1, 28, 28]",
    "images of three channels": "refused: the graph's input is [batch, 3x28x28]; declare [batch, 1, 28, 28]",
    "images of any height": "refused: the graph's input has a free dimension besides the batch",
    "Softmax at the end": "passes with 1,055",
    "LogSoftmax at the end": "passes with 1,055",
    "an answer [n, 10, 1, 1]": "refused: run image by image, 1 image(s) give float32 of shape 1x10x1x1, not float32 of shape 1x10",
    "labels by ArgMax as a second output": "refused: operator 'ArgMax' is not on the list of allowed ones",
    "labels by ArgMax alone": "refused: operator 'ArgMax' is not on the list of allowed ones",
    "probabilities by ZipMap (skl2onnx's default)": "refused: operator 'ZipMap' of domain 'ai.onnx.ml'; only ai.onnx is scored",
    "shapes computed by Shape, Gather, Concat": "passes with 1,055",
    "as tf2onnx writes a Keras network": "passes with 1,055",
    "as CNTK wrote the file of the ONNX zoo": "refused: 'w1' is an initializer and an input at once",
    "operator set 6": "refused: operator set 6; from 7 to 26 are scored",
    "operator set 7": "passes with 1,055",
    "operator set 8": "passes with 1,055",
    "operator set 9": "passes with 1,055",
    "operator set 10": "passes with 1,055",
    "operator set 11": "passes with 1,055",
    "operator set 12": "passes with 1,055",
    "operator set 13": "passes with 1,055",
    "operator set 21": "passes with 1,055",
    "float64": "refused: the graph's input must be float32 (pixels from 0 to 1) or uint8 (raw pixels)",
    "a bias in float64, cast": "refused: tensor 'b4.double' is of type double; allowed: float, float16, bfloat16, int8, uint8, int32, int64, bool",
    "an int64 image": "refused: the graph's input must be float32 (pixels from 0 to 1) or uint8 (raw pixels)",
    "trained on pixels normalised by 0.1307 and 0.3081": "fails: 741 of 2,000",
    "Sub by 0.1307 and Div by 0.3081 in the graph": "passes with 1,057",
    "a BatchNormalization of the image": "passes with 1,058",
    "trained on pixels from -1 to 1": "fails: 759 of 2,000",
    "Mul and Sub in the graph, for pixels from -1 to 1": "passes with 1,057",
    "trained on pixels from 0 to 255": "fails: 213 of 2,000",
    "Mul by 255 in the graph": "passes with 1,056",
    "trained on inverted pixels": "fails: 402 of 2,000",
    "Sub from 1 in the graph, for inverted pixels": "passes with 1,056",
    "trained on inverted pixels from 0 to 255": "fails: 190 of 2,000",
    "a uint8 image, Cast and Div by 255": "passes with 1,056",
    "a uint8 image and Cast, trained on pixels from 0 to 255": "passes with 1,055",
    "a uint8 image and Cast, trained on pixels from -1 to 1": "fails: 1,616 of 2,000",
    "a float32 image and Div by 255, as if it were raw": "fails: 213 of 2,000",
    "trained on inverted pixels from -1 to 1": "fails: 610 of 2,000",
    "BatchNormalization behind a Conv without a bias": "passes with 1,079",
    "BatchNormalization behind a Gemm": "passes with 1,095",
    "BatchNormalization behind a MatMul": "passes with 1,085",
    "BatchNormalization behind a MatMul and an Add (Keras)": "passes with 1,095",
    "BatchNormalization behind a Conv and an Add (TensorFlow)": "passes with 1,087",
    "BatchNormalization behind a pool": "passes with 1,075",
    "BatchNormalization in training mode": "refused: BatchNormalization runs in training mode",
    "MeanVarianceNormalization of each image": "refused: operator 'MeanVarianceNormalization' is not on the list of allowed ones",
    "MeanVarianceNormalization over the batch (the schema's axes)": "refused: operator 'MeanVarianceNormalization' is not on the list of allowed ones",
    "InstanceNormalization behind a Conv without a bias": "passes with 1,063",
    "LayerNormalization": "passes with 1,127",
    "LayerNormalization spelled out (operator set 16)": "passes with 1,129",
    "features of length one, by ReduceL2, Clip and Expand (which counts)": "passes with 1,056",
    "LRN with an alpha of its own": "refused: operator 'LRN' is not on the list of allowed ones",
    "auto_pad SAME_UPPER": "passes with 1,695",
    "auto_pad VALID": "passes with 1,055",
    "pads of a Conv": "passes with 1,695",
    "a Pad before a Conv (each pad counts)": "passes with 1,695",
    "GlobalAveragePool at the end": "passes with 1,055",
    "a residual Add": "passes with 1,071",
    "branches joined by Concat": "passes with 1,055",
    "a depthwise and a pointwise Conv": "passes with 1,075",
    "PRelu with a slope for each channel": "passes with 820",
    "LeakyRelu with the schema's slope": "passes with 1,055",
    "LeakyRelu with a slope of its own": "passes with 1,058",
    "relu6 as Clip with inputs": "passes with 1,056",
    "relu6 as Clip with attributes (operator set 9)": "passes with 1,058",
    "HardSwish": "passes with 1,055",
    "HardSwish spelled out": "passes with 1,057",
    "Swish: x times its Sigmoid": "passes with 1,055",
    "Mish spelled out": "passes with 1,055",
    "GELU spelled out": "passes with 1,058",
    "a squeeze-and-excite gate": "passes with 1,097",
    "an LSTM over the rows": "refused: operator 'LSTM' is not on the list of allowed ones",
    "attention": "passes with 1,055",
    "float16 weights and Cast": "passes with 1,055",
    "float16 all through": "passes with 1,055",
    "int8 weights and DequantizeLinear": "passes with 1,059",
    "QDQ: weights and activations in eight bits": "passes with 1,063",
    "QLinearConv": "passes with 1,062",
    "a dynamically quantised Gemm, a batch of 1": "refused: operator 'DynamicQuantizeLinear' is not on the list of allowed ones",
    "a dynamically quantised Gemm, a free batch": "refused: operator 'DynamicQuantizeLinear' is not on the list of allowed ones",
}


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
    """The table of docs/versions.md."""
    rows = ["| kind of file | version 1 | version 2 |", "|---|---|---|"]
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
