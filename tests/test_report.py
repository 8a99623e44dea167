"""The ladder: what is averaged, what chose what, and that the README shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from neural_golf.base.errors import GolfError
from neural_golf.config import Blog
from neural_golf.results import ladder

ROOT = Path(__file__).parent.parent


def line(
    row: str, seed: int, correct: int, nonzero: int = 800, judge: str = "", order: str = ""
) -> dict[str, str]:
    return {
        "row": row, "judge": judge, "order": order, "seed": str(seed), "parameters": "807",
        "nonzero": str(nonzero), "correct": str(correct), "images": "10000", "heldout_correct": "4900",
        "heldout_images": "5000", "seconds": "2",
    }  # fmt: skip


def test_spread_has_the_sample_deviation() -> None:
    spread = ladder.Spread.of([1.0, 2.0, 3.0])
    assert (spread.mean, spread.sd, spread.least, spread.greatest, spread.n) == (2.0, 1.0, 1.0, 3.0, 3)
    assert ladder.Spread.of([5.0]).sd == 0.0
    assert spread.text(1) == "2.0 ± 1.0"
    assert ladder.Spread.of([807, 807]).text() == "807"


def test_rows_come_in_the_blogs_order_with_their_means() -> None:
    table = ladder.rows([line("prelu", 0, 9820), line("tuned", 0, 9800), line("tuned", 1, 9810)], {})
    assert [row["name"] for row in table] == ["tuned", "prelu"]
    assert table[0]["test_correct"]["mean"] == 9805
    assert table[0]["seeds"] == [0, 1]


def test_images_that_chose_nothing_are_the_held_out_ones_where_test_images_chose() -> None:
    table = ladder.rows(
        [line("pruned", 0, 9800, 600, "test", "index"), line("pruned", 0, 9790, 600, "heldout", "index")], {}
    )
    by_test, by_heldout = table
    assert (by_test["chosen_on"], by_test["untouched_on"], by_test["untouched"]["mean"]) == (
        "test",
        "held-out",
        0.98,
    )
    assert (by_heldout["chosen_on"], by_heldout["untouched_on"], by_heldout["untouched"]["mean"]) == (
        "held-out", "test", 0.979,
    )  # fmt: skip


def test_the_blogs_figure_stands_only_beside_the_blogs_protocol() -> None:
    blog = {"pruned": Blog(parameters=807, nonzero=672, accuracy=0.98)}
    lines = [line("pruned", 0, 9800, 600, j, o) for j in ("test", "heldout") for o in ("index", "saliency")]
    with_blog = [row["name"] for row in ladder.rows(lines, blog) if "blog" in row]
    assert with_blog == ["pruned-test-index"]


def test_the_readme_is_changed_between_its_markers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source, readme = Path("ladder.md"), Path("README.md")
    source.write_text("| new |\n")
    begin, end = "<!-- ladder: written by `golf ladder` -->", "<!-- end of ladder -->"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    ladder.update_readme("ladder", source)
    assert readme.read_text() == f"before\n{begin}\n\n| new |\n\n{end}\nafter\n"
    readme.write_text("no markers")
    with pytest.raises(GolfError, match="no place for it"):
        ladder.update_readme("ladder", source)


@pytest.mark.parametrize("name", ["ladder", "bench"])
def test_the_committed_readme_shows_the_committed_results(name: str) -> None:
    table = (ROOT / f"results/{name}.md").read_text().strip()
    assert table
    assert table in (ROOT / "README.md").read_text()
