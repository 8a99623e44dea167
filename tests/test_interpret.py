"""What is measured of a network is true of it, and what is drawn is drawn from the verified file."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest

import miniature
from neural_golf import data
from neural_golf.base.errors import GolfError
from neural_golf.config import Config
from neural_golf.config.sections import Strokes
from neural_golf.look import anatomy, ascent, interpret, measure, overview
from neural_golf.look.findings import FINDINGS, read_findings, write_findings
from neural_golf.look.subject import Subject, choose, read_subject
from neural_golf.net.onnx import unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.results.result import read_results


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A finished run in miniature, and its settings."""
    settings = miniature.settings(steps=8)
    folder = tmp_path_factory.mktemp("run")
    miniature.build(folder, settings)
    return folder, settings


@pytest.fixture
def here(little: tuple[Path, Config]) -> Iterator[Path]:
    with contextlib.chdir(little[0]):
        yield little[0]


def subject(network: Network, parameters: np.ndarray) -> Subject:
    return Subject(network, parameters.astype(np.float32), miniature.result(network.size, 9000))


def single(kernel: np.ndarray, bias: float = 0.0) -> Subject:
    """A network whose first layer has one channel, with this kernel."""
    network = Network.parse(["conv 1 k4", "relu", "maxpool 5", "linear 10"])
    parameters = np.zeros(network.size)
    parameters[:16] = kernel.ravel()
    parameters[16] = bias
    return subject(network, parameters)


STROKES = Strokes(angles=24, width=3.0, radius=11.0, shift=3, selective=0.15)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (np.outer([-1, -1, 1, 1], [1, 1, 1, 1]), "horizontal"),
        (np.outer([1, 1, 1, 1], [-1, -1, 1, 1]), "vertical"),
        (np.fliplr(np.triu(np.ones((4, 4)), 1) - np.tril(np.ones((4, 4)), -1)), "rising diagonal"),
        (np.triu(np.ones((4, 4)), 1) - np.tril(np.ones((4, 4)), -1), "falling diagonal"),
        (np.ones((4, 4)), "any angle"),
    ],
)
def test_an_edge_detector_is_named_by_its_angle(kernel: np.ndarray, kind: str, digits: tuple) -> None:
    few = data.Split(digits[0][:50], digits[1][:50])
    (tuned,) = measure.tuning(single(kernel), STROKES, few)
    assert tuned.kind(STROKES.selective) == kind
    assert not tuned.inverted


def test_a_dilated_kernel_is_compared_with_the_ink_that_it_looks_at(digits: tuple) -> None:
    network = Network.parse(["conv 1 k3 d4 nobias", "relu", "linear 10"])
    of_ink = np.where(np.arange(network.size) < 9, 1 / 9, 0)
    (tuned,) = measure.tuning(subject(network, of_ink), STROKES, data.Split(digits[0][:50], digits[1][:50]))
    assert tuned.agreement == pytest.approx(1)


def test_a_channel_that_is_high_where_there_is_no_ink_is_inverted(digits: tuple) -> None:
    few = data.Split(digits[0][:50], digits[1][:50])
    (tuned,) = measure.tuning(single(-np.ones((4, 4)), bias=16.0), STROKES, few)
    assert tuned.inverted
    (silent,) = measure.tuning(single(np.zeros((4, 4))), STROKES, few)
    assert silent.kind(STROKES.selective) == "silent" and not silent.inverted


def test_every_angle_of_the_strokes_has_the_same_ink() -> None:
    degrees, pictures = measure.strokes(STROKES)
    ink = pictures.sum(axis=(1, 2, 3, 4))
    assert len(degrees) == 24
    assert ink.std() / ink.mean() < 0.01
    upright = pictures[12, STROKES.shift, 0]  # 90°
    assert upright[:, 13:15].sum() > 0.6 * upright.sum()


def test_the_activations_end_in_the_logits_of_onnxruntime(here: Path, little: tuple[Path, Config]) -> None:
    for one in choose(read_results(), miniature.NETWORKS):
        found = read_subject(one)
        test = data.read("test")[:20]
        maps = measure.activations(found, test.pixels)
        session = onnxruntime.InferenceSession(found.path)
        (expected,) = session.run(None, {"image": (test.pixels / 255).astype(np.float32)})
        last = maps[found.network.layers[-1].name].reshape(20, -1)
        np.testing.assert_allclose(last, expected, atol=1e-4)


def test_a_file_that_was_not_scored_is_not_drawn(here: Path) -> None:
    (one,) = choose(read_results(), ["baseline"])
    with pytest.raises(GolfError, match="not the file that the referee scored"):
        read_subject(dataclasses.replace(one, sha256="0" * 64))


def test_the_parameters_come_out_of_the_file_as_they_went_in() -> None:
    from neural_golf.net.onnx import model_proto

    network = Network.parse(["conv 2 k5", "prelu", "maxpool 4", "linear 10"])
    parameters = initialise(network, np.random.default_rng(0))
    content = model_proto(network, parameters, {"network": ", ".join(network.spec)}).SerializeToString()
    found, values = unpack(content, "x")
    assert found.spec == network.spec
    np.testing.assert_array_equal(values, parameters)
    with pytest.raises(GolfError, match="no `network`"):
        unpack(model_proto(network, parameters, {}).SerializeToString(), "x")


def test_of_a_row_the_smallest_is_chosen_and_test_images_choose_nothing() -> None:
    results = [
        miniature.result(9, 99, heldout_correct=50, seed=0),
        miniature.result(8, 99, heldout_correct=40, seed=1),
        miniature.result(8, 1, heldout_correct=41, seed=2),
        miniature.result(8, 99, heldout_correct=41, seed=3),
    ]
    assert choose(results, ["a"]) == [results[2]]
    with pytest.raises(GolfError, match="b is not in this run; there are a"):
        choose(results, ["b"])


def test_each_weight_is_worth_what_removing_it_costs(here: Path) -> None:
    found = read_subject(choose(read_results(), ["prelu_pruned-test-index"])[0])
    heldout = data.read("heldout")
    index, lost, right = measure.worth(found, heldout)
    assert len(index) == found.nonzero
    for k in (0, 17, len(index) - 1):
        without = found.parameters.copy()
        without[index[k]] = 0
        scores = measure.logits(dataclasses.replace(found, parameters=without), heldout)
        assert right - lost[k] == (scores.argmax(axis=1) == heldout.labels).sum()


def test_every_surviving_weight_is_a_line_of_the_flow(here: Path) -> None:
    found = read_subject(choose(read_results(), ["prelu_pruned-test-index"])[0])
    drawn = sum(
        len(list(anatomy._lines(layer, anatomy._weight(layer, found))))
        for layer in anatomy.weighted(found.network)
    )
    assert drawn == np.count_nonzero(found.parameters[found.network.weights()])


def test_gradient_ascent_excites(here: Path, little: tuple[Path, Config]) -> None:
    found = read_subject(choose(read_results(), ["prelu"])[0])
    settings = little[1].interpret.excite.model_copy(update={"steps": 60})
    images = ascent.excite(found, settings)
    assert images["features"].shape == (36, 1, 28, 28)
    again = ascent.excite(found, settings)
    assert all(np.array_equal(images[name], again[name]) for name in images)
    maps = measure.activations(found, images["features"])["conv3"].reshape(36, 36)
    digits = measure.activations(found, data.read("test").pixels[:200])["conv3"].reshape(200, 36)
    assert (np.diag(maps) > digits.mean(axis=0)).mean() > 0.9


def test_the_stage_draws_all_it_promises_the_same_every_time(here: Path, little: tuple[Path, Config]) -> None:
    settings = little[1]
    interpret.run(settings)
    promised = {drawing.path for drawing in interpret.drawings(settings)}
    made = set(interpret.FIGURES.glob("*"))
    assert made == promised
    digest = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
    found = json.loads(FINDINGS.read_text())
    one = settings.interpret.model_copy(update={"networks": miniature.NETWORKS[-1:]})
    interpret.run(settings.model_copy(update={"interpret": one}))
    again = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in interpret.FIGURES.glob("*")}
    assert again == {path: digest[path] for path in again} and len(again) == len(interpret.OVERVIEW) + 9
    assert json.loads(FINDINGS.read_text()) == {miniature.NETWORKS[-1]: found[miniature.NETWORKS[-1]]}
    assert list(found) == list(miniature.NETWORKS)
    pruned = found["prelu_pruned-test-index"]
    assert pruned["nonzero"] == 520 and pruned["tensors"]["linear1.weight"]["nonzero"] < 360
    assert pruned["pruning"]["from"] == "prelu-0"
    assert pruned["mistakes"]["wrong"] == pruned["test_images"] - pruned["test_correct"]


def test_findings_are_written_as_they_are_read(tmp_path: Path) -> None:
    stored = Path(__file__).parent.parent / FINDINGS
    write_findings(read_findings(stored), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == stored.read_bytes()


def test_every_figure_has_a_caption_and_a_category(little: tuple[Path, Config]) -> None:
    for drawing in interpret.drawings(little[1]):
        assert len(drawing.caption) > 30 and drawing.caption.endswith("."), drawing.kind
        assert drawing.category


def test_a_figure_does_not_depend_on_a_persons_own_settings(tmp_path: Path) -> None:
    import matplotlib

    from neural_golf.look.figures import save_figure
    from neural_golf.look.style import applied, canvas

    def drawn(suffix: str) -> bytes:
        with applied():
            figure, axes = canvas(3, 2)
            axes.plot([0, 1000], [0.5, 1.5], label="a")
            axes.legend()
            save_figure(figure, tmp_path / f"figure.{suffix}")
        return (tmp_path / f"figure.{suffix}").read_bytes()

    own = {"lines.linewidth": 9, "axes.formatter.use_locale": True, "savefig.dpi": 30, "font.family": "serif"}
    for suffix in ("svg", "png"):
        plain = drawn(suffix)
        with matplotlib.rc_context(own):
            assert drawn(suffix) == plain
        assert b"Matplotlib" not in plain and b"<dc:" not in plain
    assert all(word not in drawn("png") for word in (b"tEXt", b"tIME"))


@pytest.mark.filterwarnings("error")
def test_a_network_without_an_error_has_a_place_in_the_figures() -> None:
    """On their logarithmic scale it is at the top; also where all have none."""
    some = [miniature.result(50, 10_000), miniature.result(60, 10_000)]
    for results in (some, [*some, miniature.result(70, 9000)]):
        axes = overview.front(results, []).axes[0]
        assert axes.get_yticklabels()[-1].get_text() == "100 %"
        ends = [float(y) for marks in axes.collections for _, y in marks.get_offsets()]
        assert len(ends) == len(results) and min(ends) > axes.get_ylim()[1] > 0
        assert max(ends) < axes.get_ylim()[0]
    curves = pd.DataFrame({"seed": 0, "epoch": [1, 2], "heldout_accuracy": [0.9, 1.0]})
    assert overview.training({"baseline": curves}).axes[0].get_ylim()[1] > 0


def test_looking_at_networks_imports_no_torch() -> None:
    code = (
        "import sys; from neural_golf.look import interpret; import neural_golf.net.onnx; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
