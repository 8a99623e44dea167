"""The stage front: accuracy against size, and what choosing on the test images is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import Spread
from neural_golf.results import front
from neural_golf.results.front import held_table, markdown, price_of_honesty
from neural_golf.results.ladder import snapshots
from neural_golf.results.result import Result, write_results
from neural_golf.results.sizes import points, read_points, sizes, write_points
from test_cards import CONFIG, FACTS
from test_results import result


def snapshot(seed: int, size: int, correct: int, heldout: int, entered: bool) -> Result:
    return result(
        "golf98", seed, size, correct, heldout, "heldout", size=size, entered=entered, images=100,
        heldout_images=100, train_correct=990,
    )  # fmt: skip


LINES = [snapshot(0, 300, 99, 99, False), snapshot(0, 200, 98, 98, True), snapshot(0, 100, 98, 97, False)]


def test_choosing_on_test_looks_better_than_choosing_on_held_out() -> None:
    on_test, on_heldout = (price_of_honesty(LINES, "golf98", 0.98, judge) for judge in ("test", "heldout"))
    assert (on_test.best, on_heldout.best) == (100, 200)
    assert on_test.test_correct == Spread.of([98])
    none = price_of_honesty([], "golf98", 0.98, "test")
    assert (none.seeds, none.nonzero, none.best, none.test_correct) == (0, None, None, None)


def test_of_every_seed_its_own_smallest_counts() -> None:
    others = [snapshot(1, 200, 97, 97, True), snapshot(1, 300, 98, 98, False)]
    price = price_of_honesty([*LINES, *others], "golf98", 0.98, "test")
    assert (price.seeds, price.best, price.nonzero) == (2, 100, Spread.of([100, 300]))


def test_the_table_has_a_line_per_size_largest_first() -> None:
    table = points(sizes(CONFIG, [*LINES, snapshot(1, 200, 100, 98, True)]), 1000)
    assert [point.size for point in table] == [300, 200, 100]
    assert [point.train_mean for point in table] == [0.99] * 3
    assert [point.n for point in table] == [1, 2, 1]
    assert [point.test_mean for point in table] == [0.99, 0.99, 0.98]
    assert [point.test_sd for point in table] == [0.0, pytest.approx(0.0002**0.5), 0.0]
    assert [point.p for point in table] == [None, pytest.approx(0.25), None]
    assert table[0].test_low is None and table[1].test_low and table[1].test_high
    assert table[1].test_low < 0.99 < table[1].test_high and not table[1].holds


def test_an_interval_ends_where_no_mean_can_be_and_says_so() -> None:
    """In the front, the ladder, the table of points and the words of the site."""
    high = [snapshot(seed, 200, correct, 99, True) for seed, correct in enumerate([100, 100, 99] * 4)]
    low = [snapshot(seed, 100, correct, 0, True) for seed, correct in enumerate((0, 0, 1))]
    for lines, shown in (
        (high, "99.35 to 99.98 %"),
        (high[:3], "98.23 to 100.00 % ‡"),
        (low, "0.00 to 1.77 % ‡"),
    ):
        found = sizes(CONFIG, lines)
        text = snapshots(lines, found)
        assert f"| {shown} |" in " ".join(text.split())
        assert text.count("\n\n‡ By Student's t the interval goes on beyond 0 or 100 %") == ("‡" in shown)
        (point,) = points(found, 1000)
        assert f"{point.test_low:.4f} {point.test_high:.4f}" in (
            "0.9935 0.9998",
            "0.9823 1.0000",
            "0.0000 0.0177",
        )
        assert ("100.00 %, cut off there)" in point.words) == (lines == high[:3])
    assert "‡" not in held_table(CONFIG, sizes(CONFIG, high))
    wide = [replace(one, correct=95 if one.seed == 11 else 100) for one in high]
    text = held_table(CONFIG, sizes(CONFIG, wide))
    assert " to 100.00 % ‡ |" in text and text.endswith("covers the mean as often as the whole.")


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "front.csv"
    assert read_points(path) == []
    write_points([], path)
    assert read_points(path) == []
    packed = [replace(one, bytes=96) for one in LINES]
    for lines in (LINES, packed):
        write_points(points(sizes(CONFIG, lines), 1000), path)
        assert read_points(path) == points(sizes(CONFIG, lines), 1000)
    path.write_text("row,size\n")
    with pytest.raises(
        GolfError, match=r"front\.csv is of another version of this project: run the stage `front`"
    ):
        read_points(path)


def test_the_page_says_what_each_row_holds_and_in_which_division() -> None:
    """The fewest that hold, entered or not; bytes are what rows by packing make small."""
    lines = [
        *(held("golf98", seed, 300, 300) for seed in range(10)),
        *(held("golf98", seed, 200, 200) for seed in range(10)),
        *(replace(held("golf98", seed, 160, 160), correct=9799) for seed in range(10)),
        *(held("open98", seed, 80, 83, division="open", entered=False) for seed in range(10)),
        *(held("bytes98", seed, 80, 81, division="open", bytes=96) for seed in range(10)),
        held("golf99", 0, 400, 400),
    ]  # fmt: skip
    text = held_table(CONFIG, sizes(CONFIG, lines))
    told = [" ".join(line.split()) for line in text.splitlines() if line.startswith("|")][2:]
    assert told == [
        "| golf98 | plain | 0.98 | **200** | | 98.11 ± 0.01 % | 98.10 to 98.11 % | 10 | < 0.0001 | golf98-heldout-200-9 |",
        "| golf99 | plain | 0.99 | none | | | | 1 | | |",
        "| open98 | open | 0.98 | **83** | | 98.11 ± 0.01 % | 98.10 to 98.11 % | 10 | < 0.0001 | open98-heldout-80-9 (no entry) |",
        "| bytes98 | open | 0.98 | **81** | **96** | 98.11 ± 0.01 % | 98.10 to 98.11 % | 10 | < 0.0001 | bytes98-heldout-80-9 |",
    ]
    assert "| bytes" not in held_table(CONFIG, sizes(CONFIG, lines[:10])).replace("| bytes98", "")


def held(row: str, seed: int, size: int, nonzero: int, **more: object) -> Result:
    """A network that is far above 98 %, each seed with more held-out images right than the one before."""
    return result(row, seed, nonzero, 9810 + seed % 2, 4880 + seed, "heldout", size=size, **more)


def test_the_page_marks_the_seed_that_held_out_images_choose() -> None:
    entries = [(snapshot(0, 200, 99, 97, True), [96, 100]), (snapshot(1, 200, 98, 98, True), [96, 100])]
    prices = [
        price_of_honesty([r for r, _ in entries] + LINES[2:], "golf98", 0.98, j) for j in ("test", "heldout")
    ]
    prices.append(price_of_honesty([], "golf99", 0.99, "test"))
    text = " ".join(markdown(entries, prices, FACTS, "What is held.").replace("|", " | ").split())
    assert "| **golf98-heldout-200-1** | 200 | 98 (96 to 100) | 98.00% | 1.80% |" in text
    assert "| golf98-heldout-200-0 | 200 | 99 (96 to 100) |" in text
    assert "| golf98, 98% | test | 2 | 150 ± 71 | 100 | 98 |" in text
    assert "| golf98, 98% | held-out | 1 | 200 | 200 | 98 |" in text
    assert "| golf99, 99% | test | 0 | | | |" in text


def test_the_stage_reads_what_the_referee_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data.write_facts(FACTS)
    write_results([result("reference"), *LINES])
    front.run(CONFIG)
    told = json.loads(Path("results/metrics/front.json").read_text())
    assert [entry["name"] for entry in told["entries"]] == ["golf98-heldout-200-0"]
    assert [(p["row"], p["judge"], p["best"]) for p in told["honesty"]][:4] == [
        ("golf98", "test", 100), ("golf98", "heldout", 200), ("golf99", "test", None), ("golf99", "heldout", None),
    ]  # fmt: skip
    assert Path("results/plots/front.csv").read_text().count("\n") == 4
    first = Path("results/front.md").read_bytes()
    front.run(CONFIG)
    assert Path("results/front.md").read_bytes() == first
