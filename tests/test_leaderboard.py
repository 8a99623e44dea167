"""The leaderboard: entries are verified again, ranked, and shown without trusting what strangers wrote."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from nets import W10, mean_net
from neural_golf import cli as golf
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.leaderboard import cli, entries
from neural_golf.leaderboard.entries import Broken, Card, Entry, load_card, submit, verified_entries
from neural_golf.leaderboard.tables import outdated, render, render_graphs, tables, write_tables
from neural_golf.referee import cli as referee
from neural_golf.referee.challenge import Challenge, challenge_names, load_challenge, load_test_set
from neural_golf.referee.exits import NoVerdict
from neural_golf.referee.sandbox import Sandbox
from neural_golf.referee.verdict import Verdict

ROOT = Path(__file__).parent.parent
F = np.float32
TestSet = tuple[NDArray[np.uint8], NDArray[np.uint8]]

CARD = {"author": "Ann", "method": "by hand", "chosen_on": "held-out", "licence": "MIT"}
AGAIN = {"code": "https://example.org/code", "seed": 7, "command": "make net"}
IMAGES = np.random.default_rng(0).integers(1, 256, (20, 1, 28, 28), np.uint8)
TEST_SET: TestSet = (IMAGES, np.full(20, 9, np.uint8))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Challenge:
    """mnist-98 with 20 images; where the leaderboard loads a challenge, each has as many."""

    def load(name: str) -> Challenge:
        return load_challenge(name).model_copy(update={"images": 20, "threshold": 20})

    monkeypatch.setattr(entries, "load_challenge", load)
    monkeypatch.setattr(cli, "load_challenge", load)
    monkeypatch.setattr(cli, "load_test_set", lambda *_: TEST_SET)
    return load("mnist-98")


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


def board(tmp_path: Path) -> list[Entry | Broken]:
    return verified_entries(tmp_path / "board", lambda _: TEST_SET)


def broken(tmp_path: Path) -> list[tuple[str, str, str]]:
    return [(one.name, one.verdict, one.reason) for one in board(tmp_path) if isinstance(one, Broken)]


@pytest.mark.parametrize("text", ["author: [", "[" * 3000, "author: A\nauthor: B"])
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
    assert table.ranked == () and table.broken[0].verdict == "FAIL"
    assert "**FAIL**: first" in render(board(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen_on": "luck"}, "chosen_on: Input should be 'train', 'held-out' or 'test'"),
        ({"score": 1}, "score: no such key"),
        ({"author": ""}, "author: String should have at least 1"),
        ({"author": "a\x1b[31m"}, "author: it must be one line"),
        ({"links": ["javascript:alert(1)"]}, r"links.0: it must be an https link$"),
        ({"links": ["https://a.b/) <script>"]}, r"links.0: it must be an https link$"),
        ({"links": ["https://github.com@evil.example/"]}, r"links.0: it must be an https link$"),
        ({"code": "http://a.b"}, "code: it must be an https link or a path"),
        ({"code": "../secret"}, "code: it must be an https link or a path"),
        ({"code": "/etc"}, "code: it must be an https link or a path"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"seed": 1.5}, "seed: Input should be a valid integer"),
        ({"seed": "1_000"}, "seed: Input should be a valid integer"),
        ({"seed": []}, "seed: "),
        ({"command": ""}, "command: String should have at least 1"),
        ({"frozen": "main"}, "frozen: it must be a commit, 7 to 40 digits"),
        ({"frozen": "abc123`"}, "frozen: it must be a commit, 7 to 40 digits"),
        ({"frozen": 1234567}, "frozen: it must be a commit, 7 to 40 digits of a-f and 0-9, in quotes"),
        ({"\u202e\x1b[31m": 1}, r"\\u202e\\x1b\[31m: no such key"),
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
    assert row.count(" | ") == 11  # twelve cells


# One folder that is no entry does not stop the table.


ODD = "it must hold model.onnx and card.yaml and nothing else"
THERE_ARE = f"there are {', '.join(challenge_names())}"
NAME = "its name must be of a-z, 0-9, dot, dash, and underscore"


def spoil(folder: Path, how: str) -> tuple[str, str]:
    """Make something odd of an entry; returns its name in the table and the reason."""
    card, file = folder / "card.yaml", folder / "model.onnx"
    match how:
        case "a file more":
            (folder / "notes.txt").write_text("hello")
            return folder.name, ODD
        case "no card":
            card.unlink()
            return folder.name, ODD
        case "a card that points elsewhere":
            card.unlink()
            card.symlink_to("/etc/passwd")
            return folder.name, ODD
        case "a network that points elsewhere":
            file.rename(folder.parents[2] / "away.onnx")
            file.symlink_to(folder.parents[2] / "away.onnx")
            return folder.name, ODD
        case "a folder that points elsewhere":
            folder.rename(folder.parents[2] / "away")
            folder.symlink_to(folder.parents[2] / "away")
            return folder.name, "it is a symbolic link"
        case "a folder that points to nothing":
            folder.rename(folder.parents[2] / "away")
            folder.symlink_to(folder.parents[2] / "nothing")
            return folder.name, "it is a symbolic link"
        case "a folder for a card":
            card.unlink()
            card.mkdir()
            return folder.name, "it is a folder, not a file"
        case "a pipe for a card":
            card.unlink()
            os.mkfifo(card)
            return folder.name, "it is a named pipe, not a file"
        case "a long card":
            card.write_text("# " + "x" * 70_000)
            return folder.name, "the file has 70002 bytes; the limit is 65536"
        case "a card with an unknown key":
            card.write_text(json.dumps(CARD | {"<b>\u202e": 1}))
            return (
                folder.name,
                "<b>\\u202e: no such key; a card has author, method, chosen_on, licence, links, code, seed, command, "
                "frozen",
            )
        case "a card with an alias":
            card.write_text("author: &a Ann\nmethod: *a\nchosen_on: train\nlicence: MIT\n")
            return folder.name, "not YAML (it has an anchor, &a)"
        case "a name in capitals and colours":
            folder.rename(folder.with_name("A\x1b[31m\u202e"))
            return r"A\x1b[31m\u202e", NAME
        case "a name that is not text":
            os.rename(folder, os.fsencode(folder.parent) + b"/\xff")  # noqa: PTH104 (bytes)
            return r"\udcff", NAME
        case "a file beside the entries":
            (folder.parent / "notes.txt").write_text("hello")
            return "notes.txt", "it is not a folder"
        case "a file beside the challenges":
            (folder.parents[1] / "notes.txt").write_text("hello")
            return "notes.txt", f"challenge 'notes.txt' does not exist; {THERE_ARE}"
        case "a folder of no challenge":
            (folder.parents[1] / "mnist-97").mkdir()
            return "mnist-97", f"challenge 'mnist-97' does not exist; {THERE_ARE}"
        case "a folder that is a challenge's file elsewhere":
            (folder.parents[1] / "x.yaml").mkdir()
            return "x.yaml", f"challenge 'x.yaml' does not exist; {THERE_ARE}"
        case "a folder of colours":
            (folder.parents[1] / "\x1b[31m\u202e").mkdir()
            shown = r"\x1b[31m\u202e"
            return shown, f"challenge '{shown}' does not exist; {THERE_ARE}"
        case "a challenge that points elsewhere":
            (folder.parents[1] / "mnist-99").symlink_to(folder.parent)
            return "mnist-99", "it is a symbolic link"
        case "a challenge that is a file":
            (folder.parents[1] / "mnist-99").write_text("hello")
            return "mnist-99", "it is not a folder"
    raise AssertionError(how)


BESIDE = [
    "a file beside the challenges",
    "a folder of no challenge",
    "a folder that is a challenge's file elsewhere",
    "a folder of colours",
    "a challenge that points elsewhere",
    "a challenge that is a file",
]


@pytest.mark.parametrize(
    "how",
    [
        "a file more",
        "no card",
        "a card that points elsewhere",
        "a network that points elsewhere",
        "a folder that points elsewhere",
        "a folder that points to nothing",
        "a folder for a card",
        "a pipe for a card",
        "a long card",
        "a card with an unknown key",
        "a card with an alias",
        "a name in capitals and colours",
        "a name that is not text",
        "a file beside the entries",
        *BESIDE,
    ],
)
def test_one_bad_entry_is_shown_and_the_others_stay(
    tmp_path: Path, enter: Callable[..., Entry], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is told in one line, also what lies beside the challenges; no folder's name is ever a path."""
    (tmp_path / "x.yaml").write_text(
        load_challenge("mnist-98").model_copy(update={"name": "x"}).model_dump_json()
    )
    enter("first")
    enter("second", zeros=1)
    shown = spoil(tmp_path / "board/mnist-98/first", how)
    assert [(name, reason) for name, _, reason in broken(tmp_path)] == [shown]
    found = board(tmp_path)
    assert [rank for rank, e in tables(found)["mnist-98"].ranked if e.name == "second"] == [1]
    text = render(found)
    assert "**BROKEN**: " in text and "<b>" not in text and "\x1b" not in text and "\u202e" not in text
    root = ["--leaderboard", str(tmp_path / "board")]
    assert command("leaderboard", *root) == 1
    told = json.loads((tmp_path / "board/leaderboard.json").read_text())
    assert list(told) == ["mnist-98"]
    here = [] if how in BESIDE else [{"entry": shown[0], "verdict": "BROKEN", "reason": shown[1]}]
    assert told["mnist-98"]["broken"] == here
    assert outdated(found, tmp_path / "board") == []  # the tables are these, and yet:
    assert command("leaderboard", "--check", *root) == 1
    place = shown[0] if how in BESIDE else f"mnist-98/{shown[0]}"
    assert f"BROKEN: {place}: {shown[1]}\n" in capsys.readouterr().out


def test_an_entry_without_a_verdict_stops_everything(
    tmp_path: Path,
    enter: Callable[..., Entry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is neither dropped nor written as refused."""
    enter("first")
    enter("second", zeros=1)
    words = ["leaderboard", "--leaderboard", str(tmp_path / "board")]
    assert golf.main(words) == 0
    before = {p.name: p.read_bytes() for p in (tmp_path / "board").iterdir() if p.is_file()}
    judge = Sandbox.judge

    def busy(self: Sandbox, path: Path, probes: bool = True) -> object:
        if "second" in str(path):
            raise NoVerdict("verify: no verdict: this machine is too busy")
        return judge(self, path, probes)

    monkeypatch.setattr(Sandbox, "judge", busy)
    monkeypatch.setattr(longwork, "cores", lambda: 1)  # so that the first is told before the second is begun
    for more in ([], ["--check"]):
        capsys.readouterr()
        assert golf.main([*words, *more]) == 3
        said = capsys.readouterr()
        assert said.out == ""
        judged, why = said.err.splitlines()
        assert judged == "leaderboard mnist-98/first: PASS, 1 of 2 entries judged"
        assert why == "golf leaderboard: verify: no verdict: this machine is too busy"
    assert {p.name: p.read_bytes() for p in (tmp_path / "board").iterdir() if p.is_file()} == before


def test_a_leaderboard_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    for name in ("file", "absent"):
        with pytest.raises(GolfError, match=rf"leaderboard: .*{name}: it is not a folder"):
            verified_entries(tmp_path / name, lambda _: TEST_SET)


def test_a_leaderboard_may_be_reached_by_a_link(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    enter("first")
    (tmp_path / "link").symlink_to(tmp_path / "board")
    assert [entry.place for entry in verified_entries(tmp_path / "link", lambda _: TEST_SET)] == [
        "mnist-98/first"
    ]


def test_what_is_judged_is_told_at_once(
    tmp_path: Path,
    enter: Callable[..., Entry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line on standard error for each entry, on one core before the next one is begun; each is judged in a
    child process of its own.
    """
    monkeypatch.setattr(longwork, "cores", lambda: 1)
    for zeros, name in enumerate(("first", "second", "third")):
        enter(name, zeros=zeros)
    (tmp_path / "board/mnist-98/second/model.onnx").write_bytes(b"bad")
    said: list[str] = []
    start = Sandbox._launch

    def launch(self: Sandbox) -> object:
        said.append(capsys.readouterr().err)
        return start(self)

    monkeypatch.setattr(Sandbox, "_launch", launch)
    capsys.readouterr()
    board(tmp_path)
    assert said == [
        "",
        "leaderboard mnist-98/first: PASS, 1 of 3 entries judged\n",
        "leaderboard mnist-98/second: REFUSED, 2 of 3 entries judged\n",
    ]
    assert capsys.readouterr().err == "leaderboard mnist-98/third: PASS, 3 of 3 entries judged\n"


def test_the_same_file_on_the_same_images_is_judged_once_for_all_its_challenges(
    tmp_path: Path,
    enter: Callable[..., Entry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each challenge has its own threshold; images of another data set, and other bytes, are judged again."""

    def load(name: str) -> Challenge:
        threshold = 20 if name == "mnist-99" else 5
        return load_challenge(name).model_copy(update={"images": 20, "threshold": threshold})

    monkeypatch.setattr(entries, "load_challenge", load)
    enter("first")
    enter("second", zeros=1)
    folder = tmp_path / "board"
    for challenge in ("mnist-99", "fashion-mnist-85"):
        shutil.copytree(folder / "mnist-98/first", folder / challenge / "first")
    asked: list[bytes] = []
    judge = Sandbox.judge

    def counted(self: Sandbox, path: Path, probes: bool = True) -> object:
        asked.append(path.read_bytes())
        return judge(self, path, probes)

    monkeypatch.setattr(Sandbox, "judge", counted)
    labels = np.where(np.arange(20) < 10, 9, 8).astype(np.uint8)  # half of them are right
    capsys.readouterr()
    found = verified_entries(folder, lambda _: (IMAGES, labels))
    assert [(one.place, isinstance(one, Entry)) for one in found] == [
        ("fashion-mnist-85/first", True), ("mnist-98/second", True), ("mnist-98/first", True),
        ("mnist-99/first", False),
    ]  # fmt: skip
    assert "10 of 20 correct, 20 needed" in found[-1].reason  # type: ignore[union-attr]
    assert len(asked) == 3 and len(set(asked)) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4 and told[-1].endswith("4 of 4 entries judged")


def test_submit_knows_only_the_projects_challenges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = load_challenge("mnist-98").model_dump() | {"threshold": 1}
    (tmp_path / "easy.yaml").write_text(json.dumps(tree))
    (tmp_path / "card.yaml").write_text(json.dumps(CARD))
    words = ["--name", "a", "--card", str(tmp_path / "card.yaml"), "--challenge", str(tmp_path / "easy.yaml")]
    assert golf.main(["submit", str(tmp_path / "a.onnx"), *words]) == 3
    assert f"easy.yaml' does not exist; {THERE_ARE}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "code", "told"),
    [
        (mean_net().SerializeToString(), 0, ""),
        (mean_net(constants={"w": -W10}).SerializeToString(), 1, "0 of 20 correct, 20 needed"),
        (b"bad", 2, "does not parse"),
        (None, 2, "the file cannot be opened"),
    ],
    ids=["PASS", "FAIL", "REFUSED", "absent"],
)
def test_submit_ends_as_verify_does(
    tmp_path: Path,
    small: Challenge,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    code: int,
    told: str,
) -> None:
    for name in ("load_challenge", "load_test_set"):
        monkeypatch.setattr(referee, name, lambda *_, name=name, **__: getattr(cli, name)("mnist-98"))
    if content is not None:
        (tmp_path / "a.onnx").write_bytes(content)
    (tmp_path / "card.yaml").write_text(json.dumps(CARD))
    words = [str(tmp_path / "a.onnx"), "--challenge", "mnist-98"]
    more = ["--name", "a", "--card", str(tmp_path / "card.yaml"), "--leaderboard", str(tmp_path / "board")]
    assert golf.main(["verify", *words]) == code
    assert golf.main(["submit", *words, *more]) == code
    said = capsys.readouterr().err
    assert said == "" if code == 0 else said.startswith("golf submit: submit: a.onnx is no") and told in said
    assert (tmp_path / "board").exists() is (code == 0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("card", "author: Field required"),
        ("name", "must be of a-z"),
        ("twice", "exists already"),
        ("busy", "this machine is too busy"),
        ("data", "no t10k-images-idx3-ubyte.gz in absent"),
        ("fault", "KeyError"),
    ],
)
def test_submit_without_a_verdict_ends_with_3(
    tmp_path: Path,
    enter: Callable[..., Entry],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    wrong: str,
    told: str,
) -> None:
    """As `golf verify` does: 1 is a file that fails, and nothing else."""
    enter("first")
    (tmp_path / "card.yaml").write_text(json.dumps({} if wrong == "card" else CARD))
    name = {"name": "A", "twice": "first"}.get(wrong, "second")

    def judge(self: Sandbox, path: Path, probes: bool = True) -> object:
        raise NoVerdict("verify: no verdict: this machine is too busy") if wrong == "busy" else KeyError("x")

    if wrong in ("busy", "fault"):
        monkeypatch.setattr(Sandbox, "judge", judge)
    if wrong == "data":
        monkeypatch.setattr(cli, "load_test_set", load_test_set)
    words = ["submit", str(tmp_path / "in.onnx"), "--name", name, "--card", str(tmp_path / "card.yaml")]
    words += ["--leaderboard", str(tmp_path / "board"), "--data", "absent"]
    assert golf.main(words) == 3
    assert told in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "board/mnist-98").iterdir()] == ["first"]


# Whether an entry can be made again


def test_an_entry_without_code_seed_and_command_is_not_reproducible(
    tmp_path: Path, enter: Callable[..., Entry]
) -> None:
    enter("old")
    enter("seedless", zeros=1, code="src", command="make")
    enter("whole", zeros=2, **(AGAIN | {"seed": [3, 4]}))
    assert command("leaderboard", "--leaderboard", str(tmp_path / "board")) == 0
    ranked = json.loads((tmp_path / "board/leaderboard.json").read_text())["mnist-98"]["ranked"]
    assert {row["entry"]: row["reproducible"] for row in ranked} == {
        "whole": True,
        "seedless": False,
        "old": False,
    }
    assert {row["entry"]: row["card"].get("seed") for row in ranked}["whole"] == [3, 4]
    rows = {
        line.split("](")[0].split("[")[1]: line
        for line in render(board(tmp_path)).splitlines()
        if "](" in line
    }
    assert "not reproducible: the card names no code, no seed, no command" in rows["old"]
    assert "not reproducible: the card names no seed |" in rows["seedless"]
    assert "not reproducible" not in rows["whole"] and "[code](<https://example.org/code>)" in rows["whole"]
    graphs = render_graphs(board(tmp_path))
    assert "Made by: make net (seed 3, 4; code: https:/<span>" in graphs
    assert "Not reproducible: the card names no seed." in graphs


def test_the_commit_that_wrote_an_entry_down_before_it_was_scored_is_shown(
    tmp_path: Path, enter: Callable[..., Entry]
) -> None:
    enter("before", **(AGAIN | {"frozen": "0123abc"}))
    enter("unsaid", zeros=1, **AGAIN)
    assert command("leaderboard", "--leaderboard", str(tmp_path / "board")) == 0
    ranked = json.loads((tmp_path / "board/leaderboard.json").read_text())["mnist-98"]["ranked"]
    assert {row["entry"]: row["card"].get("frozen") for row in ranked} == {
        "before": "0123abc",
        "unsaid": None,
    }
    text = (tmp_path / "board/README.md").read_text()
    assert text.count("Frozen in `0123abc`.") == text.count("Frozen") == 1
    assert "; frozen in commit 0123abc)." in (tmp_path / "board/graphs.md").read_text()


def test_submit_says_that_an_entry_will_not_be_reproducible(
    tmp_path: Path, small: Challenge, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.onnx").write_bytes(mean_net().SerializeToString())
    words = [str(tmp_path / "a.onnx"), "--name", "a", "--leaderboard", str(tmp_path / "board"), "--replace"]
    for card, said in ((CARD, True), (CARD | AGAIN, False)):
        (tmp_path / "card.yaml").write_text(json.dumps(card))
        assert command("submit", *words, "--card", str(tmp_path / "card.yaml")) == 0
        told = "it will be shown as not reproducible: the card names no code, no seed, no command\n"
        assert (told in capsys.readouterr().out) is said
        assert load_card(tmp_path / "board/mnist-98/a/card.yaml") == Card.model_validate(card)


def test_letters_that_pass_for_others_are_told(tmp_path: Path, enter: Callable[..., Entry]) -> None:
    entry = enter("first", author="\u0410nn", method="by hand\u200b")
    assert entry.flags == [
        "look-alike letters in the author: \u0410nn has U+0410 CYRILLIC CAPITAL LETTER A",
        "characters that show nothing in the method, left out here: U+200B",
    ]
    text = render(board(tmp_path))
    assert "look-alike letters in the author" in text and "\u200b" not in text
    assert command("leaderboard", "--leaderboard", str(tmp_path / "board")) == 0
    (row,) = json.loads((tmp_path / "board/leaderboard.json").read_text())["mnist-98"]["ranked"]
    assert row["flags"] == entry.flags and row["card"]["method"] == "by hand"


@pytest.mark.parametrize("division", ["plain", "open"])
def test_the_tables_tell_the_division(division: Literal["plain", "open"], tmp_path: Path) -> None:
    verdict = Verdict("PASS", "", "a", "mnist-98", 20, 20, 20, 20, 1, 1, 1, division=division)
    write_tables([Entry("mnist-98", "first", Card.model_validate(CARD), verdict)], tmp_path)
    (row,) = json.loads((tmp_path / "leaderboard.json").read_text())["mnist-98"]["ranked"]
    assert row["division"] == division
    header, _, line = (tmp_path / "README.md").read_text().splitlines()[-3:]
    at = [cell.strip() for cell in header.split(" | ")].index("division")
    assert line.split(" | ")[at].strip() == division


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
