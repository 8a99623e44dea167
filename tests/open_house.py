"""A copy of the repository in which a test adds something, as a person would; and small data to run it on."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from neural_golf import config

ROOT = Path(__file__).parent.parent
PARTS = (
    "src", "docs", "params.yaml", "dvc.yaml", "Snakefile", "README.md", "package.json", "package-lock.json",
    "leaderboard/leaderboard.json", "leaderboard/device.json", ".dvcignore", ".dvc/config",
)  # fmt: skip
# Settings under which everything takes seconds; nothing here is counted as a change.
TINY: dict[str, Any] = {
    "data": {"heldout": 60},
    "reference": {"epochs": 1},
    "baseline": {"epochs": 2},
    "tune": {"trials": 3, "epochs": 2, "parallel": 3, "validation": 60, "startup_trials": 3, "finalists": 1},
    "tuned": {"epochs": 2},
    "prelu": {"epochs": 2},
    "prune": {"threshold": 0.02, "heldout_threshold": 0.02, "judges": ["heldout"], "orders": ["index"]},
}


class Copy:
    """The repository in a folder of its own; its src/ is what counts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = self.home = folder
        for part in PARTS:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copyfile(source, target)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def changed(self) -> set[str]:
        """The files that are other than the repository's, or new."""
        files = {p for part in PARTS for p in [self.folder / part, *(self.folder / part).rglob("*")]}
        found = set()
        for path in files:
            name = path.relative_to(self.folder)
            if path.is_file() and path.suffix != ".pyc":
                same = (ROOT / name).is_file() and (ROOT / name).read_bytes() == path.read_bytes()
                found |= set() if same else {name.as_posix()}
        return found

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def shrink(
        self, *changes: dict[str, Any], without: tuple[str, ...] = (), drawn: str = "baseline"
    ) -> None:
        """The same settings, small: those of the demo, TINY and these; rows `without` are left out."""
        path = self.folder / "params.yaml"
        tree = config.read(path)
        out = {"rows": dict.fromkeys(without), **dict.fromkeys(set(without) & set(tree))}
        for change in (tree["workspaces"]["demo"], TINY, *changes, out, {"interpret": {"networks": [drawn]}}):
            tree = config.merged({**tree, "workspaces": {"now": change}}, "now")
        self.write("params.yaml", yaml.safe_dump(tree, sort_keys=False))

    def golf(self, *commands: str, fails: bool = False) -> str:
        """Several commands of `golf` in one process, each as a person would type it; all they said."""
        script = (
            "import sys, neural_golf.cli as cli\n"
            f"assert cli.__file__.startswith({str(self.home)!r}), cli.__file__\n"
            f"sys.exit(next((code for line in {list(commands)!r} if (code := cli.main(line.split()))), 0))"
        )
        return self.run([sys.executable, "-c", script], fails)

    def run(self, command: list[str], fails: bool = False) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout[-1500:] + done.stderr[-3000:]
        return done.stdout + done.stderr


def idx(array: NDArray[np.uint8]) -> bytes:
    """An array in MNIST's own file format, compressed."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(head + array.tobytes(), mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def patterns(
    n: int, shape: tuple[int, int, int], classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images of any shape and classes: a bright bar where the class says, and noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    images = rng.integers(0, 80, (n, *shape), np.uint8)
    for image, label in zip(images, labels, strict=True):
        at = int((label + 0.5) * shape[1] / classes)
        image[label % shape[0], max(0, at - 1) : at + 2, 2:-2] = 230
    return images, labels
