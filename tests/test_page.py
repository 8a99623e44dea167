"""The page in a headless Chromium: it answers as onnxruntime does, offline, at every size."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import miniature
from miniature import result
from neural_golf import config, data
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.config.sections import Record
from neural_golf.data import stage
from neural_golf.engine import engine
from neural_golf.experiments import pages
from neural_golf.look import interpret
from neural_golf.net.form import Form
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode
from neural_golf.results.result import Result, golf_file, read_results, write_results
from neural_golf.results.sizes import points, sizes
from neural_golf.site import board, build, runtime
from neural_golf.site.links import text_of
from neural_golf.site.render import markdown, render
from neural_golf.site.shown import marks

ROOT = Path(__file__).parent.parent
IMAGES = 200
# Ends of addresses that hold no network, among them one byte too many, HTML, and more than any file.
WRONG = ["", "A", "AB", "AAAA", "A" * 100_000, "<img src=x onerror=alert(1)>", "%3Cb%3E", "gold", "_-_-" * 30]


RULE = config.load(ROOT / "params.yaml").ladder


def seeds(nonzero: int, correct: int, judge: str = "", **more: Any) -> list[Result]:
    """As many seeds as the rule of a record asks for, all alike: the held-out images choose the first."""
    return [result(nonzero, correct, judge, seed=seed, **more) for seed in range(RULE.record_seeds)]


def test_the_chart_shows_what_the_seeds_of_a_size_say_together() -> None:
    correct = [9810 + seed % 3 for seed in range(10)]
    some = [
        result(83, right, "heldout", "open98", size=80, seed=k) for k, right in enumerate(correct)
    ]  # fmt: skip
    settings = config.load(ROOT / "params.yaml")
    found = points(sizes(settings, some), 55_000)
    told = "open98 at size 80: 98.11 ± 0.01 % right over 10 seeds (95 % interval of the mean 98.10 to 98.12 %); the recipe holds 98 % (p < 0.0001)."
    assert [point.words for point in found] == [told]
    html = render("front.html.j2", marks=marks(some, [], found), sizes=found)
    assert html.count(found[0].words.replace("<", "&lt;")) == 11
    assert 'data-nonzero="83.0"' in html and " data-held>" in html
    one = points(sizes(settings, some[:1]), 55_000)
    assert one[0].words.endswith("of one seed, which says nothing about others.")
    assert "data-mean" not in render("front.html.j2", marks=marks(some[:1], [], one), sizes=one)


def settings(inference: bool) -> Config:
    return miniature.settings(inference=inference, goals=[0.5, 0.99])


def stranger(**more: object) -> dict[str, Any]:
    """A challenge of leaderboard.json, led by somebody else's entry; the author has HTML for a name."""
    card = {"author": "Ann <Example>", "method": "by <b>hand</b>", "chosen_on": "held-out"}
    entry = {
        "rank": 1, "entry": "tiny", "card": card, "nonzero": 99, "parameters": 120, "correct": 260,
        "flags": ["odd"],
    }  # fmt: skip
    return {
        "title": "Digits, 50 %", "dataset": "digits", "threshold": 250, "images": 500, "ranked": [entry],
        "chosen_on_test": [],
    } | more  # fmt: skip


def packed(shape: tuple[int, int, int] = (1, 28, 28)) -> tuple[Network, bytes]:
    """A network of whole numbers on images in their canonical form, and its .golf file."""
    spec = ("conv 8 k5 nobias turns mirrors", "abs", "maxpool 2", "conv 3 k3", "avgpool 3", "linear 10")
    network, rng = Network.parse(spec, shape, Form()), np.random.default_rng(4)
    levels = rng.integers(-4, 5, network.size) * (rng.random(network.size) < 0.3)
    return network, encode(network, levels.astype(np.float32))


def make_links() -> None:
    """Gives the first result a .golf file, as if its row were made by packing."""
    first, *others = read_results()
    _, content = packed()
    write_bytes(golf_file(first.name), content)
    write_results([replace(first, bytes=len(content)), *others])


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in miniature, with its figures, a leaderboard, and the page without inference."""
    folder = tmp_path_factory.mktemp("page")
    plain = settings(inference=False)
    miniature.build(folder, plain)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / build.LEADERBOARD).parent.mkdir()
    (folder / build.LEADERBOARD).write_text(
        json.dumps({"digits-50": stranger(), "mnist-98": stranger(title="MNIST, 98 %", dataset="mnist")})
    )
    with contextlib.chdir(folder):
        make_links()
        interpret.run(plain)
        build.run(plain)
    return folder


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's real page, built in a folder of its own from the committed results and MNIST's files."""
    above = tmp_path_factory.mktemp("real")
    (above / "shared").symlink_to(ROOT.parent / "shared")  # where params.yaml looks for them
    folder = above / "project"
    made_here = {"metrics", "report"}
    (folder / "results").mkdir(parents=True)
    for path in (ROOT / "results").iterdir():
        if path.name not in made_here:
            (folder / "results" / path.name).symlink_to(path)
    for name in ("params.yaml", "package.json", "package-lock.json", "node_modules", "docs", "leaderboard"):
        (folder / name).symlink_to(ROOT / name)
    if (ROOT / "data/raw").is_dir():  # or where an earlier run has kept them
        shutil.copytree(ROOT / "data/raw", folder / "data/raw")
    with contextlib.chdir(folder):
        real = config.load()
        try:
            stage.check(real)
        except GolfError as error:
            pytest.skip(f"the real page needs MNIST's files: {' '.join(str(error).split())}")
        stage.run(real)
        build.run(real)
    return folder


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of a Chromium, installed if need be; skips with the reason where there is none."""
    done = subprocess.run(
        [ROOT / "tests/browser/install.sh"], capture_output=True, text=True, check=False, timeout=600
    )
    said = done.stdout.strip().splitlines()
    if done.returncode:
        pytest.skip(f"browser tests: {said[-1] if said else 'their installation failed'}")
    return said[-1]


@pytest.fixture(scope="session", params=["miniature", "real"])
def visit(
    request: pytest.FixtureRequest, browser: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a visitor finds on the page of a small run, and on the real one."""
    real = request.param == "real"
    run: Path = request.getfixturevalue("real_folder" if real else "run_folder")
    with contextlib.chdir(run):
        if not real:
            (run / "node_modules").symlink_to(ROOT / "node_modules")
            build.run(settings(inference=True))
        images = data.read("test")[:IMAGES]
    folder = tmp_path_factory.mktemp("visit")
    script, page = ROOT / "tests/browser/check.mjs", run / build.PAGE
    start, _, rest = page.read_text().split('<script type="module">')
    (folder / "bare.html").write_text(f'{start}<script type="module"></script><script type="module">{rest}')
    links = {
        "good": text_of(packed()[1]), "foreign": text_of(packed((2, 20, 20))[1]), "wrong": WRONG, "bare": str(folder / "bare.html"),
    }  # fmt: skip
    shown = {"pictures": images.pixels.reshape(IMAGES, -1).tolist(), "links": links}
    (folder / "shown.json").write_text(json.dumps(shown))
    command = ["node", script, browser, page, folder / "shown.json", folder / "profile"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout), "images": images, "mnist": real, "path": page}


def test_no_error_and_no_request_that_leaves_the_machine(visit: dict[str, Any]) -> None:
    assert visit["complaints"] == []
    assert visit["requests"]
    assert all(address.startswith(("file://", "data:", "blob:")) for address in visit["requests"])


def test_digits_are_answered_as_onnxruntime_answers_them(visit: dict[str, Any]) -> None:
    pixels = visit["images"].pixels.astype(np.float32) / 255
    assert len(visit["blitted"]) >= 3
    for network in visit["blitted"]:
        assert network["same"], "the canvas does not hold the pixels that were put on it"
        content = base64.b64decode(network["onnx"])
        (expected,) = onnxruntime.InferenceSession(content).run(["logits"], {"image": pixels})
        np.testing.assert_allclose(network["logits"], expected, atol=1e-4)
        assert (np.argmax(network["logits"], 1) == expected.argmax(1)).all()


def test_the_embedded_networks_are_the_scored_files(visit: dict[str, Any]) -> None:
    files = {path.read_bytes() for path in (visit["path"].parents[1] / "onnx").glob("*.onnx")}
    for network in visit["blitted"]:
        assert base64.b64decode(network["onnx"]) in files


def test_the_copy_that_shows_its_layers_is_the_same_network(visit: dict[str, Any]) -> None:
    assert max(visit["copies"]) < 1e-5


def test_a_drawing_is_prepared_as_mnist_was(visit: dict[str, Any]) -> None:
    original = visit["images"].pixels.reshape(IMAGES, -1)
    if visit["mnist"]:  # prepared once already: preparing again changes nothing
        assert (original == np.array(visit["prepared"])).all(axis=1).mean() > 0.97
    for drawn in (visit["mouse"], visit["keyboard"]["ink"]):
        ink = np.array(drawn, float).reshape(28, 28)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        y, x = np.mgrid[:28, :28]
        assert abs((ink * y).sum() / ink.sum() - 14) <= 0.5 and abs((ink * x).sum() / ink.sum() - 14) <= 0.5
    assert visit["cleared"]
    assert visit["keyboard"]["words"].startswith("It reads ")


def test_switching_networks_changes_what_is_shown(visit: dict[str, Any]) -> None:
    shown = visit["switched"]
    for k, (one, network) in enumerate(zip(shown, visit["blitted"], strict=True)):
        assert one["verdict"] == str(int(np.argmax(network["logits"][0])))
        assert one["words"].startswith(f"It reads {one['verdict']}, ")
        assert one["layers"] >= 4 and one["complete"]  # rows of layers that can be seen
        count = int(re.search(r": ([\d,]+) of", one["card"])[1].replace(",", ""))
        assert one["numbers"] == count
        assert k == 0 or one["card"] != shown[k - 1]["card"]
    assert len({one["picture"] for one in shown}) > 1


def test_a_visitor_draws_for_the_record_holder_first(visit: dict[str, Any]) -> None:
    first = json.loads(re.search(r'id="data">(.*?)</script>', visit["path"].read_text())[1])["first"]
    card = visit["switched"][first]["card"]
    assert visit["begun"] == {"which": str(first), "portrait": str(first), "card": card}


@pytest.mark.parametrize("runtime", [True, False])
def test_a_link_brings_its_network_and_the_page_answers_without_a_runtime(
    visit: dict[str, Any], runtime: bool
) -> None:
    found = visit["linked"][not runtime]
    network, content = packed()
    name = "network" if visit["mnist"] else "baseline-0"
    pixels = visit["images"].pixels
    wanted = engine(network).logits(decode(content)[1], pixels)
    np.testing.assert_allclose(found["logits"], wanted, atol=1e-4 * np.abs(wanted).max())
    best = wanted.argmax(axis=1)
    assert (np.argmax(found["logits"], 1) == best).all()
    assert found["verdict"] == str(best[0]) and found["words"].startswith(f"It reads {best[0]}; ")
    nonzero = np.count_nonzero(decode(content)[1])
    assert found["which"] == f"{nonzero} numbers · from the link" and found["numbers"] == nonzero
    told = f"{name}.golf, {len(content)} bytes: {nonzero} of {network.size:,} weights are not zero."
    assert told in found["card"] and ", ".join(decode(content)[0].spec) in found["card"]
    assert f"golf verify {name}.golf decides" in found["card"]
    assert found["state"] == "The link that you opened holds this network." and found["note"] == ""
    assert found["layers"] == 1 + len(network.layers) and found["samples"] >= 10
    assert found["file"] == [f"{name}.golf", text_of(content)]
    assert found["copied"] == f"#golf={text_of(content)}"
    assert (
        found["foreign"]["verdict"] == "·" and "images of 2 \u00d7 20 \u00d7 20" in found["foreign"]["words"]
    )
    rows = [] if visit["mnist"] else [[name, f"#golf={text_of(content)}", text_of(content)]]
    assert [row for row in found["table"] if row[0] == "baseline-0"] == rows
    assert all(title.endswith("from the link") for title in found["again"])


def test_a_wrong_link_gets_one_line_and_the_page_goes_on(visit: dict[str, Any]) -> None:
    for found in visit["linked"]:
        for line, elements in found["wrong"]:
            assert line.startswith("The link that you opened holds no network: ") and line.endswith(".")
            assert "\n" not in line and elements == 0 and len(line) < 200
    assert visit["linked"][0]["after"]["words"].startswith("It reads ")
    assert visit["linked"][1]["after"]["words"] == "Draw something."  # the runtime is not there


def test_the_chart_tells_its_entries(visit: dict[str, Any]) -> None:
    assert "non-zero" in visit["first"] and "non-zero" in visit["hovered"]
    assert visit["first"] != visit["hovered"]


def test_nothing_overflows_and_axe_finds_nothing_serious(visit: dict[str, Any]) -> None:
    assert len(visit["looks"]) == 6
    for look in visit["looks"]:
        assert look["over"] <= 0, look
        assert [v for v in look["violations"] if v["impact"] in ("serious", "critical")] == []


def test_without_npm_the_page_is_built_and_says_so(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    monkeypatch.setattr(runtime, "installed", lambda version: None)
    with contextlib.chdir(run_folder):
        before = build.PAGE.read_bytes()
        build.run(settings(inference=True))
        text = build.PAGE.read_text()
        build.PAGE.write_bytes(before)
    assert "cannot answer to drawings: npm was not there" in text
    assert len(text) < 3_000_000


def test_the_lock_file_names_no_host() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "://" not in lock and lock.count('"integrity"') >= 10


def test_the_record_chose_nothing_on_test_images() -> None:
    results = [
        *seeds(500, 9810, "test"),
        *seeds(600, 9810, "heldout"),
        *seeds(550, 9799),
        *seeds(900, 9910, row="b"),
    ]
    assert board.record(results, 0.98, RULE) == results[10]
    assert board.record(results, 0.99, RULE) == results[30]
    assert board.record(results, 0.995, RULE) is None
    packed = seeds(90, 9900, "heldout", row="c", size=90, bytes=100)
    assert board.record([*results, *packed], 0.98, RULE) == results[10]  # it competes in bytes


def test_a_seed_that_held_out_images_did_not_choose_holds_no_record() -> None:
    missed, *others = seeds(200, 9810, "heldout", size=200, heldout_correct=4899)
    results = [
        replace(missed, correct=9795, heldout_correct=4900),
        *others,
        *seeds(240, 9810, "heldout", size=240, heldout_correct=4899),
        *seeds(180, 9790, "heldout", size=180, entered=False),
    ]
    assert board.record(results, 0.98, RULE) == results[10]
    filled = [mark.of for mark in marks(results, []) if not mark.hollow]
    assert filled == [results[0], results[10]]


def test_what_a_recipe_holds_does_not_depend_on_what_is_entered() -> None:
    """Neither does what it does not hold: an entry of an earlier run at such a size is passed over."""
    results = [
        *seeds(400, 9895, "heldout", size=400, entered=False),
        *seeds(450, 9910, "heldout", size=450, entered=False),
        *seeds(500, 9920, "heldout", size=500),
    ]
    assert board.record(results, 0.99, RULE) == results[10]
    entry = board.Entry(1, results[0].variant.name, 400, 400, 9900, "held-out", "us", "", ())
    challenge = board.Challenge("mnist-99", "", 9900, 10_000, (entry,), ())
    (hole,) = board.holes((0.99,), "us", results, [challenge], [], RULE)
    assert hole.holder and hole.holder.network == results[10].variant.name and hole.holder.mean


def test_a_size_whose_mean_misses_the_goal_holds_no_record_not_even_on_the_leaderboard() -> None:
    chosen, *others = seeds(200, 9790, "heldout", size=200)
    results = [
        replace(chosen, correct=9801, heldout_correct=4990), *others, *seeds(240, 9810, "heldout", size=240)
    ]  # fmt: skip
    entry = board.Entry(1, results[0].variant.name, 200, 200, 9801, "held-out", "us", "", ())
    challenge = board.Challenge("mnist-98", "", 9800, 10_000, (entry,), ())
    (hole,) = board.holes((0.98,), "us", results, [challenge], [], RULE)
    assert hole.holder and hole.holder.network == results[10].variant.name
    (hole,) = board.holes((0.98,), "another", results, [challenge], [], RULE)
    assert hole.holder and hole.holder.nonzero == 200 and hole.holder.mean is None


def test_the_first_network_is_the_record_holder_and_not_simply_the_smallest() -> None:
    large, tested, small = (
        seeds(700, 9910, "heldout", size=700), seeds(300, 9850, "test", size=300),
        seeds(160, 9790, "heldout", size=160),
    )  # fmt: skip
    holder, *others = seeds(200, 9805, "heldout", size=200)
    holder = replace(holder, correct=9803, heldout_correct=4990)
    results = [*large, *tested, holder, *others, *small]
    shown = [large[0], tested[0], others[0], holder, small[0]]
    assert build.shown_first(shown, results, 0.98, RULE) == 3
    assert build.shown_first(shown, results, 0.99, RULE) == 0
    assert build.shown_first(shown, results, 0.999, RULE) == 4  # nobody holes it
    assert build.shown_first(shown[:2], results, 0.98, RULE) == 0  # the holder has no figures here


def test_the_first_screen_names_who_holds_each_record() -> None:
    ours = seeds(240, 9835, "heldout", row="golf", size=240)
    public = [
        Record(name="the blog's best", nonzero=575, accuracy=0.98, source="the blog"),
        Record(name="a net", nonzero=677, accuracy=0.9904, source="elsewhere"),
    ]
    holes = board.holes((0.98, 0.99), "us", ours, [], public, RULE)
    assert [hole.rival for hole in holes] == public
    assert holes[0].holder == board.Holder(
        "this project", "golf-heldout-240", 240, 9835, 10_000, Spread.of([0.9835] * 10)
    )  # fmt: skip
    assert holes[1].holder is None
    shown = {"results": ours, "public": public, "examples": [], "challenges": [], "links": [], "handbook": "",
             "classes": 10, "series": False, "draws": True}  # fmt: skip
    screen = render("hero.html.j2", holes=holes, **shown)
    assert "held by this project.</b> golf-heldout-240: 9,835 of 10,000 right" in screen
    assert "The recipe holds it: 98.35\xa0% is the mean over 10 seeds." in screen
    assert "Before: the blog.</b> 98.00\xa0% by its author" in screen
    assert "To beat: elsewhere.</b> a net, 99.04\xa0% by its author" in screen


def test_the_leaderboard_is_on_the_page_and_strangers_words_are_escaped(run_folder: Path) -> None:
    page = (run_folder / build.PAGE).read_text()
    assert "held by Ann &lt;Example&gt;.</b> tiny: 260 of 500 right" in page
    assert "by &lt;b&gt;hand&lt;/b&gt;; odd</td>" in page and '<th scope="row">tiny</th>' in page
    assert "<Example>" not in page and "MNIST, 98 %" not in page
    assert "<td>not reproducible</td>" in page  # its card names no code, seed and command
    assert '<th scope="row">tiny</th><td>plain</td>' in page


def test_our_own_entry_on_the_leaderboard_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    assert board.challenges(path, "digits") == []
    path.write_text(json.dumps({"half": stranger(), "digits-50": stranger(dataset="fashion-mnist")}))
    (challenge,) = board.challenges(path, "digits")
    assert challenge.name == "half"  # the data set is what the file says, whatever the challenge is called
    ((hole,), (theirs,)) = (
        board.holes((0.5,), us, [], [challenge], [], RULE) for us in ("Ann <Example>", "us")
    )
    assert hole.holder and hole.holder.who == "this project"
    assert theirs.holder and theirs.holder.who == "Ann <Example>"


def test_markdown_becomes_tables_that_can_be_heard_and_scrolled() -> None:
    text = "| a | n |\n|---|--:|\n| **x** | 1,055 |\n\nRun `golf` <b>now</b>.\n"
    found = markdown(text, 'Table of "all"')
    assert (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of &quot;all&quot;"><table>'
        in found
    )
    assert '<th scope="col">a</th>' in found and '<th scope="col" class="num">n</th>' in found
    assert '<th scope="row"><strong>x</strong></th>' in found and '<td class="num">1,055</td>' in found
    assert found.count("<div") == found.count("</div>") == 1
    assert '<p class="hint">Run <code>golf</code> &lt;b&gt;now&lt;/b&gt;.</p>' in found


def test_a_figure_is_svg_text_or_a_png_as_an_address(tmp_path: Path) -> None:
    (tmp_path / "flow-a.svg").write_text("<svg/>")
    (tmp_path / "worth-a.png").write_bytes(b"\x89PNG")
    drawn = [
        interpret.Drawing(path, path.stem.partition("-")[0], "a", "", "")
        for path in sorted(tmp_path.iterdir())
    ]
    assert build.figure_texts(drawn) == {"flow-a": "<svg/>", "worth-a": "data:image/png;base64,iVBORw=="}


def test_the_handbooks_table_is_taken_where_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    assert build.measured(path) == ""
    path.write_text("<!-- measured: base relu -->\nNot measured yet.\n<!-- end of measured -->")
    assert build.measured(path) == ""
    found = {
        name: {"needed": {"0.98": [300.0]}, "accuracy_at_260": None, "against_first": None}
        for name in ("base", "relu")
    }
    path.write_text("<!-- measured: base relu -->\n<!-- end of measured -->")
    pages.update(found, (0.98,), 260, {}, tmp_path)
    table = markdown(build.measured(path))
    assert "non-zero needed for 98 %" in table and '<th scope="row">relu</th>' in table
    assert "measured" not in table
