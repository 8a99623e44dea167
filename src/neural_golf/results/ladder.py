"""The stage `ladder`: one table of all networks, for programs, for the README and for docs/ladder.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes, write_json
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.config.sections import Blog
from neural_golf.results.model_cards import write_model_cards
from neural_golf.results.result import Result, Variant, by_variant, holds, read_results

__all__ = ["LadderRow", "ladder", "run", "update_marked"]

RESULTS = Path("results")
DOCUMENT = Path("docs/ladder.md")


@dataclass(frozen=True)
class LadderRow:
    """One row and variant of the ladder: mean and spread over its seeds.

    `untouched` is the accuracy on images that chose nothing about it: the test images, except where these
    judged the zeroing; there the held-out images, which then chose nothing.
    """

    variant: Variant
    title: str
    parameters: int
    nonzero: Spread
    test_correct: Spread
    test_images: int
    test_accuracy: Spread
    untouched: Spread
    untouched_on: str
    seeds: tuple[int, ...]
    holds: bool  # whether the mean, and the seed that stands for it, reach the goal of the row
    blog: Blog | None


def run(config: Config) -> None:
    """Read results/plots/verify.csv; write results/ladder.json, .csv and .md, the model cards, and the tables
    in README.md and docs/ladder.md.

    DVC always runs this stage where it is out of date, as its outputs are not in the cache, so these
    never lag behind. In a workspace, which has neither document, there is none to change.
    """
    results = read_results()
    facts = data.facts()
    rows = ladder(config, results)
    table = pd.json_normalize([asdict(row) for row in rows], sep="_")
    table["seeds"] = [" ".join(map(str, row.seeds)) for row in rows]
    table["variant_name"] = [row.variant.name for row in rows]
    write_bytes(RESULTS / "ladder.csv", table.to_csv(index=False, lineterminator="\n").encode())
    told = {row.variant.name: asdict(row) | {"blog": row.blog and row.blog.model_dump()} for row in rows}
    write_json(RESULTS / "ladder.json", told)
    text = "\n\n".join([full_table(rows), protocol(config, facts), snapshots(results)]).rstrip() + "\n"
    write_bytes(RESULTS / "ladder.md", text.encode())
    write_model_cards(RESULTS / "cards", config, facts, results)
    if DOCUMENT.exists():  # not in a workspace
        update_marked(DOCUMENT, "ladder", text)
        update_marked(Path("README.md"), "ladder", short_table(config, rows))


def ladder(config: Config, results: Sequence[Result]) -> list[LadderRow]:
    """All rows and variants that are entered, from top to bottom."""
    order = list(config.rows)
    groups = by_variant(results)

    def place(variant: Variant) -> tuple[int, str, int, str]:
        judges = {"": "0", "test": "1", "heldout": "2"}
        return order.index(variant.row), judges[variant.judge], -(variant.size or 0), variant.order

    rows = []
    for variant in sorted(groups, key=place):
        group, row = groups[variant], config.rows[variant.row]
        test = Spread.of([result.accuracy for result in group])
        heldout = Spread.of([result.heldout_accuracy for result in group])
        honest = group[0].honest
        which = f", {variant.order} order" if variant.order else f" at {variant.size}" if variant.size else ""
        goal = config.settings(variant.row).goal if row.by == "descent" else config.prune.threshold
        as_the_blog = config.as_the_blog and variant.judge in ("", "test") and variant.order in ("", "index")
        rows.append(
            LadderRow(
                variant=variant,
                title=(row.title or variant.row) + which,
                parameters=group[0].parameters,
                nonzero=Spread.of([result.nonzero for result in group]),
                test_correct=Spread.of([result.correct for result in group]),
                test_images=group[0].images,
                test_accuracy=test,
                untouched=test if honest else heldout,
                untouched_on="test" if honest else "held-out",
                seeds=tuple(result.seed for result in group),
                holds=holds(group, goal),
                blog=row.blog if as_the_blog else None,
            )
        )
    return rows


def full_table(rows: Sequence[LadderRow]) -> str:
    """Every row, every judge, every order, every size that was entered."""
    chosen = {"": "", "test": "**test** (blog's protocol)", "heldout": "held-out"}
    return _markdown(
        [
            {
                "network": row.title,
                "parameters": f"{row.parameters:,}",
                "non-zero": _fewest(row.nonzero),
                f"test, correct of {row.test_images:,}": row.test_correct.text(),
                "on images that chose nothing": f"{_percent(row.untouched)} ({row.untouched_on})",
                "zeros chosen on": chosen[row.variant.judge],
                "n": str(row.nonzero.n),
                "the blog": _blog(row.blog),
            }
            for row in rows
        ],
        "lrrrrlrr",
    )


def short_table(config: Config, rows: Sequence[LadderRow]) -> str:
    """The README's: the blog's rows in the blog's protocol, then of each descent the smallest that holds."""
    chosen = [r for r in rows if r.blog and config.rows[r.variant.row].by != "reference"]
    for name in config.rows_by("descent"):
        able = [row for row in rows if row.variant.row == name and row.holds]
        chosen += able[-1:]
    worst = {"": "", "heldout": "", "test": " †"}
    text = _markdown(
        [
            {
                "network": row.title,
                "parameters": f"{row.parameters:,}",
                "non-zero": _fewest(row.nonzero),
                "right on test": _percent(row.test_accuracy) + worst[row.variant.judge],
                "n": str(row.nonzero.n),
                "the blog": _blog(row.blog),
            }
            for row in chosen
        ],
        "lrrrrr",
    )
    note = "† As in the blog, the test images themselves chose these zeros."
    return f"{text}\n\nMean ± standard deviation over n seeds. {note}"


def protocol(config: Config, facts: data.Facts) -> str:
    prune = config.prune
    return (
        f"Data: {facts.title}; {facts.train:,} images to train on, {facts.heldout:,} held out, "
        f"{facts.test:,} to test. Zeroing keeps at least {prune.threshold:.4g} of the test images right, or "
        f"{prune.heldout_threshold:.4g} of the held-out images where these judge. "
        "Mean ± standard deviation over n seeds."
    )


def snapshots(results: Sequence[Result]) -> str:
    """Every size at which a descent was exported, entered or not: none is dropped for its test score."""
    groups: dict[tuple[str, int], list[Result]] = {}
    for result in results:
        if result.size:
            groups.setdefault((result.row, -result.size), []).append(result)
    if not groups:
        return ""
    rows = [
        {
            "descent": row,
            "non-zero": f"{-size:,}",
            "test, correct, by seed": ", ".join(
                f"{r.correct:,}" for r in sorted(group, key=lambda r: r.seed)
            ),
            "held-out, mean": f"{Spread.of([r.heldout_accuracy for r in group]).mean:.2%}",
            "entered": "yes" if group[0].entered else "",
        }
        for (row, size), group in sorted(groups.items())
    ]
    intro = "Every size of our own descents, each scored once on the test images, entered or not:"
    return f"{intro}\n\n{_markdown(rows, 'lrrrl')}"


def _markdown(rows: Sequence[dict[str, str]], aligned: str) -> str:
    words = {"l": "left", "r": "right"}
    alignment = [words[letter] for letter in aligned]
    text: str = pd.DataFrame(rows).to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return text


def _percent(accuracy: Spread) -> str:
    return f"{accuracy.text(2, scale=100)} %"


def _fewest(nonzero: Spread) -> str:
    """`616 ± 14, fewest 602`: a single network is what the blog and the leaderboard show."""
    fewest = "" if nonzero.least == nonzero.greatest else f", fewest {nonzero.least:,.0f}"
    return nonzero.text() + fewest


def _blog(blog: Blog | None) -> str:
    if blog is None:
        return ""
    return f"{blog.nonzero:,}" + (f" at {blog.accuracy:.2%}" if blog.accuracy else "")


def update_marked(path: Path, block: str, content: str) -> None:
    """Put a generated text between a document's markers of that block. Raises GolfError without markers."""
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {block}: written by `golf {block}` -->", f"<!-- end of {block} -->"
    pattern = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise GolfError(f"{path} has no place for it: {begin} … {end}")
    made = pattern.sub(lambda found: f"{found[1]}\n{content.strip()}\n\n{found[2]}", text)
    write_bytes(path, made.encode())
