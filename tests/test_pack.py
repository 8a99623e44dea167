"""`golf pack` and `golf unpack`, and how the referee and the leaderboard take .golf files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from neural_golf import cli, config, data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.compress.surgeon import operate
from neural_golf.config import Config
from neural_golf.config.sections import Pack
from neural_golf.engine import engine
from neural_golf.leaderboard import entries
from neural_golf.leaderboard.entries import Broken, Card, Entry, submit, verified_entries
from neural_golf.leaderboard.tables import render, tables, write_tables
from neural_golf.net.checkpoint import Checkpoint, Run, write_checkpoint
from neural_golf.net.form import Form
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode
from neural_golf.packed.graph import read_network, to_onnx
from neural_golf.quantise.search import Search, nearest, round_one, without_biases
from neural_golf.referee.challenge import Challenge, load_challenge
from neural_golf.referee.cli import verdict_table
from neural_golf.referee.rules import LIMITS
from neural_golf.referee.sandbox import Sandbox
from neural_golf.referee.verdict import verify
from neural_golf.site import board
from neural_golf.site.render import render as render_page

ROOT = Path(__file__).parent.parent
IMAGES = np.random.default_rng(0).integers(1, 256, (20, 1, 28, 28), np.uint8)
CARD = Card.model_validate({"author": "Ann", "method": "m", "chosen_on": "held-out", "licence": "MIT"})


def small(seed: int = 0, most: int = 4) -> tuple[Network, np.ndarray]:
    """A network of whole numbers that answers 20 images of noise as it does: its answers are the labels."""
    network = Network.parse(
        ("conv 4 k5 nobias turns", "abs", "maxpool 4", "conv 3 k3 nobias", "abs", "linear 10 nobias")
    )
    rng = np.random.default_rng(seed)
    return network, rng.integers(-most, most + 1, network.size).astype(np.float32)


@pytest.fixture(scope="module")
def content() -> bytes:
    return encode(*small())


@pytest.fixture(scope="module")
def labels(content: bytes) -> np.ndarray:
    network, values = decode(content)
    return engine(network).logits(values, IMAGES).argmax(1)


def challenge(score: str) -> Challenge:
    name = "mnist-98-bytes" if score == "bytes" else "mnist-98"
    return load_challenge(name).model_copy(update={"images": 20, "threshold": 20})


# The referee.


def test_the_challenges_of_bytes_are_those_of_parameters_but_for_what_is_made_small() -> None:
    for share in ("98", "99"):
        bytes_, nonzero = (load_challenge(f"mnist-{share}{more}").model_dump() for more in ("-bytes", ""))
        assert (bytes_.pop("score"), nonzero.pop("score")) == ("bytes", "nonzero")
        for one in (bytes_, nonzero):
            del one["name"], one["title"]
        assert bytes_ == nonzero


def test_a_file_is_scored_as_the_network_that_it_stands_for(
    tmp_path: Path, content: bytes, labels: np.ndarray
) -> None:
    path, other = tmp_path / "a.golf", tmp_path / "a.onnx"
    path.write_bytes(content)
    other.write_bytes(to_onnx(content))
    for score in ("bytes", "nonzero"):
        verdict = verify(path, IMAGES, labels, challenge(score))
        assert (verdict.verdict, verdict.correct, verdict.bytes) == ("PASS", 20, len(content)), verdict.reason
        assert ["bytes", str(len(content))] in [line.split() for line in verdict_table(verdict).splitlines()]
    plain = verify(other, IMAGES, labels, challenge("nonzero"))
    assert (plain.nonzero, plain.parameters, plain.drawing) == (
        verdict.nonzero, verdict.parameters, verdict.drawing
    )  # fmt: skip
    refused = verify(other, IMAGES, labels, challenge("bytes"))
    assert refused.verdict == "REFUSED" and "mnist-98-bytes ranks .golf files" in refused.reason


def test_a_file_whose_images_are_in_form_is_scored_like_any_other(tmp_path: Path) -> None:
    plain, values = small()
    network = Network.parse(plain.spec, plain.in_shape, Form())
    path = tmp_path / "a.golf"
    path.write_bytes(encode(network, values))
    labels = engine(network).logits(values, IMAGES).argmax(1)
    verdict = verify(path, IMAGES, labels, challenge("bytes"))
    assert (verdict.verdict, verdict.division) == ("PASS", "open"), verdict.reason
    assert len(path.read_bytes()) <= len(encode(plain, values)) + 1


HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "one byte": lambda good: good[:1],
    "zeros": lambda good: bytes(1000),
    "ones": lambda good: b"\xff" * 60_000,
    "one byte more": lambda good: good + b"\1",
    "a zero more": lambda good: good + b"\0",
    "random": lambda good: np.random.default_rng(1).bytes(5000),
    "of the referee's largest size": lambda good: np.random.default_rng(2).bytes(LIMITS.file_bytes),
    "an ONNX file": to_onnx,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(
    name: str, tmp_path: Path, content: bytes, labels: np.ndarray
) -> None:
    path = tmp_path / "a.golf"
    path.write_bytes(HOSTILE[name](content))
    with Sandbox(IMAGES) as sandbox:
        answer = sandbox.judge(path)
    assert answer.refused and "\n" not in answer.refused and "failed on it" not in answer.refused
    assert answer.peak_kib < 400 * 1024


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_refused_or_is_the_file_of_another_network(
    share: float, tmp_path: Path, content: bytes
) -> None:
    """There is no checksum: what is read is scored, whatever it once was."""
    path = tmp_path / "a.golf"
    path.write_bytes(content[: int(share * len(content))])
    with Sandbox(IMAGES) as sandbox:
        answer = sandbox.judge(path)
    if answer.refused is None:
        network, values = decode(path.read_bytes())
        assert encode(network, values) == path.read_bytes() != content
    else:
        assert "\n" not in answer.refused and "failed on it" not in answer.refused


def test_a_packed_file_and_its_onnx_file_are_read_as_the_same_network(tmp_path: Path, content: bytes) -> None:
    packed, unpacked = tmp_path / "net.golf", tmp_path / "net.onnx"
    packed.write_bytes(content)
    unpacked.write_bytes(to_onnx(content))
    (one, own, _), (other, values, told) = read_network(packed), read_network(unpacked)
    assert one.spec == other.spec == small()[0].spec and np.array_equal(own, values)
    assert np.array_equal(own, decode(content)[1]) and told["packed"] == f"{len(content)} bytes"


def test_a_fork_imports_nothing_for_a_packed_file(tmp_path: Path, content: bytes) -> None:
    """As for other files (tests/test_hostile.py)."""
    import subprocess
    import sys

    (tmp_path / "a.golf").write_bytes(content)
    code = f"""
import os, sys
from neural_golf.referee import child
before = set(sys.modules)
answer = child.judge(os.open({str(tmp_path / "a.golf")!r}, os.O_RDONLY), None, child.Limits(), b"C")
assert "count" in answer, answer
sys.exit(f"imported: {{sorted(set(sys.modules) - before)}}" if set(sys.modules) - before else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# The leaderboard.


@pytest.fixture
def submitted(
    tmp_path: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, bytes], Entry]:
    monkeypatch.setattr(entries, "load_challenge", lambda name: challenge("bytes"))

    def made(name: str, content: bytes) -> Entry:
        (tmp_path / "in.golf").write_bytes(content)
        test_set = (IMAGES, labels)
        return submit(tmp_path / "in.golf", name, CARD, challenge("bytes"), test_set, tmp_path / "board")

    return made


def test_the_leaderboard_ranks_by_bytes(
    tmp_path: Path, content: bytes, labels: np.ndarray, submitted: Callable[[str, bytes], Entry]
) -> None:
    network, values = small()
    more = values.copy()
    more[np.flatnonzero(values)] *= 3  # the same answers from a file with larger numbers
    larger = encode(network, more)
    assert len(larger) > len(content)
    submitted("larger", larger)
    submitted("smaller", content)
    folder = tmp_path / "board/mnist-98-bytes/smaller"
    assert sorted(p.name for p in folder.iterdir()) == ["card.yaml", "model.golf"]
    assert (folder / "model.golf").read_bytes() == content
    found = verified_entries(tmp_path / "board", lambda _: (IMAGES, labels))
    ranked = tables(found)["mnist-98-bytes"].ranked
    assert [(rank, e.name, e.scored) for rank, e in ranked] == [
        (1, "smaller", len(content)), (2, "larger", len(larger))
    ]  # fmt: skip
    text = render(found)
    assert "| rank | entry | division | bytes | non-zero |" in text
    assert f"| 1 | [smaller](mnist-98-bytes/smaller/model.golf) | plain | **{len(content)}** |" in text
    write_tables(found, tmp_path / "board")
    (shown,) = board.challenges(tmp_path / "board/leaderboard.json", "mnist")
    assert [(e.name, e.bytes) for e in shown.ranked] == [("smaller", len(content)), ("larger", len(larger))]
    page = render_page("leaderboard.html.j2", challenges=[shown])
    assert f'<td class="num">{len(content)}</td>' in page and '<th scope="col" class="num">bytes</th>' in page
    (hole,) = board.holes((0.98,), "us", [], [shown], [], config.load(ROOT / "params.yaml").ladder)
    assert hole.holder is None  # a file of few bytes holds no record in parameters


def test_a_packed_file_is_no_entry_where_parameters_are_ranked(
    tmp_path: Path, content: bytes, labels: np.ndarray
) -> None:
    (tmp_path / "in.golf").write_bytes(content)
    with pytest.raises(GolfError, match="takes ONNX files; `golf unpack`"):
        submit(
            tmp_path / "in.golf", "a", CARD, challenge("nonzero"), (IMAGES, labels), tmp_path / "board"
        )  # fmt: skip


def test_an_entry_of_bytes_that_was_altered_is_broken(
    tmp_path: Path, content: bytes, labels: np.ndarray, submitted: Callable[[str, bytes], Entry]
) -> None:
    submitted("a", content)
    (tmp_path / "board/mnist-98-bytes/a/model.golf").write_bytes(content + b"\0")
    (one,) = verified_entries(tmp_path / "board", lambda _: (IMAGES, labels))
    assert isinstance(one, Broken) and one.verdict == "REFUSED" and "not canonical" in one.reason


# The search.


def test_rounding_one_weight_to_zero_is_the_surgeons_removal(rng: np.random.Generator) -> None:
    a = rng.normal(size=(30, 8))
    hessian = a.T @ a / 30
    w = rng.normal(size=8)
    moved, kept = operate(w, hessian, 1, 0.0)
    q = int(np.flatnonzero(~kept)[0])
    mine, inverse = w.copy(), np.linalg.inv(hessian + 1e-12 * np.eye(8))
    round_one(mine, inverse, q, 0.0)
    assert np.allclose(mine, moved, atol=1e-6)


def test_no_weight_is_rounded_to_zero() -> None:
    assert nearest(np.array([0.1, -0.1, 3.4, -9.0, 0.0]), 4).tolist() == [1, -1, 3, -4, 1]


@pytest.fixture
def trained(workplace: Path, settings: Config) -> tuple[Network, np.ndarray]:
    """A network of about 150 weights that knows the digits, as a checkpoint in the workplace."""
    network = Network.parse(("conv 4 k5", "abs", "maxpool 4", "conv 4 k3", "abs", "linear 10"))
    train = data.read("train")
    core = engine(network)
    values = initialise(network, np.random.default_rng(0))
    mask = np.random.default_rng(1).random(network.size) < 0.7
    values[~mask] = 0
    m, v = np.zeros_like(values), np.zeros_like(values)
    labels = train.labels.astype(np.int64)
    for epoch in range(30):
        rows = np.random.default_rng(epoch).permutation(len(train))
        rates = np.full(-(-len(rows) // 32), 0.005)
        core.adam_epoch(values, m, v, epoch * len(rates), train.pixels, labels, rows, 32, rates, mask=mask)
    write_checkpoint(Path("net.safetensors"), Checkpoint(network, values[None], mask[None], (Run(0),)))
    Path("net.onnx").write_bytes(
        model_proto(network, values, {"network": ", ".join(network.spec)}).SerializeToString()
    )
    return network, values


def options(settings: Config) -> Pack:
    return settings.pack.model_copy(update={"rounds": 2, "sweeps": 1})


def test_quantised_weights_are_where_the_weights_were_and_the_network_still_works(
    trained: tuple[Network, np.ndarray], settings: Config
) -> None:
    network, values = trained
    train, heldout = data.read("train"), data.read("heldout")
    core, labels = engine(network), heldout.labels.astype(np.int64)
    before = core.correct(values, heldout.pixels, labels)
    search = Search(core, values, train, options(settings), 8, lambda _: None)
    found = search.run()
    assert ((found.levels != 0) == (values != 0)).all() and np.abs(found.levels).max() <= 8
    after = core.correct(search.whole(search.weights), heldout.pixels, labels)
    assert before > 0.8 * len(heldout) and after > 0.95 * before
    content = encode(network, search.whole(search.weights))  # with biases, so scales are told
    assert decode(content)[1].tobytes() == encode_twice(content)


def encode_twice(content: bytes) -> bytes:
    return decode(encode(*decode(content)))[1].tobytes()


def test_the_surgeon_removes_the_biases(trained: tuple[Network, np.ndarray], settings: Config) -> None:
    network, values = trained
    heldout = data.read("heldout")
    core, labels = engine(network), heldout.labels.astype(np.int64)
    found = without_biases(core, values, data.read("train"), options(settings))
    assert all(not found[layer.bias.slice].any() for layer in network.layers if layer.bias)
    before, after = (core.correct(v, heldout.pixels, labels) for v in (values, found))
    assert after > 0.8 * before


def test_a_killed_search_goes_on_where_it_was(
    trained: tuple[Network, np.ndarray], settings: Config, tmp_path: Path
) -> None:
    network, values = trained
    core, train = engine(network), data.read("train")
    whole = Search(core, values, train, options(settings), 4, lambda _: None).run(tmp_path / "a")

    class Killed(Exception):
        pass

    for _ in range(2):
        first = Search(core, values, train, options(settings), 4, _dies_after(1, Killed))
        with pytest.raises(Killed):
            first.run(tmp_path / "b")
    again = Search(core, values, train, options(settings), 4, lambda _: None).run(tmp_path / "b")
    assert (again.levels == whole.levels).all() and (again.scales == whole.scales).all()


def _dies_after(lines: int, error: type[Exception]) -> Callable[[str], None]:
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) > lines:
            raise error

    return say


@pytest.fixture
def params(workplace: Path, raw: dict[str, object]) -> None:
    tree = config.merged(raw, "demo")
    tree["pack"]["levels"] = [3, 8]
    Path("params.yaml").write_text(yaml.safe_dump(tree))


@pytest.mark.usefixtures("params")
def test_pack_and_unpack(trained: tuple[Network, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["pack", "net.onnx", "--keep", "0.5", "-o", "net.golf"]) == 0
    told = capsys.readouterr()
    size = Path("net.golf").stat().st_size
    assert f"net.golf: {size} bytes (" in told.out and "levels up to 3: 0." in told.out
    assert "pack levels up to 3: " in told.err  # progress
    network, values = decode(Path("net.golf").read_bytes())
    heldout = data.read("heldout")
    assert engine(network).correct(values, heldout.pixels, heldout.labels.astype(np.int64)) >= 0.5 * len(
        heldout
    )
    assert cli.main(["unpack", "net.golf", "-o", "again.onnx"]) == 0
    assert Path("again.onnx").read_bytes() == to_onnx(Path("net.golf").read_bytes())
    assert unpack(Path("again.onnx").read_bytes(), "")[1].tobytes() == values.tobytes()
    assert cli.main(["pack", "net.safetensors", "--keep", "0.5", "-o", "other.golf"]) == 0
    assert Path("other.golf").read_bytes() == Path("net.golf").read_bytes()


WRONG = {
    "keep": (["pack", "net.onnx", "--keep", "98", "-o", "a.golf"], "--keep 98 should be a share"),
    "suffix": (["pack", "net.onnx", "--keep", "0.5", "-o", "a.onnx"], "a.onnx should end in .golf"),
    "missing": (["pack", "no.onnx", "--keep", "0.5", "-o", "a.golf"], "no.onnx cannot be read"),
    "no ONNX": (["pack", "params.yaml", "--keep", "0.5", "-o", "a.golf"], "no ONNX file of this project"),
    "which": (["pack", "net.safetensors", "--run", "x", "--keep", "0.5", "-o", "a.golf"], "no network 'x'"),
    "run of ONNX": (["pack", "net.onnx", "--run", "x", "--keep", "0.5", "-o", "a.golf"], "with a checkpoint"),
    "too much": (
        ["pack", "net.onnx", "--keep", "0.9999", "-o", "a.golf"],
        "no number of levels keeps 0.9999",
    ),
    "no golf": (["unpack", "net.onnx", "-o", "b.onnx"], "net.onnx: "),
    "no file": (["unpack", "no.golf", "-o", "b.onnx"], "no.golf cannot be read"),
}


@pytest.mark.usefixtures("params", "trained")
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, why = WRONG[name]
    assert cli.main(words) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("golf ")]
    assert len(told) == 1 and why in told[0]
    assert not Path("a.golf").exists() and not Path("b.onnx").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"levels": [8, 4]}, "must ascend"), ({"levels": [300]}, "less than or equal to 255"),
        ({"levels": []}, "at least 1 item"), ({"rate": 0}, "greater than 0"), ({"biases": "some"}, "'drop' or 'keep'"),
        ({"twin": 1}, "did you mean twins"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(
    raw: dict[str, dict[str, object]], change: dict[str, object], why: str
) -> None:
    raw["pack"] |= change
    with pytest.raises(GolfError, match=why):
        config.check(raw)


def test_a_search_stops_between_two_rounds_when_it_is_told_to() -> None:
    longwork._stop.set()
    with pytest.raises(longwork.Stopped):
        longwork.say("pack", "levels up to 4", "a line")
