"""`golf prune`: somebody's ONNX file in, one with fewer non-zero parameters out, judged on held-out images."""

from __future__ import annotations

import csv
import json
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import nets
from nets import mean_net
from neural_golf import cli
from neural_golf.base.files import read_tensors
from neural_golf.compress import zeroing
from neural_golf.data.given import Given, given
from neural_golf.engine import engine
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.spec import Network
from neural_golf.prune.making import descended
from neural_golf.train import fit

ROOT = Path(__file__).parent.parent
F = np.float32
Digits = tuple[np.ndarray, np.ndarray]
SPEC = ("conv 6 k3", "relu", "maxpool 2", "conv 8 k3", "relu", "maxpool 2", "linear 10")  # 2,510 parameters
SETTINGS = fit.Settings(epochs=15, batch=32, learning_rate=0.005, step=5, gamma=0.4, mean=0.13, std=0.31)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, digits: Digits) -> Path:
    """A folder with scikit-learn's digits as digits.npz and a network that was trained on them as net.onnx."""
    folder = tmp_path_factory.mktemp("prune")
    images, labels = digits
    np.savez(
        folder / "digits.npz", x_train=images[:1500], y_train=labels[:1500], x_test=images[1500:],
        y_test=labels[1500:],
    )  # fmt: skip
    network = Network.parse(SPEC)
    trained = fit.fit(network, given(str(folder / "digits.npz")).train, SETTINGS, 0, lambda *_: True)
    foreign(network, trained, folder / "net.onnx")
    return folder


@pytest.fixture
def here(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for a test, entered."""
    monkeypatch.chdir(tmp_path)
    return place


def foreign(network: Network, parameters: np.ndarray, path: Path, relu: str = "Relu") -> None:
    """The network as another tool might write it: each kernel followed by a batch normalisation that has a part
    of it, a Softmax at the end, and nothing said of what is in it.
    """
    made, rng = model_proto(network, parameters, {}), np.random.default_rng(0)
    graph = made.graph
    del made.metadata_props[:]
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for number, one in enumerate(graph.node):
        if one.op_type == "Relu" and relu == "Clip":
            one = onnx.helper.make_node("Clip", [one.input[0], "low", "high"], [one.output[0]], one.name)
            values |= {"low": np.array(0, F), "high": np.array(60, F)}
        nodes.append(one)
        if one.op_type == "Conv":
            out, part = one.output[0], rng.uniform(0.5, 2, len(values[one.input[1]])).astype(F)
            values[one.input[1]] = values[one.input[1]] / part[:, None, None, None]
            bias = values.pop(one.input[2])
            del one.input[2]
            one.output[0] = f"{out}_raw"
            zero, unit = np.zeros_like(part), np.full_like(part, 1 - 1e-5)
            more = {"gain": part, "bias": bias, "mean": zero, "var": unit}
            values |= {f"bn{number}.{k}": v for k, v in more.items()}
            names = [f"bn{number}.{k}" for k in more]
            nodes.append(
                onnx.helper.make_node("BatchNormalization", [f"{out}_raw", *names], [out], f"bn{number}")
            )
    nodes.append(onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1))
    graph.output[0].name = "probabilities"
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in values.items())
    path.write_bytes(made.SerializeToString())


def prune(model: Path, data: Path, keep: float, *more: str, output: str = "small.onnx") -> int:
    return cli.main(["prune", str(model), "--data", str(data), "--keep", f"{keep:.4f}", "-o", output, *more])


def right(path: Path, parts: Given, pixels: Any) -> float:
    """The share of the held-out images that a file gets right, by onnxruntime."""
    session = onnxruntime.InferenceSession(path.read_bytes())
    shown = pixels(parts.heldout.pixels / F(255)).astype(F)
    (answers,) = session.run(None, {session.get_inputs()[0].name: shown})
    return float((answers.argmax(axis=1) == parts.heldout.labels).mean())


def table() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("small.csv").read_text().splitlines()))


def as_is(unit: np.ndarray) -> np.ndarray:
    return unit


def test_a_network_is_zeroed_and_told_of(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = given(str(here / "digits.npz"))
    keep = right(here / "net.onnx", parts, as_is) - 0.01
    start = time.perf_counter()
    assert prune(here / "net.onnx", here / "digits.npz", keep) == 0
    seconds = time.perf_counter() - start
    told = json.loads(Path("small.json").read_text())
    network, parameters = unpack(Path("small.onnx").read_bytes(), "small.onnx")
    assert network.spec == SPEC and told["size"] == 2510
    assert told["nonzero"] == np.count_nonzero(parameters) <= 700
    assert right(Path("small.onnx"), parts, as_is) == told["heldout_right"] / len(parts.heldout) >= keep
    assert told["test"] == 297 and told["test_right"] <= 297
    rows = table()
    assert int(rows[0]["nonzero"]) == 2510 and int(rows[-1]["nonzero"]) == told["nonzero"]
    assert float(rows[-1]["heldout_accuracy"]) >= keep - 1e-4
    assert Path("small.svg").read_text().startswith("<?xml")
    said = capsys.readouterr().out
    assert "of 297 test images right, which chose nothing" in said and "conv 6 k3, relu" in said
    print(f"{told['nonzero']} parameters after {seconds:.1f} s")


def test_a_killed_pruning_goes_on_to_the_same_bytes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = right(here / "net.onnx", given(str(here / "digits.npz")), as_is) - 0.02
    prune(here / "net.onnx", here / "digits.npz", keep, output="want.onnx")
    want = Path("want.onnx").read_bytes()
    Path(".golf").rename("done")
    say, said = zeroing.longwork.say, 0

    def kill(*words: str) -> None:
        nonlocal said
        said += 1
        if said == 5:
            raise KeyboardInterrupt
        say(*words)

    with monkeypatch.context() as patch:
        patch.setattr(zeroing.longwork, "say", kill)
        assert prune(here / "net.onnx", here / "digits.npz", keep) == 130
    assert not list(Path().glob("small*")), "whole or not at all"
    prune(here / "net.onnx", here / "digits.npz", keep)
    assert Path("small.onnx").read_bytes() == want


def test_retraining_leaves_fewer(here: Path) -> None:
    parts = given(str(here / "digits.npz"))
    keep = right(here / "net.onnx", parts, as_is) - 0.01
    prune(here / "net.onnx", here / "digits.npz", keep, output="zeroed.onnx")
    prune(here / "net.onnx", here / "digits.npz", keep, "--retrain")
    found = [json.loads(Path(f"{name}.json").read_text())["nonzero"] for name in ("zeroed", "small")]
    assert found[1] < found[0] and found[1] <= 400
    assert right(Path("small.onnx"), parts, as_is) >= keep
    steps = {row["step"] for row in table()}
    assert steps >= {"as given", "zeroed", "retrained"}
    print(f"zeroed {found[0]}, retrained {found[1]}")


def test_what_the_engine_does_not_know_onnxruntime_prunes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = given(str(here / "digits.npz"))
    network = Network.parse(["conv 4 k5", "relu", "maxpool 4", "linear 10"])
    parameters = fit.fit(network, parts.train, SETTINGS, 1, lambda *_: True)
    foreign(network, parameters, Path("clip.onnx"), "Clip")
    keep = right(Path("clip.onnx"), parts, as_is) - 0.02
    assert prune(Path("clip.onnx"), here / "digits.npz", keep) == 0
    said = capsys.readouterr().out
    assert "clips to 0 … 60" in said and "so onnxruntime runs it, which takes longer" in said
    told = json.loads(Path("small.json").read_text())
    assert told["counted"] == "weights" and told["nonzero"] < told["size"] / 2
    assert right(Path("small.onnx"), parts, as_is) == told["heldout_right"] / len(parts.heldout) >= keep
    small = onnx.load("small.onnx")
    assert [n.op_type for n in small.graph.node] == [n.op_type for n in onnx.load("clip.onnx").graph.node]
    assert [v.name for v in small.graph.input] == ["image"]
    assert prune(Path("clip.onnx"), here / "digits.npz", keep, "--retrain") == 1
    assert "without --retrain, onnxruntime can prune it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keep", "data", "output", "message"),
    [
        (98.0, "digits.npz", "small.onnx", "--keep 98 should be a share between 0 and 1, such as 0.98"),
        (0.9999, "digits.npz", "small.onnx", "below --keep 0.9999, so there is nothing to prune"),
        (0.9, "digits.npz", "small.pt", "small.pt should end in .onnx"),
        (0.9, "digits.npz", "folder.onnx", "-o folder.onnx is a folder; choose another name"),
        (0.9, "digits.npz", "again/../same.onnx", "same.onnx is the network itself, which would be lost"),
        (0.9, "text.csv", "small.onnx", "golf prune: text.csv needs a header with a column `label`"),
        (0.9, "none.npz", "small.onnx", "there is no file"),
        (0.9, "none", "small.onnx", "golf prune: --data none: there is no such file or folder"),
        (0.9, "digits.npz", "beside.onnx", "-o beside.onnx: beside.csv, which stands beside it, is a folder"),
    ],
)
def test_what_cannot_be_pruned_is_said_in_one_line(
    keep: float, data: str, output: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = here / data if data.endswith(".npz") else Path(data)
    Path("text.csv").write_text("class,one,two\n0,1,2\n")
    Path("folder.onnx").mkdir()
    Path("beside.csv").mkdir()
    Path("again").mkdir()
    shutil.copyfile(here / "net.onnx", "same.onnx")
    assert prune(Path("same.onnx"), source, keep, output=output) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith("golf prune: ") and message in said[0]
    have = ["again", "beside.csv", "folder.onnx", "same.onnx", "text.csv"]
    assert sorted(path.name for path in Path().iterdir()) == have


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nan.onnx", "nan.onnx: tensor 'linear1.weight' holds NaN or infinity"),
        ("small.golf", "small.golf is no ONNX file: `golf unpack small.golf -o small.onnx` makes one of it"),
        ("empty.onnx", "empty.onnx is empty"),
    ],
)
def test_a_file_that_holds_no_usable_network_is_told(
    file: str, message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network.parse(["linear 10"])
    made = model_proto(network, np.full(network.size, np.inf, F), {}).SerializeToString()
    Path(file).write_bytes(made if file == "nan.onnx" else b"")
    assert prune(Path(file), here / "digits.npz", 0.5, output="made.onnx") == 1
    assert capsys.readouterr() == ("", f"golf prune: {message}\n")


@pytest.mark.parametrize(
    "operator",
    ["RandomNormalLike", "RandomUniformLike", "RandomNormal", "RandomUniform", "Multinomial", "Bernoulli",
     "Dropout"],
)  # fmt: skip
def test_a_network_that_answers_otherwise_every_time_is_refused(
    operator: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = "" if operator in ("RandomNormal", "RandomUniform") else "f"
    more = {"shape": [1, 1]} if not inputs else {"dtype": 1} if operator == "Multinomial" else {}
    if operator == "Dropout":
        inputs = "f half yes"
    made = mean_net(
        nets.node(operator, inputs, "n", **more), nets.node("Add", "f n", "g"),
        constants={"half": np.array(0.5, F), "yes": np.array(True)},
    )  # fmt: skip
    Path("noise.onnx").write_bytes(made.SerializeToString())
    assert prune(Path("noise.onnx"), here / "digits.npz", 0.05) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"golf prune: noise.onnx: the layer {operator} (n)") and "every time" in said
    assert not Path("small.onnx").exists()


def test_only_the_picture_may_fail_when_the_network_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("small.svg").mkdir()
    assert prune(here / "net.onnx", here / "digits.npz", 0.5) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("golf prune: small.onnx is written")
    assert all(Path(f"small.{suffix}").is_file() for suffix in ("onnx", "csv", "json"))


def test_few_images_are_told_to_be_few(
    here: Path, capsys: pytest.CaptureFixture[str], digits: Digits
) -> None:
    images, labels = digits
    np.savez("few.npz", x_train=images[:100], y_train=labels[:100])
    assert prune(here / "net.onnx", Path("few.npz"), 0.5) == 0
    said = capsys.readouterr().out
    assert "few.npz: only 20 held-out images decide" in said and "--retrain" not in said
    assert prune(here / "net.onnx", Path("few.npz"), 0.5, "--retrain") == 0
    assert "80 training images are few for --retrain" in capsys.readouterr().out


def test_where_every_weight_could_go_nothing_is_trained(here: Path) -> None:
    network = Network.parse(SPEC)
    none = np.zeros(network.size, F)
    parts = given(str(here / "digits.npz"))
    assert descended(engine(network), none + 1, none, parts, 0, 0)[1] == []


def test_images_and_classes_must_fit(
    here: Path, capsys: pytest.CaptureFixture[str], rng: np.random.Generator
) -> None:
    x, y = rng.integers(0, 256, (40, 20, 20), np.uint8), np.arange(40) % 4
    np.savez("other.npz", x_train=x, y_train=y)
    assert prune(here / "net.onnx", Path("other.npz"), 0.9) == 1
    assert "takes [any, 1, 28, 28], which images of 1x20x20 do not fit" in capsys.readouterr().err
    np.savez("four.npz", x_train=rng.integers(0, 256, (40, 28, 28), np.uint8), y_train=y)
    assert prune(here / "net.onnx", Path("four.npz"), 0.9) == 1
    assert "has 10 outputs, but the data have 4 classes" in capsys.readouterr().err


def test_a_convolutional_network_of_pytorch_on_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2,510 parameters with the batch normalisation folded: at most 700 at half a point, 400 with retraining."""
    torch = pytest.importorskip("torch", reason="the torch extra brings torch")
    paths = [ROOT / "data" / f"{part}.safetensors" for part in ("train", "heldout")]
    if not all(path.exists() for path in paths):
        pytest.skip("data/ has no MNIST: `golf stage data` makes it")
    monkeypatch.chdir(tmp_path)
    parts = [read_tensors(path)[0] for path in paths]  # training images only; the test part stays unseen
    x, y = (np.concatenate([part[name] for part in parts]) for name in ("images", "labels"))
    if len(x) < 50_000:
        pytest.skip("data/ holds another data set than MNIST")
    np.savez("mnist.npz", x_train=x, y_train=y)
    found = given("mnist.npz")
    start = time.perf_counter()
    trained(torch, found, Path("cnn.onnx"))
    seconds = [time.perf_counter() - start]
    dense = right(Path("cnn.onnx"), found, lambda unit: (unit - 0.1307) / 0.3081)
    counts = []
    for more in ((), ("--retrain",)):
        start = time.perf_counter()
        assert prune(Path("cnn.onnx"), Path("mnist.npz"), dense - 0.005, *more) == 0
        seconds.append(time.perf_counter() - start)
        told = json.loads(Path("small.json").read_text())
        counts.append(told["nonzero"])
        assert told["size"] == 2510
        assert right(Path("small.onnx"), found, as_is) >= dense - 0.005
    assert "normalised by 0.1307 and 0.3081" in capsys.readouterr().out
    trained_in, *made_in = (f"{s:.1f} s" for s in seconds)
    with capsys.disabled():
        print(f"\ntrained in {trained_in} to {dense:.4f}; {counts} parameters after {chr(32).join(made_in)}")
    assert counts[0] <= 700 and counts[1] <= 400


def trained(torch: Any, parts: Given, path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # more only wait for one another on maps as small as these
    n = torch.nn
    net = n.Sequential(
        n.Conv2d(1, 6, 3, bias=False), n.BatchNorm2d(6), n.ReLU(), n.MaxPool2d(2),
        n.Conv2d(6, 8, 3, bias=False), n.BatchNorm2d(8), n.ReLU(), n.MaxPool2d(2), n.Flatten(), n.Linear(200, 10),
    )  # fmt: skip
    images = (torch.from_numpy(parts.train.pixels) / 255 - 0.1307) / 0.3081
    labels = torch.from_numpy(parts.train.labels).long()
    epochs, batch = 2, 256
    optimiser = torch.optim.Adam(net.parameters())
    falling = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.01, total_steps=epochs * -(-len(images) // batch)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            optimiser.zero_grad()
            n.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimiser.step()
            falling.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net.eval(), (torch.zeros(2, 1, 28, 28),), path, dynamo=False, dynamic_axes={"image": {0: "batch"}},
            input_names=["image"],
        )  # fmt: skip
