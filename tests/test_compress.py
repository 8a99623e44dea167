"""The frontier: surgeon, optimiser, turned kernels, descent, front."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from neural_golf.base.errors import GolfError
from neural_golf.compress import descent, surgeon
from neural_golf.compress.augmentation import augmented
from neural_golf.compress.descent import Descent, price, soft_targets
from neural_golf.compress.frontier import descend
from neural_golf.compress.optimiser import BlockAdam, FullAdam, restored
from neural_golf.compress.plan import Epoch, plan
from neural_golf.compress.surgeon import BLOCK, WHOLE, blocks, choose, fisher, fisher_blocks, operate, regain
from neural_golf.compress.techniques import regrowth
from neural_golf.config import Config
from neural_golf.config.recipe import Augment, Recipe
from neural_golf.data import Split
from neural_golf.engine import engine
from neural_golf.experiments import pages
from neural_golf.experiments.handbook import fold, size_needed, summary
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import initialise
from neural_golf.net.spec import Network

ROOT = Path(__file__).parent.parent
TURNED = [
    "conv 8 k3 turns", "abs", "maxpool 2", "conv 8 k3 turns", "abs", "maxpool 2",
    "conv 8 k3 same turns tied=conv2", "abs", "linear 10",
]  # fmt: skip
MIRRORED = [
    "conv 8 k4 turns mirrors", "abs", "maxpool 2", "conv 16 k3 turns mirrors nobias", "abs", "maxpool 2",
    "conv 8 k3 turns mirrors", "abs", "linear 10",
]  # fmt: skip


@pytest.fixture
def quadratic(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A weight vector [6] and a positive definite Hessian with strong correlations."""
    root = rng.normal(size=(6, 6))
    return rng.normal(size=6), root @ root.T + 0.1 * np.eye(6)


@pytest.fixture(scope="session")
def train(digits: tuple[np.ndarray, np.ndarray]) -> Split:
    images, labels = digits
    return Split(np.ascontiguousarray(images[:1200]), labels[:1200])


def recipe(**change: object) -> Recipe:
    settings = {
        "network": ("conv 4 k4", "abs", "maxpool 3", "conv 4 k3", "abs", "maxpool 2", "linear 10"),
        "batch": 60, "dense_epochs": 4, "dense_rate": 0.01, "fast_to": 200, "fast_epochs": 4,
        "slow_epochs": 4, "sizes": (200, 150), "settle": 2, "rate": 0.01, "penalty": 1e-3,
    }  # fmt: skip
    return Recipe(**{**settings, **change})


def loss_rise(w: np.ndarray, hessian: np.ndarray, moved: np.ndarray) -> float:
    return float(0.5 * (moved - w) @ hessian @ (moved - w))


def best_without(w: np.ndarray, hessian: np.ndarray, gone: int) -> np.ndarray:
    """Brute force: the weights with `gone` at zero at which the quadratic loss rises least."""
    free = [k for k in range(len(w)) if k != gone]
    best = np.zeros_like(w)
    best[free] = w[free] + np.linalg.solve(hessian[np.ix_(free, free)], hessian[free, gone] * w[gone])
    return best


def test_the_surgeon_removes_what_brute_force_finds_cheapest(
    quadratic: tuple[np.ndarray, np.ndarray],
) -> None:
    w, hessian = quadratic
    every = [best_without(w, hessian, q) for q in range(len(w))]
    cheapest = min(every, key=lambda moved: loss_rise(w, hessian, moved))
    moved, kept = operate(w, hessian, 1, damping=0.0)
    assert np.allclose(moved, cheapest, atol=1e-6) and kept.sum() == 5


def test_after_several_removals_the_others_stand_where_the_loss_is_least(
    quadratic: tuple[np.ndarray, np.ndarray],
) -> None:
    w, hessian = quadratic
    moved, kept = operate(w, hessian, 3, damping=0.0)
    inner = hessian[np.ix_(kept, kept)]
    best = w[kept] + np.linalg.solve(inner, hessian[np.ix_(kept, ~kept)] @ w[~kept])
    assert np.allclose(moved[kept], best, atol=1e-6) and np.all(moved[~kept] == 0)


@pytest.mark.parametrize("only_some", [False, True])
def test_many_removals_are_those_of_the_formula(only_some: bool) -> None:
    rng = np.random.default_rng(0)
    n, count = 150, 90  # more than `operate` collects at a time
    samples = rng.normal(size=(2 * n, n))
    hessian, weights = samples.T @ samples / n, rng.normal(size=n)
    among = rng.random(n) < 0.7 if only_some else np.ones(n, bool)
    w, kept = weights.copy(), np.ones(n, bool)
    inverse = np.linalg.inv(hessian + (1e-3 * np.trace(hessian) / n + 1e-12) * np.eye(n))
    for _ in range(count):
        cost = np.where(kept & among, w**2 / np.where(kept, np.diag(inverse), 1.0), np.inf)
        q = int(np.argmin(cost))
        column = inverse[:, q] / inverse[q, q]
        w = w - w[q] * column
        inverse = inverse - np.outer(column, inverse[q])
        kept[q] = False
        w[~kept] = 0.0
    moved, left = operate(weights, hessian, count, 1e-3, among=among if only_some else None)
    assert np.array_equal(left, kept)
    assert np.allclose(moved, w, rtol=0, atol=1e-10)


@pytest.mark.parametrize("how", ["surgeon", "saliency", "magnitude"])
def test_exactly_as_many_weights_go_as_asked_for(how: str, quadratic: tuple[np.ndarray, np.ndarray]) -> None:
    w, hessian = quadratic
    w = np.full_like(w, 0.5)  # ties everywhere
    for count in range(6):
        moved, kept = operate(w, hessian, count, 1e-3) if how == "surgeon" else choose(how, w, hessian, count)
        assert (~kept).sum() == count and np.all(moved[~kept] == 0)


def test_regain_finds_the_weight_that_brute_force_would_give_back(rng: np.random.Generator) -> None:
    gradients = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)
    alive = np.array([0, 2, 5])
    mean = gradients.mean(axis=0)
    h = 4 * (gradients.T @ gradients / 400 - np.outer(mean, mean))

    def gain(members: list[int]) -> float:
        return float(0.5 * mean[members] @ np.linalg.solve(h[np.ix_(members, members)], mean[members]))

    best = max((q for q in range(6) if q not in alive), key=lambda q: gain([*alive, q]))
    found, second = regain(gradients.astype(np.float32), alive, 1, 0.0, 4)
    assert found.tolist() == [best] and np.allclose(second, h, rtol=1e-4, atol=1e-4)


def test_the_fisher_matrix_is_the_gauss_newton_matrix_of_a_linear_softmax(train: Split) -> None:
    """For logits = W x + b the Fisher matrix is E[(diag p - p p') x x'] exactly."""
    network = Network.parse(["maxpool 14", "linear 10 nobias"], train.pixels.shape[1:])
    w = np.random.default_rng(0).normal(size=network.size).astype(np.float32)
    often = np.tile(train.pixels[:300], (60, 1, 1, 1))  # each image with 60 drawn labels
    rng = np.random.default_rng(1)
    found = fisher(engine(network), w, np.arange(network.size), often, np.arange(len(often)), rng)
    x = train.pixels[:300].reshape(300, 1, 2, 14, 2, 14).max(axis=(3, 5)).reshape(300, -1) / 255
    logits = x @ w.reshape(10, -1).T
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    exact = sum(np.kron(np.diag(p[k]) - np.outer(p[k], p[k]), np.outer(x[k], x[k])) for k in range(300)) / 300
    assert np.abs(found - exact).max() < 0.05 * np.abs(exact).max()


def test_the_full_matrix_optimiser_crosses_a_narrow_turned_valley_where_adam_crawls() -> None:
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))
    hessian = turn @ np.diag(np.logspace(0, -5, 20)) @ turn.T
    start, noise = turn @ np.ones(20), np.random.default_rng(1)

    def loss_after(full: bool) -> float:
        w, optimiser, m, v = start.copy(), FullAdam(20, every=10), np.zeros(20), np.zeros(20)
        for t in range(1, 601):
            g = hessian @ (w + 0.1 * noise.normal(size=20))
            rate = 0.02 * (1 - t / 601)
            if full:
                w -= rate * optimiser.direction(g)
            else:
                m, v = 0.9 * m + 0.1 * g, 0.998 * v + 0.002 * g * g
                w -= rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.998**t)) + 1e-8)
        return float(w @ hessian @ w)

    assert loss_after(full=True) < 0.5 * loss_after(full=False)


def test_a_step_of_the_optimiser_is_never_longer_than_the_rate_in_any_direction(
    rng: np.random.Generator,
) -> None:
    optimiser = FullAdam(5, every=10)
    for scale in (1.0, 1.0, 1e6, 1e-6):
        assert np.linalg.norm(optimiser.direction(scale * rng.normal(size=5))) <= np.sqrt(5) + 1e-5


def test_a_turned_network_is_its_unrolled_network_and_stores_each_weight_once() -> None:
    network = Network.parse(TURNED)
    plain, source = network.unrolled()
    assert network.equivariant and not plain.equivariant and len(source) == plain.size
    # Kernels 2x1x9 and, for both tied layers, 2x8x9; three times 8 biases; the head.
    assert network.size == 18 + 144 + 24 + (8 * 25 * 10 + 10)
    assert plain.size == 72 + 576 + 24 + 2010
    assert set(source) == set(range(network.size))


@pytest.mark.parametrize("word", ["turns", "turns mirrors"])
def test_turning_the_image_turns_the_maps_of_turned_kernels(word: str, rng: np.random.Generator) -> None:
    """Group convolution: turned input, turned output with the channels of each four rolled."""
    torch = pytest.importorskip("torch")
    network = Network.parse([f"conv 8 k3 {word} nobias", f"conv 8 k2 {word} nobias", "gap"], (1, 9, 9))
    plain, source = network.unrolled()
    kernels = plain.unpack(initialise(network, rng)[source])

    def maps(x: np.ndarray) -> np.ndarray:
        y = torch.from_numpy(np.ascontiguousarray(x))
        for name in ("conv1.weight", "conv2.weight"):
            y = torch.nn.functional.conv2d(y, torch.from_numpy(kernels[name]))
        return y.numpy()[0]

    x = rng.normal(size=(1, 1, 9, 9)).astype(np.float32)
    straight, turned = maps(x), maps(np.rot90(x, 1, (2, 3)))
    fours = np.rot90(straight, 1, (1, 2)).reshape(2, 4, 6, 6)
    assert np.allclose(turned.reshape(2, 4, 6, 6), np.roll(fours, 1, 1), atol=1e-5)
    if word == "turns":
        return
    # Channels 0 to 3 are turned by r quarters, 4 to 7 mirrored and then turned: a mirrored image has r
    # where the straight one has -r, and what was mirrored is straight.
    mirrored = maps(x[..., ::-1])
    assert np.allclose(mirrored, straight[[4, 7, 6, 5, 0, 3, 2, 1]][..., ::-1], atol=1e-5)


@pytest.mark.parametrize("spec", [TURNED, MIRRORED])
@pytest.mark.parametrize("core", ["auto", "torch"])
def test_the_gradient_of_turned_and_tied_weights_is_the_slope_of_the_loss(
    core: str, spec: list[str], train: Split
) -> None:
    network = Network.parse(spec)
    maker = engine(network, core=core)  # type: ignore[arg-type]
    p = initialise(network, np.random.default_rng(3)).astype(np.float32)
    rows = np.arange(64)
    _, gradient = maker.loss_gradient(p, train.pixels, train.labels, rows)
    micro = maker.micro_gradients(p, train.pixels, train.labels, rows, 16)
    assert np.allclose(micro.mean(axis=0), gradient, atol=1e-6)
    for seed in range(5):
        along = np.random.default_rng(seed).normal(size=network.size).astype(np.float32)
        along /= np.linalg.norm(along)
        up, down = (
            maker.loss_gradient(p + h * along, train.pixels, train.labels, rows)[0] for h in (1e-2, -1e-2)
        )
        assert (up - down) / 2e-2 == pytest.approx(float(gradient @ along), abs=2e-3)


@pytest.mark.parametrize("spec", [TURNED, MIRRORED, ["conv 4 k4", "abs", "maxpool 3", "linear 10"]])
def test_the_exported_network_answers_as_the_engine_does(spec: list[str], train: Split) -> None:
    runtime = pytest.importorskip("onnxruntime")
    network = Network.parse(spec)
    p = initialise(network, np.random.default_rng(0))
    proto = model_proto(network, p, {})
    session = runtime.InferenceSession(proto.SerializeToString())
    found = session.run(None, {"image": train.pixels[:50].astype(np.float32) / 255})[0]
    assert np.allclose(found, engine(network).logits(p, train.pixels[:50]), atol=1e-5)
    floats = [t for t in proto.graph.initializer if t.data_type == 1]
    assert sum(int(np.prod(t.dims)) for t in floats) == network.size
    seen = {"image"}  # what depends on the image: the kernels are turned, and the maps are not
    for node in proto.graph.node:
        if seen & set(node.input):
            seen |= set(node.output)
            assert node.op_type in {"Conv", "Abs", "MaxPool", "Flatten", "Gemm"}


def test_the_plan_falls_to_the_last_size_and_rests_at_every_snapshot() -> None:
    epochs = plan(recipe(), 400)
    sizes = [epoch.size for epoch in epochs]
    assert sizes == sorted(sizes, reverse=True) and sizes[-1] == 150
    assert [epoch.size for epoch in epochs if epoch.snapshot] == [200, 150]
    assert all(epoch.rate[1] == 0 for epoch in epochs if epoch.snapshot)


def test_a_plan_with_more_slow_epochs_than_weights_has_them_all() -> None:
    slow = plan(recipe(fast_to=160, slow_epochs=60, sizes=(150,)), 400)
    assert sum(150 < epoch.size < 160 for epoch in slow) > 40


@pytest.mark.parametrize(
    "change",
    [{}, {"optimiser": "diagonal"}, {"removal": "magnitude", "compensate": False}, {"removal": "saliency"},
     {"techniques": {"regrowth": {"share": 0.1, "every": 2}}},
     {"techniques": {"active_sampling": {"share": 0.3}}}, {"augment": {"shift": 1.0, "elastic": 1.0}},
     {"smoothing": 0.1}, {"average": 0.0}, {"fisher_every": 3}, {"fisher_every": 2, "techniques": {"regrowth": {"share": 0.1, "every": 2}}}, {"network": TURNED, "sizes": (800, 700), "fast_to": 800}],
)  # fmt: skip
def test_every_technique_gives_snapshots_of_the_sizes_asked_for(
    change: dict[str, object], train: Split
) -> None:
    small = {"dense_epochs": 1, "fast_epochs": 2, "slow_epochs": 2, "settle": 1}
    wanted = recipe(**{**small, **change})
    shots = Descent(wanted, train, 0).run(lambda step, epoch, loss: None)
    assert tuple(shot.size for shot in shots) == wanted.sizes
    for shot in shots:
        assert np.count_nonzero(shot.parameters) <= shot.mask.sum() == shot.size
        assert np.all(shot.parameters[~shot.mask] == 0) and np.isfinite(shot.parameters).all()


def test_a_descent_learns_and_is_the_same_twice(train: Split) -> None:
    one, two = (Descent(recipe(), train, 1).run(lambda step, epoch, loss: None) for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert np.array_equal(a.parameters, b.parameters) and np.array_equal(a.mask, b.mask)
    core = engine(Network.parse(recipe().network))
    assert core.correct(one[0].parameters, train.pixels, train.labels) > 0.8 * len(train)


EVERYWHERE = ("conv 4 k4", "abs", "maxpool 3 s1", "conv 4 k3 d3", "abs", "maxpool 5 s6", "linear 10")


def test_a_snapshot_becomes_the_network_that_it_is_kept_as(
    train: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same weights as without, in a network that gives other answers; these are what is scored."""
    monkeypatch.chdir(tmp_path)
    quick: dict[str, Any] = {"dense_epochs": 1, "fast_epochs": 2, "slow_epochs": 2, "settle": 1}
    as_trained, other = recipe(**quick), recipe(**quick, kept_as=EVERYWHERE)
    found = [
        descend("golf", "seed 0", one, 0, train, train, "digest")[0]["parameters"]
        for one in (as_trained, other)
    ]
    assert np.array_equal(*found)
    _, record = descend("golf", "seed 0", other, 0, train, train, "digest")
    kept, trained = (engine(Network.parse(spec)) for spec in (EVERYWHERE, as_trained.network))
    right = [kept.correct(p, train.pixels, train.labels) for p in found[0]]
    assert [run["heldout_correct"] for run in record["runs"]] == right
    assert right != [trained.correct(p, train.pixels, train.labels) for p in found[0]]


def test_a_network_that_is_kept_has_the_parameters_of_the_one_that_is_trained(train: Split) -> None:
    for other in (
        ("conv 4 k3", *EVERYWHERE[1:-3], "maxpool 6 s6", "linear 10"),
        (*EVERYWHERE[:-1], "conv 4 k1", "gap"),
    ):
        with pytest.raises(GolfError, match="must have the parameters of `network`, but has"):
            Descent(recipe(kept_as=other), train, 0)
    once, turned = (("conv 4 k3 nobias", "gap"), ("conv 16 k3 turns nobias", "gap"))  # the same four kernels
    with pytest.raises(GolfError, match="it has 16 outputs, but `network` has 4"):
        Descent(recipe(network=once, kept_as=turned), train, 0)


def test_removals_share_a_fisher_matrix(train: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is used again is what is left of the first, and there are half as many."""
    made: list[np.ndarray] = []
    used: list[np.ndarray] = []

    def taken(*args: Any) -> list[np.ndarray]:
        made.append(fisher_blocks(*args)[0])
        return [made[-1]]

    def cut(weights: np.ndarray, hessian: list[np.ndarray], *rest: Any) -> tuple[np.ndarray, np.ndarray]:
        used.append(hessian[0].copy())
        return operate(weights, hessian, *rest)

    monkeypatch.setattr(descent, "fisher_blocks", taken)
    monkeypatch.setattr(descent, "operate", cut)
    Descent(recipe(), train, 2).run(lambda step, epoch, loss: None)
    once = len(made)
    assert once == len(used) > 3 and all(map(np.array_equal, made, used))
    made.clear(), used.clear()
    Descent(recipe(fisher_every=2), train, 2).run(lambda step, epoch, loss: None)
    assert len(used) == once and len(made) == (once + 1) // 2
    assert np.array_equal(used[0], made[0]) and np.array_equal(used[2], made[1])
    assert len(used[1]) < len(made[0]) and np.isin(used[1], made[0]).all()


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("killed_after", [3, 9, 12])
def test_a_killed_descent_goes_on_to_the_same_result(
    killed_after: int, every: int, train: Split, tmp_path: Path
) -> None:
    class Killed(Exception):
        pass

    def kill(step: Epoch, epoch: int, loss: float) -> None:
        if epoch == killed_after:
            raise Killed

    wanted = recipe(fisher_every=every)
    whole = Descent(wanted, train, 2).run(lambda step, epoch, loss: None)
    with pytest.raises(Killed):
        Descent(wanted, train, 2).run(kill, tmp_path, every=2)
    resumed = Descent(wanted, train, 2).run(lambda step, epoch, loss: None, tmp_path, every=2)
    for a, b in zip(whole, resumed, strict=True):
        assert np.array_equal(a.parameters, b.parameters) and np.array_equal(a.mask, b.mask)


def several(
    starts: int, train: Split, kill_at: int = 0, state: Path | None = None
) -> tuple[Descent, list[float]]:
    """A descent from several starts, and the loss of every epoch that ran; it is killed in the `kill_at`th."""
    descent = Descent(recipe(starts=starts, start_epochs=2), train, 3)
    losses: list[float] = []

    def each(step: Epoch, epoch: int, loss: float) -> None:
        losses.append(loss)
        if len(losses) == kill_at:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        descent.run(each, state)
    return descent, losses


def test_the_start_with_the_least_loss_goes_on(train: Split) -> None:
    whole, losses = several(3, train)
    assert whole.starts == losses[1:6:2] and len(set(whole.starts)) == 3
    assert len(losses) == len(whole.plan) + 2 * 2  # two starts of two epochs were for nothing
    alone, first = several(1, train)
    assert alone.starts == [] and first[:2] == losses[:2]  # a single start is the first of several
    assert np.argmin(whole.starts) != 0 and not np.array_equal(whole.weights, alone.weights)


@pytest.mark.parametrize("killed_after", [1, 3, 5, 8])
def test_a_descent_that_is_killed_among_its_starts_goes_on_to_the_same_result(
    killed_after: int, train: Split, tmp_path: Path
) -> None:
    whole, losses = several(3, train)
    several(3, train, killed_after, tmp_path)
    resumed, rest = several(3, train, 0, tmp_path)
    assert resumed.starts == whole.starts and rest == losses[-len(rest) :]
    assert np.array_equal(resumed.weights, whole.weights)


def test_the_price_of_weights_is_the_slope_of_the_log_sum() -> None:
    w = np.array([-1.0, -0.05, 0.3])

    def cost(w: np.ndarray) -> float:
        return float(0.1 * (np.log1p(np.abs(w) / 0.1) / np.log1p(10)).sum())

    for k in range(3):
        step = 1e-6 * np.eye(3)[k]
        assert price(w, 0.1)[k] == pytest.approx((cost(w + step) - cost(w - step)) / 2e-6, rel=1e-4)


def test_soft_targets_mix_labels_and_teacher() -> None:
    teacher = np.full((2, 4), 0.25, np.float32)
    mixed = soft_targets(np.array([1, 3]), teacher, 0.5)
    assert mixed.sum(axis=1) == pytest.approx([1, 1]) and mixed[0, 1] == pytest.approx(0.625)
    assert soft_targets(np.array([1, 3]), None, 0.0).tolist() == [1, 3]


def test_transformed_images_are_the_images_where_nothing_may_change(
    train: Split, rng: np.random.Generator
) -> None:
    rows = np.array([5, 3])
    assert np.array_equal(augmented(train.pixels, rows, Augment(), rng), train.pixels[rows])
    moved = augmented(train.pixels, rows, Augment(shift=2, turn=10), rng)
    assert moved.shape == (2, 1, 28, 28) and not np.array_equal(moved, train.pixels[rows])


def test_the_size_needed_is_read_between_snapshots() -> None:
    assert size_needed([(400, 0.99), (200, 0.97)], 0.98) == pytest.approx(282.8, abs=0.1)
    assert size_needed([(400, 0.97), (200, 0.96)], 0.98) == "over 400"
    assert size_needed([(400, 0.99), (200, 0.985)], 0.98) == "under 200"


def test_arms_are_compared_with_the_first_seed_by_seed() -> None:
    first = [{"curve": [(400, 0.99), (200, y)]} for y in (0.95, 0.97)]
    arm = [{"curve": [(400, 0.99), (200, y)]} for y in (0.96, 0.98)]
    found = summary(arm, first, (0.98, 0.97), 200)
    assert found["needed"] == {
        "0.98": [pytest.approx(317.5, abs=0.1), "under 200"],
        "0.97": [252.0, "under 200"],
    }
    assert found["accuracy_at_200"]["mean"] == pytest.approx(0.97)
    against = found["against_first"]
    assert (against["mean"], against["sd"], against["n"]) == (pytest.approx(0.01), pytest.approx(0), 2)
    both = {"base": summary(first, first, (0.98,), 200), "arm": summary(arm, first, (0.98,), 200)}
    line = "| arm | 318, under 200 | 97.00 ± 1.41 % | +1.00 ± 0.00 | 2 |"
    assert line in pages.table(both, ["arm"], (0.98,), 200)


def test_the_pages_of_the_handbook_name_arms_that_exist_and_are_filled(
    settings: Config, tmp_path: Path
) -> None:
    arms = settings.handbook.arms
    record: dict[str, object] = {"needed": {"0.98": [300.0, "over 600"]}}
    record |= {"accuracy_at_300": None, "against_first": None}
    for page in sorted((ROOT / "docs/handbook").glob("*.md")):
        copy = tmp_path / page.name
        copy.write_text(page.read_text())
    pages.update(dict.fromkeys(arms, record), (0.98,), 300, {}, tmp_path)
    for copy in tmp_path.glob("*.md"):
        assert all("| 300, over 600 |" in place[0] for place in pages.PLACE.finditer(copy.read_text()))


def test_folds_judge_every_image_once(train: Split) -> None:
    judged = [fold(train, k, 5)[1] for k in range(5)]
    assert sum(len(part) for part in judged) == len(train)
    assert all(len(fold(train, k, 5)[0]) + len(judged[k]) == len(train) for k in range(5))


def test_a_recipe_refuses_sizes_that_do_not_fall_and_networks_that_cannot_be() -> None:
    odd = [["conv 6 k3 turns"], ["conv 4 k3 turns mirrors"], ["conv 8 k3 mirrors"],
           ["conv 8 k3 turns", "conv 8 k3 turns mirrors"]]  # fmt: skip
    for network in odd:
        with pytest.raises(ValidationError):
            recipe(network=(*network, "linear 10"))
    for change in ({"sizes": (100, 200)}, {"unknown": 1}, {"starts": 2, "start_epochs": 5}, {"starts": 0}):
        with pytest.raises(ValidationError):
            recipe(**change)


@pytest.mark.parametrize(("word", "orbit"), [("turns", 4), ("turns mirrors", 8)])
def test_the_positions_of_a_kernel_are_all_different(word: str, orbit: int) -> None:
    _, source = Network.parse([f"conv 8 k3 {word} nobias", "gap"], (1, 5, 5)).unrolled()
    found = source.reshape(8 // orbit, orbit, 9).tolist()
    for kernel in found:
        assert all(a != b for a, b in itertools.combinations(kernel, 2))
        assert len({tuple(sorted(place)) for place in kernel}) == 1


# A network that has more weights than one matrix is made for.
LARGE = ["conv 12 k5", "abs", "maxpool 2", "conv 20 k3", "abs", "maxpool 2", "conv 28 k3", "abs", "linear 10"]


def test_many_weights_are_cut_by_layer_into_blocks_of_bounded_size() -> None:
    network = Network.parse(LARGE)
    rng = np.random.default_rng(0)
    for count in (network.size, 6000, WHOLE + 1, WHOLE, 30):
        alive = np.sort(rng.permutation(network.size)[:count])
        parts = blocks(network, alive)
        assert np.array_equal(np.concatenate([np.arange(count)[part] for part in parts]), np.arange(count))
        if count <= WHOLE:
            assert len(parts) == 1
            continue
        layers = np.searchsorted(
            [t.slice.start for t in network.tensors if ".weight" in t.name], alive, "right"
        )
        for part in parts:
            assert 0 < part.stop - part.start <= BLOCK and len(set(layers[part])) == 1


def test_the_surgeon_of_blocks_is_the_surgeon_of_a_matrix_with_zeros_between_them() -> None:
    rng = np.random.default_rng(0)
    sizes, count = (90, 150, 1, 40), 240  # more of a block than are collected at a time, and all of one
    matrices = [
        samples.T @ samples / len(samples) for samples in (rng.normal(size=(3 * k, k)) for k in sizes)
    ]
    cuts = np.cumsum([0, *sizes])
    whole = np.zeros((cuts[-1], cuts[-1]))
    for first, matrix in zip(cuts, matrices, strict=False):
        whole[first : first + len(matrix), first : first + len(matrix)] = matrix
    weights, among = rng.normal(size=cuts[-1]), rng.random(cuts[-1]) < 0.95
    moved, kept = operate(weights, matrices, count, 0.0, among=among)
    exact, left = operate(weights, whole, count, 0.0, among=among)
    assert np.array_equal(kept, left) and np.count_nonzero(~kept) == count
    assert np.allclose(moved, exact, rtol=0, atol=1e-9)


def test_a_block_of_the_fisher_matrix_is_that_part_of_it(train: Split) -> None:
    network = Network.parse(["maxpool 14", "linear 10"], train.pixels.shape[1:])
    w, rows = initialise(network, np.random.default_rng(1)), np.arange(200)
    alive, parts = np.arange(0, network.size, 2), [slice(0, 9), slice(9, 25)]
    whole = fisher(engine(network), w, alive, train.pixels, rows, np.random.default_rng(2))
    found = fisher_blocks(engine(network), w, alive, train.pixels, rows, np.random.default_rng(2), parts)
    for matrix, part in zip(found, parts, strict=True):
        assert np.allclose(matrix, whole[part, part], rtol=1e-5, atol=1e-9)


def test_blocks_of_the_optimiser_take_the_steps_of_one_each_and_go_on_where_they_were() -> None:
    rng = np.random.default_rng(0)
    sizes, kinds = (5, 3, 4), {"beta2": 0.99, "every": 4}
    together, alone = BlockAdam(sizes, **kinds), [FullAdam(size, **kinds) for size in sizes]
    first = rng.normal(size=(30, 12))
    together.warm(first, 4)
    for one, part in zip(alone, np.split(first, [5, 8], axis=1), strict=True):
        one.warm(part, 4)
    for _ in range(9):
        gradient = rng.normal(size=12)
        steps = [one.direction(part) for one, part in zip(alone, np.split(gradient, [5, 8]), strict=True)]
        assert np.array_equal(together.direction(gradient), np.concatenate(steps))
    kept = np.array([True] * 5 + [False] * 3 + [True, False, True, True])  # a block is gone
    together.keep(kept)
    again = restored(together.state(), **kinds)
    whole = together.joined()
    assert np.all(whole.c[:5, 5:] == 0) and whole.steps == 9 and whole.c.shape == (8, 8)
    gradient = rng.normal(size=8)
    assert np.array_equal(together.direction(gradient), again.direction(gradient))
    assert np.allclose(
        together.direction(gradient), whole.direction(gradient) * 0 + again.direction(gradient)
    )
    assert isinstance(restored(whole.state(), **kinds), FullAdam)


@pytest.mark.parametrize(
    "change", [{}, {"full_below": 900, "techniques": {"regrowth": {"share": 0.1, "every": 1}}}]
)
def test_a_large_network_goes_down_in_blocks_and_is_resumed(
    change: dict[str, object], train: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if 300 weights were many."""

    class Killed(Exception):
        pass

    def kill(step: Epoch, epoch: int, loss: float) -> None:
        if epoch == 4:
            raise Killed

    for where in (surgeon, regrowth, descent):
        monkeypatch.setattr(where, "WHOLE", 300)
    monkeypatch.setattr(surgeon, "BLOCK", 100)
    network = ("conv 4 k4", "abs", "maxpool 3", "conv 8 k3", "abs", "maxpool 2", "linear 10")
    few = {
        "dense_epochs": 1,
        "fast_epochs": 4,
        "slow_epochs": 4,
        "settle": 1,
        "fast_to": 250,
        "sizes": (200,),
    }
    wanted = recipe(network=network, **few, **change)
    whole = Descent(wanted, train, 0).run(lambda step, epoch, loss: None)
    with pytest.raises(Killed):
        Descent(wanted, train, 0).run(kill, tmp_path, every=2)
    resumed = Descent(wanted, train, 0).run(lambda step, epoch, loss: None, tmp_path, every=2)
    assert [shot.size for shot in whole] == [200] == [int(shot.mask.sum()) for shot in whole]
    assert np.array_equal(whole[0].parameters, resumed[0].parameters)
