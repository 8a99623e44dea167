"""`golf new`: somebody's data from the file to the web site, in a folder that is a complete task."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

import tasks_made as made
from neural_golf import cli, config, data
from neural_golf.base.errors import GolfError
from neural_golf.data import stage
from neural_golf.data.given import given
from neural_golf.net.checkpoint import read_checkpoint
from neural_golf.net.spec import Network
from neural_golf.referee.challenge import load_challenge
from neural_golf.tasks.home import FILES
from neural_golf.tasks.new import NAMED, make_task
from neural_golf.tasks.rules import Known, plan
from neural_golf.workflow import Stages

ALL = ("data", "baseline", "smallest", "export", "verify", "front", "ladder", "interpret", "site")


def task(folder: Path, arrays: dict[str, Any], reach: float, name: str = "mine") -> tuple[Path, list[str]]:
    """A task on an archive of these arrays, and what `golf new` says."""
    np.savez(folder / "mine.npz", **arrays)
    said = make_task(folder / name, str(folder / "mine.npz"), reach)
    return folder / name, said


def test_colour_goes_through_the_whole_pipeline(tmp_path: Path) -> None:
    """By Snakemake, up to the web site; then the folder has a leaderboard of its own."""
    folder, said = task(tmp_path, made.coloured(), 0.5)
    assert said[0].endswith("mine: images of 3x32x32, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)")
    assert said[1] == "1,120 examples to train on, 280 held out, 397 to test"
    made.shrink(folder)
    made.run(folder, "snakemake", "--cores", "2")
    assert "Nothing to be done" in made.run(folder, "snakemake", "--cores", "2", "-n")
    ladder = json.loads((folder / "results/ladder.json").read_text())
    assert list(ladder) == ["baseline", "smallest-heldout-200", "smallest-heldout-144"]
    assert ladder["smallest-heldout-144"]["nonzero"]["mean"] == 144
    card = (folder / "results/cards/baseline.md").read_text()
    assert "float32 [batch, 3, 32, 32]: pixel / 255 |" in card
    page = (folder / "results/site/index.html").read_text()
    assert "tell 10 classes apart" in page and "there is no drawing pad" in page
    assert 'id="paper"' not in page and "handwriting" not in page
    site = folder / "results/site"
    assert "No entry yet" in (site / "challenge/mine-50.html").read_text()
    assert '<svg class="network"' in (site / "entry/baseline.html").read_text()
    assert (site / "pictures/samples.png").is_file() and (site / "try.html").is_file()
    verdict = made.golf(folder, "verify results/onnx/baseline-0.onnx")
    assert re.search(r"PASS: \d+ of 397 correct, 199 needed", verdict) and "mine-50" in verdict
    said_then = made.golf(folder, "enter", "leaderboard", "leaderboard --check")
    assert "entered mine-50/baseline: " in said_then
    assert "mine-50/smallest-heldout-144/" in (folder / "leaderboard/README.md").read_text()
    assert (folder / "leaderboard/mine-50/baseline/card.yaml").read_text().count("code: params.yaml") == 1


def test_the_document_shows_what_golf_new_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays = made.coloured()
    np.savez("colours.npz", **arrays)
    np.savez("one-class.npz", **arrays | {"y_train": arrays["y_train"] * 0, "y_test": arrays["y_test"] * 0})
    text = (made.ROOT / "docs/own-data.md").read_text()
    shown = re.findall(r"```console\n\$ golf (.*)\n((?:.*\n)*?)```", text)
    assert len(shown) == 2
    for command, output in reversed(shown):
        cli.main(command.split())
        said = capsys.readouterr()
        assert said.out + said.err == output


def test_letters_go_through_dvc_to_a_leaderboard_of_their_own(tmp_path: Path) -> None:
    folder, said = task(tmp_path, made.letters(), 0.3, "letters")
    assert "26 classes (A, B, C, D, E, F, G, H, I, J, …)" in said[0]
    assert yaml.safe_load((folder / "params.yaml").read_text())["site"]["inference"]
    made.shrink(folder)
    made.run(folder, "dvc", "repro")
    assert "up to date" in made.run(folder, "dvc", "status")
    assert load_challenge(str(folder / "challenges/letters-30.yaml"), files=True).classes == 26
    assert "entered letters-30/baseline" in made.golf(folder, "enter", "leaderboard")
    board = json.loads((folder / "leaderboard/leaderboard.json").read_text())
    assert "baseline" in [entry["entry"] for entry in board["letters-30"]["ranked"]]
    page = (folder / "results/site/index.html").read_text()
    assert '<canvas id="paper"' in page and "Draw something" in page  # grey: visitors draw
    found = json.loads((folder / "results/interpret.json").read_text())
    assert all(re.fullmatch("[A-Z] → [A-Z]", pair) for pair in found["baseline"]["mistakes"]["commonest"])


def test_series_of_several_channels_keep_their_names_and_units(tmp_path: Path) -> None:
    folder, said = task(tmp_path, made.sensors(), 0.3)
    assert said[0].endswith("series of 6 channels and 100 steps, 4 classes (run, sit, stand, walk)")
    assert "(the data have no test part, so these were split off)" in said[1]
    made.shrink(folder)
    made.golf(folder, *ALL)
    facts = json.loads((folder / "results/metrics/data.json").read_text())
    assert facts["shape"] == [6, 1, 100] and facts["classes"] == ["run", "sit", "stand", "walk"]
    units = np.array(facts["high"]) - facts["low"]
    assert (units / [1, 2, 10, 0.1, 5, 1]).round() == pytest.approx(4, abs=1)
    card = (folder / "results/cards/baseline.md").read_text()
    assert "0 to 1 for the range of each channel" in card and "time-series-classification" in card
    told = made.golf(folder, "verify results/onnx/baseline-0.onnx")
    assert '["run", "sit", "stand", "walk"]' in told and "says of itself: range" in told
    assert (folder / "results/figures/interpret/angles-baseline.png").exists()  # which says why it is empty


def test_names_of_classes_that_mean_something_elsewhere_do_no_harm(tmp_path: Path) -> None:
    names = np.array(["../x", "a/b", "c, 'q' \"s\"\nnew | <i>", "\u732b"])
    rng = np.random.default_rng(0)
    folder, said = task(
        tmp_path,
        {"x_train": rng.integers(0, 256, (80, 8, 8), np.uint8), "y_train": names[np.arange(80) % 4]},
        0.1,
    )
    assert said[0].endswith("4 classes (../x, a/b, c, 'q' \"s\" new | <i>, \u732b)")
    made.shrink(folder)
    made.golf(folder, *ALL)
    told = made.golf(folder, "verify results/onnx/baseline-0.onnx", "c results/onnx/baseline-0.onnx -o net.c")
    assert "says of itself: classes" in told
    page = (folder / "results/site/challenge/mine-10.html").read_text()
    assert "<i>" not in page and "&lt;i&gt;" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.npz"]
    assert r"\042s\042 new" in (folder / "net.h").read_text()


def test_a_watch_gets_the_smallest_network_that_keeps_what_the_dense_one_has_right(tmp_path: Path) -> None:
    """BasicMotions through the pipeline, with the seeds and settings that `golf new` wrote: of the descent the
    smallest size that keeps, in the mean, 95 % of what the dense networks have right of the held-out series. Its best
    seed as C on a Cortex-M0.
    """
    folder, said = task(tmp_path, made.motions(), 0.9, "sensors")
    assert said[0].endswith(
        "series of 6 channels and 100 steps, 4 classes (Badminton, Running, Standing, Walking)"
    )
    tree = yaml.safe_load((folder / "params.yaml").read_text())
    made.shrink(
        folder, baseline=tree["baseline"], smallest=tree["smallest"], rows=tree["rows"],
        interpret={"networks": ["baseline"]},
    )  # fmt: skip
    made.golf(folder, *ALL)
    dense, smaller = (
        read_checkpoint(folder / f"results/models/{row}.safetensors").runs for row in ("baseline", "smallest")
    )
    right = [run.heldout_correct or 0 for run in dense]
    assert len(right) == 3 and min(right) >= 7
    kept: dict[int, list[tuple[int, int]]] = {}
    for run in smaller:
        kept.setdefault(run.size or 0, []).append((run.heldout_correct or 0, -run.seed))
    least = min(size for size, each in kept.items() if sum(n for n, _ in each) >= 0.95 * sum(right))
    assert least <= 64
    model = f"results/onnx/smallest-{least}-{-max(kept[least])[1]}.onnx"
    verdict = made.golf(folder, f"verify {model}", f"c {model} -o net.c")
    assert re.search(r"PASS: \d+ of 40 correct, 36 needed", verdict)
    assert f"{least} numbers that are not zero" in verdict and "Badminton" in (folder / "net.h").read_text()
    if shutil.which("arm-none-eabi-gcc") and shutil.which("qemu-system-arm"):
        told = made.golf(folder, f"device {model}")  # an answer other than onnxruntime's is an error
        assert re.search(r"cortex-m0 float: flash [\d,]+, RAM [\d,]+, instructions [\d,]+", told)


def test_a_network_of_series_is_pruned_to_a_file_that_tells_its_ranges(tmp_path: Path) -> None:
    folder, _ = task(tmp_path, made.sensors(), 0.9)
    made.shrink(folder, baseline={"epochs": 20})
    made.golf(folder, "data", "baseline", "smallest", "export")
    made.golf(
        folder,
        "prune results/onnx/baseline-0.onnx --data mine --keep 0.9 -o small.onnx",
        "c small.onnx -o net.c",
    )
    told = {one.key: one.value for one in onnx.load(folder / "small.onnx").metadata_props}
    facts = json.loads((folder / "results/metrics/data.json").read_text())
    assert json.loads(told["range"]) == [facts["low"], facts["high"]]
    assert json.loads(told["classes"]) == facts["classes"] and "range of each channel" in told["input"]
    assert "float" in (folder / "net.h").read_text()


def test_three_hundred_classes_of_two_examples_do_no_harm(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (600, 12, 12), np.uint8)
    folder, said = task(tmp_path, {"x_train": images, "y_train": np.repeat(np.arange(300) * 7, 2)}, 0.001)
    assert "300 classes" in said[0]
    made.shrink(folder)
    told = made.golf(folder, *ALL)
    assert re.search(r"of the 300 classes of mine have no image in the part heldout", told)
    assert len(json.loads((folder / "results/metrics/data.json").read_text())["classes"]) == 300
    verdict = made.run(
        folder, "neural_golf.cli", "verify", "results/onnx/baseline-0.onnx", "--json", fails=True
    )
    assert json.loads(verdict)["verdict"] == "FAIL"


def test_every_class_that_has_an_example_has_one_to_train_on(rng: np.random.Generator) -> None:
    labels = rng.permutation(np.repeat(np.arange(50), 2)).astype(np.uint8)
    whole = data.Split(labels[:, None, None, None], labels)
    left, taken = stage.split(whole, 45, 0, last=False)
    assert (len(left), len(taken)) == (55, 45)
    assert set(left.labels) == set(range(50))
    assert sorted([*left.labels, *taken.labels]) == sorted(labels)
    assert (left.pixels[:, 0, 0, 0] == left.labels).all()


SHAPES = [
    (1, 2, 2),
    (1, 3, 3),
    (3, 8, 8),
    (1, 6, 5),
    (1, 8, 60),
    (3, 96, 96),
    (1, 224, 224),
    (2, 1, 4),
    (1, 1, 1460),
    (12, 1, 29),
]


@pytest.mark.parametrize("classes", [2, 10, 300, 1000])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_rules_give_networks_that_fit(shape: tuple[int, int, int], classes: int) -> None:
    for train in (50, 200_000):
        chosen = plan(Known(shape, classes, train, None))
        for spec in (chosen.baseline, chosen.smallest):
            made_of = Network.parse(spec, shape)
            assert made_of.classes == classes
            assert made_of.size < 15_000
        assert chosen.sizes == sorted(set(chosen.sizes), reverse=True)
        assert chosen.dense_epochs <= 240 and chosen.fast_epochs <= 50
        assert chosen.slow_epochs <= (160 if classes > 100 or train > 50 else 480)


GOOD = {"x_train": np.arange(50 * 36, dtype=np.uint8).reshape(50, 6, 6), "y_train": np.arange(50) % 2}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"y_train": np.zeros(50, int)}, "data set mine: it has 1 class; 2 to 1000 can be told apart"),
        ({"x_train": np.full((50, 6, 6), np.nan)}, "an image holds something that is not a finite number (the first is number 0)"),
        ({"x_train": np.zeros((50, 2, 2, 2, 2))}, "data set mine: images of shape (50, 2, 2, 2, 2)"),
        ({"y_train": np.arange(49)}, "data set mine: labels of shape (49,) and type int64 for 50 images"),
        ({"x_train": np.full((50, 6, 6), 1e200)}, "an image holds something that is not a finite number (the first is number 0)"),
        ({"x_train": np.full((50, 6, 6), 7)}, "all training images are alike, so nothing can be learnt from them"),
        ({"x_test": GOOD["x_train"] / 255, "y_test": GOOD["y_train"]}, "training and test images are of uint8 and float64"),
        ({"y_train": np.where(np.arange(50) % 2, np.nan, 1)}, "the label nan (of number 1, the first is 0) is not a whole number"),
        ({"y_train": np.arange(50) / 2}, "the label 0.5 (of number 1, the first is 0) is not a whole number"),
        ({"y_train": np.arange(50)}, "50 examples of 50 classes are too few to train on, once 8 are held out"),
        ({"y_train": np.array([{}] * 50)}, "it has arrays of Python objects; make numbers or texts of them"),
        ({"x_train": GOOD["x_train"][:0], "y_train": GOOD["y_train"][:0]}, "data set mine: images of shape (0, 6, 6) are none"),
        ({"x_test": GOOD["x_train"][:0], "y_test": GOOD["y_train"][:0]}, "data set mine: images of shape (0, 6, 6) are none"),
        ({"x_train": GOOD["x_train"] + 1j}, "images of type complex128; integers or floating-point numbers are needed"),
        ({"x_test": GOOD["x_train"]}, "mine.npz holds x_train, y_train, x_test of"),
    ],
)  # fmt: skip
def test_wrong_data_are_one_line_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    change: dict[str, Any], why: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.savez("mine.npz", **GOOD | change)
    assert cli.main(["new", "mine", "--data", "mine.npz", "--reach", "0.9"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("golf new: ") and why in said and said.count("\n") == 1
    assert not Path("mine").exists()


@pytest.mark.parametrize(
    ("shape", "dtype", "doubt"),
    [
        ((100, 6), float, "are the two the other way round? arrays of series are [n, channels, length]"),
        ((16, 16, 4), np.uint8, "are the channels the last axis? of 3 it is seen; else use x.transpose(0, 3, 1, 2)"),
        ((6, 100), np.uint8, "are they series, [n, channels, length]? then say --kind series"),
    ],
)  # fmt: skip
def test_what_may_be_meant_otherwise_is_asked(
    tmp_path: Path, rng: np.random.Generator, shape: tuple[int, ...], dtype: type, doubt: str
) -> None:
    arrays = {"x_train": rng.integers(0, 250, (50, *shape)).astype(dtype), "y_train": np.arange(50) % 2}
    assert doubt in task(tmp_path, arrays, 0.9)[1]


def test_an_answer_that_is_always_the_same_does_not_reach_the_goal_unsaid(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    arrays = {"x_train": rng.integers(0, 250, (100, 8, 8), np.uint8), "y_train": np.arange(100) >= 80}
    said = task(tmp_path, arrays, 0.5)[1]
    assert any(
        re.match(r"who always answers 0 has \d+ of 20 test images right: a higher", line) for line in said
    )
    arrays["y_train"] = np.arange(100) >= 97
    arrays |= {"x_test": arrays["x_train"][:9], "y_test": arrays["y_train"][:9]}
    said = task(tmp_path, arrays, 0.8, "alike")[1]
    assert any(line.endswith("has 9 of 9 test images right: only more test examples, of several classes, say more")
               for line in said)  # fmt: skip
    assert "unbalanced: class 1 has 3 examples, and class 0 has 97" in said


def test_what_becomes_of_large_numbers_is_said(tmp_path: Path) -> None:
    arrays = {"x_train": np.arange(50 * 64).reshape(50, 8, 8), "y_train": np.arange(50) % 2}
    folder, said = task(tmp_path, arrays, 0.9)
    assert "numbers from 0 to 3199 are kept in 256 levels" in said
    dvc = (folder / "dvc.yaml").read_text()
    assert "results/onnx" in dvc and "onnx-large" not in dvc and "results/golf" not in dvc
    np.savez(tmp_path / "one.npz", x_train=np.arange(50)[:, None], y_train=np.arange(50) % 2)
    said = make_task(tmp_path / "one", str(tmp_path / "one.npz"), 0.9)
    assert "series of 1 channel and 1 step, 2 classes" in said[0] and said[-2].endswith(
        "of 10 test series right"
    )


def test_numbers_that_are_all_small_have_a_range_of_their_own(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    arrays = {"x_train": rng.uniform(0, 1e-6, (50, 6, 100)), "y_train": np.arange(50) % 2}
    np.savez(tmp_path / "small.npz", **arrays)
    found = given(str(tmp_path / "small.npz"))
    assert max(found.high) < 2e-6 and len(np.unique(found.train.pixels)) == 256


def test_a_wrong_name_or_share_is_one_line(tmp_path: Path) -> None:
    for name, source, reach, why in (
        ("Mine", "a.npz", 0.9, "a task's name is of a-z, 0-9 and dashes"),
        ("mine", "a.npz", 95.0, r"--reach 95 is not between 0 and 1; 95 % is 0.95"),
        ("mine", "a.npz", 0.9, "there is no file .*a.npz"),
        ("mine", "a.csv", 0.9, "there is no file .*a.csv"),
        ("mine", "a.NPZ", 0.9, "there is no file .*a.NPZ"),
        ("mine", "", 0.9, "--data : it is no"),
        ("mine", "nothing", 0.9, r"it is no \.npz file, no \.csv file, no folder and none of mnist, .*svhn"),
        (".", "a.npz", 0.9, "a task's name is"),
    ):
        with pytest.raises(GolfError, match=why):
            make_task(tmp_path / name, str(tmp_path / source) if "." in source else source, reach)
    (tmp_path / "there").mkdir()
    with pytest.raises(GolfError, match="there exists already"):
        make_task(tmp_path / "there", "a.npz", 0.9)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.arange(50) % 2 == 0, ("0", "1")),
        (np.array([b"no", b"yes"])[np.arange(50) % 2], ("no", "yes")),
        (np.array(["é", "ü"])[np.arange(50) % 2], ("é", "ü")),
        ((np.arange(50) % 2 * 900 - 7).astype(np.int16), ("-7", "893")),
        ((np.arange(50) % 2)[:, None], ("0", "1")),
        ((np.arange(50) < 47).astype(np.uint64), ("0", "1")),
        (np.arange(50) % 2 - 1.0, ("-1", "0")),
        (np.array([b"\xfe", b"\xff"])[np.arange(50) % 2], (r"\xfe", r"\xff")),
        (np.array(["a\nb", ""])[np.arange(50) % 2], ("(empty)", "a b")),
        (np.array(["a\nb", "a b"])[np.arange(50) % 2], (r"'a\nb'", "'a b'")),
    ],
)  # fmt: skip
def test_labels_may_be_of_any_whole_or_text_type(tmp_path: Path, labels: Any, told: tuple[str, ...]) -> None:
    _, said = task(tmp_path, GOOD | {"y_train": labels}, 0.9)
    assert f"2 classes ({', '.join(told)})" in said[0] and "\n" not in said[0]


def test_two_hundred_thousand_examples_are_never_in_memory_as_floats(
    raw: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    n, side = 200_000, 8
    images = np.tile(np.linspace(-1, 1, side * side, dtype=np.float32).reshape(1, side, side), (n, 1, 1))
    np.savez("large.npz", x_train=images, y_train=np.arange(n) % 7)
    held = images.nbytes
    del images
    raw["datasets"]["large"] = {"npz": "large.npz", "test": 10_000}
    raw["data"] = {"dataset": "large", "heldout": 5_000, "seed": 0}
    settings = config.check(raw)
    tracemalloc.start()
    stage.run(settings)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pixels = n * side * side
    assert held == 4 * pixels
    assert most < 3.5 * pixels + (120 << 20)  # three copies of a byte each, and pieces
    assert (data.facts().train, data.facts().low, data.facts().high) == (185_000, (-1.0,), (1.0,))


WIDE = "label,a,b,c,d\n" + "".join(
    f"{'up' if k % 2 else 'down'},{k},{k + 1},{k + 2},{k * k}\n" for k in range(40)
)
LONG = "example,time,label,x,y\n" + "".join(
    f"{k},{t},{k % 3},{k * t},{k - t}\n" for k in range(30) for t in range(5)
)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (WIDE, "series of 1 channel and 4 steps, 2 classes (down, up)"),
        (LONG, "series of 2 channels and 5 steps, 3 classes (0, 1, 2)"),
        (
            WIDE.replace("up,", "NA,").replace("label,", "label ,"),
            "series of 1 channel and 4 steps, 2 classes (NA, down)",
        ),
    ],
)
def test_series_come_from_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, what: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.csv").write_text(text)
    assert make_task(Path("mine"), "a.csv", 0.9)[0] == f"mine: {what}"
    assert config.load(Path("mine/params.yaml")).dataset.csv == "../a.csv"
    assert Stages(Path("mine/dvc.yaml")).tree["data"]["deps"] == ["../a.csv"]


@pytest.mark.parametrize(
    "text",
    [
        WIDE.replace(",", ";"),
        WIDE.replace(",", "\t"),
        WIDE.replace(",", " , "),
        WIDE.replace("\n", "\r\n\r\n"),
        "\ufeff" + WIDE.replace("label", '"label"'),
        re.sub(r",(\d+)", r";\1,0", WIDE.replace(",a,b,c,d", ";a;b;c;d")),
    ],
)
def test_tables_come_in_many_forms(tmp_path: Path, text: str) -> None:
    found = []
    for number, one in enumerate((WIDE, text)):
        (tmp_path / f"{number}.csv").write_bytes(one.encode())
        found.append(given(str(tmp_path / f"{number}.csv")))
    assert found[0].classes == found[1].classes == ("down", "up")
    assert found[0].digest == found[1].digest


def test_folders_have_more_than_images(tmp_path: Path, rng: np.random.Generator) -> None:
    image = pytest.importorskip("PIL.Image", reason="PIL reads images")
    for number in range(20):
        path = tmp_path / "images" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(rng.integers(0, 256, (6, 6), np.uint8)).save(path)
    for name in (".git/config", "a/.DS_Store", "a/Thumbs.db", "stray.txt"):
        (tmp_path / "images" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_text("not an image")
    assert given(str(tmp_path / "images")).classes == ("a", "b")
    image.fromarray(rng.integers(0, 65536, (6, 6)).astype(np.uint16)).save(tmp_path / "images/a/deep.png")
    with pytest.raises(GolfError, match=r"deep\.png has more than 8 bits for each pixel"):
        given(str(tmp_path / "images"))
    (tmp_path / "images/a/deep.png").write_text("no image")
    with pytest.raises(GolfError, match=r"deep\.png is not an image"):
        given(str(tmp_path / "images"))


def test_images_of_truth_values_are_black_and_white(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_train=GOOD["x_train"] > 99, y_train=GOOD["y_train"])
    assert set(np.unique(given(str(tmp_path / "a.npz")).train.pixels)) == {0, 255}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("," + WIDE.replace("\n", "\n1,").removesuffix("1,"), "has no name, as an index of pandas"),
        (WIDE.replace("label", "kind"), "needs a header with a column `label`"),
        (WIDE.replace("up,1,", "up,one,"), "the column 'a' of .* holds something that is not a number"),
        (WIDE.replace("up,1,", ",1,"), "line 3 of .* has no label"),
        (WIDE.replace("up,1,", "up,,"), "line 3 of .* has nothing in the column 'a'"),
        (
            WIDE.replace("label,a,", "label,ID,"),
            "the column 'ID' of .* would be taken for a part of the series",
        ),
        (
            LONG.replace(",x,y", ",Index,y"),
            "the column 'Index' of .* would be taken for a part of the series",
        ),
        (WIDE + "up,1\n", "line 42 of .* has nothing in the column 'b'"),
        (LONG.replace("\n1,0,", "\n,0,"), "line 7 of .* has nothing in the column 'example'"),
        (LONG.replace("\n1,0,", "\n1,9,"), "the time of example 1 goes back"),
        (LONG + "30,0,0,1,1\n", "example 30 has 1 lines and the first one 5"),
        (LONG + "0,5,0,1,1\n", "the lines of an example must stand together"),
        (LONG.replace("0,1,0,0,-1", "0,1,1,0,-1"), "example 0 has lines with different labels"),
        ("", "cannot be read"),
        (re.sub(r"(?m)^up.*\n", "", WIDE), "data set mine: it has 1 class"),
        (
            re.sub(
                r"(?m)^\d+,([34])?.*$", lambda line: f"{line[0]},{'test' if line[1] else 'train'}", LONG
            ).replace("x,y", "x,y,part"),
            "example 0 has lines of both parts",
        ),
    ],
)
def test_a_wrong_csv_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(GolfError, match=why) as caught:
        make_task(tmp_path / "mine", str(tmp_path / "a.csv"), 0.9)
    assert "\n" not in str(caught.value) and not (tmp_path / "mine").exists()


def test_names_are_those_of_torchvision_with_its_own_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    for entry in NAMED.values():
        assert hasattr(datasets, entry["torchvision"])

    class EMNIST:
        """As torchvision's: rows and columns are exchanged in its files, and class 0 of letters is none."""

        classes = ("N/A", *"abc")

        def __init__(self, root: Path, split: str, train: bool, download: bool) -> None:
            assert split == "letters"
            n = 60 if train else 12
            self.data = rng.integers(0, 100, (n, 28, 28), np.uint8)
            self.data[:, 2, :] = 255
            self.targets = np.arange(n) % 3 + 1

    monkeypatch.setattr(datasets, "EMNIST", EMNIST)
    said = make_task(tmp_path / "mine", "emnist-letters", 0.9)
    assert said[0].endswith("images of 1x28x28, 3 classes (a, b, c)")
    monkeypatch.chdir(tmp_path / "mine")
    stage.run(config.load())
    assert (data.read("test").pixels[:, 0, :, 2] == 255).all()


def test_in_a_git_repository_it_is_a_part_of_it(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    folder, _ = task(tmp_path, GOOD, 0.9)
    assert "no_scm" not in (folder / ".dvc/config").read_text()
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, cwd=folder, capture_output=True, text=True, check=True).stdout.split()
    assert {
        "params.yaml",
        "dvc.yaml",
        "Snakefile",
        "challenges/mine-90.yaml",
        "data/mine-test-images.gz",
    } <= set(seen)
    made.run(folder, "dvc", "status")


def test_other_test_images_than_the_challenges_are_told(tmp_path: Path) -> None:
    folder, _ = task(tmp_path, GOOD, 0.9)
    made.shrink(folder, data={"seed": 1})
    made.golf(folder, "data", "baseline", "smallest", "export")
    said = made.run(folder, "neural_golf.cli", "verify", fails=True)
    assert (
        said.startswith("golf verify: challenges/mine-90.yaml is about other test images than")
        and said.count("\n") == 1
    )


def test_a_wheel_has_what_golf_new_needs() -> None:
    manifest = (made.ROOT / "MANIFEST.in").read_text()
    for name in FILES:
        assert name in manifest or name.startswith("profiles/")
        assert (made.ROOT / name).is_file()
