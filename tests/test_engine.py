"""The compiled core gives what PyTorch gives in float64, the same bits every time, and no silent NaN."""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from neural_golf.base.errors import GolfError
from neural_golf.engine import engine, transform
from neural_golf.engine.interface import Engine
from neural_golf.engine.warp import transform_plain
from neural_golf.net.parameters import initialise
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

compiled = pytest.importorskip("neural_golf.engine.compiled", reason="the compiled core is not built")
twin = pytest.importorskip("neural_golf.engine.twin", reason="the twin needs torch")
Compiled, Twin = compiled.Compiled, twin.Twin

BLOG = [
    "conv 4 k4", "prelu", "maxpool 2", "conv 5 k3", "prelu", "maxpool 2", "conv 4 k3", "prelu", "linear 10",
]  # fmt: skip
SEPARABLE = [
    "conv 6 k3 same", "leaky 0.2", "maxpool 2", "conv 6 k3 g6 nobias", "conv 9 k1", "leaky 0.2",
    "conv 9 k3 g9 nobias", "conv 8 k1", "leaky 0.2", "gap", "linear 10",
]  # fmt: skip
NORMALISED = [  # without biases, which have no gradient before it
    "conv 4 k4 nobias", "norm", "abs", "maxpool 2", "conv 5 k3 nobias", "norm", "abs", "maxpool 2",
    "conv 4 k3", "abs", "linear 10",
]  # fmt: skip
FINE = [  # the last map is fine, and averaged
    "conv 4 k5", "prelu", "maxpool 2", "conv 5 k3 same", "prelu", "maxpool 2 s1", "conv 4 k3 d2", "prelu",
    "avgpool 3 s2", "linear 10",
]  # fmt: skip
BORDERS = [  # strides that leave a remainder, windows and kernels over the border, pixels that no window sees
    "conv 3 k3 d3 same", "prelu", "maxpool 3 s2 p1", "conv 4 k2 d2", "maxpool 2 s1", "leaky 0.2",
    "conv 2 k3 d2 same nobias", "avgpool 3 s2", "maxpool 1 s2", "linear 10",
]  # fmt: skip
NORMAL = (0.1307, 0.3081)
CLASSES = 10


SERIES = [  # six channels of 60 steps, halved by strides and pools, with sums over one layer and over three
    "conv 6 k1x5 s1x2", "prelu", "maxpool 1x2", "conv 6 k1x3 same d1x2", "relu", "add maxpool1",
    "conv 6 k1x3 same", "add add1", "abs", "maxpool 1x3 s1x2 p0x1", "conv 4 k1x3 same s1x2", "gap", "linear 10",
]  # fmt: skip
STRIDED = [  # colour, with strides that leave a remainder, and unlike down and across
    "conv 6 k3x5 same s2x3", "prelu", "conv 6 k3 same d1x2 g2", "add conv1", "leaky 0.2", "maxpool 2x1",
    "conv 5 k2x3 s1x2", "relu", "avgpool 2x1 s1", "linear 10",
]  # fmt: skip
SHAPES = {tuple(SERIES): (6, 1, 60), tuple(STRIDED): (3, 28, 30)}

PLAIN = ("conv", "conv", "activation", "maxpool", "avgpool", "add")


def random_spec(
    rng: np.random.Generator, shape: tuple[int, int, int], kinds: tuple[str, ...] = (*PLAIN, "norm")
) -> list[str]:
    """Up to five layers in any order the spec allows, then a head."""
    spec: list[str] = []
    kernels: list[tuple[str, str]] = []

    def sides(least: int, most: int) -> str:
        """Equal ones, unlike ones, or the sides of a series."""
        a, b = (str(rng.integers(least, most + 1)) for _ in range(2))
        return f"1x{a}" if shape[1] == 1 else a if rng.random() < 0.7 else f"{a}x{b}"

    for _ in range(rng.integers(0, 7)):
        before = Network.parse([*spec, "gap"], shape).layers
        channels = before[-1].in_shape[0]
        match rng.choice(kinds):
            case "conv":
                kernel = sides(1, 7)
                words = ["conv", str(rng.integers(1, 9)), f"k{kernel}"]
                if rng.random() < 0.4:
                    words.append("same")
                if rng.random() < 0.3:
                    words.append(f"s{sides(1, 3)}")
                if rng.random() < 0.3:
                    words.append(f"d{sides(1, 4)}")
                if rng.random() < 0.4 and channels > 1:
                    groups = channels if channels % 2 or rng.random() < 0.5 else 2
                    words[1] = str(groups * rng.integers(1, 3))
                    words.append(f"g{groups}")
                if rng.random() < 0.3:
                    words.append("nobias")
                layer = " ".join(words)
                if kernels and rng.random() < 0.5:
                    name, layer = kernels[-1]
                    layer += f" tied={name}"
            case "activation":
                layer = str(rng.choice(["relu", "leaky 0.2", "prelu"]))
            case "norm":
                if before[-1].in_shape[1] * before[-1].in_shape[2] < 9:
                    continue  # of few pixels nearly nothing is left, and rounding decides
                layer = "norm"
            case "add":
                layer = f"add {rng.choice([one.name for one in before])}"
            case pool:
                layer = f"{pool} {sides(1, 4)}"
                if rng.random() < 0.5:
                    layer += f" s{sides(1, 4)}"
                if pool == "maxpool" and rng.random() < 0.4:
                    layer += f" p{rng.choice(['1', '2', '0x1', '1x0', '1x2'])}"
        try:
            network = Network.parse([*spec, layer, "gap"], shape)
        except GolfError:
            continue  # it does not fit here
        spec.append(layer)
        if layer.startswith("conv") and "tied" not in layer:
            kernels.append((network.layers[-2].name, layer))
    heads = (["linear 10"], ["linear 6", "relu", "linear 10 nobias"], ["conv 10 k1", "gap"])
    return spec + heads[rng.integers(len(heads))]


def random_shape(rng: np.random.Generator) -> tuple[int, int, int]:
    """Of images of one to three colours, or of many maps, or of series."""
    if rng.random() < 0.2:
        return int(rng.integers(1, 21)), 1, int(rng.integers(10, 100))
    return int(rng.choice([1, 2, 3, 16])), int(rng.integers(5, 29)), int(rng.integers(5, 29))


def random_parameters(rng: np.random.Generator, network: Network) -> np.ndarray:
    parameters = initialise(network, rng)
    for tensor in network.tensors:
        if tensor.name.endswith(".slope"):
            parameters[tensor.slice] = rng.normal(size=tensor.size) * 0.5  # negative slopes too
        if tensor.name.endswith(".bias"):  # some start at 0, where |x| has no slope
            parameters[tensor.slice] = rng.uniform(-0.2, 0.2, tensor.size)
    return parameters


def random_images(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> np.ndarray:
    """Few grey levels, half of them black and a black border: pooling windows tie everywhere."""
    images = rng.integers(0, 256, (n, *shape)).astype(np.uint8) // 64 * 64
    images[rng.random(images.shape) < 0.5] = 0
    images[..., :3] = 0
    return images


def case(spec: list[str], n: int = 100, seed: int = 0) -> tuple[Network, Any, Any, Any]:
    rng = np.random.default_rng(seed)
    network = Network.parse(spec, SHAPES.get(tuple(spec), (1, 28, 28)))
    labels = rng.integers(0, CLASSES, n)
    return network, random_parameters(rng, network), random_images(rng, n, network.in_shape), labels


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Norm of the difference relative to the norm of b."""
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12))


@pytest.mark.parametrize("seed", range(30))
def test_logits_loss_and_gradient_are_those_of_pytorch_in_float64(seed: int) -> None:
    """Ten random networks per seed: any layers, odd sizes, 1 to 70 images, ties, soft targets."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        shape = random_shape(rng)
        spec = random_spec(rng, shape)
        network = Network.parse(spec, shape)
        parameters = random_parameters(rng, network)
        n = int(rng.choice([1, 14, rng.integers(2, 70)]))
        images = random_images(rng, n, shape)
        if rng.random() < 0.5:
            images = (images / np.float32(100)).astype(np.float32)
        soft = rng.random() < 0.5
        targets = rng.dirichlet(np.ones(10), n).astype(np.float32) if soft else rng.integers(0, 10, n)
        index = rng.integers(0, n, int(rng.integers(1, 50))) if rng.random() < 0.7 else None
        smoothing = float(rng.choice([0.0, 0.1]))
        exact = Twin(network, *NORMAL, dtype="float64")
        rows = targets if index is None else targets[index]
        loss, gradient = exact.exact_loss_gradient(parameters, images, rows, index, smoothing)
        logits = exact.exact_logits(parameters, images)
        for instructions in compiled.instruction_sets():
            core = Compiled(network, *NORMAL, instructions=instructions)
            got_loss, got_gradient = core.loss_gradient(parameters, images, targets, index, smoothing)
            where = f"{instructions} {spec} {shape} n={n}"
            assert distance(core.logits(parameters, images), logits) <= 1e-5, where
            assert abs(got_loss - loss) <= 1e-5 * max(1.0, abs(loss)), where
            assert distance(got_gradient, gradient) <= 1e-5, where


@pytest.mark.parametrize("spec", [BLOG, SEPARABLE, NORMALISED, FINE, BORDERS, SERIES, STRIDED])
def test_the_networks_of_the_project_agree_with_pytorch_tensor_by_tensor(spec: list[str]) -> None:
    network, parameters, images, labels = case(spec)
    exact = Twin(network, *NORMAL, dtype="float64").exact_loss_gradient(parameters, images, labels)[1]
    got = Compiled(network, *NORMAL).loss_gradient(parameters, images, labels)[1]
    for tensor in network.tensors:
        assert distance(got[tensor.slice], exact[tensor.slice]) <= 1e-5, tensor.name


@pytest.mark.parametrize(
    "spec",
    [
        ["prelu", "conv 8 k3 same s2", "relu", "linear 10"],
        ["maxpool 2", "prelu", "linear 10"],
        ["norm", "prelu", "maxpool 2", "linear 10"],
    ],
)
def test_an_activation_that_learns_may_come_first_and_have_many_channels(spec: list[str]) -> None:
    """No gradient goes further back from it, so its own has little room."""
    network, rng = Network.parse(spec, (20, 12, 12)), np.random.default_rng(0)
    parameters, images = random_parameters(rng, network), random_images(rng, 80, network.in_shape)
    labels = rng.integers(0, CLASSES, len(images))
    exact = Twin(network, *NORMAL, dtype="float64").exact_loss_gradient(parameters, images, labels)[1]
    core = Compiled(network, *NORMAL)
    got = [core.loss_gradient(parameters, images, labels)[1] for _ in range(2)]
    assert distance(got[0], exact) <= 1e-5
    assert got[0].tobytes() == got[1].tobytes()


@pytest.mark.parametrize("shape", [(1, 21, 25), (2, 24, 23)])
@pytest.mark.parametrize("spec", [FINE, BORDERS])
def test_gradients_are_finite_differences_of_the_plain_loss(
    spec: list[str], shape: tuple[int, int, int], rng: np.random.Generator
) -> None:
    """The loss is computed in numpy, in float64: neither autograd nor the core has a part in it."""
    network = Network.parse(spec, shape)
    parameters = random_parameters(rng, network)
    images, labels = rng.random((3, *shape), np.float32), rng.integers(0, CLASSES, 3)

    def loss(p: np.ndarray) -> float:
        logits = Plain(network, p).forward(images.transpose(1, 2, 3, 0).astype(float))[-1].reshape(CLASSES, 3)
        right = logits[labels, np.arange(3)]
        return float((np.log(np.exp(logits).sum(axis=0)) - right).mean())

    step = 1e-6 * np.eye(network.size)
    slopes = np.array([(loss(parameters + e) - loss(parameters - e)) / 2e-6 for e in step])
    for instructions in compiled.instruction_sets():
        core = Compiled(network, instructions=instructions)
        assert distance(core.loss_gradient(parameters, images, labels)[1], slopes) <= 1e-5


@pytest.mark.parametrize("pool", ["maxpool 2", "maxpool 3 s1", "maxpool 3 s2 p1"])
def test_equal_pixels_in_a_pooling_window_send_the_gradient_to_the_first(pool: str) -> None:
    network = Network.parse(["conv 1 k1 nobias", pool, "conv 1 k1", "linear 2"], (1, 4, 4))
    parameters = np.ones(network.size, np.float32)
    parameters[-2:] = (1, -1)
    images, labels = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4) // 2, np.array([0])
    exact = Twin(network, dtype="float64").exact_loss_gradient(parameters, images, labels)[1]
    got = Compiled(network).loss_gradient(parameters, images, labels)[1]
    assert distance(got, exact) <= 1e-6


def test_the_first_of_equal_logits_is_the_answer() -> None:
    network = Network.parse(["linear 10"])
    parameters = np.zeros(network.size, np.float32)
    images = np.zeros((20, 1, 28, 28), np.uint8)
    for core in (Compiled(network), Twin(network)):
        assert core.correct(parameters, images, np.zeros(20, np.int64)) == 20
        assert core.correct(parameters, images, np.ones(20, np.int64)) == 0


@pytest.mark.parametrize("spec", [BLOG, FINE, SERIES, STRIDED])
def test_the_number_of_threads_and_repetition_do_not_change_a_bit(spec: list[str]) -> None:
    network, parameters, images, labels = case(spec, n=333)
    candidates = np.random.default_rng(1).permutation(network.size)[:50]

    def everything(core: Engine) -> list[Any]:
        p, m, v = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
        loss = core.adam_epoch(p, m, v, 0, images, labels, np.arange(333), 128, 1e-2)
        return [
            core.logits(parameters, images),
            core.loss_gradient(parameters, images, labels),
            core.micro_gradients(parameters, images[:320], labels[:320], None, 4),
            core.micro_gradients(parameters, images[:320], labels[:320], None, 40),
            core.zero_alone(parameters, candidates, images, labels),
            core.zero_one_by_one(parameters, candidates, images, labels, 20),
            (loss, p, m, v),
        ]

    def bits(results: list[Any]) -> list[bytes]:
        return [
            b"".join(np.asarray(x).tobytes() for x in (r if isinstance(r, tuple) else (r,))) for r in results
        ]

    for instructions in compiled.instruction_sets():
        one = Compiled(network, *NORMAL, 1, instructions)
        expected = bits(everything(one))
        assert bits(everything(one)) == expected
        assert bits(everything(Compiled(network, *NORMAL, 3, instructions))) == expected


def test_flat_images_an_index_and_float_images_mean_the_same() -> None:
    network, parameters, images, _ = case(BLOG)
    core = Compiled(network, *NORMAL)
    logits = core.logits(parameters, images)
    assert (core.logits(parameters, images.reshape(100, 784)) == logits).all()
    order = np.random.default_rng(0).permutation(100)
    assert (core.logits(parameters, images, order) == logits[order]).all()
    floats = ((images / 255 - NORMAL[0]) / NORMAL[1]).astype(np.float32)
    assert distance(core.logits(parameters, floats), logits) <= 1e-6
    assert core.logits(parameters, images, np.empty(0, np.int64)).shape == (0, CLASSES)


@pytest.mark.parametrize("seed", range(12))
def test_blank_rows_are_skipped_and_change_no_bit(seed: int) -> None:
    """Bytes are searched for blank rows, floats are not."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 3)), 17, 15)
    words = [f"conv 5 k{rng.choice([1, 3, 4, 5])}", f"conv 5 k{rng.choice([3, 5])} same"][seed % 2]
    words += ["", " d2"][seed // 3 % 2] + ["", " s2", " s3x1"][seed // 4 % 3]
    network = Network.parse([words, "prelu", "maxpool 2", "conv 4 k3 same", "relu", "linear 10"], shape)
    parameters, images = random_parameters(rng, network), random_images(rng, 90, shape)
    above, below = (seed + 2) % 9, rng.integers(0, 9)
    images[:, :, :above], images[:, :, 17 - below :] = 0, 0
    images[:16] = 0  # a whole group
    floats = images * np.float32(1 / 255)
    labels = rng.integers(0, CLASSES, 90)
    if seed % 3:
        parameters[rng.random(network.size) < 0.7] = 0
    mask = rng.random(network.size) < 0.3 if seed % 3 == 2 else None
    for instructions in compiled.instruction_sets():
        core = Compiled(network, instructions=instructions)
        assert (core.logits(parameters, images) == core.logits(parameters, floats)).all()
        of_bytes = core.loss_gradient(parameters, images, labels, mask=mask)
        of_floats = core.loss_gradient(parameters, floats, labels, mask=mask)
        assert of_bytes[0] == of_floats[0]
        assert (of_bytes[1] == of_floats[1]).all()
        assert np.abs(of_bytes[1]).max() > 0


@pytest.mark.parametrize("spec", [BLOG, SEPARABLE, FINE, BORDERS, SERIES, STRIDED])
@pytest.mark.parametrize("n", [1, 4, 8])
def test_a_group_that_is_half_empty_has_the_bits_of_a_full_one(spec: list[str], n: int) -> None:
    """Up to 8 images are computed alone; beside images whose targets weigh nothing, all 16 are."""
    network, parameters, images, labels = case(spec, 16)
    few = np.eye(CLASSES, dtype=np.float32)[labels]
    few[n:] = 0
    for instructions in compiled.instruction_sets():
        core = Compiled(network, *NORMAL, instructions=instructions)
        loss, gradient = core.loss_gradient(parameters, images[:n], few[:n])
        loss_among, gradient_among = core.loss_gradient(parameters, images, few)
        assert loss_among == loss * n / 16
        assert (gradient_among == gradient * (n / 16)).all()


@pytest.mark.parametrize("micro_batch", [1, 2, 4, 5, 8, 10, 16, 20, 40])
def test_micro_gradients_are_the_gradients_of_their_parts(micro_batch: int) -> None:
    network, parameters, images, labels = case(BLOG, n=50)
    index = np.random.default_rng(0).integers(0, 50, 80)
    core = Compiled(network, *NORMAL)
    got = core.micro_gradients(parameters, images, labels, index, micro_batch)
    plain = Engine._micro_gradients(core, parameters, images, labels[index], index, micro_batch)
    assert got.shape == (80 // micro_batch, network.size)
    assert distance(got, plain) <= 1e-6
    whole = core.loss_gradient(parameters, images, labels, index)[1]
    assert distance(got.mean(axis=0), whole) <= 1e-5


def turned_spec(rng: np.random.Generator, shape: tuple[int, int, int]) -> list[str]:
    """Turned kernels after turned or plain ones, padded, dilated or not, with what `random_spec` has besides."""
    spec: list[str] = []
    word, orbit = [("turns", 4), ("turns mirrors", 8)][rng.integers(2)]
    for _ in range(rng.integers(1, 4)):
        options = rng.choice(["", " same", " d2", " same d2", " s2", " same s2"])
        more = [
            f"conv {orbit * rng.integers(1, 3)} k3{options} {word}",
            str(rng.choice(["abs", "relu", "prelu"])),
        ]
        if rng.random() < 0.6:
            more.append(str(rng.choice(["maxpool 2", "maxpool 2 s1", "maxpool 3 s2 p1", "avgpool 3 s2"])))
        try:
            Network.parse([*spec, *more, "gap"], shape)
        except GolfError:
            continue  # it does not fit here
        spec += more
    return [*spec, "linear 10"]


@pytest.mark.parametrize("seed", range(20))
def test_zeros_cost_nothing_and_change_nothing(seed: int) -> None:
    """Random zeros and masks: near float64, the same bits dense and sparse, exactly 0 outside the mask."""
    rng = np.random.default_rng(seed)
    for turned in (False, True, False, True):
        side = int(rng.integers(13, 29))
        shape = (1, side, side) if turned else random_shape(rng)
        network = Network.parse(turned_spec(rng, shape) if turned else random_spec(rng, shape, PLAIN), shape)
        alive = rng.random(network.size) < rng.choice([0.0, 0.1, 0.5, 0.9])
        if turned:  # biases stay: at exactly 0 PyTorch's |z| has the slope 0, the engine's -1
            alive |= ~np.isin(np.arange(network.size), network.weights())
        parameters = np.where(alive, random_parameters(rng, network), 0).astype(np.float32)
        mask = alive if rng.random() < 0.7 else rng.random(network.size) < 0.5
        n = int(rng.integers(1, 70))
        images, labels = random_images(rng, n, shape), rng.integers(0, 10, n)
        loss, exact = Twin(network, *NORMAL, dtype="float64").exact_loss_gradient(parameters, images, labels)
        for instructions in compiled.instruction_sets():
            where = f"{instructions} {network.spec} {shape} n={n}"
            results = []
            for below, threads in ((0, 1), (2, 2), (0.5, 1)):  # dense, sparse, mixed
                core = Compiled(network, *NORMAL, threads, instructions)
                core._core.sparse_below = below
                p, m, v = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
                core.adam_epoch(p, m, v, 0, images, labels, np.arange(n), 32, 1e-3, mask=mask)
                results.append(
                    [
                        core.logits(parameters, images),
                        core.loss_gradient(parameters, images, labels, mask=mask)[1],
                        core.micro_gradients(parameters, images, labels, None, 1, mask),
                        core.micro_gradients(parameters, images, labels, None, n, mask),
                        p,
                    ]
                )
            for other in results[1:]:
                for one, two in zip(results[0], other, strict=True):
                    assert one.tobytes() == two.tobytes(), where
            _, gradient, single, whole, stepped = results[0]
            assert distance(gradient, np.where(mask, exact, 0)) <= 1e-5, where
            assert distance(single.mean(axis=0), gradient) <= 1e-5, where
            assert distance(whole[0], gradient) <= 1e-5, where
            for outside in (gradient[~mask], single[:, ~mask], whole[:, ~mask], stepped[~mask]):
                assert (outside == 0).all(), where
            got_loss, unmasked = core.loss_gradient(parameters, images, labels)
            assert abs(got_loss - loss) <= 1e-5 * max(1.0, abs(loss)), where
            assert unmasked[mask].tobytes() == gradient[mask].tobytes(), where


@pytest.mark.parametrize("spec", [FINE, BORDERS, SEPARABLE, NORMALISED, SERIES, STRIDED])
def test_a_channel_that_nothing_reads_is_dropped_and_what_was_in_it_says_nothing(spec: list[str]) -> None:
    """The last readers of some channels are gone, and the workspace still has infinities in their maps."""
    network, parameters, images, labels = case(spec, n=40)
    rng = np.random.default_rng(3)
    for layer in [
        layer for layer in network.layers if layer.kind in ("conv", "linear") and layer.groups == 1
    ][1:]:
        assert layer.weight
        weight = parameters[layer.weight.slice].reshape(layer.weight.shape)
        flat = weight.shape[1] // 4 if weight.shape[1] > 60 else 1  # of a linear layer, inputs of a channel
        weight[:, : 2 * flat] = 0
        weight[rng.random(weight.shape) < 0.6] = 0
    mask = parameters != 0
    for instructions in compiled.instruction_sets():
        results = []
        for below in (0, 2):  # dense, sparse
            core = Compiled(network, *NORMAL, instructions=instructions)
            core._core.sparse_below = below
            if below:
                with np.errstate(all="ignore"), contextlib.suppress(GolfError):
                    core.loss_gradient(np.full(network.size, 1e30, np.float32), images, labels)
            gradient = core.loss_gradient(parameters, images, labels, mask=mask)[1]
            results.append([core.logits(parameters, images), gradient, core.logits(parameters, images[:3])])
        for one, two in zip(*results, strict=True):
            assert np.isfinite(two).all() and one.tobytes() == two.tobytes(), instructions


@pytest.mark.parametrize("seed", range(8))
def test_normalised_turned_kernels_are_those_of_pytorch_in_float64(seed: int) -> None:
    """Dense, without max pooling: where norm makes 0 of a dead map, and at ties, rounding decides."""
    rng = np.random.default_rng(seed)
    word, orbit = [("turns", 4), ("turns mirrors", 8)][seed % 2]
    spec = [f"conv {orbit} k3 {word}", "norm", str(rng.choice(["abs", "prelu"])), "avgpool 2"]
    spec += [f"conv {2 * orbit} k3 same {word}", "norm", str(rng.choice(["abs", "relu"])), "linear 10"]
    shape, n = (1, 14, 14), int(rng.integers(1, 40))
    network = Network.parse(spec, shape)
    parameters, labels = random_parameters(rng, network), rng.integers(0, CLASSES, n)
    images = rng.random((n, *shape), np.float32)
    exact = Twin(network, dtype="float64").exact_loss_gradient(parameters, images, labels)[1]
    few = np.where(rng.random(network.size) < 0.5, parameters, 0)
    for instructions in compiled.instruction_sets():
        core = Compiled(network, instructions=instructions)
        assert distance(core.loss_gradient(parameters, images, labels)[1], exact) <= 1e-5, spec
        bits = []
        for core._core.sparse_below in (0, 2):  # all stages dense, all sparse
            bits.append(core.loss_gradient(few, images, labels)[1].tobytes())
        assert bits[0] == bits[1]


def test_zeroing_turned_kernels_decides_as_the_naive_loop() -> None:
    spec = ["conv 4 k3 turns", "abs", "maxpool 3", "conv 4 k3 turns", "abs", "maxpool 2", "linear 10"]
    network, parameters, images, _ = case(spec, n=60)
    core = Compiled(network, *NORMAL)
    labels = core.logits(parameters, images).argmax(axis=1)
    candidates = np.random.default_rng(0).permutation(network.size)[:40]
    mask = core.zero_one_by_one(parameters, candidates, images, labels, 54)
    twin = Twin(network, *NORMAL)
    assert 0 < (~mask).sum() < 40
    assert (mask == twin.zero_one_by_one(parameters, candidates, images, labels, 54)).all()
    for one, other in zip(
        core.zero_alone(parameters, candidates, images, labels),
        twin.zero_alone(parameters, candidates, images, labels),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.mark.parametrize("batch", [1, 14, 64, 300])
def test_an_epoch_of_adam_is_that_of_the_plain_loop_and_of_torch_optim(batch: int) -> None:
    import torch

    n = 30 if batch == 1 else 200
    network, parameters, images, labels = case(BLOG, n=n)
    mask = np.random.default_rng(2).random(network.size) < 0.7
    order = np.random.default_rng(3).permutation(n)
    rates = np.linspace(2e-3, 1e-3, -(-n // batch))
    core, exact = Compiled(network, *NORMAL), Twin(network, *NORMAL, dtype="float64")

    def run(which: str) -> tuple[float, np.ndarray]:
        p, m, v = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
        loss = 0.0
        for epoch in range(2):
            step = epoch * len(rates)
            if which == "plain":
                p[~mask] = 0
                loss = Engine._adam_epoch(
                    core,
                    p,
                    m,
                    v,
                    step,
                    images,
                    labels[order],
                    order,
                    batch,
                    rates,
                    (0.9, 0.999),
                    1e-8,
                    mask,
                    0.1,
                )
            else:
                loss = core.adam_epoch(
                    p, m, v, step, images, labels, order, batch, rates, mask=mask, smoothing=0.1
                )
        return loss, p

    (loss, fast), (plain_loss, plain) = run("fast"), run("plain")
    start = np.where(mask, parameters, 0).astype(np.float32)
    assert loss == pytest.approx(plain_loss, rel=1e-6)
    assert distance(fast - start, plain - start) <= 1e-4
    assert (fast[~mask] == 0).all()

    p = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([p], lr=1.0)
    for _ in range(2):
        for k, at in enumerate(range(0, n, batch)):
            rows = order[at : at + batch]
            now = p.detach().numpy().astype(np.float32)
            gradient = exact.exact_loss_gradient(now, images, labels[rows], rows, 0.1)[1]
            p.grad = torch.from_numpy(gradient * mask)
            adam.param_groups[0]["lr"] = float(rates[k])
            adam.step()
    assert (
        distance(fast - start, p.detach().numpy() - start) <= 1e-3
    )  # float32 against float64, rounding adds up


@pytest.mark.parametrize("seed", range(10))
def test_zeroing_decides_exactly_as_the_naive_loop(seed: int) -> None:
    """Masks, counts and progress; kept maps and none; tied kernels, groups, biases and slopes too."""
    rng = np.random.default_rng(seed)
    spec = [NORMALISED, FINE, SERIES, STRIDED][seed] if seed < 4 else []
    shape = SHAPES.get(tuple(spec), (1, 28, 28))
    if seed > 3:
        shape = (int(rng.integers(1, 3)), int(rng.integers(6, 15)), int(rng.integers(6, 15)))
        spec = random_spec(rng, shape)
    network = Network.parse(spec, shape)
    parameters = random_parameters(rng, network)
    n = int(rng.integers(20, 200))
    images = random_images(rng, n, shape)
    for instructions in compiled.instruction_sets():
        for threads, memory in ((1, 1 << 30), (2, 1 << 30), (2, 0)):
            core = Compiled(network, *NORMAL, threads, instructions)
            core.sweep_bytes = memory
            labels = core.logits(parameters, images).argmax(axis=1)
            labels[: n // 4] = rng.integers(0, 10, n // 4)
            threshold = int(core.correct(parameters, images, labels) * 0.9)
            candidates = rng.permutation(network.size)[:40]
            seen: list[tuple[int, int, int]] = []
            expected: list[tuple[int, int, int]] = []
            mask = core.zero_one_by_one(
                parameters, candidates, images, labels, threshold, lambda *p, to=seen: to.append(p), 7
            )
            naive = Engine._zero_one_by_one(
                core,
                parameters.copy(),
                candidates,
                images,
                labels,
                threshold,
                lambda *p, to=expected: to.append(p),
                7,
            )
            assert (mask == naive).all(), network.spec
            assert seen == expected, network.spec
            alone = core.zero_alone(parameters, candidates, images, labels)
            naive_alone = Engine._zero_alone(core, parameters, candidates, images, labels)
            assert (alone[0] == naive_alone[0]).all()
            np.testing.assert_allclose(alone[1], naive_alone[1], rtol=1e-5, atol=1e-6)


def test_a_sweep_resumes_from_the_masked_parameters() -> None:
    network, parameters, images, _ = case(BLOG, n=200)
    core = Compiled(network, *NORMAL)
    labels = core.logits(parameters, images).argmax(axis=1)
    candidates = network.weights()[::5]
    whole = core.zero_one_by_one(parameters, candidates, images, labels, 180)
    first = core.zero_one_by_one(parameters, candidates[:60], images, labels, 180)
    second = core.zero_one_by_one(parameters * first, candidates[60:], images, labels, 180)
    assert ((first & second) == whole).all()


def test_an_exception_in_progress_ends_the_sweep() -> None:
    network, parameters, images, labels = case(BLOG)

    def stop(done: int, zeroed: int, correct: int) -> None:
        raise KeyboardInterrupt

    core = Compiled(network)
    with pytest.raises(KeyboardInterrupt):
        core.zero_one_by_one(parameters, network.weights(), images, labels, 0, stop)
    assert core.correct(parameters, images, labels) >= 0  # and leaves the engine usable


def test_the_twin_offers_the_same_and_agrees() -> None:
    network, parameters, images, labels = case(BLOG, n=40)
    both = [engine(network, mean=0.1, std=0.3, core=core) for core in ("compiled", "torch")]
    assert [e.core for e in both] == ["compiled", "torch"]
    candidates = network.weights()[:5]
    order = np.arange(40)
    results = []
    for e in both:
        p, m, v = parameters.copy(), np.zeros_like(parameters), np.zeros_like(parameters)
        e.adam_epoch(p, m, v, 0, images, labels, order, 16, 1e-3)
        results.append(
            [
                e.logits(parameters, images),
                np.array(e.correct(parameters, images, labels)),
                e.loss_gradient(parameters, images, labels)[1],
                e.micro_gradients(parameters, images, labels, order, 8),
                e.zero_alone(parameters, candidates, images, labels)[1],
                p,
            ]
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_dropout_runs_on_the_twin_which_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    network = Network.parse(["conv 2 k5", "dropout 0.5", "linear 10"])
    assert engine(network).core == engine(network).core == "torch"
    assert capsys.readouterr().err.count("slower PyTorch core") == 1
    with pytest.raises(GolfError, match="dropout"):
        engine(network, core="compiled")


def test_the_compiled_engine_does_not_import_torch() -> None:
    code = (
        "import sys; from neural_golf.engine import engine; from neural_golf.net.spec import Network; "
        "assert engine(Network.parse(['linear 10'])).core == 'compiled'; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_core_of_another_version_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled._core, "interface", 1)
    with pytest.raises(GolfError, match="builds it again"):
        importlib.reload(compiled)


def test_an_unknown_instruction_set_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network.parse(["linear 10"])
    monkeypatch.setenv("GOLF_INSTRUCTIONS", "plain")
    assert Compiled(network).instructions == "plain"
    monkeypatch.setenv("GOLF_INSTRUCTIONS", "mmx")
    with pytest.raises(GolfError, match="mmx"):
        Compiled(network)


@pytest.mark.parametrize("core", ["compiled", "torch"])
def test_bad_input_is_an_error_with_one_clear_line(core: Any) -> None:
    network, parameters, images, labels = case(BLOG, n=40)
    e = engine(network, core=core)
    floats = (images / 255).astype(np.float32)

    def spoilt(array: np.ndarray, value: float) -> np.ndarray:
        out = array.copy()
        out.reshape(-1)[-1] = value
        return out

    zeros = np.zeros_like(parameters)
    calls: dict[str, Any] = {
        "parameters 819 is not a finite": lambda: e.logits(spoilt(parameters, np.nan), images),
        "parameters 819 is not": lambda: e.correct(spoilt(parameters, np.inf), images, labels),
        "parameters of shape": lambda: e.logits(parameters[1:], images),
        "an image has a value": lambda: e.logits(parameters, spoilt(floats, np.nan)),
        "an image has": lambda: e.loss_gradient(parameters, spoilt(floats, -np.inf), labels),
        "images of type int64": lambda: e.logits(parameters, images.astype(np.int64)),
        "images of shape": lambda: e.logits(parameters, images[:, :, 1:]),
        "labels -1": lambda: e.loss_gradient(parameters, images, spoilt(labels, -1)),
        "labels 0 … 10 of": lambda: e.correct(parameters, images, np.r_[labels[1:] * 0, 10]),
        "labels of shape": lambda: e.correct(parameters, images, labels[1:]),
        "targets of shape": lambda: e.loss_gradient(parameters, images, np.ones((40, 9), np.float32)),
        "a soft target": lambda: e.loss_gradient(parameters, images, np.full((40, 10), np.nan)),
        "index 0 … 40": lambda: e.logits(parameters, images, np.array([0, 40])),
        "index -1": lambda: e.logits(parameters, images, np.array([-1])),
        "smoothing": lambda: e.loss_gradient(parameters, images, labels, smoothing=1.0),
        "mean loss of no images": lambda: e.loss_gradient(parameters, images, labels, labels[:0]),
        "whole micro-batches": lambda: e.micro_gradients(parameters, images, labels, None, 7),
        "candidates": lambda: e.zero_alone(parameters, np.array([820]), images, labels),
        "writeable float32": lambda: e.adam_epoch(
            zeros.astype(float), zeros, zeros, 0, images, labels, labels, 9, 0.1
        ),
        "mask must": lambda: e.loss_gradient(parameters, images, labels, mask=np.ones(9, bool)),
        "lr must": lambda: e.adam_epoch(zeros, zeros, zeros, 0, images, labels, labels, 9, np.nan),
        "a lower learning rate": lambda: e.adam_epoch(
            parameters.copy(), zeros.copy(), zeros.copy(), 0, images, labels, np.arange(40), 4, 1e30
        ),
    }
    for message, call in calls.items():
        with pytest.raises(GolfError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    for bad in ({"std": 0.0}, {"mean": np.nan}, {"threads": 0}, {"core": "numba"}):
        with pytest.raises(GolfError):
            engine(network, **bad)


def test_a_warp_shifts_turns_and_stretches() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 1, 28, 27)).astype(np.uint8)
    index = rng.permutation(20)
    same = np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (20, 1, 1))
    assert (transform(images, index, same) == images[index]).all()
    shift = same + np.array([[0, 0, 2], [0, 0, -1]], np.float32)  # reads 2 to the right, 1 above
    moved = transform(images, index, shift)
    assert (moved[:, :, 1:, :-2] == images[index][:, :, :-1, 2:]).all()
    assert (moved[:, :, 0] == 0).all() and (moved[..., -2:] == 0).all()
    turn = np.tile(np.array([[-1, 0, 0], [0, -1, 0]], np.float32), (20, 1, 1))
    assert (transform(images, index, turn) == images[index][:, :, ::-1, ::-1]).all()
    even = np.zeros((20, 2, 4, 4), np.float32)
    even[:, 0] = 2
    even[:, 1] = -1
    assert (transform(images, index, same, even) == moved).all()


@pytest.mark.parametrize("width", [1, 19, 70])  # the kernel does 32 columns at a time
@pytest.mark.parametrize("knots", [0, 2, 5])
def test_the_compiled_warp_is_the_plain_one_within_a_grey_level(knots: int, width: int) -> None:
    rng = np.random.default_rng(knots)
    images = rng.integers(0, 256, (50, 2, 28, width)).astype(np.uint8)
    index = rng.integers(0, 50, 300)
    affine = (np.eye(2, 3) + rng.normal(size=(300, 2, 3)) * [0.2, 0.2, 4]).astype(np.float32)
    grid = rng.normal(size=(300, 2, knots, knots)).astype(np.float32) * 2 if knots else None
    fast = transform(images, index, affine, grid, threads=2).astype(int)
    plain = transform_plain(images, index, affine, grid).astype(int)
    assert abs(fast - plain).max() <= 1
    assert (fast != plain).mean() < 1e-3
    with pytest.raises(GolfError):
        transform(images, index, affine * np.float32(np.nan), grid)
