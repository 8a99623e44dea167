"""What the page says: text, tables and lists from what was measured."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from neural_golf.config import Config
from neural_golf.look.subject import Line, Subject
from neural_golf.results import model_cards

__all__ = [
    "accuracy",
    "chosen_on",
    "contents",
    "entered",
    "entries",
    "handbook",
    "headline_count",
    "honest",
    "inline",
    "lead",
    "markdown_blocks",
    "reaches",
    "record",
    "reproduce",
    "rules",
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
    """The summary table of docs/handbook/README.md, if the handbook has been measured."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(r"<!-- measured: [\w ]+ -->\n(\|.*?)\n*<!-- end of measured -->", text, re.DOTALL)
    if not found:
        return ""
    return (
        '<section id="handbook" class="wide" aria-labelledby="handbook-title"><h2 id="handbook-title">The handbook</h2>'
        "<p>What each technique of compression is worth: the same descent on MNIST with one thing changed, judged by images that "
        "no one trained on, no test image among them. <code>docs/handbook</code> has a page on each.</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of all techniques">{table(found[1].splitlines())}</div></section>'
    )


def contents(section: str) -> str:
    """A link to a section that the page may have or not.

    >>> contents('<section id="x" class="wide"><h2 id="x-title">The X</h2>')
    '<a href="#x">The X</a> '
    """
    found = re.search(r'<section id="(\w+)".*?<h2[^>]*>(.*?)</h2>', section)
    return f'<a href="#{found[1]}">{found[2]}</a> ' if found else ""


def honest(line: model_cards.Line) -> bool:
    """Whether the test images chose nothing about a network."""
    return line["judge"] != "test"


def entered(line: Line) -> bool:
    """Whether a network is an entry, and not only a point on the way to one."""
    return line.get("entered") != "False"


def reaches(line: model_cards.Line, goal: float) -> bool:
    """Whether a network gets enough test images right."""
    return int(line["correct"]) >= round(goal * int(line["images"]), 6)


def accuracy(line: Line) -> float:
    return int(line["correct"]) / int(line["images"])


def entries(lines: Sequence[Line]) -> list[model_cards.Line]:
    """One network per row and variant that was entered: the one that held-out images choose among the seeds."""
    return [model_cards.chosen(group) for group in model_cards.by_variant(lines).values()]


def record(lines: Sequence[Line], goal: float) -> model_cards.Line | None:
    """The entry with the fewest non-zero parameters that reaches an accuracy, if any does.

    The test images choose nothing here, not even the seed: an entry that misses the goal has missed it.
    """
    able = [x for x in entries(lines) if honest(x) and reaches(x, goal)]
    return min(able, key=lambda x: (int(x["nonzero"]), -int(x["correct"])), default=None)


def headline_count(best: Mapping[float, model_cards.Line | None], lines: Sequence[Line]) -> str:
    found = next((line for line in best.values() if line), None)
    smallest = found or min(filter(entered, lines), key=lambda x: int(x["nonzero"]))
    return f"{int(smallest['nonzero']):,}"


def lead(config: Config, best: Mapping[float, model_cards.Line | None], lines: Sequence[Line]) -> str:
    goal = min(best)
    images = int(lines[0]["images"])
    first = (
        "<p class='lead'>Golfers count strokes. Here the score is how many numbers inside a neural network are not "
        f"zero, and the hole is <strong>{percent(goal)} of {images:,} pictures that it has never seen</strong>. "
        "The fewer, the better."
    )
    if config.data.dataset != "mnist":
        return f"{first}</p><p class='lead'>This copy was built on {config.data.dataset}, not on MNIST: a rehearsal.</p>"
    blog = config.ladder.blog
    if "reference" in blog:
        first += f" PyTorch's own example for handwritten digits has {blog['reference'].nonzero:,}."
    least = min((b for b in blog.values() if b.accuracy), key=lambda b: b.nonzero)
    second = f"A blog post started the game and got to {least.nonzero:,}, with test images choosing which. Can you beat what stands below?"
    return f"{first}</p><p class='lead'>{second}</p>"


def rules(config: Config) -> str:
    goals = " or ".join(percent(goal) for goal in config.page.goals)
    lines = (
        f"Choose a hole: {goals} of the test images right.",
        "Train however you like. Only training images may choose anything; the test images score, once.",
        "Save the network as ONNX. <strong>Every stored number that is not zero counts</strong>: weights, biases, slopes, scales. "
        "The shape of the network is free.",
        "<code>golf verify yours.onnx</code> counts and scores it in a sandbox. It believes the file, not you.",
        "<code>golf submit yours.onnx --name my-net --card card.yaml</code> makes your entry, a folder with the file and a card that "
        "says how it came about; open a pull request with it. The README shows a card.",
    )
    return "".join(f"<li>{line}</li>" for line in lines)


def percent(part: float) -> str:
    return f"{100 * part:g}\u00a0%"


def title(subject: Subject) -> str:
    return f"{subject.nonzero:,} numbers · {subject.group}"


def chosen_on(line: Line) -> str:
    return {
        "": "nothing about it was chosen on test images",
        "heldout": "held-out images chose it, test images nothing",
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


def reproduce(shown: Subject) -> str:
    commands = {
        "make results": "all of this from nothing: data, training, tuning, pruning, ONNX, verification, page",
        f"golf verify {shown.path.as_posix()}": "count and score any ONNX file",
        "snakemake --report report.html": "the figures with their provenance",
        "make dashboard": "the Optuna study, live",
        "make serve": "this page at http://localhost:8000",
    }
    wide = max(map(len, commands))
    text = "\n".join(f"{command:<{wide}}  # {what}" for command, what in commands.items())
    return (
        "<p>Two commands regenerate every number and figure on this page, on one ordinary machine; each figure names its own.</p>"
        f"<pre tabindex='0'>{html.escape(text)}</pre>"
        "<p>Then put a smaller network where ours is.</p>"
    )
