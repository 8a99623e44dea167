"""Model cards for what was exported: one Markdown file per row and variant, as Hugging Face reads them.

One for all seeds of a row: these differ in the seed alone, and a card for each would repeat the rest.
A card's figures are the referee's, so cards are written after `verify`, by the stage `ladder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml

from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.config import Ladder

__all__ = [
    "CHOICE",
    "by_variant",
    "card_text",
    "chosen",
    "chosen_on",
    "method",
    "name_of",
    "variant_of",
    "write",
]

Line = Mapping[str, str]  # a line of results/plots/verify.csv
Variant = tuple[str, str, str]  # row, judge, order

# Name, Hugging Face's identifier, and the classes in the order of the logits.
DIGITS = tuple(f"{n}" for n in range(10))
DATASETS: dict[str, tuple[str, str, Sequence[str]]] = {
    "mnist": ("MNIST", "ylecun/mnist", DIGITS),
    "digits": ("scikit-learn's digits, enlarged to 28x28", "", DIGITS),
    "fashion-mnist": (
        "Fashion-MNIST",
        "zalando-datasets/fashion_mnist",
        (
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
            "Ankle boot",
        ),
    ),
}  # fmt: skip

TABLE = """| file | parameters | non-zero | bits | test | held-out | SHA-256 |
|---|--:|--:|--:|--:|--:|---|"""

TRIED = {"index": "as they lie in memory", "saliency": "the least harmful first (w² E[g²])"}

CHOICE = {
    "test": "the one with the fewest non-zero parameters, then with the most test images right",
    "held-out": "the one with the fewest non-zero parameters, then with the most held-out images right",
}


def by_variant(lines: Sequence[Line], entered: bool = True) -> dict[Variant, list[Line]]:
    """The referee's lines by variant: those entered, or those that a stage only exported."""
    groups: dict[Variant, list[Line]] = {}
    for line in lines:
        if (line.get("entered", "True") == "True") == entered:
            groups.setdefault(variant_of(line), []).append(line)
    return groups


def variant_of(line: Line) -> Variant:
    """Row, judge, and what else tells its networks apart: the order of zeroing, or the size in a descent."""
    return line["row"], line["judge"], line["order"] or line.get("size", "")


def name_of(variant: Variant) -> str:
    """`pruned-test-index`."""
    return "-".join(filter(None, variant))


def chosen_on(group: Sequence[Line]) -> Literal["train", "held-out", "test"]:
    """The images that choose the network shown of a row, in the words of the leaderboard."""
    if group[0]["judge"] == "test":
        return "test"
    return "held-out" if group[0]["judge"] == "heldout" or len(group) > 1 else "train"


def chosen(group: Sequence[Line]) -> Line:
    """The run of a row that stands for it: fewest non-zero parameters, then most images right.

    These are held-out images, so that the choice among seeds leaves the test images alone; only where
    the test images judged already, they choose here too.
    """
    images = "correct" if chosen_on(group) == "test" else "heldout_correct"
    return min(group, key=lambda line: (int(line["nonzero"]), -int(line[images]), int(line["seed"])))


def method(ladder: Ladder, variant: Variant, group: Sequence[Line]) -> str:
    """How the chosen network came about, in plain words."""
    row, judge, order = variant
    if row not in ladder.methods:
        raise GolfError(f"params.yaml: ladder.methods says nothing about {row}")
    words = [ladder.methods[row]]
    if order in TRIED:
        images = {"test": "test", "heldout": "held-out"}[judge]
        words.append(f"Judged on the {images} images; weights tried {TRIED[order]}.")
    if len(group) > 1:
        words.append(f"Of {len(group)} seeds {CHOICE['test' if judge == 'test' else 'held-out']}.")
    return " ".join(words)


def write(
    folder: Path,
    dataset: str,
    ladder: Ladder,
    lines: Sequence[Line],
    listing: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write folder/ROW.md for every row and variant; remove cards of rows that are no more."""
    others = [line for line in lines if line.get("entered") == "False"]
    texts = {
        name_of(variant): card_text(
            dataset, ladder, variant, group, listing, [x for x in others if x["row"] == variant[0]]
        )
        for variant, group in by_variant(lines).items()
    }
    for name, text in texts.items():
        write_bytes(folder / f"{name}.md", text.encode())
    for path in folder.glob("*.md"):
        if path.stem not in texts:
            path.unlink()


def card_text(
    dataset: str,
    ladder: Ladder,
    variant: Variant,
    group: Sequence[Line],
    listing: Mapping[str, Mapping[str, Any]],
    others: Sequence[Line] = (),
) -> str:
    """One card: of `group`, the runs entered, and `others`, what else was exported of them.

    `listing` is results/exported.json, which knows where the files lie.
    """
    title, identifier, classes = DATASETS[dataset]
    best = chosen(group)
    on_test = variant[1] == "test"
    header: dict[str, Any] = {
        "license": ladder.licence.lower(),
        "library_name": "onnx",
        "pipeline_tag": "image-classification",
        "tags": ["onnx", "onnxruntime", "image-classification", "tiny", "neural-golf"],
        "datasets": [identifier],
        "metrics": ["accuracy"],
        "model-index": [
            {"name": line["name"], "results": _results(line, title, identifier or dataset, on_test)}
            for line in group
        ],
    }
    if not identifier:
        del header["datasets"]
    worth = (
        "The test images chose these zeros, so the accuracy on them measures nothing; the held-out images "
        "chose nothing here."
        if on_test
        else "The test images chose nothing."
    )
    rows = "\n".join(_row(line, listing, bold=line is best and len(group) > 1) for line in group)
    if others:
        rows += f"\n\nOther sizes on the way of the same runs, not entered:\n\n{TABLE}\n"
        rows += "\n".join(_row(line, listing) for line in others)
    labels = ", ".join(f"{number} {label}" for number, label in enumerate(classes))
    if classes is DIGITS:
        labels = "index k is digit k"
    seeds = " In bold: the seed described above." if len(group) > 1 else ""
    text = f"""# {name_of(variant)}: {title} with {int(best["nonzero"]):,} non-zero parameters

{method(ladder, variant, group)}

Every figure is the referee's (`golf verify`, docs/rules.md), from the ONNX file alone, run by onnxruntime.
{worth}{seeds}

{TABLE}
{rows}

| | |
|---|---|
| input | `image`, float32 [batch, 1, 28, 28]: pixel / 255, so 0 is background and 1 is ink |
| normalisation | none besides: what training used is folded into the weights |
| output | `logits`, float32 [batch, 10]; the greatest is the answer |
| classes | {labels} |

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{listing[best["name"]]["path"]}")
images = np.zeros((2, 1, 28, 28), np.float32)  # pixel / 255
images[0, 0, 4:24, 13:15] = 1.0
(logits,) = session.run(["logits"], {{"image": images}})
print(logits.argmax(axis=1))
```
"""
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{front}---\n{text}"


def _row(line: Line, listing: Mapping[str, Mapping[str, Any]], bold: bool = False) -> str:
    path = Path(listing[line["name"]]["path"]).relative_to("results").as_posix()
    file = f"[{line['name']}](../{path})"
    cells = (
        f"**{file}**" if bold else file,
        *(f"{int(line[key]):,}" for key in ("parameters", "nonzero", "bits")),
        f"{int(line['correct']):,} of {int(line['images']):,}",
        f"{int(line['heldout_correct']):,} of {int(line['heldout_images']):,}",
        f"`{line['sha256'][:16]}`",
    )
    return f"| {' | '.join(cells)} |"


def _results(line: Line, title: str, identifier: str, on_test: bool) -> list[dict[str, Any]]:
    """Hugging Face's evaluation results of one file: accuracy on the test and on the held-out images."""
    parts = (
        ("test", "test", int(line["correct"]), int(line["images"]), "these chose it" if on_test else ""),
        (
            "held-out part of train",
            "train",
            int(line["heldout_correct"]),
            int(line["heldout_images"]),
            "these chose it" if line["judge"] == "heldout" else "",
        ),
    )
    return [
        {
            "task": {"type": "image-classification", "name": "Image classification"},
            "dataset": {"name": f"{title}, {name}", "type": identifier, "split": split},
            "metrics": [
                {
                    "type": "accuracy",
                    "value": round(correct / images, 6),
                    "name": ", ".join(filter(None, (f"accuracy on {images} images, by golf verify", what))),
                }
            ],
        }
        for name, split, correct, images, what in parts
    ]
