"""The referee on good files: the score, the verdict, the batch rule, the probe, and the command."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from nets import W10, linear_net, mean_net, model, node
from neural_golf import config, data
from neural_golf.base.errors import GolfError
from neural_golf.net.checkpoint import Run
from neural_golf.referee.challenge import Challenge, challenge_names, load_challenge, load_test_set, read_idx
from neural_golf.referee.cli import add_verify_arguments, run_verify, verdict_table
from neural_golf.referee.sandbox import Answer, Sandbox
from neural_golf.referee.verdict import LIMITS, Verdict, verify, verify_many
from neural_golf.results import verify as stage
from neural_golf.results.export import Exported, write_exported
from neural_golf.results.result import VERIFIED, Result, read_results

F = np.float32
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def challenge(images: int, threshold: int) -> Challenge:
    return load_challenge("mnist-98").model_copy(update={"images": images, "threshold": threshold})


@pytest.fixture(scope="module")
def linear(digits: Digits) -> tuple[np.ndarray, np.ndarray, int]:
    """Ridge regression on 600 digits: weight [784, 10], bias [10], and how many of all it gets right."""
    images, labels = digits
    x = images.reshape(len(images), -1).astype(np.float64) / 255
    x1 = np.hstack([x, np.ones((len(x), 1))])
    train = x1[:600]
    solved = np.linalg.solve(train.T @ train + np.eye(785), train.T @ np.eye(10)[labels[:600]])
    weight, bias = solved[:-1].astype(F), solved[-1].astype(F)
    correct = int(((x @ weight + bias).argmax(1) == labels).sum())
    assert correct > 0.85 * len(labels)  # a real classifier, so that a wrong feed would show
    return weight, bias, correct


HOW = ["matmul", "gemm", "conv", "softmax", "uint8"]


def test_scores_the_op_sets_of_other_exporters(
    tmp_path: Path, digits: Digits, linear: tuple[np.ndarray, np.ndarray, int]
) -> None:
    """MatMul + Add, Gemm with transB, one big Conv, with Softmax, on raw pixels; several op set versions."""
    weight, bias, correct = linear
    paths = []
    for how in HOW:
        for opset in (9, 13, 18, 21):
            paths.append(tmp_path / f"{how}-{opset}.onnx")
            paths[-1].write_bytes(linear_net(weight, bias, how, opset=opset).SerializeToString())
    verdicts = verify_many(paths, *digits)
    assert [(v.path, v.verdict, v.correct) for v in verdicts] == [(p.name, "PASS", correct) for p in paths]
    assert {v.parameters for v in verdicts} == {7850, 7851}  # the raw-pixel one also stores 255


@pytest.mark.parametrize("shape", [[1, 28, 28], [28, 28, 1], [28, 28], [784]])
@pytest.mark.parametrize("batch", ["batch", 1])
def test_accepts_each_layout_of_one_grey_image(
    tmp_path: Path,
    digits: Digits,
    linear: tuple[np.ndarray, np.ndarray, int],
    shape: list[int],
    batch: str | int,
) -> None:
    weight, bias, _ = linear
    images, labels = digits[0][:50], digits[1][:50]
    net = linear_net(weight, bias, "gemm", image=[batch, *shape])
    (tmp_path / "a.onnx").write_bytes(net.SerializeToString())
    want = (images.reshape(50, -1) / F(255) @ weight + bias).argmax(1)
    assert verify(tmp_path / "a.onnx", images, labels).correct == (want == labels).sum()


def save(path: Path, *body: object, **options: object) -> Path:
    path.write_bytes(mean_net(*body, **options).SerializeToString())  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def noise() -> Digits:
    """64 images of noise, each with a brightness of its own."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (64, 1, 28, 28)) * rng.uniform(0.05, 1, (64, 1, 1, 1))
    return images.astype(np.uint8), np.full(64, 9, np.uint8)


def test_passes_at_the_threshold_and_fails_one_below_it(tmp_path: Path, noise: Digits) -> None:
    path = save(tmp_path / "a.onnx")  # W10 rises, so the answer is always 9
    images, labels = noise
    labels = labels.copy()
    labels[:4] = 0
    at = verify(path, images, labels, challenge(64, 60))
    assert (at.verdict, at.correct, at.threshold, at.reason) == (
        "PASS",
        60,
        60,
        "60 of 64 correct, 60 needed",
    )
    below = verify(path, images, labels, challenge(64, 61))
    assert (below.verdict, below.correct) == ("FAIL", 60)


def test_the_first_maximum_wins(tmp_path: Path, noise: Digits) -> None:
    path = save(tmp_path / "a.onnx", constants={"w": np.ones((1, 10), F)})
    assert verify(path, noise[0], np.zeros(64, np.uint8)).correct == 64


def test_the_verdict_names_the_file_and_its_card(tmp_path: Path, noise: Digits) -> None:
    net = mean_net(metadata={"author": "Zo\u00eb\x1b[31m", "method": "by hand"})
    path = tmp_path / "a.onnx"
    path.write_bytes(net.SerializeToString())
    found = verify(path, *noise)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.metadata == {"author": "Zo\\xeb\\x1b[31m", "method": "by hand"}
    assert found.operators == {"Flatten": 1, "GlobalAveragePool": 1, "MatMul": 1}
    assert found.flags == ()
    assert json.loads(json.dumps(found.as_dict()))["flags"] == []


def test_the_same_file_gets_the_same_verdict(tmp_path: Path, noise: Digits) -> None:
    paths = [save(tmp_path / "a.onnx")] * 6
    assert len({str(v) for v in verify_many(paths, *noise, jobs=3)}) == 1


def test_verdicts_come_in_the_order_of_the_files(tmp_path: Path, noise: Digits) -> None:
    paths = [
        save(
            tmp_path / f"{i}.onnx",
            *(node("Mul", f"h{k - 1} v{k}" if k else "f v0", f"h{k}") for k in range(i)),
            node("Identity", f"h{i - 1}" if i else "f", "g"),
            constants={f"v{k}": np.array(k + 2, F) for k in range(i)},
        )
        for i in range(5)
    ]
    paths.insert(2, tmp_path / "none.onnx")
    found = verify_many(paths, *noise, jobs=2)
    assert [v.parameters for v in found] == [10, 11, None, 12, 13, 14]


# The batch rule


def test_refuses_a_network_that_looks_at_the_batch(tmp_path: Path, noise: Digits) -> None:
    """It subtracts the mean of the batch, which is the image itself when it comes alone."""
    body = [
        node("ReduceMean", "f", "mean", axes=[0], keepdims=1),
        node("Sub", "f mean", "g"),
    ]
    found = verify(save(tmp_path / "a.onnx", *body), *noise)
    assert found.verdict == "REFUSED"
    assert "depends on the batch" in found.reason


def test_a_network_that_only_runs_alone_must_say_so(tmp_path: Path, noise: Digits) -> None:
    net = mean_net(node("Reshape", "f one", "g"), constants={"one": np.array([1, 1], np.int64)})
    (tmp_path / "a.onnx").write_bytes(net.SerializeToString())
    found = verify(tmp_path / "a.onnx", *noise)
    assert found.verdict == "REFUSED" and "does not run" in found.reason
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    (tmp_path / "a.onnx").write_bytes(net.SerializeToString())
    assert verify(tmp_path / "a.onnx", *noise).verdict == "PASS"


def test_the_session_has_the_one_setting_of_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    from neural_golf.referee import running

    made: list[tuple[bytes, running.onnxruntime.SessionOptions, list[str]]] = []
    monkeypatch.setattr(
        running.onnxruntime,
        "InferenceSession",
        lambda model, options, providers: made.append((model, options, providers)),
    )
    running.make_session(b"model")
    ((_, options, providers),) = made
    assert providers == ["CPUExecutionProvider"]
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert not options.enable_cpu_mem_arena
    assert options.graph_optimization_level == running.onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in (
        ("session.intra_op.allow_spinning", "0"),
        ("session.inter_op.allow_spinning", "0"),
        ("session.load_model_format", "ONNX"),
    ):
        assert options.get_session_config_entry(name) == value


def test_a_tie_within_rounding_is_flagged_and_not_refused() -> None:
    from neural_golf.referee.scoring import _agree

    single, batched = np.zeros((3, 10), F), np.zeros((3, 10), F)
    single[0, :2], batched[0, :2] = [1, 1 + 1e-6], [1 + 1e-6, 1]
    assert _agree(single, batched) == 1
    batched[1, 5] = 0.5
    with pytest.raises(GolfError, match=r"depends on the batch: 1 image"):
        _agree(single, batched)


# The precision probe


def packed() -> list[object]:
    """1 + 2**-12 keeps its last bit in float32 and loses it with few bits: it decides the class."""
    return [
        node("Mul", "f packed", "p"),
        node("Sub", "p f", "h"),  # 2**-12 of the image, or nothing
        node("Sub", "h limit", "g"),
    ]


def test_refuses_weights_packed_into_the_last_bits_and_keeps_the_count(tmp_path: Path, noise: Digits) -> None:
    constants = {"packed": np.array(1 + 2**-12, F), "limit": np.array(2**-20, F)}
    found = verify(save(tmp_path / "a.onnx", *packed(), constants=constants), *noise)
    assert (found.verdict, found.nonzero, found.losses["wide"]) == ("REFUSED", 12, 100.0)
    assert (
        "rounded to 4 significant bits and to 1/256 of their tensor's largest it loses 100.0 points"
        in found.reason
    )
    assert "store them in 8 bits or fewer (the count stays)" in found.reason


def test_refuses_what_is_packed_into_exponents(tmp_path: Path, noise: Digits) -> None:
    """2**-10 has one significant bit, but beside 1 it is rounded to 0."""
    weights = np.array([[0, *[-1] * 8, 2**-10]], F)
    nodes = [node("GlobalAveragePool", "x", "m"), node("Flatten", "m", "f"), node("MatMul", "f w", "y")]
    (tmp_path / "a.onnx").write_bytes(model(nodes, {"w": weights}).SerializeToString())
    found = verify(tmp_path / "a.onnx", *noise)
    assert (found.verdict, found.losses) == ("REFUSED", {"wide": 100.0, "activations": 0.0})


def test_refuses_what_is_packed_into_the_last_bits_of_an_activation(tmp_path: Path, noise: Digits) -> None:
    """1.5 keeps its bits, but the image times it does not keep its own in bfloat16."""
    body = [
        node("Mul", "f large", "l"),
        node("Add", "l f", "p"),
        node("Sub", "p l", "h"),  # the image again, or nothing
        node("Sub", "h limit", "g"),
    ]
    constants = {"large": np.array(2**10, F), "limit": np.array(2**-12, F)}
    found = verify(save(tmp_path / "a.onnx", *body, constants=constants), *noise)
    assert (found.verdict, found.losses) == ("REFUSED", {"wide": 0.0, "activations": 100.0})
    assert "its activations rounded to bfloat16 it loses" in found.reason


def test_eight_bits_that_do_not_stand_rounding_are_flagged_and_not_refused(
    tmp_path: Path, noise: Digits
) -> None:
    nodes = [
        node("GlobalAveragePool", "x", "m"),
        node("Flatten", "m", "f"),
        node("DequantizeLinear", "q s", "w"),
        node("MatMul", "f w", "y"),
    ]
    q = np.array([[64, 64, 64, 64, 64, 64, 64, 64, 64, 67]], np.int8)  # 67 becomes 64 with 4 bits
    net = model(nodes, {"q": q, "s": np.array(1, F)})
    (tmp_path / "a.onnx").write_bytes(net.SerializeToString())
    found = verify(tmp_path / "a.onnx", *noise)
    assert (found.verdict, found.losses["all"]) == ("PASS", 100.0)
    assert any("8 bits and fewer" in flag for flag in found.flags)


def test_does_not_flag_an_honest_network(
    tmp_path: Path, digits: Digits, linear: tuple[np.ndarray, np.ndarray, int]
) -> None:
    weight, bias, correct = linear
    (tmp_path / "a.onnx").write_bytes(linear_net(weight, bias).SerializeToString())
    found = verify(tmp_path / "a.onnx", *digits)
    assert found.flags == ()
    assert found.correct == correct and set(found.losses) == {"wide", "activations"}
    assert (found.one_by_one, found.batch) == (500, 50)


def test_without_probes_a_file_is_run_in_batches_once(
    tmp_path: Path, digits: Digits, linear: tuple[np.ndarray, np.ndarray, int]
) -> None:
    weight, bias, correct = linear
    (tmp_path / "a.onnx").write_bytes(linear_net(weight, bias).SerializeToString())
    (found,) = verify_many([tmp_path / "a.onnx"], *digits, probes=False)
    assert (found.verdict, found.correct, found.losses, found.flags) == ("PASS", correct, {}, ())
    assert found.one_by_one == 0


def test_without_probes_nan_is_still_refused(tmp_path: Path, noise: Digits) -> None:
    weight = np.full((784, 10), np.finfo(F).max, F)
    (tmp_path / "a.onnx").write_bytes(linear_net(weight, np.zeros(10, F)).SerializeToString())
    (found,) = verify_many([tmp_path / "a.onnx"], *noise, probes=False)
    assert (found.verdict, found.reason) == (
        "REFUSED",
        "run in batches of 50, it answers NaN or infinity",
    )


def test_the_probe_also_rounds_attributes(tmp_path: Path, noise: Digits) -> None:
    body = [
        node("Neg", "f", "n"),
        node("LeakyRelu", "n", "p", alpha=1 + 2**-12),
        node("Add", "p f", "q"),  # -2**-12 of the image, or nothing
        node("Neg", "q", "h"),
        node("Sub", "h limit", "g"),
    ]
    found = verify(save(tmp_path / "a.onnx", *body, constants={"limit": np.array(2**-20, F)}), *noise)
    assert (found.verdict, found.nonzero, found.losses["wide"]) == ("REFUSED", 12, 100.0)


# What was counted is what runs


def test_what_runs_is_what_was_counted(tmp_path: Path, noise: Digits) -> None:
    """Unknown fields, metadata and inner names cannot carry weights into the session."""
    from neural_golf.referee.counting import inspect
    from neural_golf.referee.rebuilding import rebuild

    net = mean_net(metadata={"ort_config": "{}"})
    net.doc_string = net.graph.doc_string = net.graph.node[0].doc_string = "weights " * 99
    net.graph.value_info.add(name="f")
    net.graph.node[1].attribute.add(
        name="axis", type=2, i=1, s=b"weights", floats=[1.0], doc_string="weights"
    )
    written = rebuild(inspect(net))
    assert written == rebuild(inspect(type(net).FromString(written)))  # a fixed point
    assert b"weights" not in written and b"ort_config" not in written
    assert type(net).FromString(written).graph.initializer[0].raw_data == W10.tobytes()


def test_the_graph_is_drawn_without_a_word_of_the_file(tmp_path: Path, noise: Digits) -> None:
    body = [
        node("Reshape", "f shape", "<script>"),
        node("LeakyRelu", "<script>", "h", alpha=0.2),
        node("Add", "h h", "g"),
    ]
    constants = {"shape": np.array([-1, 1], np.int64), "click spare": np.array([1, 0, 2], F)}
    found = verify(save(tmp_path / "a.onnx", *body, constants=constants), *noise)
    assert found.drawing == (
        "flowchart TD",
        'image(["image"])',
        *('n0(["GlobalAveragePool"])', 'n1(["Flatten"])', 'n2(["Reshape"])', 'n3(["LeakyRelu"])'),
        *('n4(["Add"])', 'n5(["MatMul"])', 'c6["10 of 10, 1 by 10"]', 'answer(["answer"])'),
        *("image --> n0", "n0 --> n1", "n1 --> n2", "n2 --> n3", "n3 -->|2 times| n4"),
        *("n4 --> n5", "c6 --> n5", "n5 --> answer"),
    )


# Arguments


def test_wrong_arguments_are_errors_not_verdicts(tmp_path: Path, noise: Digits) -> None:
    images, labels = noise
    path = save(tmp_path / "a.onnx")
    with pytest.raises(GolfError, match="must be uint8"):
        verify(path, images.astype(F), labels)
    with pytest.raises(GolfError, match="as many labels"):
        verify(path, images, labels[:-1])
    with pytest.raises(GolfError, match="is about 10000 images, not 64"):
        verify(path, images, labels, load_challenge("mnist-98"))


def test_a_larger_reference_network_needs_wider_limits(tmp_path: Path, noise: Digits) -> None:
    path = save(tmp_path / "a.onnx", constants={"spare": np.ones(300_000, F)})
    assert "the limit is 1048576" in verify(path, *noise).reason
    assert verify(path, *noise, limits=replace(LIMITS, file_bytes=2 << 20)).parameters == 10


def test_importing_the_referee_loads_no_torch() -> None:
    code = """
import sys
import neural_golf.referee.verdict, neural_golf.referee.challenge, neural_golf.referee.cli, neural_golf.referee.child
bad = {m.split(".")[0] for m in sys.modules} & {"torch", "torchvision", "safetensors", "sklearn", "scipy"}
sys.exit(f"loaded: {sorted(bad)}" if bad else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_public_face_does_not_even_load_onnxruntime() -> None:
    code = "import sys, neural_golf.referee.verdict; sys.exit('onnxruntime' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Challenges and their data


def idx(values: np.ndarray) -> bytes:
    header = b"\x00\x00\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture
def folder(tmp_path: Path, noise: Digits) -> Path:
    """A folder with a small challenge, its test files and a network that passes it."""
    sums = {}
    for which, values in zip(("images", "labels"), (noise[0][:, 0], noise[1]), strict=True):
        packed = gzip.compress(idx(values), mtime=0)
        (tmp_path / f"{which}.gz").write_bytes(packed)
        sums[which] = hashlib.md5(packed).hexdigest()
    (tmp_path / "tiny.yaml").write_text(
        "name: tiny\ntitle: Tiny\ndataset: noise\nsplit: test\nimages: 64\nthreshold: 64\nscore: nonzero\n"
        "rules: 2\nfiles:\n"
        f"  images: {{name: images.gz, md5: {sums['images']}}}\n"
        f"  labels: {{name: labels.gz, md5: {sums['labels']}}}\n"
    )
    save(tmp_path / "good.onnx")
    return tmp_path


def test_the_packaged_challenges_are_valid() -> None:
    assert challenge_names() == [
        "fashion-mnist-85", "fashion-mnist-90", "mnist-98", "mnist-98-bytes", "mnist-99", "mnist-99-bytes"
    ]  # fmt: skip
    for name in challenge_names():
        found = load_challenge(name)
        assert found.name == name and found.images == 10_000
    assert load_challenge("mnist-98").threshold == 9800
    assert load_challenge("mnist-99").threshold == 9900


def test_reads_the_published_files_of_a_challenge(folder: Path, noise: Digits) -> None:
    images, labels = load_test_set(load_challenge(str(folder / "tiny.yaml"), files=True), folder)
    assert np.array_equal(images, noise[0]) and np.array_equal(labels, noise[1])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("threshold: 64", "threshold: 65", "threshold 65 is above the 64 images"),
        ("threshold: 64", "threshold: 0.98", "threshold: Input should be a valid integer"),
        ("rules: 2", "rules: 1", "rules: Input should be 2"),
        ("score: nonzero", "score: bits", "score: Input should be 'nonzero'"),
        ("split: test", "split: train", "split: Input should be 'test'"),
        ("title: Tiny", "titel: Tiny", "title: Field required"),
        ("title: Tiny", "title: Tiny\nextra: 1", "extra: Extra inputs are not permitted"),
        ("name: images.gz", "name: ../images.gz", "files.images.name: String should match"),
        ("title: Tiny", "title: [", "not YAML"),
    ],
)
def test_a_wrong_challenge_file_says_where(folder: Path, old: str, new: str, message: str) -> None:
    path = folder / "tiny.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(GolfError, match=message.replace("[", r"\[")):
        load_challenge(str(path), files=True)


def test_an_unknown_challenge_lists_the_known_ones() -> None:
    with pytest.raises(GolfError, match=r"'mnist-97' does not exist; there are fashion-mnist-85"):
        load_challenge("mnist-97")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (gzip.compress(idx(np.zeros((2, 3))))[:-9], "cut off or not gzip"),
        (b"<html>", "cut off or not gzip"),
        (gzip.compress(idx(np.zeros((2, 3)))[:-1]), "states 2x3 numbers and holds 5"),
        (gzip.compress(idx(np.zeros((2, 3))) + b"\x00"), "states 2x3 numbers and holds more"),
        (gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x00"), "not an idx file of bytes"),
        (gzip.compress(b""), "not an idx file of bytes"),
        (gzip.compress(b"\x00\x00\x08\x04\xff"), "not an idx file of bytes"),
        (gzip.compress(b"\x00\x00\x08\x00"), "not an idx file of bytes"),
        (gzip.compress(idx(np.zeros((2, 3)))) * 2, "states 2x3 numbers and holds more"),
        (gzip.compress(b"\x00\x00\x08\x04" + b"\xff" * 16), "numbers; the limit is 1,073,741,824"),
    ],
)
def test_altered_data_files_are_errors(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(GolfError, match=message):
        read_idx(tmp_path / "a.gz")


def test_a_bomb_is_not_unpacked_beyond_what_it_states(tmp_path: Path) -> None:
    """512 MiB of zeros in half a megabyte that state to be six numbers."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(idx(np.zeros((2, 3))))
        for _ in range(512):
            file.write(bytes(1 << 20))
    code = f"""
import resource
from pathlib import Path
from neural_golf.referee.challenge import read_idx
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_idx(Path({str(path)!r}))
except Exception as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *said, grown = run.stdout.splitlines()
    assert said == [f"data: {path} states 2x3 numbers and holds more"]
    assert int(grown) < 20  # MiB


def test_what_is_no_file_is_no_data(tmp_path: Path, folder: Path) -> None:
    """A pipe under the name of a data file would be waited for, and /dev/zero has no end."""
    os.mkfifo(tmp_path / "pipe.gz")
    (tmp_path / "zero.gz").symlink_to("/dev/zero")
    for name in ("pipe.gz", "zero.gz"):
        with pytest.raises(GolfError, match="is not a file of at most"):
            read_idx(tmp_path / name)
    with pytest.raises(GolfError, match="cannot be read"):
        read_idx(tmp_path / "absent.gz")


def test_a_file_with_another_md5_is_an_error(folder: Path) -> None:
    with pytest.raises(GolfError, match="is not the published file"):
        read_idx(folder / "images.gz", "0" * 32)


def test_missing_data_says_where_to_put_it(folder: Path) -> None:
    with pytest.raises(GolfError, match=r"no images\.gz in .*empty; download the published noise"):
        load_test_set(load_challenge(str(folder / "tiny.yaml"), files=True), folder / "empty")


# The command


def run(folder: Path, name: str, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_verify_arguments(parser)
    wanted = ["--challenge", str(folder / "tiny.yaml"), "--data", str(folder)]
    return run_verify(parser.parse_args([str(folder / name), *wanted, *more]))


def test_exit_codes_say_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(folder / "poor.onnx", constants={"w": -W10})
    (folder / "bad.onnx").write_bytes(b"no model")
    codes = {name: run(folder, name) for name in ("good.onnx", "poor.onnx", "bad.onnx", "absent.onnx")}
    assert codes == {"good.onnx": 0, "poor.onnx": 1, "bad.onnx": 2, "absent.onnx": 2}
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert [head.split(":")[0] for head in heads] == ["PASS", "FAIL", "REFUSED", "REFUSED"]


def test_no_verdict_has_a_code_of_its_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "labels.gz").unlink()
    assert run(folder, "good.onnx") == 3
    said = capsys.readouterr()
    assert said.out == "" and "no labels.gz in" in said.err


def test_a_sandbox_that_does_not_start_is_no_verdict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 would say that the file fails."""

    def fail(*_: object) -> Verdict:
        raise GolfError("verify: no process can be made")

    monkeypatch.setattr("neural_golf.referee.cli.verify", fail)
    assert run(folder, "good.onnx") == 3
    assert capsys.readouterr() == ("", "golf: verify: no process can be made\n")


def test_the_graph_is_printed_on_demand(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "good.onnx", "--graph") == 0
    assert capsys.readouterr().out.endswith("\nn2 --> answer\n")


def test_json_is_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "good.onnx", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["correct"], found["challenge"]) == ("PASS", 64, "tiny")
    assert (found["parameters"], found["nonzero"], found["bits"], found["nodes"]) == (10, 10, 320, 3)


def test_the_table_shows_every_figure() -> None:
    verdict = Verdict(
        "PASS", "9 of 9 correct", "a.onnx", "tiny", 9, 9, 9, parameters=1234, nonzero=1000, bits=9999, nodes=12,
        operators={"Conv": 2}, integers=3, parts={"stored": 999, "places": 1}, division="open", losses={"wide": 0.25}, one_by_one=4,
        batch=5, flags=("look here",), sha256="ab", metadata={"author": "me"}, drawing=("network",),
    )  # fmt: skip
    text = verdict_table(verdict)
    for part in (
        "PASS: 9 of 9",
        "1,234",
        "1,000",
        "999 stored, 1 places",
        "open",
        "9,999",
        "12",
        "2 Conv",
        "4 images one by one, 5 in batches of 5",
        "points lost: wide",
        "0.25",
        "look here",
        "says of itself: author",
        "ab",
    ):
        assert part in text


def test_uint8_and_float_inputs_are_told_apart_by_the_graph(tmp_path: Path) -> None:
    """A float32 input gets 0 to 1, a uint8 input 0 to 255: a threshold at 100 sees the difference."""
    images = np.full((5, 1, 28, 28), 160, np.uint8) + np.arange(0, 100, 20, np.uint8).reshape(5, 1, 1, 1)
    less = np.array([100], F)
    body = [node("Sub", "f hundred", "g")]
    as_float = save(tmp_path / "f.onnx", *body, constants={"hundred": less})
    raw = model(
        [
            node("Cast", "x", "p", to=TensorProto.FLOAT),
            node("GlobalAveragePool", "p", "m"),
            node("Flatten", "m", "f"),
            *body,
            node("MatMul", "g w", "y"),
        ],
        {"w": W10, "hundred": less},
        image_type=TensorProto.UINT8,
    )
    (tmp_path / "u.onnx").write_bytes(raw.SerializeToString())
    assert verify(as_float, images, np.zeros(5, np.uint8)).correct == 5  # less than 1 - 100 is negative
    assert verify(tmp_path / "u.onnx", images, np.full(5, 9, np.uint8)).correct == 5


@pytest.mark.parametrize(("whole", "refused"), [((6, 5, 1), False), ((9, 8, 1), True), ((24, 20, 4), False)])
def test_numbers_that_fit_into_4_bits_may_lie_on_one_grid_only(
    tmp_path: Path, whole: tuple[int, int, int], refused: bool
) -> None:
    """Two pixels that are nearly the same, and the sum of two weights beside one: on a shifted grid the sum is
    another, but where no number can hold two there is nothing to find.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 1, 28, 28)).astype(np.uint8)
    images[:, 0, 0, 0] = rng.integers(100, 250, 300)
    images[:, 0, 0, 1] = images[:, 0, 0, 0] - 3
    weight = np.zeros((784, 10), F)
    weight[0, 1], weight[0, 0], weight[1, 0] = whole
    path = tmp_path / "a.onnx"
    net = model([node("Flatten", "x", "f"), node("MatMul", "f w", "y")], {"w": weight})
    path.write_bytes(net.SerializeToString())
    found = verify(path, images, np.ones(300, np.uint8))
    assert found.verdict == ("REFUSED" if refused else "PASS")
    assert found.losses["wide"] == (100 if refused else 0)


def test_the_stage_scores_in_batches_and_holds_the_record_against_it(
    tmp_path: Path,
    digits: Digits,
    linear: tuple[np.ndarray, np.ndarray, int],
    monkeypatch: pytest.MonkeyPatch,
    raw: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    weight, bias, correct = linear
    content = linear_net(weight, bias).SerializeToString()
    monkeypatch.chdir(tmp_path)
    Path("a.onnx").write_bytes(content)
    run = Run(0, "heldout", size=7850, heldout_correct=correct, heldout_ties=0)
    nonzero = int(np.count_nonzero(weight) + np.count_nonzero(bias))
    digest = hashlib.sha256(content).hexdigest()
    record = Exported("a", "golf98", "a.onnx", len(content), digest, 7850, nonzero, run)
    write_exported([record])
    monkeypatch.setattr(data, "read", lambda part: data.Split(*digits))
    monkeypatch.setattr(data, "facts", lambda: data.Facts(
        "digits", "digits", "", (1, 28, 28), tuple("0123456789"), 0.1, 0.3, 1, 1, 1, "", (0.0,), (255.0,)
    ))  # fmt: skip
    probed = []

    judge = Sandbox.judge

    def spy(self: Sandbox, path: Path, probes: bool = True) -> Answer:
        probed.append(probes)
        return judge(self, path, probes)

    monkeypatch.setattr(Sandbox, "judge", spy)
    stage.run(config.check(raw))
    assert probed == [False, False]  # test and held-out images
    assert "a: " in capsys.readouterr().err
    stage.run(config.check(raw))  # it goes on from what was judged, and so does a run that was killed
    assert len(probed) == 2 and not capsys.readouterr().err
    (found,) = read_results()
    images = len(digits[0])
    assert found == Result(
        "a", "golf98", "heldout", "", 7850, True, 0, 7850, nonzero, verify("a.onnx", *digits).bits, correct, images, correct, images,
        None, "a.onnx", digest,
    )  # fmt: skip

    for change, why in (
        (
            {"run": replace(run, heldout_correct=correct - 1)},
            f"{correct} held-out images right, {correct - 1} recorded",
        ),
        (
            {"run": replace(run, test_correct=correct + 1)},
            f"{correct} test images right, {correct + 1} recorded",
        ),
        ({"nonzero": nonzero - 1}, f"{nonzero} non-zero parameters, {nonzero - 1} recorded"),
        ({"parameters": 7849}, "7850 parameters, 7849 recorded"),
        ({"sha256": "ab"}, f"{digest} SHA-256, ab recorded"),
        ({"path": "b.onnx"}, "refused: "),
    ):
        VERIFIED.unlink(missing_ok=True)
        write_exported([replace(record, **change)])
        with pytest.raises(GolfError, match=f"1 exported file.*: a: {why}"):
            stage.run(config.check(raw))
        assert not VERIFIED.exists()
    ties = replace(run, heldout_correct=correct - 1, heldout_ties=1)
    write_exported([replace(record, run=ties)])
    stage.run(config.check(raw))
    assert VERIFIED.exists()
