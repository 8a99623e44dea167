"""Rows by packing: of every seed of a descent, at each of some sizes, a .golf file, up to the leaderboard."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from neural_golf import cli, config, data
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.engine import engine
from neural_golf.leaderboard import enter
from neural_golf.leaderboard.entries import load_card
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from neural_golf.net.form import Form
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode
from neural_golf.packed.graph import to_onnx
from neural_golf.quantise import stage
from neural_golf.referee.challenge import load_challenge
from neural_golf.results import export, front, ladder, verify
from neural_golf.results.result import Result, golf_file, read_results

SPEC = ("conv 4 k5 turns", "abs", "maxpool 4", "conv 3 k3", "abs", "linear 10")
SIZES, SEEDS = (150, 120), (0, 1)


@pytest.fixture
def settings(raw: dict[str, object]) -> Config:
    """The demo's, with two rows: a descent that a fixture makes, and its files."""
    tree = config.merged(raw, "demo")
    tree["rows"] = {
        "open98": tree["rows"]["open98"] | {"seeds": list(SEEDS)},
        "bytes98": tree["rows"]["bytes98"],
    }
    tree["open98"]["recipe"]["sizes"] = list(SIZES)
    tree["bytes98"] |= {"sizes": list(SIZES), "enter": [120], "levels": 4}
    tree["pack"] |= {"rounds": 1, "fisher_images": 200, "step_images": 200, "tries": 5, "twins": 6}
    tree["interpret"]["networks"] = ["bytes98-heldout-120"]
    for row in ("reference", "baseline", "tuned", "prelu", "golf98", "golf99"):
        del tree[row]
    return config.check(tree)


@pytest.fixture
def descended(workplace: Path, settings: Config) -> Checkpoint:
    """What a descent leaves: two seeds that know the digits, at two sizes each, with a form and biases."""
    network = Network.parse(SPEC, (1, 28, 28), Form())
    core, train, heldout = engine(network), data.read("train"), data.read("heldout")
    labels = train.labels.astype(np.int64)

    def trained(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
        made = np.where(mask, values, np.float32(0))
        m, v = np.zeros_like(made), np.zeros_like(made)
        for epoch in range(15):
            rows = np.random.default_rng(epoch).permutation(len(train))
            rates = np.full(-(-len(rows) // 32), 0.005)
            core.adam_epoch(made, m, v, epoch * len(rates), train.pixels, labels, rows, 32, rates, mask=mask)
        return made

    vectors, runs = [], []
    for seed in SEEDS:
        values = trained(initialise(network, np.random.default_rng(seed)), np.ones(network.size, bool))
        for size in SIZES:
            kept = np.zeros(network.size, bool)
            kept[np.argsort(-np.abs(values))[:size]] = True
            values = trained(values, kept)
            vectors.append(values)
            scored = data.score(core, values, train=train, heldout=heldout)
            runs.append(Run(seed, "heldout", size=size, entered=size == 120, **scored))
    parameters = np.stack(vectors)
    made = Checkpoint(network, parameters, parameters != 0, tuple(runs))
    write_checkpoint(Path("results/models/open98.safetensors"), made)
    return made


@pytest.fixture
def packed(descended: Checkpoint, settings: Config) -> Checkpoint:
    stage.run(settings, "bytes98")
    return read_checkpoint(Path("results/models/bytes98.safetensors"), descended.network)


@pytest.fixture
def verified(packed: Checkpoint, settings: Config) -> list[Result]:
    export.run(settings)
    verify.run(settings)
    return [result for result in read_results() if result.row == "bytes98"]


def test_every_seed_at_every_size_is_packed(
    packed: Checkpoint, descended: Checkpoint, settings: Config
) -> None:
    assert [(run.seed, run.size, run.judge, run.entered) for run in packed.runs] == [
        (seed, size, "heldout", size == 120) for seed in SEEDS for size in SIZES
    ]  # fmt: skip
    heldout = data.read("heldout")
    core = engine(packed.network)
    for number, run in enumerate(packed.runs):
        made, source = packed.baked(number), descended.baked(number)
        weights = packed.network.weights()
        assert np.count_nonzero(made) == np.count_nonzero(
            source[weights]
        )  # the biases are dropped, no weight is
        assert (made == np.rint(made)).all() and np.abs(made).max() <= 4
        assert run.heldout_correct == core.correct(made, heldout.pixels, heldout.labels.astype(np.int64))
        assert run.heldout_correct > 0.5 * len(heldout)
        assert run.train_correct is not None
    lines = Path("results/plots/bytes98.csv").read_text().splitlines()
    assert lines[0] == "seed,size,entered,nonzero,bytes,train_accuracy,heldout_accuracy" and len(lines) == 5
    assert int(lines[1].split(",")[4]) == len(encode(packed.network, packed.baked(0)))
    told = json.loads(Path("results/metrics/bytes98.json").read_text())
    assert told["runs"] == 4 and list(told["bytes"]) == ["150", "120"]


def test_what_was_packed_is_not_packed_again(
    packed: Checkpoint, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise AssertionError

    before = Path("results/models/bytes98.safetensors").read_bytes()
    monkeypatch.setattr(stage, "smallest", fail)
    stage.run(settings, "bytes98")
    assert Path("results/models/bytes98.safetensors").read_bytes() == before
    other = settings.pack.model_copy(update={"seed": 7})
    with pytest.raises(AssertionError):
        stage.run(settings.model_copy(update={"pack": other}), "bytes98")


def test_a_size_that_the_descent_does_not_have_is_one_line(descended: Checkpoint, settings: Config) -> None:
    keep = [number for number, run in enumerate(descended.runs) if run.size != 120]
    less = replace(
        descended, parameters=descended.parameters[keep], masks=descended.masks[keep],
        runs=tuple(descended.runs[number] for number in keep),
    )  # fmt: skip
    write_checkpoint(Path("results/models/open98.safetensors"), less)
    with pytest.raises(
        GolfError, match=r"open98\.safetensors has no network of size 120, which params\.yaml: bytes98"
    ):
        stage.run(settings, "bytes98")


def test_each_network_is_exported_twice_and_both_files_say_the_same(verified: list[Result]) -> None:
    listed = {file.name: file for file in export.read_exported()}
    assert {name for name, file in listed.items() if file.golf} == {result.name for result in verified}
    assert '"golf": null' not in export.LISTING.read_text()
    assert {path.name for path in Path("results/golf").iterdir()} == {f"{r.name}.golf" for r in verified}
    for result in verified:
        content = golf_file(result.name).read_bytes()
        assert listed[result.name].golf == f"results/golf/{result.name}.golf"
        assert result.bytes == len(content) and result.division == "open"
        network, values = decode(content)
        assert (
            result.nonzero == np.count_nonzero(values) + 3 == listed[result.name].nonzero
        )  # a form has three
        told = {p.key: p.value for p in onnx.load(result.path).metadata_props}
        assert told["network"] == ", ".join(network.spec) and "nobias" in told["network"]
        assert verify.same_network(content, Path(result.path).read_bytes())
    (other,) = {r.bytes for r in read_results() if r.row == "open98"}
    assert other is None


def test_a_file_of_another_row_goes(verified: list[Result], settings: Config) -> None:
    Path("results/golf/gone-1-0.golf").write_bytes(b"old")
    export.run(settings)
    assert not Path("results/golf/gone-1-0.golf").exists()


ALTERED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "of another seed": (
        lambda path, other: path.write_bytes(other.read_bytes()), r"bytes98-120-0\.golf: .*bytes98-120-0\.onnx",
    ),
    "cut off": (lambda path, _: path.write_bytes(path.read_bytes()[:9]), r"bytes98-120-0\.golf"),
    "not there": (lambda path, _: path.unlink(), r"bytes98-120-0\.golf: refused"),
    "with a weight moved": (lambda path, _: path.write_bytes(moved(path.read_bytes())), r"another network|correct"),
}  # fmt: skip


def moved(content: bytes) -> bytes:
    """The file of a network in which one weight has another sign."""
    network, values = decode(content)
    at = int(np.flatnonzero(values)[0])
    values[at] = -values[at]
    return encode(network, values)


@pytest.mark.parametrize("how", ALTERED)
def test_a_file_that_says_another_network_fails_the_stage(
    how: str, verified: list[Result], settings: Config
) -> None:
    change, named = ALTERED[how]
    before = Path("results/plots/verify.csv").read_bytes()
    change(golf_file("bytes98-120-0"), golf_file("bytes98-120-1"))
    with pytest.raises(GolfError, match=named) as caught:
        verify.run(settings)
    assert "\n" not in str(caught.value)
    assert Path("results/plots/verify.csv").read_bytes() == before


def test_files_that_differ_in_nothing_that_is_counted_are_still_compared(verified: list[Result]) -> None:
    """Two networks may have equal counts and scores."""
    content = golf_file("bytes98-120-0").read_bytes()
    assert verify.same_network(content, to_onnx(content))
    assert not verify.same_network(moved(content), to_onnx(content))


def test_the_tables_show_the_bytes(verified: list[Result], settings: Config) -> None:
    front.run(settings)
    ladder.run(settings)
    some = [r for r in verified if r.size == 120]
    text = Path("results/ladder.md").read_text()
    assert "bytes98, size 120" in text and "| bytes98 " in text
    assert f"{max(some, key=lambda r: r.heldout_correct).name}" in Path("results/front.md").read_text()
    lines = [line.split(",") for line in Path("results/plots/front.csv").read_text().splitlines()]
    rows = {(line[0], line[1]): dict(zip(lines[0], line, strict=True)) for line in lines[1:]}
    assert float(rows["bytes98", "120"]["bytes"]) == np.mean([r.bytes for r in some])
    assert rows["open98", "120"]["bytes"] == "" and rows["open98", "120"]["nonzero"] == "123.0"
    card = Path("results/cards/bytes98-heldout-120.md").read_text()
    assert f"[{some[0].bytes}](../golf/{some[0].name}.golf)" in card


@pytest.fixture
def challenges(monkeypatch: pytest.MonkeyPatch) -> None:
    """mnist-98 and mnist-98-bytes on the digits: the first as hard as can be, the second easy."""
    test = data.read("test")
    change = {"images": len(test), "dataset": "digits"}
    made = {
        name: load_challenge(name).model_copy(update={**change, "threshold": threshold})
        for name, threshold in (("mnist-98", len(test)), ("mnist-98-bytes", len(test) // 2))
    }
    monkeypatch.setattr(enter, "challenge_names", lambda: list(made))
    monkeypatch.setattr(enter, "load_challenge", made.__getitem__)
    monkeypatch.setattr(enter, "load_test_set", lambda *_: (test.pixels, test.labels))


def test_files_are_entered_where_bytes_are_ranked_and_networks_where_parameters_are(
    verified: list[Result], settings: Config, challenges: None
) -> None:
    tree = settings.model_dump(mode="json", exclude_none=True)
    tree["rows"]["bytes98"]["frozen"] = "0123abc"
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    said = list(enter.enter(Path(), Path("board"), []))
    assert [line.split(":")[0] for line in said] == [
        "no entry mnist-98/open98-heldout-120", "entered mnist-98-bytes/bytes98-heldout-120"
    ]  # fmt: skip
    folder = Path("board/mnist-98-bytes/bytes98-heldout-120")
    best = max((r for r in verified if r.size == 120), key=lambda r: r.heldout_correct)
    assert (folder / "model.golf").read_bytes() == golf_file(best.name).read_bytes()
    assert f" {best.bytes} bytes, " in said[1]
    card = load_card(folder / "card.yaml")
    assert (card.frozen, card.seed, card.command) == ("0123abc", best.seed, "snakemake bytes98")
    golf_file(best.name).write_bytes(moved(golf_file(best.name).read_bytes()))
    with pytest.raises(GolfError, match="is not the file that `golf verify` scored"):
        list(enter.enter(Path(), Path("board"), []))


def test_the_command_makes_the_row(descended: Checkpoint, settings: Config) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json", exclude_none=True)))
    assert cli.main(["bytes98"]) == 0
    assert Path("results/models/bytes98.safetensors").exists()
