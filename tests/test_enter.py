"""Our own networks on the leaderboard: one per row, chosen on test only where its card says so."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from nets import W10, mean_net
from neural_golf import cli, config
from neural_golf.base.errors import GolfError
from neural_golf.leaderboard import enter
from neural_golf.leaderboard.entries import load_card
from neural_golf.referee.challenge import Challenge, load_challenge
from neural_golf.results.result import Result, write_results
from test_results import result

ROOT = Path(__file__).parent.parent
IMAGES = np.random.default_rng(0).integers(1, 256, (20, 1, 28, 28), np.uint8)
LABELS = np.full(20, 9, np.uint8)


@pytest.fixture
def challenge(monkeypatch: pytest.MonkeyPatch) -> Challenge:
    """mnist-98 with 20 images, the only challenge there is."""
    made = load_challenge("mnist-98").model_copy(update={"images": 20, "threshold": 20})
    monkeypatch.setattr(enter, "challenge_names", lambda: ["mnist-98"])
    monkeypatch.setattr(enter, "load_challenge", lambda _: made)
    monkeypatch.setattr(enter, "load_test_set", lambda *_: (IMAGES, LABELS))
    return made


@pytest.fixture
def results(tmp_path: Path, challenge: Challenge) -> Callable[..., Path]:
    """A workspace with these lines in verify.csv, and a network that gets all images right for each."""

    def made(*lines: Result) -> Path:
        folder = tmp_path / "project"
        onnx = folder / "results/onnx"
        onnx.mkdir(parents=True)
        (folder / "results/plots").mkdir()
        shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
        written = []
        for one in lines:
            w = W10.copy()
            w[0, : 10 - one.nonzero] = 0
            content = mean_net(constants={"w": w}, metadata={"seed": str(one.seed)}).SerializeToString()
            (onnx / f"{one.name}.onnx").write_bytes(content)
            written.append(replace(one, sha256=hashlib.sha256(content).hexdigest()))
        write_results(written, folder / "results/plots/verify.csv")
        return folder

    return made


def entered(folder: Path) -> list[str]:
    return list(enter.enter(folder, folder / "leaderboard", [folder]))


def model(folder: Path, name: str) -> bytes:
    return (folder / "leaderboard/mnist-98" / name / "model.onnx").read_bytes()


def test_the_held_out_images_choose_the_seed(results: Callable[..., Path]) -> None:
    folder = results(
        result(seed=0, nonzero=9, correct=20, heldout=4800),
        result(seed=1, nonzero=9, correct=20, heldout=4900),
    )
    assert entered(folder) == ["entered mnist-98/tuned: 9 non-zero, 20 of 20 correct, 20 needed"]
    assert model(folder, "tuned") == (folder / "results/onnx/tuned-1.onnx").read_bytes()
    card = load_card(folder / "leaderboard/mnist-98/tuned/card.yaml")
    assert (card.chosen_on, card.licence) == ("held-out", "MIT")
    assert (card.code, card.seed, card.command) == ("src/neural_golf", 1, "snakemake tuned")
    assert "Of 2 seeds the one with the fewest non-zero parameters" in card.method


def test_a_row_whose_chosen_seed_fails_has_no_entry_whatever_other_seeds_do(
    results: Callable[..., Path],
) -> None:
    folder = results(result(seed=0, nonzero=9, correct=20), result(seed=1, nonzero=8, correct=19))
    assert entered(folder) == ["no entry mnist-98/tuned: tuned-1 has 19 right, 20 needed"]
    assert not (folder / "leaderboard").exists()


def test_rows_chosen_on_test_say_so(results: Callable[..., Path]) -> None:
    lines = [result("pruned", seed, 8, 20, 4900 - seed, "test", "index") for seed in (0, 1)]
    folder = results(*lines)
    entered(folder)
    card = load_card(folder / "leaderboard/mnist-98/pruned-test-index/card.yaml")
    assert card.chosen_on == "test"
    assert (card.seed, card.command) == (0, "snakemake pruned")
    assert "Judged on the test images" in card.method


def test_entering_again_replaces_the_entry_and_names_one_that_is_old(results: Callable[..., Path]) -> None:
    folder = results(result(nonzero=9, correct=20))
    assert entered(folder) == entered(folder)
    table = folder / "results/plots/verify.csv"
    table.write_text(table.read_text().replace(",20,10000", ",19,10000"))
    (text,) = entered(folder)
    assert text.startswith("no entry mnist-98/tuned: tuned-0 has 19 right, 20 needed; ")
    assert text.endswith("leaderboard/mnist-98/tuned is of an earlier run")


def test_a_file_over_the_limit_is_no_entry(results: Callable[..., Path]) -> None:
    """The reference network lies in another folder, as the referee refuses it."""
    folder = results(result("reference", nonzero=9, correct=20))
    (folder / "results/onnx/reference-0.onnx").unlink()
    (text,) = entered(folder)
    assert text.startswith("no entry mnist-98/reference:") and "larger than the referee's limit" in text


def test_a_file_that_the_referee_did_not_score_is_an_error(results: Callable[..., Path]) -> None:
    folder = results(result(nonzero=9, correct=20))
    with (folder / "results/onnx/tuned-0.onnx").open("ab") as file:
        file.write(b" ")
    with pytest.raises(GolfError, match="is not the file that `golf verify` scored"):
        entered(folder)


def test_without_results_or_challenges_it_says_so(tmp_path: Path, challenge: Challenge) -> None:
    tree = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(GolfError, match=r"verify\.csv is missing: the stage verify has not run"):
        entered(tmp_path)
    tree = config.merged(tree, "demo")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "results/plots").mkdir(parents=True)
    write_results([result()], tmp_path / "results/plots/verify.csv")
    assert entered(tmp_path) == [f"nothing of {tmp_path} is entered: there is no challenge on digits"]


def test_the_command_takes_several_workspaces(
    results: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = results(result(nonzero=9, correct=20))
    board = str(folder / "leaderboard")
    assert cli.main(["enter", str(folder), str(folder), "--leaderboard", board]) == 0
    assert capsys.readouterr().out.count("entered mnist-98/tuned") == 2
