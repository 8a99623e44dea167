"""Model cards for what was exported: one Markdown file per row and variant, as Hugging Face reads them.

All seeds of a row share a card, because they differ only in the seed. A card's figures are the referee's, so
the stage `ladder` writes the cards, after `verify`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from neural_golf.base.files import write_bytes
from neural_golf.base.yaml12 import yaml_text
from neural_golf.config import Config
from neural_golf.data import Facts
from neural_golf.results.on_device import DeviceTable
from neural_golf.results.result import Result, Variant, by_variant, chosen_on, golf_file, representative

__all__ = ["IMAGES", "method", "model_card", "write_model_cards"]

TRIED = {"index": "as they lie in memory", "saliency": "the least harmful first (w² E[g²])"}
TASK = "image-classification"
IMAGES = {"test": "test", "heldout": "held-out"}


def method(config: Config, variant: Variant, group: Sequence[Result]) -> str:
    """How the network that stands for a group came about, in plain words."""
    words = [config.rows[variant.row].method]
    if variant.order:
        words.append(f"Judged on the {IMAGES[variant.judge]} images; weights tried {TRIED[variant.order]}.")
    if len(group) > 1:
        images = "test" if chosen_on(group) == "test" else "held-out"
        first = "" if variant.size else "the fewest non-zero parameters, then with "
        words.append(f"Of {len(group)} seeds the one with {first}the most {images} images right.")
    return " ".join(words)


def write_model_cards(
    folder: Path, config: Config, facts: Facts, results: Sequence[Result], device: DeviceTable | None = None
) -> None:
    """Write folder/VARIANT.md for every row and variant, and remove the cards of variants that no longer
    exist.
    """
    others = [result for result in results if not result.entered]
    texts = {
        variant.name: model_card(config, facts, group, [r for r in others if r.row == variant.row], device)
        for variant, group in by_variant(results).items()
    }
    for name, text in texts.items():
        write_bytes(folder / f"{name}.md", text.encode())
    for path in folder.glob("*.md"):
        if path.stem not in texts:
            path.unlink()


def model_card(
    config: Config, facts: Facts, group: Sequence[Result], others: Sequence[Result] = (),
    device: DeviceTable | None = None,
) -> str:  # fmt: skip
    """One card, about `group`, the runs that are entered, and `others`, what else was exported from them."""
    best = representative(group)
    variant = best.variant
    header: dict[str, object] = {
        "license": config.ladder.licence.lower(),
        "library_name": "onnx",
        "pipeline_tag": TASK,
        "tags": ["onnx", "onnxruntime", _task(facts), "tiny", "neural-golf"],
        "datasets": [facts.huggingface],
        "metrics": ["accuracy"],
        "model-index": [{"name": result.name, "results": _evaluations(result, facts)} for result in group],
    }
    if facts.series:  # Hugging Face has no pipeline for these
        del header["pipeline_tag"]
    if not facts.huggingface:
        del header["datasets"]
    worth = (
        "The test images chose nothing."
        if best.honest
        else "The test images chose these zeros, so the accuracy on them measures nothing; the held-out "
        "images chose nothing here."
    )
    frozen = config.rows[variant.row].frozen
    if frozen:
        worth += f" Settings, sizes and seeds were written down in commit {frozen}, before any was scored."
    seeds = " In bold: the seed described above." if len(group) > 1 else ""
    tables = _table(group, best if len(group) > 1 else None)
    if others:
        tables += f"\n\nOther sizes on the way of the same runs, not entered:\n\n{_table(others)}"
    shape = ", ".join(map(str, facts.shape))
    _, height, width = facts.shape
    border = height // 7
    stroke = f"{border}:-{border}" if border else ":"
    stroke += f", {max(0, width // 2 - 1)}:{width // 2 + 1}"
    needs = (device or DeviceTable()).cells(best.sha256)
    front = yaml_text(header, width=100)
    return f"""---
{front}---
# {variant.name}: {facts.title} with {best.nonzero:,} non-zero parameters

{method(config, variant, group)}

Every figure is the referee's (`golf verify`, docs/rules.md), from the ONNX file alone, run by onnxruntime.
{worth}{seeds}

{tables}

| | |
|---|---|
| input | `image`, float32 [batch, {shape}]: {facts.input} |
| normalisation | none besides: what training used is folded into the weights |
| output | `logits`, float32 [batch, {len(facts.classes)}]; the greatest is the answer |
| classes | {", ".join(f"{number} {label}" for number, label in enumerate(facts.classes))} |
| as C on a Cortex-M4 | {"; ".join(f"{name}: {cell}" for name, cell in needs.items())} |

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{best.path}")
images = np.zeros((2, {shape}), np.float32)  # {facts.input.split(",")[0]}
images[0, 0, {stroke}] = 1.0
(logits,) = session.run(["logits"], {{"image": images}})
print(logits.argmax(axis=1))
```
"""


def _table(results: Sequence[Result], best: Result | None = None) -> str:
    rows = []
    for result in results:
        file = f"[{result.name}](../{Path(result.path).relative_to('results').as_posix()})"
        rows.append(
            {
                "file": f"**{file}**" if result is best else file,
                "parameters": f"{result.parameters:,}",
                "non-zero": f"{result.nonzero:,}",
                **({"bytes": _packed(result)} if result.bytes is not None else {}),
                "bits": f"{result.bits:,}",
                "test": f"{result.correct:,} of {result.images:,}",
                "held-out": f"{result.heldout_correct:,} of {result.heldout_images:,}",
                "SHA-256": f"`{result.sha256[:16]}`",
            }
        )
    aligned = ("left", *["right"] * (len(rows[0]) - 2), "left")
    text: str = pd.DataFrame(rows).to_markdown(index=False, colalign=aligned, disable_numparse=True)
    return text


def _task(facts: Facts) -> str:
    return "time-series-classification" if facts.series else TASK


def _packed(result: Result) -> str:
    """The length of the file that says the same network in few bytes, and where it is."""
    return f"[{result.bytes:,}](../{golf_file(result.name).relative_to('results').as_posix()})"


def _evaluations(result: Result, facts: Facts) -> list[dict[str, object]]:
    """Hugging Face's evaluation results of one file: accuracy on the test and on the held-out images."""
    parts = (
        ("test", "test", result.accuracy, result.images, not result.honest),
        (
            "held-out part of train", "train", result.heldout_accuracy, result.heldout_images,
            result.judge == "heldout",
        ),
    )  # fmt: skip
    return [
        {
            "task": {"type": _task(facts), "name": _task(facts).replace("-", " ").capitalize()},
            "dataset": {
                "name": f"{facts.title}, {name}", "type": facts.huggingface or facts.dataset, "split": split,
            },
            "metrics": [
                {
                    "type": "accuracy",
                    "value": round(accuracy, 6),
                    "name": f"accuracy on {images} images, by golf verify"
                    + (", these chose it" if chose else ""),
                }
            ],
        }
        for name, split, accuracy, images, chose in parts
    ]  # fmt: skip
