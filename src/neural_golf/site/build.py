"""The stage `page`: everything on one page, results/report/index.html, a single file that works offline.

The page holds the ONNX files themselves, the figures, and onnxruntime-web (its plain wasm build, one
thread), which npm brings at build time, pinned by package-lock.json. Without npm the page is built
all the same; it then says that it cannot answer to a drawing, and why.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path

from neural_golf import data
from neural_golf.base.files import write_bytes
from neural_golf.config import Config
from neural_golf.config.sections import Ladder
from neural_golf.look.findings import read_findings
from neural_golf.look.interpret import Drawing, drawings, public_records
from neural_golf.look.measure import samples
from neural_golf.look.subject import choose, read_subject
from neural_golf.results.on_device import COLUMNS, read_device
from neural_golf.results.result import Result, read_results
from neural_golf.results.sizes import read_points
from neural_golf.site import board
from neural_golf.site.links import links, tables
from neural_golf.site.render import render
from neural_golf.site.runtime import Runtime, find_runtime
from neural_golf.site.shown import Shown, marks, runnable

__all__ = ["run"]

PAGE = Path("results/report/index.html")
LADDER = Path("results/ladder.md")
LEADERBOARD = Path("leaderboard/leaderboard.json")
HANDBOOK = Path("docs/handbook/README.md")


def run(config: Config) -> None:
    """Write results/report/index.html."""
    results = read_results()
    chosen = sorted(choose(results, config.interpret.networks), key=lambda result: -result.nonzero)
    subjects = [read_subject(result) for result in chosen]
    findings = read_findings()
    goals = config.page.goals
    test, facts = data.read("test"), data.facts()
    draws = facts.shape == (1, 28, 28)  # the shape of the page's paper
    wanted = config.page.inference and draws
    runtime = find_runtime() if wanted else Runtime(why="page.inference is off in params.yaml")
    digits = [image for seed in range(config.page.samples) for image in samples(test, seed).pixels]
    rule = config.ladder
    first = shown_first(chosen, results, goals[0], rule)
    public = public_records(config)
    boards = board.challenges(LEADERBOARD, config.data.dataset, read_device())
    drawn = drawings(config)
    sizes = read_points()
    content = render(
        "page.html.j2",
        dataset=config.dataset.title or config.data.dataset,
        classes=len(facts.classes),
        series=facts.series,
        draws=draws,
        results=results,
        record=next(filter(None, (board.record(results, goal, rule) for goal in goals)), None),
        holes=board.holes(goals, rule.author, results, boards, public, rule),
        examples=[config.rows[name].blog for name in config.rows_by("reference") if config.rows[name].blog],
        public=public,
        networks=[Shown(s, findings[s.variant]) for s in subjects],
        first=first,
        marks=marks(results, public, sizes),
        sizes=sizes,
        links=links(results),
        ladder=LADDER.read_text(encoding="utf-8"),
        on_device=COLUMNS,
        challenges=[table for table in boards if table.ranked or table.chosen_on_test],
        portraits=[d for d in drawn if d.network == config.interpret.networks[0]],
        surveys=[d for d in drawn if not d.network],
        # Public records are of the data set that the game is about; so is the handbook.
        handbook=measured(HANDBOOK) if public else "",
        runtime=runtime,
        wasm=zipped(runtime.wasm) if runtime.wasm else "",
        figures=zipped(json.dumps(figure_texts(drawn)).encode()),
        data={
            "networks": [runnable(s) for s in subjects],
            "first": first,
            "goals": goals,
            "golf": tables(),
            "samples": [base64.b64encode(digit.tobytes()).decode() for digit in digits],
        },
    )
    write_bytes(PAGE, content.encode())
    told = f"; without drawing: {runtime.why}" if runtime.why else ""
    print(f"page: {PAGE}, {len(content) / 1e6:.1f} MB{told}")


def shown_first(chosen: Sequence[Result], results: Sequence[Result], goal: float, rule: Ladder) -> int:
    """Which network a visitor draws for first: the one that holds this run's record for the goal.

    If it is not among them, the smallest that reaches the goal and chose nothing on test images; if none
    does, the smallest.
    """
    holder = board.record(results, goal, rule)
    if holder in chosen:
        return chosen.index(holder)
    able = [result for result in chosen if result.honest and result.reaches(goal)]
    return chosen.index(min(able or chosen, key=lambda result: result.nonzero))


def measured(handbook: Path) -> str:
    """The handbook's table of all techniques, in Markdown; empty where it has not been measured."""
    text = handbook.read_text(encoding="utf-8") if handbook.exists() else ""
    _, _, after = text.partition("<!-- measured: ")
    _, _, place = after.partition("-->\n")
    table, _, _ = place.partition("<!-- end of measured -->")
    return table if table.startswith("|") else ""


def figure_texts(drawn: Sequence[Drawing]) -> dict[str, str]:
    """Every figure by file name without its ending: SVG as text, which zips well, PNG as an address."""
    found = {}
    for path in (drawing.path for drawing in drawn):
        if path.suffix == ".png":
            found[path.stem] = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
        else:
            found[path.stem] = path.read_text(encoding="utf-8")
    return found


def zipped(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
