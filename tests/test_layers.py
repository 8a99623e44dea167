"""Every layer kind of the table: read from a spec, and the same in numpy, PyTorch, the engine and ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from neural_golf.base.errors import GolfError
from neural_golf.engine import engine
from neural_golf.net.layers import KINDS
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import initialise
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

# How each kind is written that takes words; the others are their name. The first way is one without options.
WRITTEN = {
    "conv": [
        "conv 6 k3",
        "conv 6 k3 same g2",
        "conv 6 k3 d2",
        "conv 6 k5 same d2 g2",
        "conv 6 k2 d5",
        "conv 6 k1x5",
        "conv 6 k4x2",
        "conv 6 k5x1 same",
        "conv 6 k3 s2",
        "conv 6 k3 same s3",
        "conv 6 k2 s3x1",
        "conv 6 k3x1 s1x2 d2x1 g2",
        "conv 6 k1x3 same d1x4 s2x5",
    ],
    "linear": ["linear 7", "linear 7 nobias"],
    "leaky": ["leaky 0.2"],
    # Maps are 11x11: windows that overlap, that leave pixels out, at a border, and strides that leave a remainder.
    "maxpool": [
        "maxpool 4",
        "maxpool 2 s1",
        "maxpool 3 s2",
        "maxpool 3 s2 p1",
        "maxpool 5 s3 p2",
        "maxpool 2 s3 p1",
        "maxpool 3 p1",
        "maxpool 1x2",
        "maxpool 3x2",
        "maxpool 2x3 s1x2",
        "maxpool 1x3 s1x2 p0x1",
        "maxpool 4x2 s3 p2x1",
    ],
    "avgpool": [
        "avgpool 4",
        "avgpool 2 s1",
        "avgpool 3 s2",
        "avgpool 4 s3",
        "avgpool 2 s4",
        "avgpool 1x3",
        "avgpool 3x2 s2x1",
    ],
    "add": ["add conv1"],
    "dropout": ["dropout 0.5"],
}
BETWEEN = {"add": ["leaky 0.2"]}  # what has to stand between the first convolution and a kind
WAYS = [words for kind in KINDS for words in WRITTEN.get(kind, [kind])]


def network(words: str) -> Network:
    kind = words.split()[0]
    after = [] if KINDS[kind].ends else ["conv 5 k2"]
    return Network.parse(["conv 4 k4", *BETWEEN.get(kind, []), words, *after, "linear 10"], (1, 14, 14))


def sample(words: str, rng: np.random.Generator) -> tuple[Network, np.ndarray, np.ndarray]:
    net = network(words)
    parameters = initialise(net, rng) + rng.normal(0, 0.1, net.size).astype(np.float32)
    return net, parameters, rng.random((5, *net.in_shape), np.float32)


def logits(net: Network, parameters: np.ndarray, images: np.ndarray) -> np.ndarray:
    last = Plain(net, parameters).forward(images.transpose(1, 2, 3, 0))[-1]
    return last.reshape(net.classes, -1).T


def test_the_tests_know_how_every_kind_is_written() -> None:
    assert WRITTEN.keys() == {name for name, kind in KINDS.items() if kind.usage != name}


def test_what_the_page_of_the_engine_lists_is_how_kinds_are_written() -> None:
    page = (Path(__file__).parent.parent / "docs/engine.md").read_text(encoding="utf-8")
    listed = page.split("<!-- layers: begin -->")[1].split("<!-- layers: end -->")[0].strip().splitlines()[2:]
    kinds = [f"| `{kind.usage}` | {kind.title} |" for kind in KINDS.values()]
    assert len(listed) > 10
    assert [line for line in listed if line not in kinds] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_read_and_a_word_too_many_refused(kind: str) -> None:
    words = WRITTEN.get(kind, [kind])[0]
    assert network(words).layers[1 + len(BETWEEN.get(kind, []))].kind == kind
    assert KINDS[kind].usage.split()[0] == kind and KINDS[kind].title
    with pytest.raises(GolfError, match=f"network layer '{kind} "):
        Network.parse([f"{words} 9 9"])


@pytest.mark.parametrize("words", WAYS)
def test_numpy_computes_what_the_twin_and_the_engine_compute(words: str, rng: np.random.Generator) -> None:
    pytest.importorskip("torch", reason="the twin needs torch")
    net, parameters, images = sample(words, rng)
    found = logits(net, parameters, images)
    np.testing.assert_allclose(found, engine(net, core="torch").logits(parameters, images), atol=1e-5)
    if KINDS[words.split()[0]].core:
        pytest.importorskip("neural_golf.engine.compiled", reason="the compiled core is not built")
        compiled = engine(net, core="compiled").logits(parameters, images)
        np.testing.assert_allclose(found, compiled, atol=1e-5)


@pytest.mark.parametrize("words", WAYS)
def test_onnxruntime_computes_what_numpy_computes(words: str, rng: np.random.Generator) -> None:
    net, parameters, images = sample(words, rng)
    session = onnxruntime.InferenceSession(model_proto(net, parameters, {}).SerializeToString())
    (found,) = session.run(["logits"], {"image": images})
    np.testing.assert_allclose(found, logits(net, parameters, images), atol=1e-5)


@pytest.mark.parametrize("words", WAYS)
def test_the_gradient_of_the_image_is_the_twins(words: str, rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch", reason="the twin needs torch")
    from neural_golf.engine.twin import Twin

    net, parameters, images = sample(words, rng)
    parameters, images = parameters.astype(np.float64), images.astype(np.float64)
    wanted = rng.normal(size=(5, net.classes))
    x = torch.from_numpy(images).requires_grad_()
    twin = Twin(net, dtype="float64").forward(torch.from_numpy(parameters), x)
    (expected,) = torch.autograd.grad((twin * torch.from_numpy(wanted)).sum(), x)
    plain = Plain(net, parameters)
    maps = plain.forward(images.transpose(1, 2, 3, 0))
    found = plain.backward(maps, wanted.T.reshape(maps[-1].shape))
    np.testing.assert_allclose(found.transpose(3, 0, 1, 2), expected.numpy(), rtol=1e-9, atol=1e-12)


def test_of_equal_numbers_the_first_takes_the_gradient_of_max_pooling() -> None:
    net = Network.parse(["maxpool 2", "linear 1"], (1, 4, 4))
    plain = Plain(net, np.ones(net.size, np.float32))
    back = plain.backward(plain.forward(np.ones((1, 4, 4, 1), np.float32)), np.ones((1, 1, 1, 1), np.float32))
    assert back[0, :, :, 0].tolist() == [[1, 0, 1, 0], [0] * 4, [1, 0, 1, 0], [0] * 4]


@pytest.mark.parametrize("words", ["turns", "turns mirrors", "d2 turns", "d2 turns mirrors", "s5 turns"])
def test_kernels_in_several_positions_are_written_out(words: str, rng: np.random.Generator) -> None:
    later = words.removeprefix("s5 ")
    net = Network.parse([f"conv 8 k3 {words}", "abs", "maxpool 3 s2", f"conv 8 k3 same {later}", "linear 10"])
    parameters = initialise(net, rng)
    images = rng.random((3, 1, 28, 28), np.float32)
    np.testing.assert_allclose(
        logits(net, parameters, images), engine(net).logits(parameters, images), atol=1e-5
    )


def test_pytorch_has_a_module_for_every_kind_and_tied_kernels_are_one() -> None:
    torch = pytest.importorskip("torch")
    from neural_golf.engine.modules import MODULES, sequential

    assert MODULES.keys() == KINDS.keys()
    net = Network.parse(["conv 4 k3", "conv 4 k3", "conv 4 k3 tied=conv2", "gap", "linear 10"])
    module = sequential(net.layers)
    assert [p.shape for p in module.parameters()] == [torch.Size(t.shape) for t in net.tensors]


RESIDUAL = [  # sums of maps and of numbers, one map added twice, a sum added to another, over a pool that cuts off
    ["conv 4 k3", "prelu", "conv 4 k3 same", "abs", "add prelu1", "conv 4 k3 same", "add prelu1", "add add1", "linear 10"],
    ["conv 6 k3", "maxpool 2 s1", "conv 6 k3 same", "relu", "maxpool 3 s1 p1", "add maxpool1", "gap", "linear 6", "add gap1", "linear 10"],
    ["linear 8", "relu", "linear 8", "add relu1", "prelu", "linear 10", "abs", "add linear3"],
    ["conv 4 k7", "abs", "conv 4 k4", "relu", "maxpool 2", *["maxpool 2 s1 p1"] * 3, "conv 4 k3 same", "add conv2", "linear 10"],
]  # fmt: skip


@pytest.mark.parametrize("spec", RESIDUAL)
def test_sums_are_the_same_everywhere_and_so_are_their_gradients(
    spec: list[str], rng: np.random.Generator
) -> None:
    pytest.importorskip("torch", reason="the twin needs torch")
    compiled = pytest.importorskip("neural_golf.engine.compiled", reason="the compiled core is not built")
    from neural_golf.engine.twin import Twin

    net = Network.parse(spec, (1, 14, 14))
    parameters = initialise(net, rng) + rng.normal(0, 0.1, net.size).astype(np.float32)
    images, labels = rng.random((21, 1, 14, 14), np.float32), rng.integers(0, 10, 21)
    exact = Twin(net, dtype="float64")
    _, gradient = exact.exact_loss_gradient(parameters, images, labels)
    wanted = exact.exact_logits(parameters, images)
    np.testing.assert_allclose(logits(net, parameters, images), wanted, atol=1e-4)
    session = onnxruntime.InferenceSession(model_proto(net, parameters, {}).SerializeToString())
    np.testing.assert_allclose(session.run(["logits"], {"image": images})[0], wanted, atol=1e-4)
    for instructions in compiled.instruction_sets():
        core = compiled.Compiled(net, instructions=instructions)
        for _ in range(3):  # nothing is left over from one time to the next
            found = core.loss_gradient(parameters, images, labels)[1]
            np.testing.assert_allclose(found, gradient, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(core.logits(parameters, images), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        (["conv 4 k3", "add conv1", "linear 10"], "added to itself"),
        (["conv 4 k3", "dropout 0.5", "add conv1", "linear 10"], "added to itself"),
        (["conv 4 k3", "dropout 0.5", "abs", "add dropout1", "linear 10"], "there are: conv1 abs1"),
        (["add conv1", "linear 10"], "there are: none"),
        (["conv 4 k3", "conv 4 k3", "add conv1", "linear 10"], "only equal shapes"),
        (["conv 4 k3", "abs", "conv 4 k1 turns", "add conv1", "linear 10"], "number of positions"),
        (["conv 8 k3x5 turns", "linear 10"], "must be square"),
        (["conv 8 k3 d1x2 turns", "linear 10"], "must be square"),
        (["conv 8 k3 s2 turns", "linear 10"], "leaves out the last 1 row"),
        (["conv 8 k1x50", "linear 10"], "at most 49 pixels"),
        (["conv 8 k3x4 same", "linear 10"], "`same` needs odd sides"),
        (["conv 8 k3x0", "linear 10"], "positive whole numbers"),
        (["conv 8 k3x1000001", "linear 10"], "positive whole numbers up to 1,000,000"),
        (["conv 999999999 k3", "linear 10"], "'999999999' should be a positive whole number, at most 1,000,000"),
        ([f"linear {'9' * 5000}"], "should be a positive whole number, at most 1,000,000"),
        (["conv 8 k3x", "linear 10"], "positive whole numbers"),
        (["conv 8 k3 g1x2", "linear 10"], "groups are one number"),
        (["maxpool 2 p0x0", "linear 10"], "positive whole numbers"),
        (["maxpool 2 s0x1", "linear 10"], "positive whole numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(spec: list[str], why: str) -> None:
    with pytest.raises(GolfError, match=why) as caught:
        Network.parse(spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        [
            "conv 4 k3 nobias",
            "conv 16 k3 nobias turns tied=conv1",
            "abs",
            "conv 4 k3 nobias",
            "gap",
            "linear 10",
        ],
        [
            "conv 4 k3 turns",
            "abs",
            "conv 4 k3 turns tied=conv1",
            "abs",
            "conv 4 k3 turns tied=conv1",
            "linear 10",
        ],
        [
            "conv 4 k3",
            "conv 4 k3 tied=conv1",
            "abs",
            "conv 32 k3 turns mirrors tied=conv1",
            "gap",
            "linear 10",
        ],
    ],
)
def test_a_tied_kernel_in_other_positions_is_written_out_anew(
    spec: list[str], rng: np.random.Generator
) -> None:
    """The ONNX graph turns images instead of kernels, so it knows nothing of how kernels are written out."""
    net = Network.parse(spec, (4, 12, 12))
    parameters = initialise(net, rng) + rng.normal(0, 0.1, net.size).astype(np.float32)
    images = rng.random((5, 4, 12, 12), np.float32)
    session = onnxruntime.InferenceSession(model_proto(net, parameters, {}).SerializeToString())
    (wanted,) = session.run(["logits"], {"image": images})
    np.testing.assert_allclose(logits(net, parameters, images), wanted, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(
        engine(net).logits(parameters, images), wanted, atol=1e-4 * np.abs(wanted).max()
    )
