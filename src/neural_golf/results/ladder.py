"""The stage `ladder`: one table of all networks, for programs, for the README and for docs/ladder.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
from neural_golf.results.on_device import DeviceTable, read_device
from neural_golf.results.result import (
    Result,
    Variant,
    by_variant,
    certainty,
    holds,
    read_results,
    representative,
)
from neural_golf.results.sizes import (
    Size,
    cut_off,
    fewest,
    mean_within,
    rule,
    shown_interval,
    shown_p,
    sizes,
)

__all__ = ["LadderRow", "ladder", "run", "update_marked"]

RESULTS = Path("results")
DOCUMENT = Path("docs/ladder.md")


@dataclass(frozen=True)
class LadderRow:
    """One row and variant of the ladder: mean and spread over its seeds.

    `low` and `high`: the 95 % interval of the mean accuracy on the test images (`mean_within`).
    `goal`, `p` and `holds` are those of the rows with a goal of their own (`result.holds`). `untouched` is
    the accuracy on images that chose nothing about it: the test images, except where these judged the
    zeroing; there the held-out images, which then chose nothing. `sha256` is that of the file which stands
    for the row.
    """

    variant: Variant
    title: str
    division: str
    parameters: int
    nonzero: Spread
    bytes: Spread | None
    test_correct: Spread
    test_images: int
    test_accuracy: Spread
    low: float | None
    high: float | None
    untouched: Spread
    untouched_on: str
    seeds: tuple[int, ...]
    goal: float | None
    p: float | None
    holds: bool
    blog: Blog | None
    sha256: str


def run(config: Config) -> None:
    """Read results/plots/verify.csv; write results/ladder.json, .csv and .md, the model cards, and the tables
    in README.md and docs/ladder.md.

    DVC always runs this stage where it is out of date, as its outputs are not in the cache, so these
    never lag behind. In a workspace, which has neither document, there is none to change.
    """
    results = read_results()
    facts = data.facts()
    rows = ladder(config, results)
    found = sizes(config, results)
    table = pd.json_normalize([asdict(row) for row in rows], sep="_")
    table["seeds"] = [" ".join(map(str, row.seeds)) for row in rows]
    table["variant_name"] = [row.variant.name for row in rows]
    write_bytes(RESULTS / "ladder.csv", table.to_csv(index=False, lineterminator="\n").encode())
    told = {row.variant.name: asdict(row) | {"blog": row.blog and row.blog.model_dump()} for row in rows}
    write_json(RESULTS / "ladder.json", told)
    device = read_device()
    text = (
        "\n\n".join([full_table(rows, device), protocol(config, facts), snapshots(results, found)]).rstrip()
        + "\n"
    )
    write_bytes(RESULTS / "ladder.md", text.encode())
    write_model_cards(RESULTS / "cards", config, facts, results, device)
    readme = Path("README.md")
    if DOCUMENT.exists() and readme.exists():  # a workspace has the documents alone, and a task a README
        update_marked(DOCUMENT, "ladder", text)
        update_marked(readme, "ladder", short_table(config, rows, found))


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
        which = (
            f", {variant.order} order" if variant.order else f", size {variant.size}" if variant.size else ""
        )
        goal = config.settings(variant.row).goal if variant.size else None
        low, high = mean_within(test) or (None, None)
        packed = [result.bytes for result in group if result.bytes is not None]
        as_the_blog = config.as_the_blog and variant.judge in ("", "test") and variant.order in ("", "index")
        rows.append(
            LadderRow(
                variant=variant,
                title=(row.title or variant.row) + which,
                division=group[0].division,
                parameters=group[0].parameters,
                nonzero=Spread.of([result.nonzero for result in group]),
                bytes=Spread.of(packed) if packed else None,
                test_correct=Spread.of([result.correct for result in group]),
                test_images=group[0].images,
                test_accuracy=test,
                low=low,
                high=high,
                untouched=test if honest else heldout,
                untouched_on="test" if honest else "held-out",
                seeds=tuple(result.seed for result in group),
                goal=goal,
                p=certainty(group, goal) if goal else None,
                holds=goal is not None and holds(group, goal, config.ladder),
                blog=row.blog if as_the_blog else None,
                sha256=representative(group).sha256,
            )
        )
    return rows


def full_table(rows: Sequence[LadderRow], device: DeviceTable | None = None) -> str:
    """Every row, every judge, every order, every size that was entered; with what the network that stands for
    it needs on a microcontroller, where some of them have been measured.
    """
    device = device or DeviceTable()
    measured, blog = device.knows(row.sha256 for row in rows), any(row.blog for row in rows)
    chosen = {"": "", "test": "**test** (blog's protocol)", "heldout": "held-out"}
    return _markdown(
        [
            {
                "network": row.title,
                "division": row.division,
                "parameters": f"{row.parameters:,}",
                "non-zero": _least(row.nonzero),
                **_bytes(row, rows),
                f"test, correct of {row.test_images:,}": row.test_correct.text(),
                "on images that chose nothing": f"{_percent(row.untouched)} ({row.untouched_on})",
                "zeros chosen on": chosen[row.variant.judge],
                "n": str(row.nonzero.n),
                "p": shown_p(row.p),
                "held": "yes" if row.holds else "",
                **(device.cells(row.sha256) if measured else {}),
                **({"the blog": _blog(row.blog)} if blog else {}),
            }
            for row in rows
        ],
        {"network": "l", "division": "l", "zeros chosen on": "l", "held": "l"},
    )


def short_table(config: Config, rows: Sequence[LadderRow], found: Sequence[Size]) -> str:
    """The README's: the blog's rows in the blog's protocol, then of each row with sizes the smallest that its
    recipe holds.
    """
    worst = {"": "", "heldout": "", "test": " †"}
    blogs = [r for r in rows if r.blog and config.rows[r.variant.row].by != "reference"]
    held = [
        size for name in config.rows_by("descent", "packing") if (size := fewest(found, name)) is not None
    ]
    text = _markdown(
        [
            {
                "network": row.title,
                "parameters": f"{row.parameters:,}",
                "non-zero": _least(row.nonzero),
                **({"bytes": ""} if any(size.bytes for size in held) else {}),
                "right on test": _percent(row.test_accuracy) + worst[row.variant.judge],
                "n": str(row.nonzero.n),
                **({"p": ""} if held else {}),
                "the blog": _blog(row.blog),
            }
            for row in blogs
        ]
        + [
            {
                "network": f"{config.rows[size.row].title or size.row} ({size.division})",
                "parameters": f"{size.chosen.parameters:,}",
                "non-zero": f"**{_least(size.nonzero)}**",
                **_bytes(size, held),
                "right on test": _percent(size.accuracy),
                "n": str(size.accuracy.n),
                "p": shown_p(size.p),
                "the blog": "",
            }
            for size in held
        ],
        {"network": "l"},
    )
    note = "† As in the blog, the test images themselves chose these zeros."
    last = f" The last rows are the smallest sizes that our recipes hold. {rule(config.ladder)}"
    return f"{text}\n\nMean ± standard deviation over n seeds. {note}{last if held else ''}"


def protocol(config: Config, facts: data.Facts) -> str:
    prune = config.prune
    return (
        f"Data: {facts.title}; {facts.train:,} images to train on, {facts.heldout:,} held out, "
        f"{facts.test:,} to test. Zeroing keeps at least {prune.threshold:.4g} of the test images right, or "
        f"{prune.heldout_threshold:.4g} of the held-out images where these judge. "
        "Mean ± standard deviation over n seeds. "
        f"{rule(config.ladder)} Rows by zeroing hold none, because each of their seeds ends at a size of its "
        "own."
    )


def snapshots(results: Sequence[Result], found: Sequence[Size]) -> str:
    """Every size at which a row was exported, entered or not: none is dropped for its test score."""
    if not found:
        return ""
    table = _markdown(
        [
            {
                "row": size.row,
                "size": f"{size.size:,}",
                "division": size.division,
                "non-zero": _least(size.nonzero),
                **_bytes(size, found),
                "test, correct, by seed": ", ".join(
                    f"{r.correct:,}" for r in sorted(_of(results, size), key=lambda r: r.seed)
                ),
                "mean on test": _percent(size.accuracy),
                "95 % interval": shown_interval(size.accuracy),
                "n": str(size.accuracy.n),
                "goal": f"{size.goal:.4g}",
                "p": shown_p(size.p),
                "held": "yes" if size.holds else "",
                "held-out, mean": f"{size.heldout.mean:.2%}",
                "entered": "yes" if size.entered else "",
            }
            for size in found
        ],
        {"row": "l", "division": "l", "held": "l", "entered": "l"},
    )
    intro = (
        "Every size of our own rows, each scored once on the test images, entered or not. A size is named by "
        "the weights at which the descent stopped; non-zero is what the referee counts, with the numbers of "
        "a form and without the biases that packing removes. p is that of a one-sided t test over seeds:"
    )
    return f"{intro}\n\n{table}{cut_off(size.accuracy for size in found)}"


def _of(results: Sequence[Result], size: Size) -> list[Result]:
    return [result for result in results if (result.row, result.size) == (size.row, size.size)]


def _markdown(rows: Sequence[dict[str, str]], aligned: Mapping[str, str]) -> str:
    """A table; `aligned` names the columns that are not numbers."""
    words = {"l": "left", "r": "right"}
    alignment = [words[aligned.get(name, "r")] for name in (rows[0] if rows else ())]
    text: str = pd.DataFrame(rows).to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return text


def _bytes(one: LadderRow | Size, all_of_them: Sequence[LadderRow | Size]) -> dict[str, str]:
    """The column of bytes, where some line of the table has such a number."""
    if not any(other.bytes for other in all_of_them):
        return {}
    return {"bytes": _least(one.bytes) if one.bytes else ""}


def _percent(accuracy: Spread) -> str:
    return f"{accuracy.text(2, scale=100)} %"


def _least(nonzero: Spread) -> str:
    """`616 ± 14, fewest 602`: a single network is what the blog and the leaderboard show."""
    fewest = "" if nonzero.least == nonzero.greatest else f", fewest {nonzero.least:,.0f}"
    return nonzero.text() + fewest


def _blog(blog: Blog | None) -> str:
    if blog is None:
        return ""
    return f"{blog.nonzero:,}" + (f" at {blog.accuracy:.2%}" if blog.accuracy else "")


def update_marked(path: Path, block: str, content: str) -> None:
    """Put a generated text between a document's markers of that block: into lines of its own, or into the
    line that has both. Raises GolfError without markers.
    """
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {block}: written by `golf {block}` -->", f"<!-- end of {block} -->"
    pattern = re.compile(f"({re.escape(begin)})(\n?).*?({re.escape(end)})", re.DOTALL)
    if not pattern.search(text):
        raise GolfError(f"{path} has no place for it: {begin} … {end}")
    made = pattern.sub(
        lambda found: f"{found[1]}{found[2] * 2}{content.strip()}{found[2] * 2}{found[3]}", text
    )
    write_bytes(path, made.encode())
