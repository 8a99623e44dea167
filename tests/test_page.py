"""The page in a headless Chromium: it answers as onnxruntime does, offline, at every size."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml

import miniature
from neural_golf import config, data
from neural_golf.config import Config
from neural_golf.experiments import pages
from neural_golf.look import interpret
from neural_golf.look.subject import Subject
from neural_golf.net.spec import Network
from neural_golf.site import board, build, runtime, words

ROOT = Path(__file__).parent.parent
IMAGES = 200


def settings(inference: bool) -> Config:
    tree = config.merged(yaml.safe_load((ROOT / "params.yaml").read_text()))
    tree["interpret"] |= {"networks": list(miniature.GROUPS), "worst": 5}
    tree["interpret"]["excite"]["steps"] = 2
    tree["page"] |= {"inference": inference, "goals": [0.5, 0.99]}
    return Config.model_validate(tree)


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in miniature, with its figures and the page without inference."""
    folder = tmp_path_factory.mktemp("page")
    plain = settings(inference=False)
    miniature.build(folder, plain)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / name, folder / name)
    with contextlib.chdir(folder):
        interpret.run(plain)
        build.run(plain)
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
    request: pytest.FixtureRequest, run_folder: Path, browser: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a visitor finds: on a page built here, and on the real one where `golf page` has made it."""
    folder = tmp_path_factory.mktemp("visit")
    if request.param == "miniature":
        with contextlib.chdir(run_folder):
            (run_folder / "node_modules").symlink_to(ROOT / "node_modules")
            build.run(settings(inference=True))
        path = run_folder / build.PAGE
    else:
        path = ROOT / build.PAGE
        if not path.exists() or 'id="wasm-gz"></script>' in path.read_text():
            pytest.skip("the real page is not built here, or was built without npm: `make results` builds it")
    mnist = (ROOT / "data/test.safetensors").exists()
    with contextlib.chdir(ROOT if mnist else run_folder):
        images = data.read("test")[:IMAGES]
    (folder / "images.json").write_text(json.dumps(images.pixels.reshape(IMAGES, -1).tolist()))
    command = [
        "node",
        ROOT / "tests/browser/check.mjs",
        browser,
        path,
        folder / "images.json",
        folder / "profile",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    return {**json.loads(done.stdout), "images": images, "mnist": mnist, "path": path}


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
        assert one["layers"] >= 4 and one["complete"]
        count = int(re.search(r": ([\d,]+) of", one["card"])[1].replace(",", ""))
        assert one["numbers"] == count
        assert k == 0 or one["card"] != shown[k - 1]["card"]
    assert len({one["picture"] for one in shown}) > 1


def test_a_visitor_draws_for_the_record_holder_first(visit: dict[str, Any]) -> None:
    told = json.loads(re.search(r'id="data">(.*?)</script>', visit["path"].read_text())[1])
    first = told["first"]
    assert visit["begun"] == {
        "which": str(first),
        "portrait": str(first),
        "card": told["networks"][first]["card"],
    }


def test_the_chart_tells_its_entries(visit: dict[str, Any]) -> None:
    assert "non-zero" in visit["first"] and "non-zero" in visit["hovered"]
    assert visit["first"] != visit["hovered"]


def test_nothing_overflows_and_axe_finds_nothing_serious(visit: dict[str, Any]) -> None:
    assert len(visit["looks"]) == 4
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


def line(nonzero: int, correct: int, judge: str = "", row: str = "a", **more: object) -> dict[str, str]:
    told = {
        "row": row, "judge": judge, "order": "", "size": "", "entered": "True", "seed": 0, "nonzero": nonzero,
        "correct": correct, "images": 10000, "heldout_correct": correct // 2, "heldout_images": 5000,
    }  # fmt: skip
    return {key: str(value) for key, value in (told | more).items()}


def test_the_record_chose_nothing_on_test_images() -> None:
    lines = [line(500, 9800, "test"), line(600, 9800, "heldout"), line(550, 9799), line(900, 9900, row="b")]
    assert words.record(lines, 0.98) == lines[1]
    assert words.record(lines, 0.99) == lines[3]
    assert words.record(lines, 0.995) is None


def test_a_seed_that_held_out_images_did_not_choose_holds_no_record() -> None:
    lines = [
        line(200, 9795, "heldout", size=200, seed=0, heldout_correct=4900),
        line(200, 9805, "heldout", size=200, seed=1, heldout_correct=4899),
        line(240, 9810, "heldout", size=240),
        line(180, 9990, "heldout", size=180, entered=False),
    ]
    assert words.record(lines, 0.98) == lines[2]


def test_the_first_network_is_the_record_holder_and_not_simply_the_smallest() -> None:
    def subject(number: int, told: dict[str, str]) -> Subject:
        network = Network.parse(["linear 10"])
        parameters = np.zeros(network.size, np.float32)
        parameters[: int(told["nonzero"])] = 1
        return Subject("", told["name"], Path(str(number)), network, parameters, told)

    lines = [
        line(700, 9900, "heldout", name="large", size=700),
        line(300, 9850, "test", name="judged by test", size=300),
        line(200, 9805, "heldout", name="another seed", size=200, seed=1),
        line(200, 9803, "heldout", name="holder", size=200, heldout_correct=4990),
        line(160, 9790, "heldout", name="too small", size=160),
    ]
    subjects = [subject(k, told) for k, told in enumerate(lines)]
    assert build.shown_first(subjects, lines, 0.98) == 3
    assert build.shown_first(subjects, lines, 0.99) == 0
    assert build.shown_first(subjects, lines, 0.999) == 4  # nobody holes it
    assert build.shown_first(subjects[:2], lines, 0.98) == 0  # the holder has no figures here


def board_of(author: str, **more: object) -> dict[str, Any]:
    card = {"author": author, "method": "by <b>hand</b>", "chosen_on": "held-out"}
    entry = {
        "rank": 1,
        "entry": "tiny",
        "card": card,
        "nonzero": 99,
        "parameters": 99,
        "correct": 9801,
        "flags": [],
    }
    return {
        "title": "MNIST, 98 %",
        "threshold": 9800,
        "images": 10000,
        "ranked": [entry],
        "chosen_on_test": [],
    } | more


def test_the_first_screen_names_who_holds_each_record() -> None:
    real = Config.model_validate(yaml.safe_load((ROOT / "params.yaml").read_text()))
    lines = [line(240, 9835, "heldout", "golf98", size=240)]
    ours, public = board.records(real, lines, {})[0.98]
    assert (ours.count, ours.who, ours.honest) == (240, "this project", True)
    assert (public.who, public.honest) == ("the blog", False)
    theirs = board.records(real, lines, {"mnist-98": board_of("Ann <Example>")})
    assert (theirs[0.98][0].count, theirs[0.98][0].who) == (99, "Ann <Example>")
    assert "Ann &lt;Example&gt;" in board.score(theirs)
    assert "Before: the blog." in board.score({0.98: [ours, public]})
    (only,) = board.records(real, lines, {})[0.99]
    assert not only.honest
    assert "To beat: " in board.score({0.99: [only]})


def test_the_leaderboard_is_on_the_page_and_strangers_words_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "leaderboard.json"
    assert board.challenges(path, "mnist") == {}
    path.write_text(json.dumps({"mnist-98": board_of("Ann"), "fashion-mnist-85": board_of("Bob")}))
    found = board.leaderboard(board.challenges(path, "mnist"))
    assert "by &lt;b&gt;hand&lt;/b&gt;" in found and ">tiny</th>" in found and "Bob" not in found
    assert board.leaderboard({"mnist-98": board_of("Ann", ranked=[])}) == ""


def test_the_handbooks_table_is_on_the_page_when_it_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    assert words.handbook(path) == ""
    path.write_text("<!-- measured: base relu -->\nNot measured yet.\n<!-- end of measured -->")
    assert words.handbook(path) == ""
    found = {
        name: {"needed": {"0.98": [300.0]}, "accuracy_at_260": None, "against_first": None, "seconds": 1.0}
        for name in ("base", "relu")
    }
    (tmp_path / "README.md").write_text("<!-- measured: base relu -->\n<!-- end of measured -->")
    pages.update(found, (0.98,), 260, tmp_path)
    assert "non-zero needed for 98 %" in words.handbook(path) and ">relu</th>" in words.handbook(path)
