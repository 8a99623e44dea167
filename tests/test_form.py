"""The canonical form of images: the engine's, numpy's, PyTorch's and ONNX's are one, and networks see it everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from onnx import helper

import attacks
from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.compress.augmentation import augmented
from neural_golf.compress.descent import Descent
from neural_golf.config import Config
from neural_golf.config.recipe import Recipe
from neural_golf.data import Split
from neural_golf.engine import engine
from neural_golf.engine.form import canonical, canonical_plain
from neural_golf.look.measure import activations
from neural_golf.look.subject import Subject
from neural_golf.net.checkpoint import Checkpoint, Run, read_checkpoint, write_checkpoint
from neural_golf.net.form import Form
from neural_golf.net.formed import form_numbers
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network
from neural_golf.referee.counting import count, inspect
from neural_golf.referee.verdict import verify
from neural_golf.train.fit import Settings, fit

ROOT = Path(__file__).parent.parent
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 20, 16), (2, 9, 31), (1, 64, 40), (1, 2, 9)]
FORMS = [Form(), Form(0.3, 0.3, 1.0, 0.3)]
SPEC = ["conv 4 k5 turns", "abs", "maxpool 2", "conv 8 k3 turns", "abs", "maxpool 2", "linear 10"]
NAMED = ["blank", "a dot", "a faint dot", "a line down", "a line across", "a diagonal", "uniform"]


def blots(rng: np.random.Generator, n: int, shape: tuple[int, int, int] = (1, 28, 28)) -> np.ndarray:
    """Slanted blots of ink, anywhere, as uint8."""
    _, height, width = shape
    y, x = np.mgrid[:height, :width]
    images = np.empty((n, *shape), np.uint8)
    for image in images:
        v = (y - rng.uniform(0.3, 0.7) * height) / height
        u = (x - rng.uniform(0.3, 0.7) * width) / width - rng.uniform(-0.6, 0.6) * v
        ink = np.exp(-((u / rng.uniform(0.05, 0.15)) ** 2) - (v / rng.uniform(0.1, 0.2)) ** 2)
        image[:] = 255 * ink * rng.uniform(0.5, 1, (shape[0], 1, 1))
    return images


def odd_ones() -> np.ndarray:
    """Images that have no width, no height, or nothing at all, in the order of NAMED."""
    images = np.zeros((len(NAMED), 1, 28, 28), np.uint8)
    images[1, 0, 3, 4] = 255
    images[2, 0, 20, 25] = 1
    images[3, 0, 4:24, 9] = 255
    images[4, 0, 9, 4:24] = 255
    images[5, 0] = 255 * np.eye(28, dtype=np.uint8)
    images[6] = 255
    return images


def moments(images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Means of x and y, spreads of x and y, and the slant, of images [n, 1, h, w], in coordinates from -1 to 1."""
    share = images[:, 0].astype(np.float64)
    share /= share.sum(axis=(1, 2), keepdims=True)
    y, x = (2 * np.mgrid[:28, :28] + 1) / 28 - 1
    cx, cy = (share * x).sum((1, 2)), (share * y).sum((1, 2))
    dx, dy = x - cx[:, None, None], y - cy[:, None, None]
    xx, xy, yy = ((share * a * b).sum((1, 2)) for a, b in ((dx, dx), (dx, dy), (dy, dy)))
    return cx, cy, np.sqrt(xx), np.sqrt(yy), xy / yy


# The function.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_engines_form_is_numpys(
    shape: tuple[int, int, int], form: Form, rng: np.random.Generator
) -> None:
    for images in (blots(rng, 9, shape), rng.random((9, *shape), np.float32)):
        found, plain = canonical(images, form), canonical_plain(images, form)
        assert found.dtype == np.float32 and found.shape == images.shape
        np.testing.assert_allclose(found, plain, atol=2e-5)


def test_numpys_form_is_pytorchs_by_the_formula(rng: np.random.Generator) -> None:
    """As it is written down for the first time: affine_grid and grid_sample in float64."""
    torch = pytest.importorskip("torch")
    images = blots(rng, 20) / 255.0
    inked = images + 1e-5  # as much as every pixel is given
    cx, cy, sx, sy, slant = moments(inked)
    kx, ky = (np.sqrt(sx**2 - slant**2 * sy**2) / 0.25) ** 0.5, (sy / 0.396) ** 0.5
    theta = np.stack([np.stack([kx, slant * ky, cx], 1), np.stack([0 * kx, ky, cy], 1)], 1)
    grid = torch.nn.functional.affine_grid(torch.from_numpy(theta), [20, 1, 28, 28], align_corners=False)
    wanted = torch.nn.functional.grid_sample(torch.from_numpy(images), grid, align_corners=False).numpy()
    pixels = images.astype(np.float32)
    np.testing.assert_allclose(canonical(pixels, Form()), wanted, atol=2e-5)
    np.testing.assert_allclose(canonical_plain(pixels, Form()), wanted, atol=1e-5)


def test_with_exponents_of_one_all_images_have_the_same_moments(rng: np.random.Generator) -> None:
    before = moments(blots(rng, 50))
    after = moments(canonical(blots(rng, 50), Form(0.25, 0.3, 1.0, 1.0)))
    assert np.ptp(before[0]) > 0.3 and np.ptp(before[4]) > 0.5
    for found, wanted in zip(after, (0, 0, 0.25, 0.3, 0), strict=True):
        np.testing.assert_allclose(found, wanted, atol=0.02)


def test_an_image_in_form_stays_nearly_as_it_is(rng: np.random.Generator) -> None:
    once = canonical(blots(rng, 30), Form(width_exponent=1.0, height_exponent=1.0))
    np.testing.assert_allclose(canonical(once, Form(width_exponent=1.0, height_exponent=1.0)), once, atol=0.1)


def test_a_blank_image_a_dot_and_a_line_have_a_form() -> None:
    images = odd_ones()
    found = dict(zip(NAMED, canonical(images, Form()), strict=True))
    plain = dict(zip(NAMED, canonical_plain(images, Form()), strict=True))
    for name in NAMED:
        assert np.isfinite(found[name]).all() and found[name].min() >= 0 and found[name].max() <= 1
        np.testing.assert_allclose(found[name], plain[name], atol=1e-4)
    assert not found["blank"].any()
    dot = np.argwhere(found["a dot"][0] > 0.3)  # it is moved to the middle, and stays small
    assert 1 <= len(dot) <= 16 and np.abs(dot - 13.5).max() <= 2
    for name, axis in (("a line down", 1), ("a line across", 0)):
        middle = np.argwhere(found[name][0] > 0.5)
        assert len(middle) > 20 and np.abs(middle[:, axis] - 13.5).max() <= 4
    assert found["a diagonal"].sum() > 20
    assert found["uniform"][0, 14, 14] == 1 and found["uniform"][0, 0, 0] == 0  # smaller than it was


def test_threads_and_an_index_change_no_bit(rng: np.random.Generator) -> None:
    images = blots(rng, 300)
    whole = canonical(images, Form())
    rows = rng.integers(0, 300, 200)
    assert np.array_equal(canonical(images, Form(), rows, threads=2), whole[rows])
    np.testing.assert_allclose(canonical(images, Form(), mean=0.2, std=0.5), (whole - 0.2) / 0.5, atol=1e-6)


def test_every_instruction_set_gives_the_form(rng: np.random.Generator) -> None:
    compiled = pytest.importorskip("neural_golf.engine.compiled", reason="the compiled core is not built")
    from neural_golf.engine import _core

    images = blots(rng, 9, (2, 20, 37))
    for name in compiled.instruction_sets():
        out = np.empty(images.shape, np.float32)
        _core.bring_into_form(images, None, (0.25, 0.396, 0.5, 0.5, 1e-5), 1.0, 0.0, out, 1, name)
        np.testing.assert_allclose(out, canonical_plain(images, Form()), atol=2e-5)


@pytest.mark.parametrize(
    ("images", "index", "said"),
    [
        (np.zeros((2, 28, 28), np.uint8), None, "not uint8 or float32"),
        (np.zeros((2, 1, 28, 28)), None, "images of float64"),
        (np.zeros((2, 1, 1, 28), np.uint8), None, "at least 2 rows"),
        (np.full((2, 1, 28, 28), -1, np.float32), None, "negative or not a finite number"),
        (np.full((2, 1, 28, 28), np.nan, np.float32), None, "negative or not a finite number"),
        (np.zeros((2, 1, 28, 28), np.uint8), np.array([2]), "rows of the 2 images"),
    ],
)
def test_what_has_no_form_is_an_error(images: np.ndarray, index: Any, said: str) -> None:
    with pytest.raises(GolfError, match=said):
        canonical(images, Form(), index)


# A network with a form.


def network(form: Form | None = Form(), spec: list[str] = SPEC) -> tuple[Network, np.ndarray]:  # noqa: B008
    made = Network.parse(spec, form=form)
    return made, initialise(made, np.random.default_rng(1))


def answers(model: Any, images: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"image": images.astype(np.float32) / 255})[0]


@pytest.mark.parametrize("core", ["compiled", "torch"])
def test_the_engine_answers_as_the_file_does(core: str, rng: np.random.Generator) -> None:
    made, parameters = network()
    images = blots(rng, 40)
    wanted = answers(model_proto(made, parameters, {}), images)
    found = engine(made, core=core).logits(parameters, images)
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert np.abs(engine(network(None)[0], core=core).logits(parameters, images) - wanted).max() > 0.02


@pytest.mark.parametrize("form", [*FORMS, Form(0.2, 0.3, 0.25, 0.5), Form(0.4, 0.2, 0.7, 1.0)])
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_the_graphs_form_is_the_engines(
    form: Form, shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    made = Network.parse(["linear 10"], shape, form)
    model = model_proto(made, initialise(made, rng), {})
    value = helper.make_tensor_value_info("form", 1, None)
    model.graph.output.append(value)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = blots(rng, 30, shape)
    found = session.run(["form"], {"image": images / np.float32(255)})[0]
    np.testing.assert_allclose(found, canonical(images, form), atol=3e-4)
    if shape == (1, 28, 28):
        found = session.run(["form"], {"image": odd_ones() / np.float32(255)})[0]
        np.testing.assert_allclose(found, canonical(odd_ones(), form), atol=2e-2)  # no width: ill-conditioned


def test_uint8_images_are_brought_into_form_and_float_images_are_in_it(rng: np.random.Generator) -> None:
    made, parameters = network()
    images, labels = blots(rng, 50), rng.integers(0, 10, 50)
    core = engine(made, mean=0.13, std=0.3)
    seen = core.seen(images)
    np.testing.assert_allclose(seen, (canonical_plain(images, Form()) - 0.13) / 0.3, atol=1e-4)
    assert core.seen(seen) is seen
    index = rng.integers(0, 50, 32)

    def same(compute: Callable[[np.ndarray], Any]) -> None:
        one, other = compute(images), compute(seen)
        for a, b in zip(np.atleast_1d(one), np.atleast_1d(other), strict=True):
            assert np.array_equal(a, b)

    def epoch(shown: np.ndarray) -> np.ndarray:
        p, m, v = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
        core.adam_epoch(p, m, v, 0, shown, labels, index, 8, 0.01)
        return p

    same(lambda shown: core.logits(parameters, shown))
    same(lambda shown: core.logits(parameters, shown, index))
    same(lambda shown: core.correct(parameters, shown, labels))
    same(lambda shown: core.loss_gradient(parameters, shown, labels, index)[1])
    same(lambda shown: core.micro_gradients(parameters, shown, labels, index, 4))
    same(epoch)
    same(lambda shown: core.zero_one_by_one(parameters, np.arange(20), shown, labels, 5))
    same(lambda shown: core.zero_alone(parameters, np.arange(5), shown, labels)[0])
    plain = engine(Network.parse(SPEC))
    assert plain.seen(images) is images  # without a form nothing changes


def test_what_is_looked_into_sees_the_form(rng: np.random.Generator) -> None:
    made, parameters = network()
    subject = Subject(made, parameters, None)  # type: ignore[arg-type]
    images = blots(rng, 5)
    (name,) = activations(subject, images, ["linear1"]).values()
    np.testing.assert_allclose(name[:, :, 0, 0], engine(made).logits(parameters, images), atol=1e-4)
    full = subject.written_out()
    assert full.network.form == Form()
    strokes = rng.random((5, 1, 28, 28), np.float32)  # shown to the layers as they are
    bare = Subject(Network.parse(SPEC), parameters, None)  # type: ignore[arg-type]
    assert np.array_equal(
        activations(subject, strokes, ["linear1"])["linear1"],
        activations(bare, strokes, ["linear1"])["linear1"],
    )


def test_a_checkpoint_says_that_there_is_a_form(tmp_path: Path) -> None:
    for form in (Form(0.3), None):
        made, parameters = network(form)
        masks = np.ones((1, made.size), bool)
        write_checkpoint(tmp_path / "a", Checkpoint(made, parameters[None], masks, (Run(0),)))
        assert read_checkpoint(tmp_path / "a", made).network == made
        assert (b'"form"' in (tmp_path / "a").read_bytes()) == (form is not None)
        other = network(Form() if form else Form(0.3))[0]
        with pytest.raises(GolfError, match="has seen images in another form"):
            read_checkpoint(tmp_path / "a", other)


def test_a_file_says_that_there_is_a_form() -> None:
    made, parameters = network(Form(0.3))
    told = {"network": ", ".join(made.spec), "form": json.dumps(asdict(Form(0.3)))}
    found, read = unpack(model_proto(made, parameters, told).SerializeToString(), "a.onnx")
    assert found == made and np.array_equal(read, parameters)


def test_a_file_without_a_form_is_as_it_was() -> None:
    made, parameters = network(None)
    model = model_proto(made, parameters, {})
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    assert not any(name.startswith("form") for node in model.graph.node for name in node.output)


# Training.


def recipe(**change: Any) -> Recipe:
    settings: dict[str, Any] = {
        "network": ["conv 4 k5", "abs", "maxpool 4", "linear 10"], "batch": 32, "dense_epochs": 1, "dense_rate": 0.01,
        "fast_to": 400, "fast_epochs": 1, "slow_epochs": 1, "sizes": [400], "settle": 1, "rate": 0.005,
        "fisher_images": 64,
    }  # fmt: skip
    return Recipe(**(settings | change))


@pytest.mark.parametrize("augment", [{}, {"shift": 2.0, "turn": 10.0}])
def test_a_descent_transforms_images_before_it_brings_them_into_form(
    augment: dict[str, float], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Split(blots(rng, 64), rng.integers(0, 10, 64).astype(np.uint8))
    settings = recipe(form={"width": 0.3}, augment=augment)
    descent = Descent(settings, train, seed=3)
    order = descent.rng("order").permutation(64)
    wanted = train.pixels
    if augment:
        wanted = augmented(train.pixels, order, settings.augment, descent.rng("augment"))
    shown: list[np.ndarray] = []
    monkeypatch.setattr(descent.core, "adam_epoch", lambda *a, **_: shown.append(a[4]) or 0.0)
    descent._train(descent.plan[0])
    assert np.array_equal(shown[0], canonical(wanted, Form(0.3)))


def test_a_descent_and_a_training_learn_in_the_form(rng: np.random.Generator) -> None:
    """The class is where the blot leans, which the form takes away, or how tall it is."""
    y, x = np.mgrid[:28, :28] - 13.5
    labels = rng.integers(0, 2, 256)
    lean = np.where(labels == 1, 0.5, -0.5)[:, None, None]
    leaning = 255 * np.exp(-(((x - lean * y) / 3) ** 2) - (y / 7) ** 2)
    train = Split(leaning[:, None].astype(np.uint8), labels.astype(np.uint8))
    spec = ["conv 4 k5", "abs", "maxpool 4", "linear 2"]
    rates = Settings(4, 16, 0.01, 10, 1.0, 0.13, 0.3)
    found = {}
    for form in (None, Form()):
        made = Network.parse(spec, form=form)
        vector = fit(made, train, rates, 0, lambda *_: True)
        found[form] = engine(made).correct(vector, train.pixels, labels)
    assert found[None] == 256 and found[Form()] < 200


# Settings.


def test_the_form_is_a_line_of_a_recipe_and_of_a_row(settings: Config) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["golf98"]["recipe"]["form"] = {}
    raw["baseline"]["form"] = {"height": 0.5}
    found = config.check(raw)
    assert found.settings("golf98").recipe.seen_in == Form()
    assert found.settings("baseline").seen_in == Form(height=0.5)
    assert settings.settings("golf98").recipe.seen_in is None


def test_the_line_that_params_shows_has_the_defaults() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    (line,) = [line.strip() for line in lines if line.strip().startswith("# form: ")]
    shown = yaml.safe_load(line.removeprefix("# "))
    assert shown == {"form": asdict(Form())}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"width": 0}, "form.width = 0"),
        ({"height": 1.5}, "form.height = 1.5"),
        ({"width_exponent": 0}, "form.width_exponent = 0"),
        ({"height_exponent": "a"}, "form.height_exponent = 'a'"),
        ({"slant": 1}, "form.slant is not a known key"),
    ],
)
def test_a_wrong_form_is_one_line_that_names_it(form: dict[str, Any], said: str) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["golf98"]["recipe"]["form"] = form
    with pytest.raises(GolfError, match="golf98.recipe." + said):
        config.check(raw)


def test_settings_without_a_form_are_written_as_before() -> None:
    assert "form" not in recipe().model_dump()
    assert recipe(form={}).model_dump()["form"] == asdict(Form())


# The referee.


@pytest.mark.parametrize(("form", "more"), [(Form(), 3), (Form(0.3, 0.3), 2), (Form(0.3, 0.3, 0.7), 3)])
def test_a_form_costs_its_stored_numbers(form: Form, more: int, rng: np.random.Generator) -> None:
    made, _ = network(form)
    parameters = rng.uniform(0.1, 1, made.size).astype(np.float32)
    model = model_proto(made, parameters, {})
    bare = model_proto(network(None)[0], parameters, {})
    assert len(model.graph.node) - len(bare.graph.node) <= 41
    found, without = count(model), count(bare)
    assert found.nonzero == made.size + more == made.size + np.count_nonzero(form_numbers(form))
    assert found.parameters == without.parameters + len(form_numbers(form))
    assert set(found.parts) == {"stored"}
    assert inspect(model).wires.count - inspect(bare).wires.count == 5  # sums and lists; three are products
    assert (without.division, found.division) == ("plain", "open")


def test_the_referee_finds_nothing_odd_in_a_form(tmp_path: Path) -> None:
    """A network that was trained for a moment, on digits: nothing of it is a constant in disguise."""
    digits = attacks.training_images(6_000)
    if digits is None:
        pytest.skip("the training images of MNIST are in none of the places of params.yaml")
    images, labels = digits[0][:4_000], digits[1][:4_000]
    spec = ["conv 8 k5 turns mirrors", "abs", "maxpool 2", "conv 8 k3 turns mirrors", "abs", "maxpool 2"]
    made = Network.parse([*spec, "linear 10"], form=Form())
    parameters = fit(
        made, Split(images, labels), Settings(6, 32, 0.004, 10, 1.0, 0.0, 1.0), 0, lambda *_: True
    )
    (tmp_path / "a.onnx").write_bytes(model_proto(made, parameters, {}).SerializeToString())
    held, wanted = digits[0][4_000:], digits[1][4_000:]
    found = verify(tmp_path / "a.onnx", held, wanted)
    assert found.verdict == "PASS" and found.flags == () and found.division == "open"
    assert found.correct == engine(made).correct(parameters, held, wanted) > 1_850
    assert found.nonzero == np.count_nonzero(parameters) + 3
    assert max(found.losses.values()) <= 1


@pytest.mark.parametrize(
    "text", ['{"width": "0.25"}', '{"width": null}', '{"width": NaN}', '{"height": 1e400}', '{"width": -1}', "[]", "x", '{"w": 0.2}']
)  # fmt: skip
def test_a_form_that_a_file_tells_wrongly_is_one_line(text: str) -> None:
    with pytest.raises(GolfError, match="`form` in its metadata should be width, height, "):
        Form.read(text)
    assert Form.read('{"width": 0.3}') == Form(width=0.3)
