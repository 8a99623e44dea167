"""A picture depends on nothing of the person who draws it, and never costs a result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from neural_golf.prune import report

DRAW = """
import sys
from pathlib import Path
from neural_golf.look.figures import save_figure
from neural_golf.look.style import applied, canvas
with applied():
    figure, axes = canvas(4, 3)
    axes.plot([1000, 20000], [0.5, 0.25], label="a line")
    axes.set(title="Größe", xlabel="x", ylabel="y")
    axes.legend()
    for suffix in (".svg", ".png"):
        save_figure(figure, Path(sys.argv[1]).with_suffix(suffix))
"""
THEIRS = "text.usetex: True\nfont.size: 20\nfont.family: monospace\nsavefig.dpi: 300\naxes.formatter.use_locale: True\n"


def drawn(folder: Path, **environment: str) -> list[bytes]:
    folder.mkdir()
    script = folder.with_suffix(".py")
    script.write_text(DRAW, encoding="utf-8")
    code = [sys.executable, str(script), str(folder / "figure")]
    done = subprocess.run(
        code, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_a_picture_is_the_same_whatever_a_person_has_set(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text(THEIRS)
    theirs = {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "LC_ALL": "C", "PYTHONUTF8": "0", "TZ": "Asia/Kathmandu",
              "OMP_NUM_THREADS": "3", "MPLBACKEND": "svg"}  # fmt: skip
    assert drawn(tmp_path / "ours") == drawn(tmp_path / "theirs", **theirs)


def test_a_picture_that_fails_does_not_cost_the_pruned_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no picture today")

    monkeypatch.setattr(report, "save_figure", fails)
    told = report.Report(
        model="a.onnx", data="d", keep=0.9, retrained=False, pixels="bytes", counted="parameters", size=3, nonzero=2,
        heldout=10, heldout_right=9, test=0, test_right=None, sha256="",
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="no picture today"):
        report.write_report(
            tmp_path / "small.onnx", told, [("zeroed", 3, 1.0), ("zeroed", 2, 0.9)], b"network"
        )
    assert (tmp_path / "small.onnx").read_bytes() == b"network"
    assert (tmp_path / "small.csv").exists() and (tmp_path / "small.json").exists()
