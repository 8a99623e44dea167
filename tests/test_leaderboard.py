"""The leaderboard: entries are verified again, ranked, and shown without trusting what strangers wrote."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nets import W10, mean_net
from neural_golf.base.errors import GolfError
from neural_golf.leaderboard import cli, entries
from neural_golf.leaderboard.entries import Card, Entry, load_card, submit, verified_entries
from neural_golf.leaderboard.tables import outdated, render, render_graphs, tables
from neural_golf.referee.challenge import Challenge, load_challenge, load_test_set
from neural_golf.referee.verdict import Verdict

ROOT = Path(__file__).parent.parent
F = np.float32
TestSet = tuple[NDArray[np.uint8], NDArray[np.uint8]]

CARD = {"author": "Ann", "method": "by hand", "chosen_on": "held-out", "licence": "MIT"}
IMAGES = np.random.default_rng(0).integers(1, 256, (20, 1, 28, 28), np.uint8)
TEST_SET: TestSet = (IMAGES, np.full(20, 9, np.uint8))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Challenge:
    """mnist-98 with 20 images, wherever it is loaded."""
    made = load_challenge("mnist-98").model_copy(update={"images": 20, "threshold": 20})
    monkeypatch.setattr(entries, "load_challenge", lambda name: made.model_copy(update={"name": name}))
    monkeypatch.setattr(cli, "load_challenge", lambda name: made)
    monkeypatch.setattr(cli, "load_test_set", lambda *_: TEST_SET)
    return made


@pytest.fixture
def enter(tmp_path: Path, small: Challenge) -> Callable[..., Entry]:
    """Submit a network whose first weights are zero."""

    def made(name: str, zeros: int = 0, spare: int = 0, **options: object) -> Entry:
        w = W10.copy()
        w[0, :zeros] = 0
        file = tmp_path / "in.onnx"
        constants = {"w": w} | ({"spare": np.zeros(spare, F)} if spare else {})
        file.write_bytes(mean_net(constants=constants).SerializeToString())
        again = bool(options.pop("replace", False))
        card = Card.model_validate(CARD | options)
        return submit(file, name, card, small, TEST_SET, tmp_path / "board", replace=again)

    return made


def board(tmp_path: Path) -> list[Entry]:
    return verified_entries(tmp_path / "board", lambda _: TEST_SET)


@pytest.mark.parametrize("text", ["author: 2001-99-99", "[" * 3000, "author: A\nauthor: B"])
def test_a_card_that_is_odd_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text)
    with pytest.raises(GolfError, match="not YAML") as caught:
        load_card(path)
    assert "\n" not in str(caught.value)


def test_submit_writes_the_file_and_the_card(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    entry = enter("first")
    folder = tmp_path / "board" / "mnist-98" / "first"
    assert sorted(p.name for p in folder.iterdir()) == ["card.yaml", "model.onnx"]
    assert (folder / "model.onnx").read_bytes() == (tmp_path / "in.onnx").read_bytes()
    assert load_card(folder / "card.yaml") == entry.card
    assert [p.name for p in folder.parent.iterdir()] == ["first"]  # nothing half-made is left


def test_an_entry_is_replaced_only_on_demand(enter: Callable[..., Entry]) -> None:
    enter("first")
    with pytest.raises(GolfError, match="exists already"):
        enter("first", zeros=1)
    assert enter("first", zeros=1, replace=True).verdict.nonzero == 9


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "A", "-a", "x" * 65, "a\n"])
def test_an_entry_cannot_be_named_out_of_the_folder(name: str, enter: Callable[..., Entry]) -> None:
    with pytest.raises(GolfError, match="must be of a-z"):
        enter(name)


def test_what_does_not_pass_is_no_entry(tmp_path: Path, small: Challenge) -> None:
    bad, poor = tmp_path / "bad.onnx", tmp_path / "poor.onnx"
    bad.write_bytes(b"bad")
    poor.write_bytes(mean_net(constants={"w": -W10}).SerializeToString())
    card = Card.model_validate(CARD)
    for file, why in ((bad, "does not parse"), (poor, "0 of 20 correct, 20 needed")):
        with pytest.raises(GolfError, match=why):
            submit(file, "x", card, small, TEST_SET, tmp_path / "board")
    assert not (tmp_path / "board").exists()


def test_ranks_by_nonzero_and_entries_chosen_on_test_apart(
    tmp_path: Path, enter: Callable[..., Entry]
) -> None:
    enter("eight", zeros=2)
    enter("nine-padded", zeros=1, spare=5)
    enter("nine", zeros=1)
    enter("cheat", zeros=5, chosen_on="test")
    table = tables(board(tmp_path))["mnist-98"]
    assert [(rank, e.name, e.verdict.nonzero) for rank, e in table.ranked] == [
        (1, "eight", 8),
        (2, "nine", 9),
        (2, "nine-padded", 9),
    ]
    assert [(rank, e.name) for rank, e in table.chosen_on_test] == [(1, "cheat")]
    graphs = render_graphs(board(tmp_path))
    assert graphs.count("```mermaid\nflowchart TD\n") == 4
    text = render(board(tmp_path))
    for name in ("eight", "cheat"):
        assert f"[3](graphs.md#mnist-98-{name})" in text and f'<a id="mnist-98-{name}"></a>' in graphs
    assert text.index("nine-padded") < text.index("Chosen on the test images") < text.index("cheat")


def test_every_table_rests_on_a_fresh_verdict(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    """An entry altered after its submission is found, whatever its card says."""
    enter("first")
    path = tmp_path / "board" / "mnist-98" / "first" / "model.onnx"
    path.write_bytes(mean_net(constants={"w": -W10}).SerializeToString())
    table = tables(board(tmp_path))["mnist-98"]
    assert table.ranked == () and table.broken[0].verdict.verdict == "FAIL"
    assert "**FAIL**: first" in render(board(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen_on": "luck"}, "chosen_on: Input should be 'train', 'held-out' or 'test'"),
        ({"score": 1}, "score: Extra inputs"),
        ({"author": ""}, "author: String should have at least 1"),
        ({"author": "a\x1b[31m"}, "author: String should match"),
        ({"links": ["javascript:alert(1)"]}, r"links.0: String should match"),
        ({"links": ["https://a.b/) <script>"]}, r"links.0: String should match"),
    ],
)
def test_a_wrong_card_says_where(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(json.dumps(CARD | change))  # JSON is YAML
    with pytest.raises(GolfError, match=message):
        load_card(path)


def test_a_card_that_is_no_yaml_or_builds_objects_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    for text in ("author: [", "author: !!python/object/apply:os.system [true]", "- a"):
        path.write_text(text)
        with pytest.raises(GolfError, match="card"):
            load_card(path)


def test_what_strangers_wrote_is_escaped() -> None:
    method = "<script>alert(1)</script> | **bold** [x](javascript:y)\n# head `code` \u202e"
    card = Card.model_validate(CARD | {"method": method, "author": "<b>", "links": ["https://a.b/?c=1&d"]})
    verdict = Verdict("PASS", "", "a", "mnist-98", 20, 20, 20, 20, 1, 1, 1, 1)
    text = render([Entry("mnist-98", "first", card, verdict)])
    row = next(line for line in text.splitlines() if "first" in line)
    assert "<script>" not in text and "<b>" not in text and "\u202e" not in text
    assert (
        r"&lt;script&gt;alert(1)&lt;/script&gt; \| \*\*bold\*\* \[x\](javascript:y) \# head \`code\`" in row
    )
    assert "[1](<https://a.b/?c=1&amp;d>)" in row
    assert row.count(" | ") == 10  # eleven cells


def test_an_odd_folder_is_an_error(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    enter("first")
    (tmp_path / "board" / "mnist-98" / "first" / "notes.txt").write_text("hello")
    with pytest.raises(GolfError, match=r"must hold model.onnx and card.yaml and nothing else"):
        board(tmp_path)


def test_an_entry_may_not_point_elsewhere(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    enter("first")
    card = tmp_path / "board" / "mnist-98" / "first" / "card.yaml"
    card.unlink()
    card.symlink_to("/etc/passwd")
    with pytest.raises(GolfError, match=r"must hold model.onnx and card.yaml and nothing else"):
        board(tmp_path)


def test_a_card_is_short(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("# " + "x" * 70_000)
    with pytest.raises(GolfError, match="longer than 65536 bytes"):
        load_card(tmp_path / "card.yaml")


def test_a_tie_in_rank_needs_the_same_nonzero_only() -> None:
    card = Card.model_validate(CARD)
    base = Verdict("PASS", "", "a", "mnist-98", 20, 20, 20, 20, 9, 9, 9, 1)
    entries = [
        Entry("mnist-98", n, card, replace(base, nonzero=k)) for n, k in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert [rank for rank, _ in tables(entries)["mnist-98"].ranked] == [1, 1, 3]


def command(which: str, *words: str) -> int:
    parser = argparse.ArgumentParser()
    getattr(cli, f"add_{which}_arguments")(parser)
    code: int = getattr(cli, f"run_{which}")(parser.parse_args(words))
    return code


def test_the_commands_submit_write_and_check(
    tmp_path: Path, small: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "card.yaml").write_text(json.dumps(CARD))
    (tmp_path / "a.onnx").write_bytes(mean_net().SerializeToString())
    root = ["--leaderboard", str(tmp_path / "board")]
    words = [str(tmp_path / "a.onnx"), "--name", "first", "--card", str(tmp_path / "card.yaml")]
    assert command("submit", *words, *root) == 0
    assert command("leaderboard", "--check", *root) == 1  # nothing is written yet
    assert command("leaderboard", *root) == 0
    assert command("leaderboard", "--check", *root) == 0
    found = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert found["mnist-98"]["ranked"][0]["entry"] == "first"
    assert found["mnist-98"]["dataset"] == "mnist"  # the page shows the challenges on its data set
    assert "PASS: mnist-98/first: 20 of 20 correct" in capsys.readouterr().out
    (tmp_path / "board" / "README.md").write_text("edited by hand")
    assert outdated(board(tmp_path), tmp_path / "board") == ["README.md"]
    assert command("leaderboard", "--check", *root) == 1
    (tmp_path / "board" / "mnist-98" / "first" / "model.onnx").write_bytes(b"bad")
    assert command("leaderboard", *root) == 1


def test_every_committed_entry_is_verified_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What `golf leaderboard --check` says of leaderboard/, where the published test files can be had."""
    folder = ROOT / "leaderboard"
    places = [ROOT / "data", ROOT / "results/fashion/data", ROOT.parent / "shared"]
    if not folder.is_dir():
        pytest.skip("there is no leaderboard/ yet: `make enter` writes it")
    try:
        for challenge in filter(Path.is_dir, folder.iterdir()):
            load_test_set(load_challenge(challenge.name), *places)
    except GolfError as error:
        pytest.skip(f"NO ENTRY WAS VERIFIED: {error}")
    data = [word for place in places for word in ("--data", str(place))]
    code = command("leaderboard", "--check", "--leaderboard", str(folder), *data)
    assert code == 0, capsys.readouterr().out
