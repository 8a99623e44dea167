"""The README's four steps, from a PyTorch network to the leaderboard, as a stranger would take them.

The code, the commands and the card are the README's own, so they cannot drift. The network is small, and its
author did what the tutorials do: pixels normalised by the transform, batches of 64, dropout. It is judged on
the last 1,000 training images; no test image is looked at.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shlex
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from neural_golf.cli import main
from neural_golf.leaderboard import cli as board
from neural_golf.leaderboard import entries
from neural_golf.referee import cli as referee
from neural_golf.referee.challenge import Challenge, load_challenge, read_idx

torch: ModuleType = pytest.importorskip("torch", reason="the torch extra brings torch")
pytest.importorskip(
    "onnxscript", reason="the torch extra brings onnxscript, for torch.onnx.export(dynamo=True)"
)

ROOT = Path(__file__).parent.parent
TITLE = "From a PyTorch network to the leaderboard in four steps"
(STEPS,) = re.findall(rf"^## {TITLE}\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
EXPORT, NORMALISED = re.findall(r"```python\n(.*?)```", STEPS, re.DOTALL)
(CARD,) = re.findall(r"```yaml\n(.*?)```", STEPS, re.DOTALL)
VERIFY, SUBMIT, LEADERBOARD = re.findall(r"^ {4}(golf .*)$", STEPS, re.MULTILINE)

HELD_OUT, TRAINED_ON, NEEDED = 1000, 12_000, 940
WEIGHTS = (4 * 9 + 4) + (8 * 4 * 9 + 8) + (10 * 8 * 6 * 6 + 10)  # each BatchNorm is in the Conv before it


@pytest.fixture(scope="module")
def mnist() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The published training images [60000, 28, 28] and their labels."""
    folder = ROOT.parent / "shared/mnist"
    if not (folder / "train-images-idx3-ubyte.gz").exists():
        pytest.skip("no published training images in ../shared/mnist")
    return read_idx(folder / "train-images-idx3-ubyte.gz"), read_idx(folder / "train-labels-idx1-ubyte.gz")


def packed(path: Path, array: NDArray[np.uint8]) -> dict[str, str]:
    """Write an idx file; returns what a challenge says of it."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return {"name": path.name, "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}


@pytest.fixture
def challenge(
    tmp_path: Path, mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> Challenge:
    """mnist-98 wherever it is named, but of the last 1,000 training images, and easier."""
    folder = tmp_path / "FOLDER"
    folder.mkdir()
    files = {
        what: packed(folder / f"t10k-{what}.gz", part[-HELD_OUT:])
        for what, part in zip(("images", "labels"), mnist, strict=True)
    }
    tree = load_challenge("mnist-98").model_dump()
    tree |= {"files": files, "images": HELD_OUT, "threshold": NEEDED}
    (tmp_path / "held-out.yaml").write_text(yaml.safe_dump(tree))
    made = load_challenge(str(tmp_path / "held-out.yaml"), files=True)

    def load(name: str, *, files: bool = False) -> Challenge:
        assert name == "mnist-98"
        return made

    for module in (referee, board, entries):
        monkeypatch.setattr(module, "load_challenge", load)
    return made


def trained(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Any:
    """A network as a beginner trains one, in a few seconds."""
    nn = torch.nn
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.25), nn.Linear(8 * 6 * 6, 10),
    )  # fmt: skip
    pixels = (torch.from_numpy(images.copy())[:, None] / 255 - 0.1307) / 0.3081  # the tutorials' transform
    wanted = torch.from_numpy(labels.copy()).long()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(3):
        for batch in torch.randperm(len(pixels)).split(64):
            loss = nn.functional.cross_entropy(network(pixels[batch]), wanted[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network


def golf(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a line of the README; returns the exit code and what it printed."""
    name, *words = shlex.split(line, comments=True)
    assert name == "golf"
    capsys.readouterr()
    code = main(words)
    told = capsys.readouterr()
    return code, told.out + told.err


def test_from_a_pytorch_network_to_the_leaderboard(
    tmp_path: Path,
    mnist: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    challenge: Challenge,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    network = trained(*(part[:TRAINED_ON] for part in mnist))
    session: dict[str, Any] = {"torch": torch, "network": network}

    exec(EXPORT, session)
    assert not (tmp_path / "my-net.onnx.data").exists()
    code, told = golf(VERIFY, capsys)
    assert (code, told.split(":")[0]) == (1, "FAIL"), told
    assert "right with pixels normalised by 0.1307 and 0.3081" in told and "put that into the graph" in told

    exec(NORMALISED + EXPORT, session)
    code, told = golf(VERIFY, capsys)
    assert (code, told.split(":")[0]) == (0, "PASS"), told
    counted = re.search(r"non-zero parameters +([\d,]+)", told)
    assert counted and counted[1] == f"{WEIGHTS + 2:,}", told  # mean and deviation are two more

    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "leaderboard").mkdir()
    code, told = golf(SUBMIT, capsys)
    assert code == 0 and "not reproducible" not in told, told
    code, told = golf(LEADERBOARD, capsys)
    assert code == 0 and told.startswith("PASS: mnist-98/my-net: "), told
    table = (tmp_path / "leaderboard/README.md").read_text()
    assert f"| 1 | [my-net](mnist-98/my-net/model.onnx) | plain | **{WEIGHTS + 2:,}** |" in table


def test_a_card_without_the_last_three_lines_says_less(tmp_path: Path) -> None:
    """The README says what it costs to leave them out."""
    lines = CARD.splitlines(keepends=True)
    assert [line.split(":")[0] for line in lines[-3:]] == ["code", "seed", "command"]
    (tmp_path / "card.yaml").write_text("".join(lines[:-3]))
    assert entries.load_card(tmp_path / "card.yaml").missing == ["code", "seed", "command"]
