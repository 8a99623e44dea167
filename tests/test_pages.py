"""The handbook's pages: each arm has one, and what is written between their markers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from miniature import result
from neural_golf.config import Config, load
from neural_golf.data import Split
from neural_golf.experiments import judges, pages, rounding
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network

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
    found = pages.PART.search(text)
    assert found and found[2] == "pages"
    assert found[0] == f"{found[1]}{pages.contents(list(settings.handbook.arms), FOLDER)}{found[3]}"


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
    pages.update(dict.fromkeys(("base", "old", "new"), record), (0.98,), 300, {}, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "- [The old](old.md)\n- [The new](new.md)\n<!-- end of pages -->" in text
    assert "| base | 300 |" in text and "| new | 300 |" in text
    assert "| old | 300 |" not in (tmp_path / "new.md").read_text()


def test_a_table_stands_where_a_page_names_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = "# P\n<!-- {0}: written by `golf handbook` -->\nold\n<!-- end of {0} -->\n"
    page.write_text(text.format("seeds") + text.format("other"))
    record = {"needed": {"0.98": [300.0]}, "accuracy_at_300": None, "against_first": None}
    pages.update({"base": record}, (0.98,), 300, {"seeds": "new\n"}, tmp_path)
    assert page.read_text() == text.format("seeds").replace("old", "new") + text.format("other")


def test_every_table_of_a_page_is_one_that_the_command_writes(settings: Config) -> None:
    named = {
        part[2]
        for path in FOLDER.glob("*.md")
        for part in pages.PART.finditer(path.read_text(encoding="utf-8"))
    }
    assert named == {"pages", "seeds", "images", "differences", "rounding", "bytes"}


def test_seeds_are_told_apart_by_their_spread_and_by_the_error_of_one() -> None:
    group = [result(200, right, judge="heldout", size=200, train_correct=540) for right in (9_700, 9_900)]
    line = judges.seeds(group, 600).splitlines()[-1]
    # Of 9,700 and 9,900 in 10,000, and half as many in 5,000: 1.41 points apart; √(0.98 · 0.02 / n).
    assert line == "| a | 200 | 0.00 | 1.41 | 1.41 | 0.20 | 0.14 | 2 |"


def test_the_error_of_a_difference_falls_with_the_root_of_the_seeds() -> None:
    against = [None, {"sd": 0.0}, {"sd": 0.001}, {"sd": 0.002}, {"sd": 0.02}]
    lines = judges.differences(against).splitlines()[2:]
    assert lines[:2] == ["| 1 | 0.20 |", "| 2 | 0.14 |"]


def test_rounding_takes_the_biases_away_and_keeps_every_weight(
    digits: tuple[np.ndarray, np.ndarray], settings: Config, tmp_path: Path
) -> None:
    images, labels = digits
    train = Split(np.ascontiguousarray(images[:300]), labels[:300])
    network = Network.parse(["conv 4 k5", "abs", "maxpool 6", "linear 10"])
    parameters = initialise(network, np.random.default_rng(0)).astype(np.float32)
    parameters[::2] = 0
    biases = sum(np.count_nonzero(parameters[t.slice]) for t in network.tensors if t.name.endswith("bias"))
    path = tmp_path / "a.onnx"
    path.write_bytes(
        model_proto(network, parameters, {"network": ", ".join(network.spec)}).SerializeToString()
    )
    chosen = settings.pack.model_copy(
        update={"rounds": 1, "sweeps": 0, "step_images": 1, "fisher_images": 300}
    )
    made = result(1, 1, path=str(path))
    rough, fine = (rounding.rounded(made, bits, chosen, train, train) for bits in (2, 8))
    assert rough.weights == fine.weights == np.count_nonzero(parameters) - biases
    assert fine.before == pytest.approx(fine.nearest, abs=0.02) == pytest.approx(fine.surgeon, abs=0.02)
    assert rough.levels < fine.levels and rough.positions == fine.positions
    for one in (rough, fine):
        assert 0 <= 8 * one.bytes - (one.layers + one.positions + one.levels) < 24


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_every_technique_says_what_it_costs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert path.name in ("README.md", "seeds-and-judges.md") or "\n## Cost\n" in text
