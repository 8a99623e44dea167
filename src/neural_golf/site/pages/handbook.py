"""A page for each technique of the handbook, with every seed of its measurement as a picture."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from neural_golf.experiments.pages import PLACE
from neural_golf.site.charts import Curves, seeds_chart
from neural_golf.site.papers import title_of, way_for
from neural_golf.site.render import markdown
from neural_golf.site.world import Page, World

__all__ = ["pages"]

FOLDER = Path("docs/handbook")
CURVES = Path("results/plots/handbook.csv")


def pages(world: World) -> Iterator[Page]:
    """handbook/index.html and handbook/TECHNIQUE.html; none where there is no handbook. Its tables are those of
    the data that the game is about, so the seeds of a run on other data are not drawn beside them.
    """
    if not FOLDER.is_dir():
        return
    measured = _curves()
    curves = measured if world.public else {}
    papers = sorted(FOLDER.glob("*.md"), key=lambda path: path.name != "README.md")
    order = re.findall(r"\]\(([a-z0-9-]+)\.md\)", (FOLDER / "README.md").read_text(encoding="utf-8"))
    listed = [
        (name, title_of(FOLDER / f"{name}.md"))
        for name in dict.fromkeys(order)
        if (FOLDER / f"{name}.md").exists()
    ]
    for path in papers:
        text = path.read_text(encoding="utf-8")
        name = "index" if path.name == "README.md" else path.stem
        arms = [arm for place in PLACE.finditer(text) for arm in place[2].split()]
        shown = {arm: curves[arm] for arm in dict.fromkeys(arms) if arm in curves}
        label = f"Accuracy against size, every seed of {', '.join(shown)}"
        yield Page(
            path=f"handbook/{name}.html",
            template="handbook.html.j2",
            title="Handbook of compression" if name == "index" else f"{title_of(path)}: handbook of compression",
            description=_first_sentences(text),
            view={
                "name": name,
                "text": markdown(_told(text, measured), way=way_for(path, f"handbook/{name}.html"), paragraphs=""),
                "listed": listed,
                "arms": list(shown),
                "plot": seeds_chart(shown, label) if len(shown) > 1 else "",
                "seeds": max((len(seeds) for seeds in shown.values()), default=0),
            },
            scripts=("sort",),
        )  # fmt: skip


def _told(text: str, measured: Curves) -> str:
    """A page's text, in which a sentence stands where a table is still empty."""

    def fill(place: re.Match[str]) -> str:
        if "|" in place[0]:
            return place[0]
        names = place[2].split()
        arms = [f"`{arm}`" for arm in names if arm not in measured] or [f"`{arm}`" for arm in names]
        told = f"{', '.join(arms[:-1])} and {arms[-1]}" if len(arms) > 1 else arms[0]
        return f"{place[1]}There are no figures for {told} yet, because `snakemake handbook` has not measured {'them' if len(arms) > 1 else 'it'}.\n{place[3]}"

    return PLACE.sub(fill, text)


def _curves() -> Curves:
    """What `golf handbook` measured, by arm and seed; empty where it has not run."""
    found: dict[str, dict[int, list[tuple[int, float]]]] = {}
    if CURVES.exists():
        with CURVES.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file):
                point = int(line["nonzero"]), float(line["accuracy"])
                found.setdefault(line["arm"], {}).setdefault(int(line["seed"]), []).append(point)
    return found


def _first_sentences(text: str) -> str:
    """The first paragraph of a page, without marks, for a description."""
    body = next((part for part in text.split("\n\n")[1:] if part and part[0] not in "#<|"), "")
    return " ".join(re.sub(r"[`*]|\]\([^)]*\)|\[", "", body).split())[:300]
