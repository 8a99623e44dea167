"""The site: what its pages say, and how they behave in a headless Chromium, offline and at every size."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlparse

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

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
from neural_golf.leaderboard.history import Step, read_history, write_history
from neural_golf.look import interpret
from neural_golf.net.form import Form
from neural_golf.net.onnx import unpack
from neural_golf.net.spec import Network
from neural_golf.packed import decode, encode
from neural_golf.results.result import Result, golf_file, read_results, write_results
from neural_golf.results.sizes import points, sizes
from neural_golf.site import board, build, runtime
from neural_golf.site.entered import Entered, _layers
from neural_golf.site.links import text_of
from neural_golf.site.pages import handbook
from neural_golf.site.papers import DOCUMENTS, papers, way_for
from neural_golf.site.pictures import samples_of, sheet
from neural_golf.site.render import markdown, render
from neural_golf.site.shown import chart_data, marks
from neural_golf.site.world import LEADERBOARD, SITE, Page

ROOT = Path(__file__).parent.parent
IMAGES = 200
# Ends of addresses that hold no network, among them one byte too many, HTML, and more than any file.
NONE = ["", "A", "AB", "AAAA", "A" * 100_000, "<img src=x onerror=alert(1)>", "%3Cb%3E", "gold", "_-_-" * 30]
BOMB = base64.urlsafe_b64encode(zlib.compress(bytes(64 << 20), 9, -15)).decode().rstrip("=")
WRONG = [f"{kind}={text}" for kind in ("golf", "onnx") for text in NONE] + [f"onnx={BOMB}"]


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
    data = chart_data(marks(some, [], found), found, {})
    assert [told in mark["text"] for mark in data["marks"]] == [True] * 10
    assert [(size["size"], size["held"]) for size in data["sizes"]] == [(83, True)]
    one = points(sizes(settings, some[:1]), 55_000)
    assert one[0].words.endswith("of one seed, which says nothing about others.")
    assert chart_data(marks(some[:1], [], one), one, {})["sizes"] == []


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


def normalised(content: bytes) -> bytes:
    """The same network on images that are normalised first, by a Sub and a Div in the graph."""
    model = onnx.load_from_string(content)
    graph, (mean, std) = model.graph, (np.float32(0.1307), np.float32(0.3081))
    first = next(node for node in graph.node if node.op_type == "Conv")
    named = {tensor.name: tensor for tensor in graph.initializer}
    weight = numpy_helper.to_array(named[first.input[1]])
    named[first.input[1]].CopyFrom(numpy_helper.from_array(weight * std, first.input[1]))
    bias = numpy_helper.to_array(named[first.input[2]]) + mean * weight.sum(axis=(1, 2, 3))
    named[first.input[2]].CopyFrom(numpy_helper.from_array(bias.astype(np.float32), first.input[2]))
    graph.initializer.extend([numpy_helper.from_array(mean, "mean"), numpy_helper.from_array(std, "std")])
    made = [
        helper.make_node("Sub", ["image", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "std"], ["normal"]),
    ]
    first.input[0] = "normal"
    nodes = [*made, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    del model.metadata_props[:]
    return model.SerializeToString()


def forbidden(content: bytes) -> bytes:
    """The same network with a Sign in it, which the rules do not allow; onnxruntime would run it."""
    model = onnx.load_from_string(content)
    model.graph.node.insert(0, helper.make_node("Sign", ["image"], ["sign"]))
    return model.SerializeToString()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run in miniature, with its figures, a leaderboard, and the site without the runtime."""
    folder = tmp_path_factory.mktemp("site")
    plain = settings(inference=False)
    miniature.build(folder, plain)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(ROOT / "docs", folder / "docs")
    (folder / LEADERBOARD).parent.mkdir()
    tables = {"digits-50": stranger(), "mnist-98": stranger(title="MNIST, 98 %", dataset="mnist")}
    (folder / LEADERBOARD).write_text(json.dumps(tables))
    with contextlib.chdir(folder):
        make_links()
        entry = LEADERBOARD.parent / "digits-50/tiny/model.onnx"
        write_bytes(entry, Path(read_results()[1].path).read_bytes())
        interpret.run(plain)
        build.run(plain)
    return folder


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's real site, built in a folder of its own from the committed results and MNIST's files."""
    above = tmp_path_factory.mktemp("real")
    (above / "shared").symlink_to(ROOT.parent / "shared")  # where params.yaml looks for them
    folder = above / "project"
    made_here = {"metrics", "site"}
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
            why = f"the real site needs MNIST's files: {' '.join(str(error).split())}"
            pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
        stage.run(real)
        build.run(real)
    return folder


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of a Chromium, installed if need be; skips with the reason where there is none, but in CI."""
    done = subprocess.run(
        [ROOT / "tests/browser/install.sh"], capture_output=True, text=True, check=False, timeout=600
    )
    said = done.stdout.strip().splitlines()
    if done.returncode:
        why = f"browser tests: {said[-1] if said else 'their installation failed'}"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    return said[-1]


@dataclass(frozen=True)
class Visit:
    """What a visitor found: `seen` as check.mjs tells it, on the site of a folder; and what was shown."""

    seen: dict[str, Any]
    folder: Path
    real: bool
    pictures: np.ndarray
    entries: list[str]
    files: list[Path]
    onnx: bytes

    @property
    def site(self) -> Path:
        return self.folder / SITE


def of_each_kind(site: Path) -> list[str]:
    """Every page that is the only one of its kind; of the others the lists, the smallest and the largest."""
    found = []
    for folder in (site, *(site / name for name in ("challenge", "entry", "handbook", "docs"))):
        pages = sorted(folder.glob("*.html"), key=lambda path: path.stat().st_size)
        lists = [path for path in pages if path.name == "index.html"]
        found += pages if folder == site else {*lists, pages[0], pages[-1]} if pages else []
    return sorted(path.relative_to(site).as_posix() for path in found)


@pytest.fixture(scope="session", params=["miniature", "real"])
def visit(request: pytest.FixtureRequest, browser: str, tmp_path_factory: pytest.TempPathFactory) -> Visit:
    """What a visitor finds on the site of a small run, and on the real one."""
    real = request.param == "real"
    run: Path = request.getfixturevalue("real_folder" if real else "run_folder")
    with contextlib.chdir(run):
        if not real:
            (run / "node_modules").symlink_to(ROOT / "node_modules")
            build.run(settings(inference=True))
        images = data.read("heldout")[:IMAGES]
        ours = Path("results/onnx/prelu-0.onnx").read_bytes()
    folder = tmp_path_factory.mktemp("visit")
    made = {
        "ours.onnx": ours,
        "normalised.onnx": normalised(ours),
        "forbidden.onnx": forbidden(ours),
        "a <b>.onnx": b"no",
    }
    files = [folder / name for name in made]
    for path, content in zip(files, made.values(), strict=True):
        path.write_bytes(content)
    site = run / SITE
    pages = of_each_kind(site)
    entries = ["open98-heldout-88", "baseline", "bytes98-heldout-80"] if real else ["tiny", "baseline"]
    flat = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = flat.compress(ours) + flat.flush()
    links = {
        "golf": f"golf={text_of(packed()[1])}", "onnx": f"onnx={text_of(deflated)}",
        "foreign": text_of(packed((2, 20, 20))[1]), "wrong": WRONG,
    }  # fmt: skip
    shown = {
        "pictures": images.pixels.reshape(len(images), -1).tolist(), "links": links, "entries": entries,
        "files": list(map(str, files)), "pages": pages, "table": "challenge/mnist-98.html" if real else "",
    }  # fmt: skip
    (folder / "shown.json").write_text(json.dumps(shown))
    command = [
        "node",
        ROOT / "tests/browser/check.mjs",
        browser,
        site,
        folder / "shown.json",
        folder / "profile",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return Visit(json.loads(done.stdout), run, real, images.pixels, entries, files, ours)


def test_no_error_and_no_request_that_leaves_the_machine(visit: Visit) -> None:
    assert visit.seen["complaints"] == []
    assert visit.seen["requests"]
    assert all(address.startswith(("file://", "data:", "blob:")) for address in visit.seen["requests"])


def test_digits_are_answered_as_onnxruntime_answers_them(visit: Visit) -> None:
    pixels = visit.pictures.astype(np.float32) / 255
    assert [one["entry"] for one in visit.seen["drawn"]] == visit.entries
    for one in visit.seen["drawn"]:
        assert one["same"], "the canvas does not hold the pixels that were put on it"
        content = base64.b64decode(one["file"])
        assert content == (visit.site / f"files/{one['entry']}.onnx").read_bytes()
        (expected,) = onnxruntime.InferenceSession(content).run(["logits"], {"image": pixels})
        np.testing.assert_allclose(one["logits"], expected, atol=1e-4 * max(1, np.abs(expected).max()))
        assert (np.argmax(one["logits"], 1) == expected.argmax(1)).all()
        assert one["show"]["verdict"] == str(int(expected[0].argmax())) and one["show"]["layers"] >= 4
        assert one["far"] < 1e-5 * max(1, np.abs(expected).max())  # the copy that shows its layers


def test_the_runtime_is_read_only_when_somebody_draws(visit: Visit) -> None:
    assert all(one["before"]["runtime"] == "undefined" for one in visit.seen["drawn"])
    for look in visit.seen["looks"]:
        files = [address for address in look["read"] if address.startswith("file://")]
        assert not [address for address in files if "/ort.js" in address or "/data/" in address], look["page"]


def test_no_page_is_heavy_and_each_is_soon_painted(visit: Visit) -> None:
    for look in visit.seen["looks"]:
        files = {unquote(urlparse(one).path) for one in look["read"] if one.startswith("file://")}
        assert sum(Path(file).stat().st_size for file in files) < 1_500_000, look["page"]
        assert look["paint"] is not None and look["paint"] < 5000, look["page"]


def test_a_drawing_is_prepared_as_mnist_was(visit: Visit) -> None:
    original = visit.pictures.reshape(len(visit.pictures), -1)
    if visit.real:  # prepared once already: preparing again changes nothing
        assert (original == np.array(visit.seen["drawn"][0]["prepared"])).all(axis=1).mean() > 0.97
    strokes = visit.seen["strokes"]
    for drawn in (strokes["mouse"], strokes["keyboard"]["ink"]):
        ink = np.array(drawn, float).reshape(28, 28)
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        y, x = np.mgrid[:28, :28]
        assert abs((ink * y).sum() / ink.sum() - 14) <= 0.51 and abs((ink * x).sum() / ink.sum() - 14) <= 0.51
    assert strokes["cleared"] and strokes["keyboard"]["words"].startswith("It reads ")


def test_a_link_brings_its_network(visit: Visit) -> None:
    golf, graph = visit.seen["linked"]["opened"]
    pixels = visit.pictures[:40]
    network, content = packed()
    wanted = engine(network).logits(decode(content)[1], pixels)
    np.testing.assert_allclose(golf["logits"], wanted, atol=1e-4 * np.abs(wanted).max())
    nonzero = np.count_nonzero(decode(content)[1])
    assert golf["text"].startswith(
        f"network.golf, {len(content)} bytes: {nonzero} of {network.size:,} weights"
    )
    assert ", ".join(network.spec) in golf["text"] and golf["numbers"] == nonzero and golf["samples"] >= 10
    assert "canonical form, which brings about 3 more numbers" in golf["text"]
    assert golf["file"] == ["network.golf", base64.b64encode(content).decode()]
    assert golf["verdict"] == str(wanted[0].argmax()) and "comes next" in golf["words"]
    (expected,) = onnxruntime.InferenceSession(visit.onnx).run(
        ["logits"], {"image": pixels / np.float32(255)}
    )
    np.testing.assert_allclose(graph["logits"], expected, atol=1e-4 * np.abs(expected).max())
    assert graph["file"] == ["network.onnx", base64.b64encode(visit.onnx).decode()]
    for one, kind in ((golf, "golf"), (graph, "onnx")):
        assert one["state"].startswith("The link that you opened holds this network.")
        assert one["verify"] == f"golf verify network.{kind}"
        assert f"/share.html#{kind}=" in one["address"] and one["copied"] == one["address"]
        assert one["qr"] is None if len(one["address"]) > 2953 else one["qr"] == one["address"]
    assert golf["qr"]


def test_a_wrong_link_gets_one_line_and_the_page_goes_on(visit: Visit) -> None:
    assert "it is for images of 2 \u00d7 20 \u00d7 20" in visit.seen["linked"]["foreign"]
    assert len(visit.seen["linked"]["wrong"]) == len(WRONG)
    for line, elements, hidden in visit.seen["linked"]["wrong"]:
        assert line.startswith("The link that you opened holds no network: ") and line.endswith(".")
        assert "\n" not in line and elements == 0 and hidden and len(line) < 200


def test_a_dropped_file_gets_the_referees_accuracy(visit: Visit) -> None:
    ours, normal, refused, none = visit.seen["dropped"]
    with contextlib.chdir(visit.folder):
        test = data.read("test")
    for path, one in zip(visit.files[:2], (ours, normal), strict=True):
        assert one["shown"] and one["verify"] == f"golf verify {path.name}"
        if visit.real:
            verdict = golf_verify(path)
            right, nonzero = int(verdict["correct"]), int(verdict["nonzero"])
        else:
            pixels = test.pixels.astype(np.float32) / 255
            (logits,) = onnxruntime.InferenceSession(path.read_bytes()).run(["logits"], {"image": pixels})
            right, nonzero = int((logits.argmax(1) == test.labels).sum()), None
        assert one["right"] == right
        assert nonzero in (None, one["nonzero"])
        table = np.array(one["table"])
        assert table.sum() == len(test) and np.trace(table) == right and 0 < one["mistakes"] <= 30
        assert "/share.html#onnx=" in one["address"]
    assert refused["told"] == "forbidden.onnx is not run: operator Sign is not on the list of allowed ones."
    assert none["told"].startswith("a__b_.onnx is not run: it is no") and not none["shown"]
    if visit.real:
        assert golf_verify(visit.files[2])["verdict"] == "REFUSED"


def golf_verify(path: Path) -> dict[str, Any]:
    """What `golf verify` says of a file, as JSON."""
    script = "import sys; from neural_golf.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        script,
        "verify",
        str(path),
        "--json",
        "--data",
        str(ROOT.parent / "shared"),
    ]
    command += ["--data", str(ROOT / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_table_is_sorted_by_any_column_and_back(visit: Visit) -> None:
    if not visit.real:
        pytest.skip("the small run's table has one line")
    assert len(visit.seen["sorted"]) == 6
    for one in visit.seen["sorted"]:
        assert one["is"] == one["order"]
        cells = (
            one["cells"] if one["name"] == "entry" else [int(cell.replace(",", "")) for cell in one["cells"]]
        )
        assert len(cells) > 10 and cells == sorted(cells, reverse=one["order"] == "descending")


def test_the_chart_tells_its_entries(visit: Visit) -> None:
    chart = visit.seen["chart"]
    assert "non-zero" in chart["first"] and "non-zero" in chart["hovered"]
    assert chart["first"] != chart["hovered"]
    assert len(chart["axes"]) > 1
    for page, (levels, places) in chart["axes"].items():  # also of two networks close together
        assert levels >= 2 and places - 1 >= 2, page  # below the sizes stands what they are


def test_the_search_finds_sections_and_leads_there(visit: Visit) -> None:
    found, (_, place, there) = visit.seen["searched"]["found"], visit.seen["searched"]["led"]
    assert any("handbook/canonical-form.html" in href for _, href in found) and place and there


def test_nothing_overflows_and_axe_finds_nothing_serious(visit: Visit) -> None:
    assert len({look["page"] for look in visit.seen["looks"]}) >= 10
    for look in visit.seen["looks"]:
        assert look["over"] <= 0, look["page"]
        serious = [v for v in look["violations"] if v["impact"] in ("serious", "critical")]
        assert serious == [], look["page"]
        assert not look["broken"] and not look["unnamed"], look["page"]


def test_every_page_has_its_own_title_a_description_and_a_picture(visit: Visit) -> None:
    looks = {look["page"]: look for look in visit.seen["looks"]}
    assert len({look["title"] for look in looks.values()}) == len(looks)
    for page, look in looks.items():
        assert 20 < len(look["description"]) < 320, page
        assert (visit.site / page).parent.joinpath(look["image"]).resolve().is_file(), page
    if visit.real:  # a challenge of other data than the site's own
        other = (visit.site / "challenge/fashion-mnist-85.html").read_text()
        assert "Held-out images of <code>fashion-mnist</code>" in other and "Try your network" not in other


def test_the_committed_sizes_are_those_of_light_pages_of_every_kind() -> None:
    sizes = json.loads((ROOT / "results/metrics/site.json").read_text())
    assert list(sizes) == list(build.PAGES)
    # The page of an entry draws each of its weights, and some have thousands.
    for kind, size in sizes.items():
        assert size["pages"] and size["largest"] < (1_500_000 if kind == "entry" else 400_000), kind


def test_samples_are_as_many_of_each_class_as_the_rarest_has() -> None:
    labels = np.array([0, 0, 0, 2, 2, 5, 5, 5], np.uint8)
    pixels = (labels[:, None, None, None] * np.ones((8, 1, 2, 2))).astype(np.uint8)
    assert samples_of(data.Split(pixels, labels), 5, 9)[:, 0, 0, 0].tolist() == [0, 0, 2, 2]
    for shape in ((1, 4, 4), (3, 4, 4), (6, 1, 20)):
        assert sheet(np.zeros((3, *shape), np.uint8), 2).startswith(b"\x89PNG")


def test_every_link_in_the_site_leads_somewhere(visit: Visit) -> None:
    looks = {look["page"]: look for look in visit.seen["looks"]}
    for page, look in looks.items():
        assert len(set(look["ids"])) == len(look["ids"]), page
        for href in look["links"]:
            if href.startswith(("https://", "http://", "blob:")):
                continue
            path, _, place = href.partition("#")
            target = (visit.site / page).parent.joinpath(path).resolve() if path else visit.site / page
            assert target.is_file(), f"{page}: {href}"
            name = target.relative_to(visit.site.resolve()).as_posix() if path else page
            if place and name in looks and not re.match("(golf|onnx|of)=", place):
                assert place in looks[name]["ids"], f"{page}: {href}"


def test_without_npm_the_site_is_built_and_says_so(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)
    monkeypatch.setattr(runtime, "installed", lambda version: None)
    with contextlib.chdir(run_folder):
        build.run(settings(inference=True))
        text = (SITE / "entry/tiny.html").read_text()
        assert not (SITE / "data/wasm.js").exists()
    assert "cannot answer to drawings: npm was not there" in text


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
    shown = {"public_records": public, "examples": [], "records": [], "known": {}, "classes": 10, "images": 10_000,
             "first": None, "ladder": "", "sizes": []}  # fmt: skip
    screen = page_text("home.html.j2", holes=holes, public=True, **shown)
    assert "The reliable record, held by this project.</b> golf-heldout-240: 9,835 of 10,000 right" in screen
    assert "Networks trained from 10 seeds get 98.35\xa0% right on average." in screen
    assert "Before: the blog.</b> 98.00\xa0%, says its author" in screen
    assert "To beat: elsewhere.</b> “a net”: 99.04\xa0%, says its author" in screen


def page_text(template: str, **view: Any) -> str:
    """A template as if it were a page of a site without data."""
    page = Page("index.html", template, "T", "D", {})
    around = {"root": "", "dataset": "d", "thing": "digit", "series": False, "json": "{}"}
    world = SimpleNamespace(draws=False)
    return render(
        template, page=page, world=world, runtime=runtime.Runtime(), has={"handbook": False, "docs": False},
        **around, **view,
    )  # fmt: skip


def test_strangers_words_are_escaped_on_every_page(run_folder: Path) -> None:
    with contextlib.chdir(run_folder):
        home, challenge, entry = (
            (SITE / name).read_text()
            for name in ("index.html", "challenge/digits-50.html", "entry/tiny.html")
        )
    assert "The record, held by Ann &lt;Example&gt;.</b>" in home and "260 of 500 right" in home
    assert (
        "by &lt;b&gt;hand&lt;/b&gt;; odd</td>" in challenge
        and '<a href="../entry/tiny.html">tiny</a>' in challenge
    )
    assert "<td>no</td>" in challenge  # its card names no code, seed and command
    assert "Ann &lt;Example&gt;" in entry and "it is not reproducible" in entry
    for page in (home, challenge, entry):
        assert "<Example>" not in page and "<b>hand" not in page
    assert "MNIST, 98 %" not in home  # this site is about other data


def test_an_entry_is_drawn_whole_with_its_numbers_mistakes_and_files(run_folder: Path) -> None:
    site = run_folder / SITE
    page = (site / "entry/baseline.html").read_text()
    network, weights = unpack((site / "files/baseline.onnx").read_bytes(), "baseline")
    lines = sum(
        path.count("M")
        for path in re.findall(r'<path class="(?:plus|minus)" stroke-width[^>]* d="([^"]*)"', page)
    )
    assert lines == sum(
        np.count_nonzero(weights[layer.weight.slice]) for layer in network.layers if layer.weight
    )
    assert page.count('<svg class="kernels"') == sum(layer.kind == "conv" for layer in network.layers)
    assert (site / "files/baseline.c").is_file() and (site / "files/baseline.h").is_file()
    wrong = int(re.search(r"<p>([\d,]+) of the [\d,]+ test images", page)[1].replace(",", ""))
    row = next(
        one for one in read_results(run_folder / "results/plots/verify.csv") if one.variant.name == "baseline"
    )
    assert wrong == row.images - row.correct
    assert (site / "pictures/mistakes-baseline.png").read_bytes().startswith(b"\x89PNG")


def test_a_graph_without_known_layers_has_a_page_without_a_drawing(tmp_path: Path) -> None:
    assert _layers(b"no graph", "x", (1, 28, 28)) is None
    entry = Entered("a", "a", "d", 5, 9, 1, 2, "train", "plain", "", None, b"", None, None)
    text = page_text(
        "entry.html.j2", entry=entry, files=[("a.onnx", 7)], draws=False, whole="", kernels=[], numbers=[],
        mistakes=None, figures="", public=False,
    )  # fmt: skip
    assert "it is not drawn" in text and "a.onnx</a>, 7 bytes" in text


def test_the_handbook_shows_every_seed(real_handbook: list[Page]) -> None:
    pages = {page.path: page for page in real_handbook}
    assert len(pages) == len(list((ROOT / "docs/handbook").glob("*.md")))
    plot = str(pages["handbook/absolute-value.html"].view["plot"])
    assert plot.count('class="arm arm0"') == plot.count('class="arm arm1"') == 5
    assert str(pages["handbook/index.html"].view["text"]).count("<table>") == 1


def test_an_arm_that_has_not_run_is_named_and_leaves_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place has its table or a sentence, which names the arms that are missing and no other."""
    monkeypatch.chdir(tmp_path)
    handbook.FOLDER.mkdir(parents=True)
    handbook.CURVES.parent.mkdir(parents=True)
    handbook.CURVES.write_text("arm,seed,nonzero,accuracy\nbase,0,100,0.9\n")
    place = "<!-- measured: {} -->\n{}<!-- end of measured -->\n"
    (handbook.FOLDER / "README.md").write_text("# H\n" + place.format("all", "| arm |\n|---|\n| base |\n"))
    (handbook.FOLDER / "new.md").write_text(
        "# N\n" + place.format("base one two", "") + "\n" + place.format("three", "")
    )
    index, new = (str(page.view["text"]) for page in handbook.pages(SimpleNamespace(public=[1])))
    assert "<table>" in index and "no figures" not in index
    assert (
        "no figures for <code>one</code> and <code>two</code> yet, because <code>snakemake handbook</code> has not measured them."
        in new
    )
    assert (
        "no figures for <code>three</code> yet" in new and "has not measured it." in new and "base" not in new
    )


@pytest.fixture
def real_handbook(monkeypatch: pytest.MonkeyPatch) -> list[Page]:
    monkeypatch.chdir(ROOT)
    return list(handbook.pages(SimpleNamespace(public=[1])))


def test_documents_lead_to_pages_and_not_to_files_that_the_site_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    way = way_for(Path("docs/rules.md"), "docs/rules.html")
    assert way("bytes.md#x") == "bytes.html#x" and way("handbook/README.md") == "../handbook/index.html"
    assert way("../src/neural_golf/cli.py") is None and way("https://a.b/c") == "https://a.b/c"
    text = markdown("# A\n\n[a](../params.yaml) [b](bytes.md)\n\n<!-- x: y -->\n<b>c</b>\n\n# A\n", way=way)
    assert "<span>a</span>" in text and '<a href="bytes.html">b</a>' in text
    assert "x: y" not in text and "&lt;b&gt;c" in text and 'id="a"' in text and 'id="a-1"' in text
    assert {paper.path for paper in papers()} >= set(Path("docs").glob("*.md"))
    assert all(Path(name).exists() for name in DOCUMENTS if name != "docs/scaling.md")


def test_the_record_falls_as_git_tells_it(tmp_path: Path) -> None:
    def commit(day: str, score: int | None) -> None:
        ranked = [{"entry": f"e{score}", "nonzero": score, "card": {"author": "Ann"}}] if score else []
        text = json.dumps({"c": {"ranked": ranked}}) if score != 1 else "<<<<<<<"
        (tmp_path / "leaderboard.json").write_text(text)
        environment = {**os.environ, "GIT_COMMITTER_DATE": f"{day}T12:00:00Z"}
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["add", "."], [*who, "commit", "-qm", day]):
            subprocess.run(["git", *words], cwd=tmp_path, env=environment, check=True)

    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with pytest.raises(GolfError, match="Git has no version"):
        write_history(tmp_path)
    for day, score in (
        ("2026-01-01", None),
        ("2026-01-02", 90),
        ("2026-01-03", 95),
        ("2026-01-03", 1),
        ("2026-01-04", 80),
        ("2026-01-04", 70),
    ):
        commit(day, score)
    write_history(tmp_path)
    assert read_history(tmp_path) == {
        "c": [Step("2026-01-02", "e90", "Ann", 90), Step("2026-01-04", "e70", "Ann", 70)]
    }
    (tmp_path / "history.json").write_text('{"c": [{"day": 1}]}')
    with pytest.raises(GolfError, match="another form"):
        read_history(tmp_path)


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
