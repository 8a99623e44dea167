"""The handbook's pages: each arm has one, and what is written between their markers."""

from __future__ import annotations

from pathlib import Path

import pytest

from neural_golf.config import Config, load
from neural_golf.experiments import pages

FOLDER = Path(__file__).parent.parent / "docs/handbook"


@pytest.fixture(scope="module")
def settings() -> Config:
    return load(FOLDER.parents[1] / "params.yaml")


def test_every_arm_has_a_page_and_no_page_names_another(settings: Config) -> None:
    named = {
        arm
        for path in FOLDER.glob("*.md")
        for place in pages.PLACE.finditer(path.read_text(encoding="utf-8"))
        for arm in place[2].split()
    }
    assert named - {"all"} == set(settings.handbook.arms)


def test_the_list_of_pages_is_the_one_that_the_command_writes(settings: Config) -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    found = pages.LIST.search(text)
    assert found
    assert found[0] == f"{found[1]}{pages.contents(list(settings.handbook.arms), FOLDER)}{found[2]}"


def test_a_new_page_enters_the_list_and_its_arm_the_table_of_all(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "<!-- pages: written by `golf handbook` -->\n<!-- end of pages -->\n"
        "<!-- measured: all -->\n<!-- end of measured -->\n"
    )
    for arm in ("old", "new"):
        (tmp_path / f"{arm}.md").write_text(
            f"# The {arm}\n<!-- measured: base {arm} -->\n<!-- end of measured -->\n"
        )
    record = {"needed": {"0.98": [300.0]}, "accuracy_at_300": None, "against_first": None}
    pages.update(dict.fromkeys(("base", "old", "new"), record), (0.98,), 300, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "- [The old](old.md)\n- [The new](new.md)\n<!-- end of pages -->" in text
    assert "| base | 300 |" in text and "| new | 300 |" in text
    assert "| old | 300 |" not in (tmp_path / "new.md").read_text()
