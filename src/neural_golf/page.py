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
import re
import shutil
import string
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neural_golf import data
from neural_golf.config import Config
from neural_golf.interpret import FINDINGS, Drawing, drawings
from neural_golf.look.measure import samples
from neural_golf.look.subject import Line, Subject, choose, read_lines, read_subject
from neural_golf.model import Layer
from neural_golf.records import read_json, write_bytes

__all__ = ["run"]

PAGE = Path("results/report/index.html")
WEB = Path(__file__).parent / "web"
PACKAGE = "onnxruntime-web"
STUDY = {  # drawn by the stage `tune`
    "tune-history": "The study's trials in order, and the best accuracy so far.",
    "tune-importance": "How much of the differences between trials each setting explains (fANOVA).",
    "tune-parallel": "Every trial as a line through its settings: darker is better.",
}
ALL_WIDE = {"flow", "kernels", "front", "slices", "pruning", "channels", "mistakes", "excite"}


@dataclass(frozen=True)
class Runtime:
    """onnxruntime-web as text for the page; empty where it cannot be had, and then `why` says why."""

    script: str = ""
    wasm: bytes = b""
    why: str = ""


def run(config: Config) -> None:
    """Write results/report/index.html."""
    lines = read_lines()
    chosen = choose(lines, config.interpret.networks)
    subjects = sorted((read_subject(line) for line in chosen), key=lambda s: -s.nonzero)
    runtime = find_runtime() if config.page.inference else Runtime(why="page.inference is off in params.yaml")
    drawn = drawings(config)
    findings = read_json(FINDINGS)
    ladder, notes = split_markdown(Path("results/ladder.md").read_text(encoding="utf-8"))
    test = data.read("test")
    digits = [image.tobytes() for seed in range(config.page.samples) for image in samples(test, seed).pixels]
    best = {goal: record(lines, goal) for goal in config.page.goals}
    content = string.Template((WEB / "page.html").read_text(encoding="utf-8")).substitute(
        style=(WEB / "style.css").read_text(encoding="utf-8"),
        record_count=html.escape(headline_count(best, lines)),
        lead=lead(config, best, lines),
        score=score(config, best),
        play_state="Starting the runtime …"
        if not runtime.why
        else f"This copy of the page cannot answer to drawings: {html.escape(runtime.why)}.",
        options="".join(
            f'<option value="{k}">{html.escape(title(s))}</option>' for k, s in enumerate(subjects)
        ),
        rules=rules(config),
        ladder=table(ladder),
        ladder_notes=f"<p class='hint'>{inline(notes)}</p>",
        findings="".join(sentences(findings[s.group], s.group, subjects[-1].group) for s in subjects),
        portraits="".join(figure(d) for d in drawn if d.network == config.interpret.networks[0]),
        surveys="".join(figure(d) for d in drawn if not d.network) + study_figures(),
        handbook=handbook(Path("results/handbook.json")),
        reproduce=reproduce(subjects[-1]),
        data=as_json(
            {
                "networks": [network(s) for s in subjects],
                "points": points(config, lines),
                "samples": [base64.b64encode(digit).decode() for digit in digits],
            }
        ),
        figures=zipped(json.dumps(figure_texts(drawn)).encode()),
        wasm=zipped(runtime.wasm) if runtime.wasm else "",
        runtime=runtime.script,
        script=(WEB / "page.js").read_text(encoding="utf-8"),
    )
    write_bytes(PAGE, content.encode())
    print(
        f"page: {PAGE}, {len(content) / 1e6:.1f} MB"
        + (f"; without drawing: {runtime.why}" if runtime.why else "")
    )


# The runtime.


def find_runtime() -> Runtime:
    """onnxruntime-web at the version of package.json, from a node_modules folder or from npm."""
    try:
        wanted = json.loads(Path("package.json").read_text())["dependencies"][PACKAGE]
    except (OSError, KeyError, ValueError):
        return Runtime(why="there is no package.json beside params.yaml")
    folder = installed(wanted)
    if folder is None:
        npm = shutil.which("npm")
        if npm is None:
            return Runtime(
                why="npm was not there when it was built (`golf page` with node and npm installed mends it)"
            )
        command = [
            npm,
            "ci",
            "--omit=dev",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--fetch-retries=1",
        ]
        try:
            made = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return Runtime(why="npm did not answer when it was built")
        folder = installed(wanted)
        if folder is None:
            said = [line for line in made.stderr.splitlines() if "error" in line.lower()]
            return Runtime(why=f"npm could not bring {PACKAGE} when it was built: {' '.join(said[:1])[:150]}")
    script = (folder / "dist/ort.wasm.bundle.min.mjs").read_text(encoding="utf-8")
    return Runtime(as_inline_script(script), (folder / "dist/ort-wasm-simd-threaded.wasm").read_bytes())


def installed(version: str) -> Path | None:
    """The package's folder, looked for as node does: in node_modules here and above."""
    here = Path.cwd()
    for place in (here, *here.parents):
        folder = place / "node_modules" / PACKAGE
        manifest = folder / "package.json"
        if manifest.is_file() and json.loads(manifest.read_text())["version"] == version:
            return folder
    return None


def as_inline_script(module: str) -> str:
    """An ES module as text for a script element: its exports become the global object `ort`.

    >>> as_inline_script("var a=1;export{a as Tensor,a as env};\\n//# sourceMappingURL=x.map")
    'var a=1;globalThis.ort={Tensor:a,env:a};'
    """
    module = re.sub(r"\n//# sourceMappingURL=.*", "", module.rstrip())

    def named(found: re.Match[str]) -> str:
        pairs = [part.split(" as ") for part in found[1].split(",")]
        return "globalThis.ort={" + ",".join(f"{outside}:{inside}" for inside, outside in pairs) + "};"

    return re.sub(r"export\{([^}]*)\};?$", named, module).replace("</script", "<\\/script")


# Text and tables.


def zipped(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def inline(text: str) -> str:
    """One line of Markdown: bold, code, links to nothing."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def split_markdown(text: str) -> tuple[list[str], str]:
    """The lines of the table in a Markdown text, and the rest as one paragraph."""
    lines = text.splitlines()
    return [x for x in lines if x.startswith("|")], " ".join(x for x in lines if x and not x.startswith("|"))


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
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="handbook-title">{table(lines)}</div></section>'
    )


# What the page says of the networks.


def honest(line: Line) -> bool:
    """Whether the test images chose nothing about a network."""
    return line["judge"] != "test"


def accuracy(line: Line) -> float:
    return int(line["correct"]) / int(line["images"])


def record(lines: Sequence[Line], goal: float) -> Line | None:
    """The network with the fewest non-zero parameters that reaches an accuracy, if any does."""
    able = [x for x in lines if honest(x) and int(x["correct"]) >= round(goal * int(x["images"]), 6)]
    return min(able, key=lambda x: (int(x["nonzero"]), -int(x["correct"])), default=None)


def headline_count(best: Mapping[float, Line | None], lines: Sequence[Line]) -> str:
    found = next((line for line in best.values() if line), None)
    smallest = found or min(lines, key=lambda x: int(x["nonzero"]))
    return f"{int(smallest['nonzero']):,}"


def lead(config: Config, best: Mapping[float, Line | None], lines: Sequence[Line]) -> str:
    goal = min(best)
    found = best[goal]
    images = int(lines[0]["images"])
    first = (
        "<p class='lead'>Golfers count strokes. Here the score is how many numbers inside a neural network are not "
        f"zero, and the hole is <strong>{goal:.0%} of {images:,} digits that it has never seen</strong>. "
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
            entries.append(("", blog["reference"].nonzero, "PyTorch’s own MNIST example, 99 %"))
        entries.append(
            ("", min(b.nonzero for b in told), "the blog’s best, 98 %, zeros chosen on the test images")
        )
        for other in config.interpret.records:
            if other.accuracy >= 0.99 and other.nonzero == min(
                r.nonzero for r in config.interpret.records if r.accuracy >= 0.99
            ):
                entries.append(("", other.nonzero, f"the smallest public one at 99 % ({other.source})"))
    for goal, line in best.items():
        if line:
            text = f"this project at {goal:.0%}: {int(line['correct']):,} of {int(line['images']):,} right, nothing chosen on them"
            entries.append((" class='best'", int(line["nonzero"]), text))
    return "".join(
        f"<div{css}><dt>{html.escape(text)}</dt><dd>{count:,}</dd></div>" for css, count, text in entries
    )


def rules(config: Config) -> str:
    goals = " or ".join(f"{goal:.0%}" for goal in config.page.goals)
    lines = (
        f"Choose a hole: {goals} of the test images right.",
        "Train however you like. Only training images may choose anything; the test images score, once.",
        "Save the network as ONNX. <strong>Every stored number that is not zero counts</strong>: weights, biases, slopes, scales. "
        "The shape of the network is free.",
        "<code>golf verify yours.onnx</code> counts and scores it in a sandbox. It believes the file, not you.",
    )
    return "".join(f"<li>{line}</li>" for line in lines)


def title(subject: Subject) -> str:
    return f"{subject.nonzero:,} numbers · {subject.group}"


def chosen_on(line: Line) -> str:
    return {
        "": "nothing about it was chosen on test images",
        "heldout": "its zeros were chosen on held-out images",
    }.get(line["judge"], "its zeros were chosen on the test images themselves")


def network(subject: Subject) -> dict[str, Any]:
    """What the page needs to run one network and to light its layers."""
    line = subject.line
    layers = [layer for layer in subject.network.layers if layer.kind != "dropout"]
    return {
        "group": subject.group,
        "title": title(subject),
        "card": f"{subject.path.name}: {subject.nonzero:,} of {subject.network.size:,} parameters are not zero; "
        f"{int(line['correct']):,} of {int(line['images']):,} test images right; {chosen_on(line)}. "
        f"{', '.join(subject.network.spec)}.",
        "layers": [layer_of(layer, layer is layers[-1]) for layer in layers],
        "onnx": base64.b64encode(subject.path.read_bytes()).decode(),
    }


def layer_of(layer: Layer, last: bool) -> dict[str, Any]:
    shape = list(layer.out_shape)
    if last:  # the scores: one strip rather than one square per class
        shape = [1, 1, layer.out_shape[0]]
    return {"name": "logits" if last else layer.name, "label": layer.name, "kind": layer.kind, "shape": shape}


def points(config: Config, lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The marks of the chart, the largest network first."""
    found = []
    for line in lines:
        text = (
            f"{line['name']}: {int(line['nonzero']):,} non-zero of {int(line['parameters']):,} parameters, "
            f"{int(line['correct']):,} of {int(line['images']):,} test images right ({accuracy(line):.2%}); {chosen_on(line)}."
        )
        found.append(point(int(line["nonzero"]), accuracy(line), True, not honest(line), text))
    if config.data.dataset == "mnist":
        known = {}
        for row, blog in config.ladder.blog.items():
            if blog.accuracy:
                known[blog.nonzero, blog.accuracy] = f"the blog’s {row}"
        for other in config.interpret.records:
            known[other.nonzero, other.accuracy] = f"{other.name} ({other.source})"
        for (count, right), name in known.items():
            text = f"{name}: {count:,} non-zero parameters, {right:.2%} as its author states it."
            found.append(point(count, right, False, True, text))
    return sorted(found, key=lambda p: (-p["nonzero"], p["text"]))


def point(count: int, right: float, ours: bool, hollow: bool, text: str) -> dict[str, Any]:
    return {"nonzero": count, "accuracy": min(right, 0.99999), "ours": ours, "hollow": hollow, "text": text}


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


# Figures.


def figure(drawing: Drawing) -> str:
    command = f"snakemake results/figures/interpret/{drawing.kind}{'-…' if drawing.network else ''}.svg"
    return figure_html(drawing.kind, drawing.caption, command)


def study_figures() -> str:
    have = {kind: text for kind, text in STUDY.items() if Path(f"results/figures/{kind}.svg").exists()}
    return "".join(
        figure_html(kind, text, f"snakemake results/figures/{kind}.svg") for kind, text in have.items()
    )


def figure_html(kind: str, caption: str, command: str) -> str:
    css = ' class="full plain"' if kind in ALL_WIDE else ""
    return (
        f'<figure id="figure-{kind}"{css}><img data-kind="{kind}" alt="" src="data:image/gif;base64,'
        f'R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">'
        f"<figcaption><span>{html.escape(caption)}</span><code>{html.escape(command)}</code></figcaption></figure>"
    )


def figure_texts(drawn: Sequence[Drawing]) -> dict[str, str]:
    """The SVG text of every figure, by file name without its ending."""
    paths = [d.path for d in drawn] + [Path(f"results/figures/{kind}.svg") for kind in STUDY]
    return {path.stem: path.read_text(encoding="utf-8") for path in paths if path.exists()}


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
