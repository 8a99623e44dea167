"""Our own entries can be made again: the command of the card gives the network of the file, bit for bit."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from pathlib import Path

import onnx
import pytest
import yaml

from neural_golf import cli, config, data
from neural_golf.config.sections import Row
from neural_golf.leaderboard import enter
from neural_golf.leaderboard.entries import MODELS, load_card
from neural_golf.net.checkpoint import read_checkpoint
from neural_golf.net.onnx import model_proto
from neural_golf.referee.challenge import load_challenge
from neural_golf.results.result import Variant, golf_file
from neural_golf.workspace import _leave_out
from test_pipeline import ENVIRONMENT, ROOT, snakemake, workspace

ROWS = ("baseline", "tuned", "pruned", "golf98")
LEADERBOARD = ROOT / "leaderboard"


def small(folder: Path) -> Path:
    """The pipeline on scikit-learn's digits, with a row of each kind that needs no torch."""
    workspace(folder)
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())
    for row in set(raw["rows"]) - set(ROWS):
        _leave_out(row, raw, stages)
    raw["interpret"]["networks"] = ["tuned"]
    (folder / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    (folder / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    return folder


def test_the_command_of_a_card_makes_the_entered_network_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, board = small(tmp_path / "first"), small(tmp_path / "second"), tmp_path / "leaderboard"
    done = snakemake(first, "verify")
    assert done.returncode == 0, done.stderr[-3000:]
    with contextlib.chdir(first):
        test = data.read("test")
    made = {"name": "digits", "dataset": "digits", "images": len(test.labels), "threshold": 100}
    challenge = load_challenge("mnist-98").model_copy(update=made)
    monkeypatch.setattr(enter, "challenge_names", lambda: ["digits"])
    monkeypatch.setattr(enter, "load_challenge", lambda _: challenge)
    monkeypatch.setattr(enter, "load_test_set", lambda *_: (test.pixels, test.labels))
    told = list(enter.enter(first, board, []))
    assert {path.name.partition("-")[0] for path in (board / "digits").iterdir()} == set(ROWS), told
    with contextlib.chdir(second):
        for entry in sorted((board / "digits").iterdir()):
            card = load_card(entry / "card.yaml")
            row = entry.name.partition("-")[0]
            assert card.missing == [] and card.command == f"snakemake {row}"
            assert (ROOT / str(card.code)).is_dir()
            run = subprocess.run(
                shlex.split(card.command), env=ENVIRONMENT, capture_output=True, text=True, check=False
            )
            assert run.returncode == 0, run.stderr[-3000:]
            checkpoint = read_checkpoint(Path(f"results/models/{row}.safetensors"))
            (number,) = (
                k
                for k, record in enumerate(checkpoint.runs)
                if record.seed == card.seed
                and Variant(row, record.judge, record.order, record.size).name == entry.name
            )
            again = model_proto(checkpoint.network, checkpoint.baked(number), {})
            assert again.graph == onnx.load(entry / MODELS["nonzero"]).graph, entry.name


def test_a_workspace_is_made_again_by_its_own_command(tmp_path: Path) -> None:
    known = config.load(ROOT / "params.yaml").workspaces
    assert set(known) >= {"demo", "fashion"}
    assert enter.command("tuned", ROOT / "results/fashion", known) == "golf fashion"
    assert enter.command("tuned", tmp_path / "results/other", known) == "snakemake tuned"
    assert enter.command("tuned", tmp_path / "fashion", known) == "snakemake tuned"
    assert enter.command("tuned", ROOT, known) == "snakemake tuned"


@pytest.mark.parametrize("path", sorted(LEADERBOARD.glob("*/*/card.yaml")), ids=lambda path: path.parent.name)
def test_our_cards_say_how_the_networks_are_made_again(path: Path) -> None:
    """The seed is that of the file; the command is one that there is; without one, the settings are not these."""
    settings = config.load(ROOT / "params.yaml")
    card = load_card(path)
    if card.author != settings.ladder.author:
        pytest.skip("somebody else's")
    assert card.code == enter.CODE
    earlier, _, command = (card.command or "").rpartition(" && ")
    commit = earlier.removeprefix("git checkout ")  # by whose recipes it was made; or "", by those of today

    def then(file: str) -> bytes:
        """A file as it was when the entry was made."""
        if not commit:
            return (ROOT / file).read_bytes()
        shown = subprocess.run(
            ["git", "show", f"{commit}:{file}"], cwd=ROOT, capture_output=True, check=False
        )
        if shown.returncode:
            pytest.skip(f"this clone's history does not reach back to {commit}")
        return shown.stdout

    packed = path.parent / MODELS["bytes"]
    if packed.exists():  # it says nothing about itself, so it is compared with the file of its seed
        row, _, size = path.parent.name.split("-")
        assert packed.read_bytes() == then(golf_file(f"{row}-{size}-{card.seed}").as_posix())
    else:
        told = {entry.key: entry.value for entry in onnx.load(path.parent / MODELS["nonzero"]).metadata_props}
        assert card.seed == int(told["seed"])
    if card.command is None:
        return
    rows = {name: Row(**row) for name, row in yaml.safe_load(then("params.yaml"))["rows"].items()}
    program, _, name = command.partition(" ")
    row = path.parent.name.partition("-")[0]
    if program == "snakemake":
        assert name == row and card.seed in rows[rows[row].of or row].seeds
    else:
        assert program == "golf" and name in settings.workspaces
        cli._parser().parse_args([name])
