"""The stage `page`: everything on one page, results/report/index.html, that works offline from one file.

The page holds the ONNX files themselves, the figures, and onnxruntime-web (its plain wasm build, one
thread), which npm brings at build time, pinned by package-lock.json. Without npm the page is built
all the same; it then says that it cannot answer to a drawing, and why.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neural_golf import data
from neural_golf.base.files import read_json, write_bytes
from neural_golf.config import Config
from neural_golf.look.interpret import FINDINGS, Drawing, drawings
from neural_golf.look.measure import samples
from neural_golf.look.subject import Line, Subject, choose, read_lines, read_subject
from neural_golf.net.kind import Layer
from neural_golf.net.layers import KINDS
from neural_golf.site import board, words
from neural_golf.site.runtime import Runtime, find_runtime

__all__ = ["run"]

PAGE = Path("results/report/index.html")
WEB = Path(__file__).parent / "web"
SCRIPTS = ("chart.js", "page.js")
LEADERBOARD = Path("leaderboard/leaderboard.json")
HANDBOOK = Path("docs/handbook/README.md")
WIDE = {
    "flow",
    "kernels",
    "front",
    "training",
    "study",
    "slices",
    "pruning",
    "channels",
    "mistakes",
    "excite",
}


def run(config: Config) -> None:
    """Write results/report/index.html."""
    lines = read_lines()
    chosen = choose(lines, config.interpret.networks)
    subjects = sorted((read_subject(line) for line in chosen), key=lambda s: -s.nonzero)
    runtime = find_runtime() if config.page.inference else Runtime(why="page.inference is off in params.yaml")
    drawn = drawings(config)
    findings = read_json(FINDINGS)
    ladder, *more = words.markdown_blocks(Path("results/ladder.md").read_text(encoding="utf-8"))
    test = data.read("test")
    digits = [image.tobytes() for seed in range(config.page.samples) for image in samples(test, seed).pixels]
    best = {goal: words.record(lines, goal) for goal in config.page.goals}
    first = shown_first(subjects, lines, config.page.goals[0])
    tables = board.challenges(LEADERBOARD, config.data.dataset)
    leaderboard = board.leaderboard(tables)
    handbook = words.handbook(HANDBOOK) if config.data.dataset == "mnist" else ""
    content = string.Template((WEB / "page.html").read_text(encoding="utf-8")).substitute(
        style=(WEB / "style.css").read_text(encoding="utf-8"),
        record_count=html.escape(words.headline_count(best, lines)),
        lead=words.lead(config, best, lines),
        score=board.score(board.records(config, lines, tables)),
        play_state="Starting the runtime …"
        if not runtime.why
        else f"This copy of the page cannot answer to drawings: {html.escape(runtime.why)}.",
        options="".join(
            f'<option value="{k}"{" selected" if k == first else ""}>{html.escape(words.title(s))}</option>'
            for k, s in enumerate(subjects)
        ),
        rules=words.rules(config),
        ladder=ladder,
        ladder_notes="".join(
            f"<div class='scroll' tabindex='0' role='region' aria-label='More figures'>{block}</div>"
            if block.startswith("<table")
            else block
            for block in more
        ),
        findings="".join(
            words.sentences(findings[s.group], s.group, subjects[first].group) for s in subjects
        ),
        portraits="".join(figure(d) for d in drawn if d.network == config.interpret.networks[0]),
        surveys="".join(figure(d) for d in drawn if not d.network),
        contents="".join(words.contents(section) for section in (leaderboard, handbook)),
        leaderboard=leaderboard,
        handbook=handbook,
        reproduce=words.reproduce(subjects[first]),
        data=as_json(
            {
                "networks": [network(s) for s in subjects],
                "first": first,
                "points": points(config, lines),
                "samples": [base64.b64encode(digit).decode() for digit in digits],
            }
        ),
        figures=zipped(json.dumps(figure_texts(drawn)).encode()),
        wasm=zipped(runtime.wasm) if runtime.wasm else "",
        runtime=runtime.script,
        script="".join((WEB / name).read_text(encoding="utf-8") for name in SCRIPTS),
    )
    write_bytes(PAGE, content.encode())
    print(
        f"page: {PAGE}, {len(content) / 1e6:.1f} MB"
        + (f"; without drawing: {runtime.why}" if runtime.why else "")
    )


def shown_first(subjects: Sequence[Subject], lines: Sequence[Line], goal: float) -> int:
    """Which network a visitor draws for first: the one that holds this run's record for the goal.

    Where that one is not among them, the smallest that reaches the goal and chose nothing on test images;
    where none does, the smallest.
    """
    record = words.record(lines, goal)
    able = [s for s in subjects if words.honest(s.line) and words.reaches(s.line, goal)]
    holder = [s for s in subjects if record and s.name == record["name"]]
    return subjects.index(min(holder or able or subjects, key=lambda s: s.nonzero))


def network(subject: Subject) -> dict[str, Any]:
    """What the page needs to run one network and to light its layers."""
    line = subject.line
    layers = [layer for layer in subject.network.layers if not KINDS[layer.kind].training]
    return {
        "group": subject.group,
        "title": words.title(subject),
        "card": f"{subject.path.name}: {subject.nonzero:,} of {subject.network.size:,} parameters are not "
        "zero; "
        f"{int(line['correct']):,} of {int(line['images']):,} test images right; {words.chosen_on(line)}. "
        f"{', '.join(subject.network.spec)}.",
        "note": f"Every number in the network that is not zero, all {subject.nonzero:,}, to two digits. "
        "Nothing else was learnt.",
        "numbers": numbers(subject),
        "layers": [layer_of(layer, layer is layers[-1]) for layer in layers],
        "onnx": base64.b64encode(subject.path.read_bytes()).decode(),
    }


def numbers(subject: Subject) -> list[tuple[str, str]]:
    """The non-zero parameters of each tensor, as text."""
    found = []
    for tensor in subject.network.tensors:
        values = subject.parameters[tensor.slice]
        text = " ".join(short(value) for value in values[values != 0])
        if text:
            found.append((tensor.name, text))
    return found


def short(value: float) -> str:
    """A number as few characters: two digits, no leading zero.

    >>> short(-0.054), short(1.26), short(0.5)
    ('\u2212.054', '1.3', '.5')
    """
    text = f"{abs(value):.2g}"
    return ("\u2212" if value < 0 else "") + (text[1:] if text.startswith("0.") else text)


def layer_of(layer: Layer, last: bool) -> dict[str, Any]:
    shape = list(layer.out_shape)
    if last:  # the scores: one strip rather than one square per class
        shape = [1, 1, layer.out_shape[0]]
    return {
        "name": "logits" if last else layer.name,
        "label": layer.name,
        "title": KINDS[layer.kind].title,
        "shape": shape,
    }


def points(config: Config, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The marks of the chart, the smallest network first; filled are the entries that no test image chose."""
    found = []
    shown = {line["name"] for line in words.entries(lines)}
    for line in lines:
        text = (
            f"{line['name']}: {int(line['nonzero']):,} non-zero of {int(line['parameters']):,} parameters, "
            f"{int(line['correct']):,} of {int(line['images']):,} test images right "
            f"({words.accuracy(line):.2%}); {words.chosen_on(line)}."
        )
        entry = line["name"] in shown
        if not words.entered(line):
            text += " A size on the way, not an entry."
        elif not entry:
            text += " Another seed of an entry."
        hollow = not (entry and words.honest(line))
        found.append(point(int(line["nonzero"]), words.accuracy(line), line["name"], True, hollow, text))
    if config.data.dataset == "mnist":
        known = {}
        for row, blog in config.ladder.blog.items():
            if blog.accuracy:
                known[blog.nonzero, blog.accuracy] = f"the blog's {row}"
        for other in config.interpret.records:
            known[other.nonzero, other.accuracy] = f"{other.name} ({other.source})"
        for (count, right), name in known.items():
            text = f"{name}: {count:,} non-zero parameters, {right:.2%} as its author states it."
            found.append(point(count, right, name, False, True, text))
    return sorted(found, key=lambda p: (p["nonzero"], p["text"]))


def point(count: int, right: float, name: str, ours: bool, hollow: bool, text: str) -> dict[str, Any]:
    return {
        "nonzero": count,
        "accuracy": min(right, 0.99999),
        "name": name,
        "ours": ours,
        "hollow": hollow,
        "text": text,
    }


def figure(drawing: Drawing) -> str:
    name = f"{drawing.kind}{'-…' if drawing.network else ''}{drawing.path.suffix}"
    command = f"snakemake {drawing.path.with_name(name).as_posix()}"
    return figure_html(drawing.kind, drawing.caption, command)


def figure_html(kind: str, caption: str, command: str) -> str:
    css = ' class="full plain"' if kind in WIDE else ""
    return (
        f'<figure id="figure-{kind}"{css}><img data-kind="{kind}" alt="" src="data:image/gif;base64,'
        f'R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">'
        f"<figcaption><span>{html.escape(caption)}</span><code>{html.escape(command)}</code></figcaption></figure>"
    )


def figure_texts(drawn: Sequence[Drawing]) -> dict[str, str]:
    """Every figure by file name without its ending: the text of an SVG, or a picture as a data: address."""
    return {
        d.path.stem: d.path.read_text(encoding="utf-8")
        if d.path.suffix == ".svg"
        else f"data:image/png;base64,{base64.b64encode(d.path.read_bytes()).decode()}"
        for d in drawn
    }


def zipped(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
