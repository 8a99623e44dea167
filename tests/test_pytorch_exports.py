"""PyTorch's two exporters, with their default settings and with what our documents recommend."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from neural_golf.referee.verdict import Verdict, verify

torch: ModuleType = pytest.importorskip("torch", reason="the torch extra brings torch")
pytest.importorskip(
    "onnxscript", reason="the torch extra brings onnxscript, for torch.onnx.export(dynamo=True)"
)

F = np.float32
Digits = tuple[NDArray[np.uint8], NDArray[np.uint8]]

KERNELS, REST = 2 * 9, 2 + 10 * 338 + 10  # of the Conv; slopes and Linear
FOLDED = KERNELS + 2 + REST  # the BatchNorm is in the kernels, and the Conv has a bias
LEGACY, DYNAMO = False, True
both = pytest.mark.parametrize("dynamo", [LEGACY, DYNAMO], ids=["legacy", "dynamo"])


class Network(torch.nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.norm = torch.nn.BatchNorm2d(2)
        self.slope = torch.nn.PReLU(2)
        self.dropout = torch.nn.Dropout(0.5)
        self.linear = torch.nn.Linear(2 * 13 * 13, 10)

    def features(self, x: Any) -> Any:
        x = self.slope(self.norm(self.conv(x)))  # [batch, 2, 26, 26]
        x = torch.nn.functional.max_pool2d(x, 2)  # [batch, 2, 13, 13]
        return self.dropout(x).view(x.size(0), -1)

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.log_softmax(self.linear(self.features(x)), 1)


@pytest.fixture(scope="module")
def network(digits: Digits) -> Any:
    """Its Linear layer is fitted by least squares, so that it decides clearly; the rest is untrained."""
    torch.manual_seed(5)
    images, classes = torch.from_numpy(digits[0] / F(255)), torch.from_numpy(digits[1]).long()
    made = Network()
    made.norm.running_mean += 0.1
    made.norm.running_var *= 2
    made.eval()
    with torch.no_grad():
        seen = made.features(images).double()
        seen = torch.cat([seen, torch.ones(len(seen), 1)], 1)
        wanted = torch.nn.functional.one_hot(classes, 10).double()
        held = 100 * torch.eye(seen.shape[1]).double()  # keeps the weights small
        fitted = torch.linalg.solve(seen.T @ seen + held, seen.T @ wanted).T.float()
        made.linear.weight.copy_(fitted[:, :-1])
        made.linear.bias.copy_(fitted[:, -1])
    return made


@pytest.fixture(scope="module")
def decided(digits: Digits, network: Any) -> Digits:
    """The 200 digits of which the network is surest, with its answers: rounding its numbers changes few."""
    with torch.no_grad():
        answers = network(torch.from_numpy(digits[0] / F(255))).numpy()
    first, second = np.sort(answers, 1)[:, -1], np.sort(answers, 1)[:, -2]
    chosen = np.argsort(second - first, kind="stable")[:200]
    classes = answers[chosen].argmax(1).astype(np.uint8)
    assert len(set(classes.tolist())) > 2  # or a wrong feed might not show
    return digits[0][chosen], classes


def export(network: Any, path: Path, dynamo: bool, batch: int | None, **options: Any) -> onnx.ModelProto:
    """The file as the exporter writes it, for a batch of any size or for a fixed one."""
    if batch is None:
        options |= (
            {"dynamic_shapes": ({0: "batch"},)} if dynamo else {"dynamic_axes": {"image": {0: "batch"}}}
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the legacy exporter says that it is one
        torch.onnx.export(
            network, (torch.zeros(batch or 2, 1, 28, 28),), path, dynamo=dynamo, input_names=["image"],
            output_names=["logits"], verbose=False, **options,
        )  # fmt: skip
    return onnx.load(path, load_external_data=False)


def right(found: Verdict) -> tuple[str, int | None]:
    """The verdict and how many are right, where nothing is flagged."""
    assert found.flags == (), found.flags
    return found.verdict, found.correct


@both
@pytest.mark.parametrize("batch", [None, 1, 64])
def test_scores_what_pytorch_exports(
    dynamo: bool, batch: int | None, network: Any, decided: Digits, tmp_path: Path
) -> None:
    """Conv, BatchNorm2d, PReLU, max_pool2d, Dropout, view, Linear and log_softmax, in evaluation mode."""
    made = export(network, tmp_path / "net.onnx", dynamo, batch, external_data=False)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    declared = made.graph.input[0].type.tensor_type.shape.dim[0]
    assert declared.dim_value == (batch or 0)
    found = verify(tmp_path / "net.onnx", *decided)
    assert right(found) == ("PASS", 200), found.reason
    assert (found.parameters, found.nonzero) == (FOLDED, FOLDED)
    assert (found.batch, found.one_by_one) == {None: (50, 200), 1: (1, 200), 64: (64, 0)}[batch]


def test_the_default_of_the_newer_exporter_is_refused_with_what_to_do(
    network: Any, decided: Digits, tmp_path: Path
) -> None:
    """torch.onnx.export(network, images, path) alone: the numbers are in a second file."""
    torch.onnx.export(network, (torch.zeros(2, 1, 28, 28),), tmp_path / "net.onnx", verbose=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]
    found = verify(tmp_path / "net.onnx", *decided)
    assert found.verdict == "REFUSED" and "external_data=False" in found.reason


def test_the_default_of_the_older_exporter_is_scored(network: Any, decided: Digits, tmp_path: Path) -> None:
    """torch.onnx.export(network, images, path, dynamo=False): a batch as large as the example."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (torch.zeros(8, 1, 28, 28),), tmp_path / "net.onnx", dynamo=False)
    found = verify(tmp_path / "net.onnx", *decided)
    assert right(found) == ("PASS", 200), found.reason
    assert (found.nonzero, found.batch) == (FOLDED, 8)


@both
def test_a_batch_norm_that_the_exporter_leaves_alone_counts_as_folded(
    dynamo: bool, network: Any, decided: Digits, tmp_path: Path
) -> None:
    options = {"optimize": False} if dynamo else {"training": torch.onnx.TrainingMode.PRESERVE}
    made = export(network, tmp_path / "net.onnx", dynamo, None, external_data=False, **options)
    assert "BatchNormalization" in {n.op_type for n in made.graph.node}
    found = verify(tmp_path / "net.onnx", *decided)
    assert right(found) == ("PASS", 200), found.reason
    assert (found.parameters, found.nonzero) == (FOLDED, FOLDED)


@both
def test_a_batch_norm_behind_no_layer_counts_its_scales_and_offsets(
    dynamo: bool, network: Any, decided: Digits, tmp_path: Path
) -> None:
    """Nothing is there to fold the first one into: two numbers for its one channel."""
    made = torch.nn.Sequential(torch.nn.BatchNorm2d(1), network).eval()
    made[0].running_mean += 0.02
    export(made, tmp_path / "net.onnx", dynamo, None, external_data=False)
    found = verify(tmp_path / "net.onnx", *decided)
    assert found.verdict == "PASS" and found.nonzero == FOLDED + 2, found.reason


def test_initializers_that_are_inputs_too_are_no_inputs(
    network: Any, decided: Digits, tmp_path: Path
) -> None:
    """As the older exporter writes them for old tools."""
    made = export(network, tmp_path / "net.onnx", LEGACY, None, keep_initializers_as_inputs=True)
    assert len(made.graph.input) > 1
    found = verify(tmp_path / "net.onnx", *decided)
    assert right(found) == ("PASS", 200) and found.nonzero == FOLDED, found.reason


def test_training_mode_is_refused(network: Any, decided: Digits, tmp_path: Path) -> None:
    """What torch.onnx.export(..., training=TRAINING) writes answers anew at each run."""
    try:
        network.train()
        export(
            network, tmp_path / "net.onnx", LEGACY, None, training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=False,
        )  # fmt: skip
    finally:
        network.eval()
    found = verify(tmp_path / "net.onnx", *decided)
    assert found.verdict == "REFUSED" and "runs in training mode" in found.reason
