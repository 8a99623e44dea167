"""The ladder: what is averaged, what chose what, and that the documents show it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from neural_golf import config, data
from neural_golf.base.errors import GolfError
from neural_golf.base.statistics import Spread
from neural_golf.results import ladder
from neural_golf.results.result import read_results, write_results
from test_cards import CONFIG, FACTS
from test_results import result

ROOT = Path(__file__).parent.parent
DESCENT = [
    result("golf98", seed, size, correct, heldout, "heldout", size=size, entered=size != 300)
    for seed, size, correct, heldout in [(0, 300, 9860, 4930), (0, 200, 9801, 4899), (1, 200, 9799, 4880),
                                         (0, 160, 9799, 4899), (1, 160, 9900, 4880)]
]  # fmt: skip


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
        title("golf98") + " at 200",
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
    """Not if the mean does, and not if another seed does."""
    at_200, at_160 = ladder.ladder(CONFIG, DESCENT)
    assert at_200.holds and at_200.test_correct.mean == 9800
    assert not at_160.holds and at_160.test_correct.mean > 9800
    text = ladder.short_table(CONFIG, [at_200, at_160])
    assert "golf98 at 200" in text and "golf98 at 160" not in text


def test_both_tables_show_the_same_accuracy() -> None:
    """A mean in the middle between two hundredths is rounded once, not once as a count and once as a share."""
    correct = (9832, 9803, 9824, 9814, 9813, 9831)  # 9,819.5 on average
    rows = ladder.ladder(CONFIG, [result("prelu", seed, correct=n) for seed, n in enumerate(correct)])
    percent = re.compile(r"98\.\d\d ± \d\.\d\d %")
    full, short = (
        percent.findall(text) for text in (ladder.full_table(rows), ladder.short_table(CONFIG, rows))
    )
    assert len(full) == 1 and full == short


def test_every_size_is_told_entered_or_not() -> None:
    text = " ".join(ladder.snapshots(DESCENT).split())
    assert "| golf98 | 300 | 9,860 | 98.60% | |" in text
    assert "9,801, 9,799" in text
    assert ladder.snapshots([result()]) == ""


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
    text = ladder.short_table(CONFIG, ladder.ladder(CONFIG, results))
    assert text in (ROOT / "README.md").read_text()
