"""The ladder: what is averaged, what chose what, and that the documents show it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from neural_golf import config, data
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import Spread
from neural_golf.results import ladder
from neural_golf.results.result import Result, holds, read_results, write_results
from neural_golf.results.sizes import sizes
from test_cards import CONFIG, FACTS
from test_results import result

ROOT = Path(__file__).parent.parent
SEEDS = range(CONFIG.ladder.record_seeds)


def descent(
    row: str, size: int, correct: int, chosen: int, entered: bool = True, **more: object
) -> list[Result]:
    """A size of a descent: about so many right, and the seed that the held-out images choose has `chosen`."""
    return [
        result(row, seed, size, correct + seed % 3 if seed else chosen, 4880 if seed else 4899, "heldout",
               size=size, entered=entered, **more)
        for seed in SEEDS
    ]  # fmt: skip


DESCENT = [
    *descent("golf98", 300, 9860, 9861, entered=False),
    *descent("golf98", 200, 9810, 9801),
    *descent("golf98", 160, 9810, 9799),
]


def title(row: str) -> str:
    return CONFIG.rows[row].title or row


def test_spread_has_the_sample_deviation() -> None:
    spread = Spread.of([1.0, 2.0, 3.0])
    assert (spread.mean, spread.sd, spread.least, spread.greatest, spread.n) == (2.0, 1.0, 1.0, 3.0, 3)
    assert Spread.of([5.0]).sd == 0.0
    assert spread.text(1) == "2.0 ± 1.0"
    assert Spread.of([807, 807]).text() == "807"


def test_rows_come_in_the_order_of_the_table_with_their_means() -> None:
    table = ladder.ladder(
        CONFIG, [result("prelu"), result("tuned", 0, correct=9800), result("tuned", 1, correct=9810)]
    )
    assert [row.variant.name for row in table] == ["tuned", "prelu"]
    assert table[0].test_correct.mean == 9805
    assert table[0].seeds == (0, 1)
    assert [row.title for row in table] == ["tuned 4-5-4", "prelu 4-5-4"]


def test_variants_of_a_row_come_by_judge_then_order_and_falling_size() -> None:
    zeroed = [
        result("pruned", 0, 600, judge=j, order=o) for j in ("heldout", "test") for o in ("saliency", "index")
    ]
    table = ladder.ladder(CONFIG, [*DESCENT[::-1], *zeroed])
    assert [row.variant.name for row in table] == [
        "pruned-test-index", "pruned-test-saliency", "pruned-heldout-index", "pruned-heldout-saliency",
        "golf98-heldout-200", "golf98-heldout-160",
    ]  # fmt: skip
    assert [row.title for row in table][1:5:3] == [
        title("pruned") + ", saliency order",
        title("golf98") + ", size 200",
    ]


def test_images_that_chose_nothing_are_the_held_out_ones_where_test_images_chose() -> None:
    by_test, by_heldout = ladder.ladder(
        CONFIG,
        [
            result("pruned", 0, 600, 9800, 4850, "test", "index"),
            result("pruned", 0, 600, 9790, 4900, "heldout", "index"),
        ],
    )
    assert (by_test.untouched_on, by_test.untouched.mean) == ("held-out", 0.97)
    assert (by_heldout.untouched_on, by_heldout.untouched.mean) == ("test", 0.979)


def test_the_blogs_figure_stands_only_beside_the_blogs_protocol_and_data() -> None:
    zeroed = [
        result("pruned", 0, 600, judge=j, order=o) for j in ("test", "heldout") for o in ("index", "saliency")
    ]
    table = ladder.ladder(CONFIG, [*zeroed, *DESCENT])
    assert [row.variant.name for row in table if row.blog] == ["pruned-test-index"]
    fashion = config.check(config.merged(config.read(ROOT / "params.yaml"), "fashion"))
    assert not any(row.blog for row in ladder.ladder(fashion, zeroed))


def test_a_row_holds_if_the_seed_that_stands_for_it_reaches_the_goal() -> None:
    """Not if only the mean does, and not if another seed does."""
    at_200, at_160 = rows = ladder.ladder(CONFIG, DESCENT)
    assert at_200.holds and at_200.p and at_200.p < 0.01
    assert not at_160.holds and at_160.p and at_160.p < 0.01
    assert at_200.low and at_200.high and at_200.low < at_200.test_accuracy.mean < at_200.high
    text = ladder.short_table(CONFIG, rows, sizes(CONFIG, DESCENT))
    (line,) = [line for line in text.splitlines() if line.startswith("| golf98")]
    assert "**200**" in line and "plain" in line


def test_the_readme_shows_what_is_held_whether_it_is_entered_or_not() -> None:
    found = descent("golf98", 300, 9860, 9861, entered=False)
    assert "**300**" in ladder.short_table(CONFIG, [], sizes(CONFIG, found))
    few = found[:-1]
    assert "golf98" not in ladder.short_table(
        CONFIG, ladder.ladder(CONFIG, [*few, result("tuned")]), sizes(CONFIG, few)
    )


def test_a_table_shows_what_the_referee_counts_and_names_keep_the_size_of_the_recipe() -> None:
    """A form's numbers count; and a row that makes files shows their bytes."""
    found = [
        *(replace(one, nonzero=83, division="open") for one in descent("open98", 80, 9810, 9811)),
        *(replace(one, nonzero=82, division="open", bytes=96 + one.seed % 2)
          for one in descent("bytes98", 80, 9810, 9811)),
    ]  # fmt: skip
    rows = ladder.ladder(CONFIG, found)
    assert [row.variant.name for row in rows] == ["open98-heldout-80", "bytes98-heldout-80"]
    for text in (ladder.full_table(rows), ladder.snapshots(found, sizes(CONFIG, found))):
        plain = [
            " ".join(line.split()) for line in text.splitlines() if line.startswith(("| open98", "| bytes98"))
        ]
        assert len(plain) == 2 and all("| open |" in line for line in plain)
        assert "| 83 |" in plain[0] and "| 82 | 96 ± 1, fewest 96 |" in plain[1]
    short = " ".join(ladder.short_table(CONFIG, rows, sizes(CONFIG, found)).split())
    assert "**83**" in short and "| **82** | 96 ± 1, fewest 96 |" in short


def test_rows_by_zeroing_have_no_p_because_each_seed_ends_at_a_size_of_its_own() -> None:
    zeroed = [result("pruned", seed, 600, 9900, 4950, "heldout", "index") for seed in SEEDS]
    (row,) = ladder.ladder(CONFIG, zeroed)
    assert (row.goal, row.p, row.holds) == (None, None, False)
    assert not holds(zeroed, 0.98, CONFIG.ladder)


def test_both_tables_show_the_same_accuracy() -> None:
    """A mean in the middle between two hundredths is rounded once, not once as a count and once as a share."""
    correct = (9832, 9803, 9824, 9814, 9813, 9831)  # 9,819.5 on average
    rows = ladder.ladder(CONFIG, [result("prelu", seed, correct=n) for seed, n in enumerate(correct)])
    percent = re.compile(r"98\.\d\d ± \d\.\d\d %")
    full, short = (
        percent.findall(text) for text in (ladder.full_table(rows), ladder.short_table(CONFIG, rows, []))
    )
    assert len(full) == 1 and full == short


def test_every_size_is_told_entered_or_not() -> None:
    text = " ".join(ladder.snapshots(DESCENT, sizes(CONFIG, DESCENT)).split())
    assert "| golf98 | 300 | plain | 300 | 9,861, 9,861, 9,862, 9,860," in text
    assert "9,801, 9,811, 9,812" in text
    assert (
        "| 10 | 0.98 | < 0.0001 | yes | 97.64% | |" in text
        and "| 10 | 0.98 | < 0.0001 | | 97.64% | yes |" in text
    )
    assert ladder.snapshots([result()], []) == ""


def test_the_stage_writes_all_forms_of_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data.write_facts(FACTS)
    write_results([result("reference"), *[result(seed=k) for k in (3, 1)], *DESCENT])
    ladder.run(CONFIG)
    told = json.loads(Path("results/ladder.json").read_text())
    assert list(told) == ["reference", "tuned", "golf98-heldout-200", "golf98-heldout-160"]
    assert told["tuned"]["nonzero"]["mean"] == 807 and told["tuned"]["seeds"] == [3, 1]
    assert told["reference"]["blog"] == {"parameters": 1199882, "nonzero": 1199882, "accuracy": 0.99}
    assert told["golf98-heldout-200"]["variant"]["size"] == 200
    lines = Path("results/ladder.csv").read_text().splitlines()
    assert len(lines) == 5 and "variant_name" in lines[0]
    text = Path("results/ladder.md").read_text()
    assert "reference (PyTorch's example)" in text and "MNIST; 55,000 images to train on" in text
    assert {path.stem for path in Path("results/cards").iterdir()} == set(told)


def test_nothing_in_the_tables_is_a_duration() -> None:
    text = ladder.full_table(ladder.ladder(CONFIG, DESCENT))
    assert "second" not in text


def test_the_readme_is_changed_between_its_markers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, readme = Path("ladder.md"), Path("README.md")
    source.write_text("| new |\n")
    begin, end = "<!-- ladder: written by `golf ladder` -->", "<!-- end of ladder -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    ladder.update_marked(readme, "ladder", source.read_text())
    assert readme.read_text() == f"before\n{begin}\n\n| new |\n\n{end}\nafter\n"
    readme.write_text(f"- {begin}old{end} after\n")
    ladder.update_marked(readme, "ladder", source.read_text())
    assert readme.read_text() == f"- {begin}| new |{end} after\n"
    readme.write_text("no markers")
    with pytest.raises(GolfError, match="no place for it"):
        ladder.update_marked(readme, "ladder", source.read_text())


@pytest.mark.parametrize(("name", "document"), [("ladder", "docs/ladder.md"), ("bench", "docs/engine.md")])
def test_the_committed_documents_show_the_committed_results(name: str, document: str) -> None:
    table = (ROOT / f"results/{name}.md").read_text().strip()
    assert table
    assert table in (ROOT / document).read_text()


def test_the_committed_readme_shows_the_committed_results() -> None:
    results = read_results(ROOT / "results/plots/verify.csv")
    text = ladder.short_table(CONFIG, ladder.ladder(CONFIG, results), sizes(CONFIG, results))
    assert text in (ROOT / "README.md").read_text()
