"""Model cards: the run that stands for a row, what chose it, and a header as Hugging Face reads it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.data import Facts
from neural_golf.results import model_cards
from neural_golf.results.result import Result, by_variant, read_results
from test_results import result

ROOT = Path(__file__).parent.parent
CONFIG = config.load(ROOT / "params.yaml")
FACTS = Facts(
    "mnist",
    "MNIST",
    "ylecun/mnist",
    (1, 28, 28),
    tuple("0123456789"),
    0.13,
    0.31,
    55_000,
    5000,
    10_000,
    "",
    (0.0,),
    (255.0,),
)


def made(*group: Result, facts: Facts = FACTS) -> tuple[dict[str, Any], str]:
    """Header and text of the card of one variant."""
    _, header, text = model_cards.model_card(CONFIG, facts, group).split("---\n", 2)
    return yaml.safe_load(header), text


def test_where_the_test_images_judged_it_is_said() -> None:
    group = [result("pruned", seed, 600, 9800 + seed, 4900 - seed, "test", "index") for seed in (0, 1)]
    text = model_cards.method(CONFIG, group[0].variant, group)
    assert "Judged on the test images; weights tried as they lie in memory." in text
    assert (
        "Of 2 seeds the one with the fewest non-zero parameters, then with the most test images right."
        in text
    )


def test_of_several_seeds_the_card_says_that_held_out_images_chose() -> None:
    group = [result(seed=0), result(seed=1)]
    assert "most held-out images right" in model_cards.method(CONFIG, group[0].variant, group)
    assert "seeds" not in model_cards.method(CONFIG, group[0].variant, group[:1])


def test_a_card_lists_snapshots_that_were_not_entered_apart(tmp_path: Path) -> None:
    other = result("golf98", 0, judge="heldout", size=300, entered=False)
    lines = [other, result("golf98", 1, judge="heldout", size=200)]
    model_cards.write_model_cards(tmp_path, CONFIG, FACTS, lines)
    assert [path.name for path in tmp_path.iterdir()] == ["golf98-heldout-200.md"]
    entered, others = (tmp_path / "golf98-heldout-200.md").read_text().split("not entered:")
    assert "golf98-heldout-200-1.onnx" in entered and "golf98-heldout-300-0" not in entered
    assert "golf98-heldout-300-0.onnx" in others


def test_of_the_seeds_of_a_size_held_out_images_choose_and_nothing_else() -> None:
    group = [result("golf98", seed, judge="heldout", size=200) for seed in (0, 1)]
    assert "Of 2 seeds the one with the most held-out images right." in model_cards.method(
        CONFIG, group[0].variant, group
    )


def test_a_card_names_the_commit_that_wrote_its_row_down() -> None:
    lines = [result("golf98", 0, judge="heldout", size=200)]
    row = CONFIG.rows["golf98"].model_copy(update={"frozen": "0123abc"})
    for rows, told in ((CONFIG.rows, False), (CONFIG.rows | {"golf98": row}, True)):
        text = model_cards.model_card(CONFIG.model_copy(update={"rows": rows}), FACTS, lines)
        assert ("were written down in commit 0123abc, before any was scored" in text) is told


def test_a_card_of_a_packed_network_leads_to_its_file() -> None:
    line = result("bytes98", 0, 81, judge="heldout", size=80, bytes=96, division="open")
    _, text = made(line)
    assert f"[96](../golf/{line.name}.golf)" in text and "| bytes " in " ".join(text.split())
    assert "golf/" not in made(result())[1] and "bytes" not in made(result())[1]


def test_every_row_has_a_method_in_plain_words() -> None:
    """It is part of the row's line, so a row without one is refused."""
    for name, row in CONFIG.rows.items():
        assert len(row.method.split()) > 5, name
    raw = config.read(ROOT / "params.yaml")
    del raw["rows"]["tuned"]["method"]
    with pytest.raises(GolfError, match=r"rows\.tuned\.method: Field required"):
        config.check(raw)


def test_the_header_is_what_hugging_face_reads() -> None:
    """The keys of its model card metadata, and one evaluation result per file and part."""
    header, _ = made(result(), result(seed=1, correct=9812))
    assert header["license"] == "mit"
    assert header["datasets"] == ["ylecun/mnist"]
    assert [model["name"] for model in header["model-index"]] == ["tuned-0", "tuned-1"]
    for model in header["model-index"]:
        assert [set(result) for result in model["results"]] == [{"task", "dataset", "metrics"}] * 2
        assert {result["task"]["type"] for result in model["results"]} == {"image-classification"}
        assert [result["dataset"]["split"] for result in model["results"]] == ["test", "train"]
    assert header["model-index"][1]["results"][0]["metrics"][0]["value"] == 0.9812


def test_a_card_says_what_the_test_accuracy_is_worth() -> None:
    header, text = made(result("pruned", judge="test", order="index"))
    assert "measures nothing" in text
    assert header["model-index"][0]["results"][0]["metrics"][0]["name"].endswith("these chose it")
    assert "The test images chose nothing." in made(result())[1]


def test_a_card_links_its_files_and_names_the_classes() -> None:
    names = (*tuple("abcdefghi"), "Ankle boot")
    _, text = made(result(), result(seed=1), facts=replace(FACTS, classes=names))
    assert re.findall(r"\]\((.*?)\)", text) == ["../onnx/tuned-0.onnx", "../onnx/tuned-1.onnx"]
    assert "9 Ankle boot" in text
    assert 'InferenceSession("results/onnx/tuned-0.onnx")' in text


def test_cards_of_rows_that_are_no_more_go(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("old")
    model_cards.write_model_cards(tmp_path, CONFIG, FACTS, [result()])
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.md"]


def test_a_data_set_that_is_not_on_hugging_face_is_not_named_there() -> None:
    header, text = made(result(), facts=replace(FACTS, huggingface="", dataset="mine", title="Mine"))
    assert "datasets" not in header
    assert header["model-index"][0]["results"][0]["dataset"]["type"] == "mine"
    assert text.startswith("# tuned: Mine with 807 non-zero parameters")


def test_the_shape_of_the_images_stands_in_the_card() -> None:
    _, text = made(result(), facts=replace(FACTS, shape=(3, 32, 32), classes=("cat", "dog")))
    assert "float32 [batch, 3, 32, 32]" in text and "float32 [batch, 2]" in text and "0 cat, 1 dog" in text
    assert "np.zeros((2, 3, 32, 32), np.float32)" in text


def test_the_committed_cards_are_of_the_committed_results() -> None:
    if not (ROOT / "results/cards").is_dir():
        pytest.skip("there is no results/cards yet: `make results` writes it")
    variants = by_variant(read_results(ROOT / "results/plots/verify.csv"))
    assert {p.stem for p in (ROOT / "results/cards").iterdir()} == {v.name for v in variants}
