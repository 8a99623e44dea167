"""Model cards: the run that stands for a row, what chose it, and a header as Hugging Face reads it."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.results import model_cards
from neural_golf.results.export import ROWS

ROOT = Path(__file__).parent.parent
LADDER = config.load(ROOT / "params.yaml").ladder
Line = dict[str, str]


def line(
    row: str = "tuned", seed: int = 0, nonzero: int = 807, correct: int = 9800, heldout: int = 4900,
    judge: str = "", order: str = "", **more: str,
) -> Line:  # fmt: skip
    name = "-".join(filter(None, (row, judge, order, str(seed))))
    return {
        "name": name, "row": row, "judge": judge, "order": order, "seed": str(seed), "parameters": "807",
        "nonzero": str(nonzero), "bits": "25824", "correct": str(correct), "images": "10000",
        "heldout_correct": str(heldout), "heldout_images": "5000", "sha256": "0" * 64, **more,
    }  # fmt: skip


def made(*lines: Line, dataset: str = "mnist") -> tuple[dict[str, Any], str]:
    """Header and text of the card of one variant."""
    ((variant, group),) = model_cards.by_variant(lines).items()
    listing = {one["name"]: {"path": f"results/onnx/{one['name']}.onnx"} for one in lines}
    _, header, text = model_cards.card_text(dataset, LADDER, variant, group, listing).split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_test_images_never_choose_among_seeds_of_a_row_they_did_not_judge() -> None:
    best_on_test = line(seed=0, correct=9900, heldout=4890)
    best_on_heldout = line(seed=1, correct=9800, heldout=4910)
    fewest = line(seed=2, nonzero=700, correct=9700, heldout=4800)
    assert model_cards.chosen([best_on_test, best_on_heldout]) is best_on_heldout
    assert model_cards.chosen([best_on_test, best_on_heldout, fewest]) is fewest


def test_where_the_test_images_judged_they_choose_the_seed_and_it_is_said() -> None:
    lines = [line("pruned", seed, 600, 9800 + seed, 4900 - seed, "test", "index") for seed in (0, 1)]
    assert model_cards.chosen(lines) is lines[1]
    assert model_cards.chosen_on(lines) == "test"
    assert "most test images right" in model_cards.method(LADDER, ("pruned", "test", "index"), lines)


def test_what_chose_is_held_out_for_several_seeds_and_train_for_one() -> None:
    assert model_cards.chosen_on([line()]) == "train"
    assert model_cards.chosen_on([line(), line(seed=1)]) == "held-out"
    assert model_cards.chosen_on([line("pruned", judge="heldout", order="index")]) == "held-out"


def test_snapshots_that_were_not_entered_have_no_part() -> None:
    lines = [
        line("golf98", judge="heldout", entered="False"),
        line("golf98", 1, judge="heldout", entered="True"),
    ]
    assert model_cards.by_variant(lines) == {("golf98", "heldout", ""): [lines[1]]}
    assert model_cards.by_variant(lines, entered=False) == {("golf98", "heldout", ""): [lines[0]]}


def test_a_card_lists_them_as_not_entered(tmp_path: Path) -> None:
    lines = [
        line("golf98", 0, judge="heldout", entered="False"),
        line("golf98", 1, judge="heldout", entered="True"),
    ]
    listing = {one["name"]: {"path": f"results/onnx/{one['name']}.onnx"} for one in lines}
    model_cards.write(tmp_path, "mnist", LADDER, lines, listing)
    entered, others = (tmp_path / "golf98-heldout.md").read_text().split("not entered:")
    assert "golf98-heldout-1.onnx" in entered and "golf98-heldout-0" not in entered
    assert "golf98-heldout-0.onnx" in others


def test_every_exported_row_has_a_method_in_plain_words() -> None:
    assert set(LADDER.methods) == set(ROWS)
    with pytest.raises(GolfError, match=r"ladder\.methods says nothing about other"):
        model_cards.method(LADDER, ("other", "", ""), [line("other")])


def test_the_header_is_what_hugging_face_reads() -> None:
    """The keys of its model card metadata, and one evaluation result per file and part."""
    header, _ = made(line(), line(seed=1, correct=9812))
    assert header["license"] == "mit"
    assert header["datasets"] == ["ylecun/mnist"]
    assert [model["name"] for model in header["model-index"]] == ["tuned-0", "tuned-1"]
    for model in header["model-index"]:
        assert [set(result) for result in model["results"]] == [{"task", "dataset", "metrics"}] * 2
        assert {result["task"]["type"] for result in model["results"]} == {"image-classification"}
        assert [result["dataset"]["split"] for result in model["results"]] == ["test", "train"]
    assert header["model-index"][1]["results"][0]["metrics"][0]["value"] == 0.9812


def test_a_card_says_what_the_test_accuracy_is_worth() -> None:
    header, text = made(line("pruned", judge="test", order="index"))
    assert "measures nothing" in text
    assert header["model-index"][0]["results"][0]["metrics"][0]["name"].endswith("these chose it")
    assert "The test images chose nothing." in made(line())[1]


def test_a_card_links_its_files_and_names_the_classes() -> None:
    _, text = made(line(), line(seed=1), dataset="fashion-mnist")
    assert re.findall(r"\]\((.*?)\)", text) == ["../onnx/tuned-0.onnx", "../onnx/tuned-1.onnx"]
    assert "9 Ankle boot" in text
    assert 'InferenceSession("results/onnx/tuned-0.onnx")' in text


def test_cards_of_rows_that_are_no_more_go(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("old")
    lines = [line()]
    listing = {"tuned-0": {"path": "results/onnx/tuned-0.onnx"}}
    model_cards.write(tmp_path, "mnist", LADDER, lines, listing)
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.md"]


def test_the_committed_cards_are_of_the_committed_results() -> None:
    if not (ROOT / "results/cards").is_dir():
        pytest.skip("there is no results/cards yet: `make results` writes it")
    with (ROOT / "results/plots/verify.csv").open(newline="") as file:
        variants = model_cards.by_variant(list(csv.DictReader(file)))
    assert {p.stem for p in (ROOT / "results/cards").iterdir()} == set(map(model_cards.name_of, variants))
