"""The open house: adding something touches few files, and it then arrives everywhere it should.

Each test copies the repository, makes the change as a person would, asserts which files it took, and runs it
through on small data. In the copy its own src/ is imported.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from neural_golf import config
from neural_golf.workspace import _leave_out, make_workspace
from open_house import ROOT, Copy, idx, md5, patterns

# Rows that these runs leave out, and those that the demo leaves out already.
OTHERS = ("reference", "tuned", "prelu", "prelu_pruned", "golf99", "open98", "bytes98")
NOT_IN_DEMO = ("open99", "bytes99")
RUN = ("data", "baseline", "pruned", "golf98", "export", "verify", "ladder", "front")


def small_networks(classes: int) -> dict[str, Any]:
    """Networks for images of any shape of 16x16 and more, as a person would write them into params.yaml."""
    plain = {
        "network": ["conv 4 k3", "relu", "maxpool 2", "conv 4 k3", "relu", "maxpool 2", f"linear {classes}"]
    }
    turned = [
        "conv 8 k3 turns",
        "abs",
        "maxpool 2",
        "conv 4 k3 turns",
        "abs",
        "maxpool 3",
        f"linear {classes}",
    ]
    recipe = {"network": turned, "fast_to": 60, "sizes": [60, 40]}
    return {"baseline": plain, "tune": plain, "golf98": {"enter": [60], "recipe": recipe}}


def settings(dataset: str, **more: Any) -> dict[str, Any]:
    quick = {"dense_epochs": 2, "fast_epochs": 2, "slow_epochs": 2, "settle": 1, "batch": 32}
    own = {"data": {"dataset": dataset}, "rows": {"pruned": {"of": "baseline"}}, "golf98": {"recipe": quick}}
    return {**own, **more}


def add_dataset(copy: Copy, lines: str) -> None:
    text = (copy.folder / "params.yaml").read_text()
    copy.write("params.yaml", text.replace("\ndatasets:\n", f"\ndatasets:\n  mine:\n{lines}", 1))


def digits() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    bundle = pytest.importorskip("sklearn.datasets").load_digits()
    images = np.kron((bundle.images * 15.9).astype(np.uint8), np.ones((1, 3, 3), np.uint8))
    return np.pad(images, ((0, 0), (2, 2), (2, 2))), bundle.target


def as_npz(copy: Copy, images: Any, labels: Any, test: int) -> str:
    np.savez(copy.folder / "mine.npz", x_train=images[test:], y_train=labels[test:], x_test=images[:test],
             y_test=labels[:test])  # fmt: skip
    return "    npz: mine.npz\n"


def check_ladder(folder: Path, classes: list[str], shape: str) -> None:
    """The data set is in every table and card that tells of it, and the referee found what training had."""
    ladder = json.loads((folder / "results/ladder.json").read_text())
    assert list(ladder) == [
        "baseline",
        "pruned-heldout-index",
        *[n for n in ladder if n.startswith("golf98")],
    ]
    assert "Data: mine;" in (folder / "results/ladder.md").read_text()
    card = (folder / "results/cards/baseline.md").read_text()
    assert f"float32 [batch, {shape}]" in card and f"0 {classes[0]}, 1 {classes[1]}" in card
    code = card.split("```python\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "golf98" in (folder / "results/front.md").read_text()


def test_a_data_set_from_an_npz_file_with_labels_as_text(tmp_path: Path) -> None:
    """Images as MNIST's: nothing but the line in the table is needed."""
    copy = Copy(tmp_path)
    assert copy.changed() == set()
    images, target = digits()
    words = np.array("zero one two three four five six seven eight nine".split())  # noqa: SIM905
    add_dataset(copy, as_npz(copy, images[:700], words[target[:700]], 150))
    assert copy.changed() == {"params.yaml"}
    copy.shrink(settings("mine"), without=OTHERS)
    copy.golf(*RUN)
    check_ladder(copy.folder, sorted(words), "1, 28, 28")


@pytest.fixture(scope="module")
def compass(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A run on images of 16x16 in four classes, from an .npz file."""
    copy = Copy(tmp_path_factory.mktemp("compass"))
    images, labels = patterns(340, (1, 16, 16), 4)
    add_dataset(copy, as_npz(copy, images, labels, 100))
    assert copy.changed() == {"params.yaml"}
    copy.shrink(small_networks(4), settings("mine"), without=OTHERS)
    copy.golf(*RUN)
    return copy


def test_a_data_set_of_another_shape_with_other_classes(compass: Copy) -> None:
    check_ladder(compass.folder, ["0", "1"], "1, 16, 16")
    compass.golf("tune", "interpret", "site")
    assert (compass.folder / "results/figures/interpret/angles-baseline.png").is_file()
    assert '"shape":[1,16,16]' in (compass.folder / "results/site/index.html").read_text()  # of the pad


def test_a_data_set_from_a_folder_of_coloured_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    copy = Copy(tmp_path)
    images, labels = patterns(240, (3, 32, 32), 3)
    names = ["disc", "ring", "star"]
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / "pictures" / names[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    add_dataset(copy, "    folder: pictures\n    test: 60\n")
    assert copy.changed() == {"params.yaml"}
    copy.shrink(small_networks(3), settings("mine"), without=OTHERS)
    copy.golf(*RUN)
    check_ladder(copy.folder, names, "3, 32, 32")


def test_a_data_set_by_its_name_in_torchvision(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    place = ROOT.parent / "shared/mnist"
    if not place.is_dir():
        pytest.skip("MNIST's files are not in ../shared/mnist")
    copy = Copy(tmp_path)
    add_dataset(copy, f"    torchvision: MNIST\n    places: [{place}]\n")
    assert copy.changed() == {"params.yaml"}
    copy.shrink({"data": {"dataset": "mine"}})
    assert f"data: mine from {place}" in copy.golf("data --check")


def test_networks_that_do_not_fit_the_images_are_told_in_one_line(compass: Copy, tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    images, labels = patterns(200, (1, 16, 16), 4)
    add_dataset(copy, as_npz(copy, images, labels, 60))
    copy.shrink(settings("mine"), without=OTHERS)
    said = copy.golf("data", "baseline", fails=True)
    assert "does not fit" in said and said.count("\n") == 1


def test_a_challenge(compass: Copy) -> None:
    folder = compass.folder
    images, labels = patterns(340, (1, 16, 16), 4)
    content = {"images": idx(images[:100, 0]), "labels": idx(labels[:100].astype(np.uint8))}
    files = {kind: {"name": f"compass-{kind}.gz", "md5": md5(packed)} for kind, packed in content.items()}
    (folder / "place").mkdir()
    for kind, packed in content.items():
        (folder / "place" / f"compass-{kind}.gz").write_bytes(packed)
    before = compass.changed()
    told = {
        "name": "compass-30", "title": "Compass, 30 %", "dataset": "mine", "split": "test", "files": files,
        "images": 100, "classes": 4, "threshold": 30, "score": "nonzero", "rules": 2,
    }  # fmt: skip
    path = "src/neural_golf/referee/challenges/compass-30.yaml"
    compass.write(path, yaml.safe_dump(told))
    assert compass.changed() - before == {path}

    compass.write("card.yaml", "author: A\nmethod: by hand\nchosen_on: train\nlicence: MIT\n")
    model, place = "results/onnx/baseline-0.onnx", "--data place"
    said = compass.golf(
        f"verify {model} --challenge compass-30 {place}",
        f"submit {model} --name mine --card card.yaml --challenge compass-30 {place}",
        f"enter {place}",
        f"leaderboard {place}",
        f"leaderboard --check {place}",
    )
    assert re.search(r"PASS: \d+ of 100 correct, 30 needed", said)
    assert "entered compass-30/baseline" in said
    board = (folder / "leaderboard/README.md").read_text()
    assert "## Compass, 30 %" in board and "compass-30/mine/" in board and "compass-30/baseline/" in board


# As a person would write them: the rows into params.yaml, their stages into dvc.yaml.
ROWS = """\
  wide:
    by: training
    seeds: [0, 1]
    method: A wide network.
  wide_pruned:
    by: zeroing
    of: wide
    method: The network "wide", zeroed.
  golf90:
    by: descent
    seeds: [0]
    method: A descent of our own.
  bytes90:
    by: packing
    of: golf90
    method: Files of our own.
"""
SECTIONS = """
wide:
  network: [conv 6 k5, relu, maxpool 4, linear 10]
  epochs: 300
  batch: 32
  learning_rate: 0.003
  step: 100
  gamma: 0.5

golf90:
  goal: 0.9
  enter: [60]
  recipe:
    <<: *recipe98
    network: [conv 4 k5 turns, abs, maxpool 6, linear 10]
    sizes: [60]
    fast_to: 60

bytes90:
  goal: 0.9
  sizes: [60]
  levels: 5
  enter: [60]
"""


def add_rows(copy: Copy) -> None:
    text = (
        (copy.folder / "params.yaml")
        .read_text()
        .replace("\n# PyTorch's MNIST", f"{ROWS}\n# PyTorch's MNIST", 1)
    )
    copy.write("params.yaml", text.replace("\nhandbook:", f"{SECTIONS}\nhandbook:", 1))
    path = copy.folder / "dvc.yaml"
    tree = yaml.safe_load(path.read_text())
    stages = tree["stages"]
    models = {"wide": "baseline", "wide_pruned": "pruned", "golf90": "golf98", "bytes90": "bytes98"}
    for name, model in models.items():
        source = {"wide_pruned": ("tuned", "wide"), "bytes90": ("open98", "golf90")}.get(name, ("", ""))
        like = yaml.safe_dump(stages[model]).replace(*source) if source[0] else yaml.safe_dump(stages[model])
        stages[name] = yaml.safe_load(re.sub(rf"\b{model}\b", name, like))
        made = f"results/models/{name}.safetensors"
        stages["export"]["deps"].append(made)
        stages["interpret"]["deps"].append(f"results/plots/{name}.csv")
        tree["artifacts"][name.replace("_", "-")] = {"path": made, "type": "model"}
    for stage in ("ladder", "front"):
        stages[stage]["params"] += ["golf90.goal", "bytes90.goal"]
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def test_rows_by_training_by_zeroing_by_descent_and_by_packing(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "project")
    add_rows(copy)
    assert copy.changed() == {"params.yaml", "dvc.yaml"}

    left_out = (*OTHERS, "baseline", "pruned", "golf98")
    images, target = digits()
    add_dataset(copy, as_npz(copy, images[:500], target[:500], 100))
    quick = settings("mine", rows={})
    copy.shrink({**quick, "golf90": quick["golf98"]}, drawn="wide")
    tree = config.read(copy.folder / "params.yaml")
    stages = yaml.safe_load((copy.folder / "dvc.yaml").read_text())
    for row in NOT_IN_DEMO:
        _leave_out(row, tree, stages)
    copy.write("dvc.yaml", yaml.safe_dump(stages, sort_keys=False))
    without = {"rows": dict.fromkeys(left_out), **dict.fromkeys(set(left_out) & set(tree))}
    copy.write("params.yaml", yaml.safe_dump({**tree, "workspaces": {"demo": without}}, sort_keys=False))
    copy.folder = make_workspace(tmp_path / "run", copy.folder)
    assert config.load(copy.folder / "params.yaml").variants() == [
        "wide", "wide_pruned-heldout-index", "golf90-heldout-60", "bytes90-heldout-60",
    ]  # fmt: skip

    golf = [sys.executable, "-m", "neural_golf.cli"]
    assert "make the row wide of the ladder" in copy.run([*golf, "--help"]).lower()
    assert "usage: golf golf90" in copy.run([*golf, "golf90", "--help"])
    copy.run([*golf, "data"])
    # Killed while it trains, it goes on: the first epoch is not run again.
    with subprocess.Popen([*golf, "wide"], cwd=copy.folder, env=copy.environment, stderr=subprocess.PIPE,
                          text=True, start_new_session=True) as process:  # fmt: skip
        assert process.stderr
        assert any("epoch 9/300" in line for line in process.stderr)
        os.killpg(process.pid, signal.SIGKILL)
    # By its stage, through DVC and by Snakemake's rule.
    said = copy.run([*golf, "stage", "wide"])
    epochs = [int(n) for n in re.findall(r"wide seed \d: epoch (\d+)/300", said)]
    assert epochs and min(epochs) > 3
    assert (copy.folder / "dvc.lock").read_text().count("wide.safetensors") == 1
    planned = copy.run([sys.executable, "-m", "snakemake", "-n", "--cores", "1", "ladder"])
    assert {"wide_pruned", "golf90", "bytes90", "export"} <= set(
        re.findall(r"^(?:rule )?(\w+)", planned, re.MULTILINE)
    )
    copy.golf("wide_pruned", "golf90", "bytes90", "export", "verify", "ladder", "front")
    ladder = json.loads((copy.folder / "results/ladder.json").read_text())
    assert set(ladder) == {"wide", "wide_pruned-heldout-index", "golf90-heldout-60", "bytes90-heldout-60"}
    assert [path.name for path in (copy.folder / "results/golf").iterdir()] == ["bytes90-60-0.golf"]
    cards = {path.stem: path.read_text() for path in (copy.folder / "results/cards").glob("*.md")}
    assert set(cards) == set(ladder) and "A descent of our own." in cards["golf90-heldout-60"]


TECHNIQUE = '''\
"""Decay: every weight that is left loses a share of itself at each epoch."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neural_golf.compress.plan import Epoch
from neural_golf.compress.technique import State, Technique


class Decay(Technique):
    share: Annotated[float, Field(gt=0, lt=1)]

    def before_epoch(self, state: State, step: Epoch) -> None:
        state.weights = state.weights * (1 - self.share)
'''
PAGE = "# Decay\n\nWeights fade.\n\n<!-- measured: base decay -->\n<!-- end of measured -->\n"


def test_a_technique_with_its_arm_and_page_of_the_handbook(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.write("src/neural_golf/compress/techniques/decay.py", TECHNIQUE)
    text, first = (tmp_path / "params.yaml").read_text(), "    base: {}\n"
    copy.write("params.yaml", text.replace(first, first + "    decay: {techniques: {decay: {share: 0.1}}}\n"))
    copy.write("docs/handbook/decay.md", PAGE)
    assert copy.changed() == {
        "params.yaml",
        "docs/handbook/decay.md",
        "src/neural_golf/compress/techniques/decay.py",
    }

    arms = config.read(tmp_path / "params.yaml")["handbook"]["arms"]
    recipe = {
        "network": ["conv 4 k5 turns", "abs", "maxpool 6", "linear 10"], "sizes": [60, 40],
        "dense_epochs": 1, "fast_to": 60, "fast_epochs": 2, "slow_epochs": 2, "settle": 1, "batch": 32,
    }  # fmt: skip
    images, target = digits()
    add_dataset(copy, as_npz(copy, images[:400], target[:400], 100))
    others = {"arms": dict.fromkeys(set(arms) - {"base", "decay"}), "recipe": recipe, "at": 60, "seeds": 2}
    copy.shrink({"data": {"dataset": "mine"}, "handbook": others})
    said = copy.golf("data", "handbook")
    assert "decay seed 1" in said
    found = json.loads((tmp_path / "results/metrics/handbook.json").read_text())
    assert list(found) == ["base", "decay"] and found["decay"]["against_first"]["sd"] != 0
    page = (tmp_path / "docs/handbook/decay.md").read_text()
    assert page.startswith("# Decay") and "| decay |" in page
    assert "- [Decay](decay.md)" in (tmp_path / "docs/handbook/README.md").read_text()

    tree = config.read(tmp_path / "params.yaml")
    tree["handbook"]["arms"]["decay"]["techniques"]["decay"]["share"] = 1.5
    copy.write("params.yaml", yaml.safe_dump(tree, sort_keys=False))
    said = copy.golf("handbook", fails=True)
    key = "handbook.arms.decay.techniques.decay.share"
    assert said == f"golf handbook: params.yaml: {key}: Input should be less than 1\n"


FIGURE = '''

def census(*given: Any, **named: Any) -> Figure:
    """How many networks there are."""
    figure, axes = pyplot.subplots(figsize=(3, 2))
    axes.bar(["networks"], [len(given[0])])
    return figure
'''


def test_a_figure(tmp_path: Path) -> None:
    """One function that draws, and its place in the table of interpret.py, as an existing one has it."""
    copy = Copy(tmp_path)
    overview, table = "src/neural_golf/look/overview.py", "src/neural_golf/look/interpret.py"
    imports = "\n\nfrom typing import Any  # noqa: E402\n\nfrom matplotlib import pyplot  # noqa: E402\n"
    copy.write(overview, (tmp_path / overview).read_text() + imports + FIGURE)
    lines = (tmp_path / table).read_text().splitlines(keepends=True)
    doubled = ""
    for line in lines:
        doubled += line
        if line.lstrip().startswith('"training":'):
            doubled += line.replace('"training"', '"census"').replace("overview.training", "overview.census")
    copy.write(table, doubled)
    assert copy.changed() == {overview, table}

    images, target = digits()
    add_dataset(copy, as_npz(copy, images[:500], target[:500], 100))
    copy.shrink(settings("mine", interpret={"excite": {"steps": 2}, "worst": 4}), without=OTHERS)
    copy.golf("data", "baseline", "tune", "pruned", "golf98", "export", "verify", "interpret")
    show = """
from neural_golf import config
from neural_golf.look.interpret import drawings
print(*[(d.path, d.caption) for d in drawings(config.load()) if d.kind == "census"])
"""
    told = copy.run([sys.executable, "-c", show])
    assert "How many networks there are." in told
    drawn = [path for path in (tmp_path / "results/figures/interpret").iterdir() if path.stem == "census"]
    assert len(drawn) == 1 and drawn[0].as_posix().endswith(re.search(r"PosixPath\('(.*?)'\)", told)[1])
    assert "drawings(settings)" in (tmp_path / "Snakefile").read_text()  # Snakemake's report lists these
