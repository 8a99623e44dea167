"""What the page says: text, tables and lists from what was measured."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_golf.config import Config
from neural_golf.look.subject import Line, Subject
from neural_golf.records import read_json

__all__ = [
    "accuracy",
    "chosen_on",
    "entered",
    "handbook",
    "headline_count",
    "honest",
    "inline",
    "lead",
    "markdown_blocks",
    "record",
    "reproduce",
    "rules",
    "score",
    "sentences",
    "table",
    "title",
]


def inline(text: str) -> str:
    """One line of Markdown: bold, code, links to nothing."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def markdown_blocks(text: str) -> list[str]:
    """The tables and paragraphs of a Markdown text, in order, as HTML."""
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    return [
        table(lines) if lines[0].startswith("|") else f"<p class='hint'>{inline(' '.join(lines))}</p>"
        for lines in blocks
        if lines
    ]


def table(lines: Sequence[str]) -> str:
    """A Markdown table as HTML; columns that end in `--:` are numbers."""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    number = [cell.endswith(":") for cell in rows[1]]

    def cells(row: Sequence[str], head: bool) -> str:
        parts = []
        for k, cell in enumerate(row):
            tag = "th" if head or k == 0 else "td"
            scope = ' scope="col"' if head else ' scope="row"' if k == 0 else ""
            css = ' class="num"' if number[k] else ""
            parts.append(f"<{tag}{scope}{css}>{inline(cell)}</{tag}>")
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(cells(row, False) for row in rows[2:])
    return f"<table><thead>{cells(rows[0], True)}</thead><tbody>{body}</tbody></table>"


def handbook(path: Path) -> str:
    """The handbook's summary, if the handbook has been measured."""
    if not path.exists():
        return ""
    content = read_json(path)
    entries = content.get("techniques", content) if isinstance(content, dict) else content
    if isinstance(entries, dict):
        entries = [{"technique": name, **value} for name, value in entries.items() if isinstance(value, dict)]
    columns = list(dict.fromkeys(k for e in entries for k, v in e.items() if not isinstance(v, dict | list)))
    lines = ["|".join(c.replace("_", " ") for c in columns)]
    numeric = [all(isinstance(e.get(c), int | float | None) for e in entries) for c in columns]
    lines.append("|".join("--:" if n else "---" for n in numeric))
    lines += [
        "|".join("" if e.get(c) is None else str(e[c]).replace("|", "/") for c in columns) for e in entries
    ]
    return (
        '<section id="handbook" class="wide" aria-labelledby="handbook-title"><h2 id="handbook-title">The handbook</h2>'
        "<p>What each compression technique is worth, measured.</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of all techniques">{table(lines)}</div></section>'
    )


def honest(line: Line) -> bool:
    """Whether the test images chose nothing about a network."""
    return line["judge"] != "test"


def entered(line: Line) -> bool:
    """Whether a network is an entry, and not only a point on the way to one."""
    return line.get("entered") != "False"


def accuracy(line: Line) -> float:
    return int(line["correct"]) / int(line["images"])


def record(lines: Sequence[Line], goal: float) -> Line | None:
    """The network with the fewest non-zero parameters that reaches an accuracy, if any does."""
    able = [
        x
        for x in lines
        if honest(x) and entered(x) and int(x["correct"]) >= round(goal * int(x["images"]), 6)
    ]
    return min(able, key=lambda x: (int(x["nonzero"]), -int(x["correct"])), default=None)


def headline_count(best: Mapping[float, Line | None], lines: Sequence[Line]) -> str:
    found = next((line for line in best.values() if line), None)
    smallest = found or min(filter(entered, lines), key=lambda x: int(x["nonzero"]))
    return f"{int(smallest['nonzero']):,}"


def lead(config: Config, best: Mapping[float, Line | None], lines: Sequence[Line]) -> str:
    goal = min(best)
    found = best[goal]
    images = int(lines[0]["images"])
    first = (
        "<p class='lead'>Golfers count strokes. Here the score is how many numbers inside a neural network are not "
        f"zero, and the hole is <strong>{percent(goal)} of {images:,} digits that it has never seen</strong>. "
        "The fewer, the better.</p>"
    )
    if config.data.dataset != "mnist":
        return f"{first}<p class='lead'>This copy was built on {config.data.dataset}, not on MNIST: a rehearsal.</p>"
    blog = min((b for b in config.ladder.blog.values() if b.accuracy), key=lambda b: b.nonzero)
    if found is None:
        second = f"The number to beat is <strong>{blog.nonzero}</strong>, from the blog post that started the game."
    else:
        second = (
            f"The blog post that started the game got to {blog.nonzero}, and let the test images choose which. "
            f"Ours to beat is <strong>{int(found['nonzero']):,}</strong>, chosen without them. Can you do it with fewer?"
        )
    return f"{first}<p class='lead'>{second}</p>"


def score(config: Config, best: Mapping[float, Line | None]) -> str:
    """The row of large numbers under the headline."""
    entries = []
    if config.data.dataset == "mnist":
        blog = config.ladder.blog
        told = [b for b in blog.values() if b.accuracy]
        if "reference" in blog:
            entries.append(("", blog["reference"].nonzero, f"PyTorch's own MNIST example, {percent(0.99)}"))
        entries.append(
            (
                "",
                min(b.nonzero for b in told),
                f"the blog's best, {percent(0.98)}, zeros chosen on the test images",
            )
        )
        for other in config.interpret.records:
            if other.accuracy >= 0.99 and other.nonzero == min(
                r.nonzero for r in config.interpret.records if r.accuracy >= 0.99
            ):
                entries.append(
                    ("", other.nonzero, f"the smallest public one at {percent(0.99)} ({other.source})")
                )
    for goal, line in best.items():
        if line:
            text = f"this project at {percent(goal)}: {int(line['correct']):,} of {int(line['images']):,} right, nothing chosen on them"
            entries.append((" class='best'", int(line["nonzero"]), text))
    return "".join(
        f"<div{css}><dt>{html.escape(text)}</dt><dd>{count:,}</dd></div>" for css, count, text in entries
    )


def rules(config: Config) -> str:
    goals = " or ".join(percent(goal) for goal in config.page.goals)
    lines = (
        f"Choose a hole: {goals} of the test images right.",
        "Train however you like. Only training images may choose anything; the test images score, once.",
        "Save the network as ONNX. <strong>Every stored number that is not zero counts</strong>: weights, biases, slopes, scales. "
        "The shape of the network is free.",
        "<code>golf verify yours.onnx</code> counts and scores it in a sandbox. It believes the file, not you.",
    )
    return "".join(f"<li>{line}</li>" for line in lines)


def percent(part: float) -> str:
    return f"{100 * part:g}\u00a0%"


def title(subject: Subject) -> str:
    return f"{subject.nonzero:,} numbers · {subject.group}"


def chosen_on(line: Line) -> str:
    return {
        "": "nothing about it was chosen on test images",
        "heldout": "its zeros were chosen on held-out images",
    }.get(line["judge"], "its zeros were chosen on the test images themselves")


def sentences(found: Mapping[str, Any], name: str, shown: str) -> str:
    """What was measured of one network, in a few sentences."""
    channels = ", ".join(
        f"{c['channel']}: {c['answers_to']}{', inverted' if c['inverted'] else ''} ({c['selectivity']:.2f})"
        for c in found["channels"]
    )
    features, wrong, worth = found["features"], found["mistakes"], found["worth"]
    commonest = ", ".join(f"{pair} ({n})" for pair, n in list(wrong["commonest"].items())[:3])
    dearest = worth["dearest"][0]
    lines = [
        f"First layer, by the stroke angle that each channel answers to (selectivity): {channels}.",
        f"Of {features['count']} features, {features['high_for_one_digit_only']} are high for one digit only; "
        f"on average one is high for {features['digits_each_is_high_for']:.1f} digits.",
        f"{wrong['wrong']:,} test images wrong; most often {commonest}.",
        f"{worth['costs_nothing_alone']} of {found['nonzero']:,} numbers cost no held-out image when removed alone; "
        f"the dearest, <code>{html.escape(dearest['parameter'])}</code>, costs {dearest['images_lost']:,} of {worth['images']:,}.",
    ]
    if "pruning" in found:
        cut = found["pruning"]
        lines.append(
            f"Against {cut['from']}, from which it was cut: {cut['lost']} test images lost, {cut['won']} won."
        )
    items = "".join(f"<li>{line}</li>" for line in lines)
    hidden = "" if name == shown else " hidden"
    return f'<ul class="findings" data-findings="{name}"{hidden}>{items}</ul>'


def reproduce(smallest: Subject) -> str:
    text = (
        "make results                      # all of this from nothing: data, training, tuning, pruning, ONNX, verification, page\n"
        f"golf verify {smallest.path.as_posix()}   # count and score any ONNX file\n"
        "snakemake --report report.html    # the figures with their provenance\n"
        "make dashboard                    # the Optuna study, live\n"
        "make serve                        # this page at http://localhost:8000"
    )
    return (
        "<p>Two commands regenerate every number and figure on this page, on one ordinary machine; each figure names its own.</p>"
        f"<pre tabindex='0'>{html.escape(text)}</pre>"
        "<p>Then put a smaller network where ours is.</p>"
    )
