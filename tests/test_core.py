"""The core install, `pip install neural-golf`, verifies: nothing else that the project uses is needed."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import yaml

from nets import mean_net
from neural_golf.referee.challenge import load_challenge

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULES = {"scikit-learn": "sklearn"}  # where a package's module has another name

# Every module of the other packages, and what they would bring, cannot be imported.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"{{name}} is blocked", name=name)
sys.meta_path.insert(0, Blocked())
from neural_golf.cli import main
sys.exit(main(sys.argv[1:]))
"""


def names(requirements: list[str]) -> set[str]:
    found = {re.split(r"[><=\[;]", one)[0].strip() for one in requirements}
    return {MODULES.get(name, name.lower().replace("-", "_")) for name in found}


# The project's challenge of that name, in a file.
TINY = """
from neural_golf.leaderboard import cli
from neural_golf.referee.challenge import load_challenge
cli.load_challenge = lambda name: load_challenge({path!r}, files=True)
"""


def golf(folder: Path, *words: str, tiny: Path | None = None) -> subprocess.CompletedProcess[str]:
    extras = PROJECT["optional-dependencies"]
    needed = {*names(extras["train"]), *names(extras["torch"])}
    others = {*needed, "scipy", "pybind11", "hypothesis"} - names(PROJECT["dependencies"])
    assert {"torch", "dvc", "snakemake", "safetensors", "optuna", "pandas", "sklearn"} <= others
    block, _, main = BLOCKED.partition("from neural_golf.cli")
    code = block.format(names=others) + (TINY.format(path=str(tiny)) if tiny else "")
    command = [sys.executable, "-c", f"{code}from neural_golf.cli{main}", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def packed(path: Path, array: np.ndarray) -> dict[str, str]:
    """Write an idx file; returns what a challenge says of it."""
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))
    return {"name": path.name, "md5": hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}


def test_verify_submit_and_leaderboard_need_the_core_only(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(1, 256, (20, 28, 28)).astype(np.uint8)
    files = {
        "images": packed(tmp_path / "images.gz", images),
        "labels": packed(tmp_path / "labels.gz", np.full(20, 9, np.uint8)),
    }
    tree = load_challenge("mnist-98").model_dump() | {"files": files, "images": 20, "threshold": 20}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "a.onnx").write_bytes(mean_net().SerializeToString())
    card = {"author": "Ann", "method": "by hand", "chosen_on": "train", "licence": "MIT"}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    challenge = ["--challenge", "tiny.yaml", "--data", "."]
    verified = golf(tmp_path, "verify", "a.onnx", "--json", *challenge)
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["correct"] == 20
    words = ["submit", "a.onnx", "--name", "a", "--card", "card.yaml"]
    # Entries are for the project's challenges, whose files are not here, so there is no verdict.
    real = golf(tmp_path, *words, "--data", ".")
    assert real.returncode == 3 and "no t10k-images" in real.stderr
    done = golf(tmp_path, *words, "--data", ".", tiny=tmp_path / "tiny.yaml")
    assert done.returncode == 0, done.stderr
    board = golf(tmp_path, "leaderboard")
    assert board.returncode == 3 and "no t10k-images" in board.stderr


def test_what_needs_more_says_what_is_missing(tmp_path: Path) -> None:
    for name in ("verify", "submit", "leaderboard", "enter", "data"):
        assert golf(tmp_path, name, "--help").returncode == 0
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    stages = ("reference", "tune", "golf98", "export", "demo", "fashion")  # others first miss the data
    for words in (*((name,) for name in stages), ("data", "--check"), ("stage", "x"), ("bench", "--quick")):
        needy = golf(tmp_path, *words)
        assert needy.returncode == 1
        said = r"golf (\w+): (\w+) is not installed: pip install '\.\[(\w+)\]' in the project's folder\n"
        found = re.fullmatch(said, needy.stderr)
        assert found and found[1] == words[0], needy.stderr
        assert found[2] in names(PROJECT["optional-dependencies"][found[3]]), needy.stderr
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_outside_the_project_a_stage_says_so(tmp_path: Path) -> None:
    for name in ("tune", "ladder", "demo"):  # rows and other workspaces are named by params.yaml
        lost = golf(tmp_path, name)
        assert lost.returncode == 1
        assert lost.stderr == f"golf {name}: params.yaml is missing: run this in the project's folder\n"
    assert list(tmp_path.iterdir()) == []
