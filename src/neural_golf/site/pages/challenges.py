"""A page for each challenge: data, rule, leaderboard, the record over time, and how to enter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neural_golf.leaderboard.history import read_history
from neural_golf.results.on_device import COLUMNS
from neural_golf.site.board import Challenge, Entry
from neural_golf.site.charts import history_chart
from neural_golf.site.pictures import preview, samples_of, sheet
from neural_golf.site.world import LEADERBOARD, Page, World

__all__ = ["pages"]

MOST_CLASSES, EACH = 30, 10
# Sheets of held-out images of other data sets than the run's own: those that their workspaces' sites have.
SHEETS = Path("docs/samples")


def pages(world: World) -> Iterator[Page]:
    """challenge/NAME.html, of every challenge."""
    history = read_history(LEADERBOARD.parent)
    samples = {world.config.data.dataset: _samples(world)}
    for path in sorted(SHEETS.glob("*.png")):
        if path.stem not in samples:
            samples[path.stem] = f"pictures/samples-{path.name}"
            world.files[samples[path.stem]] = path.read_bytes()
    for challenge in world.challenges:
        steps = history.get(challenge.name, [])
        unit = "bytes" if challenge.score == "bytes" else "non-zero parameters"
        slugs = {(p.challenge, one.name): one.slug for one in world.of(challenge) for p in one.places}
        best = challenge.ranked[0] if challenge.ranked else None
        number = f"{_score(best, challenge):,}" if best else "?"
        world.files[f"pictures/challenge-{challenge.name}.png"] = preview(
            number, f"{unit}: the record of {challenge.title}",
            f"{challenge.threshold:,} of {challenge.images:,} test images right, with as little as possible",
        )  # fmt: skip
        here = world.about(challenge)
        yield Page(
            path=f"challenge/{challenge.name}.html",
            template="challenge.html.j2",
            title=f"{challenge.title}: the challenge and its leaderboard",
            description=(
                f"Who gets {challenge.threshold:,} of {challenge.images:,} test images right with the fewest {unit}? "
                f"{f'The record is {number}.' if best else 'Nobody has entered yet.'}"
            ),
            view={
                "challenge": challenge,
                "unit": unit,
                "slugs": slugs,
                "best": best,
                "score": number,
                "here": here,
                "samples": samples.get(challenge.dataset, ""),
                "steps": steps,
                "history": history_chart(
                    [(step.day, step.score) for step in steps], f"The record of {challenge.title} over time"
                ),
                "on_device": COLUMNS,
                "challenges": [challenge],
            },
            scripts=("chart", "sort"),
            data={
                "chart": _points(world, challenge, slugs),
                "goals": [challenge.threshold / challenge.images],
            },
            picture=f"pictures/challenge-{challenge.name}.png",
        )


def _score(entry: Entry, challenge: Challenge) -> int:
    return (entry.bytes or 0) if challenge.score == "bytes" else entry.nonzero


def _samples(world: World) -> str:
    """A sheet with held-out images of each class, a row for each; its file's place."""
    classes = min(len(world.facts.classes), MOST_CLASSES)
    pixels = samples_of(world.heldout, classes, EACH)
    shown = len({int(label) for label in world.heldout.labels if label < classes})
    world.files["pictures/samples.png"] = sheet(pixels, len(pixels) // shown)
    return "pictures/samples.png"


def _points(world: World, challenge: Challenge, slugs: dict[tuple[str, str], str]) -> dict[str, object]:
    """The chart's marks: the entries, and public records of the same data."""
    marks: list[dict[str, object]] = []
    for entry in (*challenge.ranked, *challenge.chosen_on_test):
        on_test = entry in challenge.chosen_on_test
        slug = slugs.get((challenge.name, entry.name))
        said = (
            f"{entry.name} by {entry.author}: {entry.nonzero:,} non-zero of {entry.parameters:,} parameters"
        )
        said += f", {entry.bytes:,} bytes" if entry.bytes else ""
        said += f"; {entry.correct:,} of {challenge.images:,} right; chosen on {entry.chosen_on} images."
        marks.append({
            "name": entry.name, "size": _score(entry, challenge), "accuracy": entry.correct / challenge.images,
            "ours": True, "hollow": on_test, "text": said, "href": f"entry/{slug}.html" if slug else "",
        })  # fmt: skip
    if world.about(challenge) and challenge.score == "nonzero":
        marks += [
            {"name": one.name, "size": one.nonzero, "accuracy": one.accuracy, "ours": False, "hollow": True,
             "text": f"{one.name} ({one.source}): {one.nonzero:,} non-zero parameters, "
                     f"{100 * one.accuracy:.2f} % right, as its author states it.", "href": ""}
            for one in world.public
        ]  # fmt: skip
    return {
        "marks": marks,
        "sizes": [],
        "unit": "bytes" if challenge.score == "bytes" else "non-zero parameters",
    }
