"""What `golf prune` writes beside the network: a table of accuracy against non-zero parameters, and a chart
of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes, write_csv, write_json
from neural_golf.look.figures import save_figure
from neural_golf.look.style import COLOURS, INK, MARKS, applied, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Report", "chart", "write_report"]

Point = tuple[str, int, float]  # what was done, parameters that are not zero, right on held-out images


@dataclass(frozen=True)
class Report:
    """One run of `golf prune`, in figures. test is 0 where the data have no test part."""

    model: str
    data: str
    keep: float
    retrained: bool
    pixels: str
    counted: str  # parameters, or only the weights
    size: int  # of them, with the zeros
    nonzero: int
    heldout: int
    heldout_right: int
    test: int
    test_right: int | None
    sha256: str

    @property
    def told(self) -> str:
        """What is right, in words."""
        if self.test_right is None:
            test = "the data have no test part"
        else:
            test = f"{self.test_right:,} of {self.test:,} test images right, which chose nothing"
        return f"{self.heldout_right / self.heldout:.4f} of the held-out images right; {test}"


def write_report(output: Path, report: Report, curve: Sequence[Point], content: bytes) -> list[Path]:
    """Write the network small.onnx, with small.csv, small.json and small.svg beside it; returns these paths.

    The picture comes last, because a result must not wait for it. Raises GolfError where only the picture
    cannot be written.
    """
    table, told, drawn = (output.with_suffix(suffix) for suffix in (".csv", ".json", ".svg"))
    write_csv(table, ("step", "nonzero", "heldout_accuracy"), [(s, n, round(a, 6)) for s, n, a in curve])
    write_json(told, asdict(report))
    write_bytes(output, content)
    try:
        with applied():
            save_figure(chart(report, curve), drawn)
    except OSError as error:
        raise GolfError(
            f"{output} is written, with {table} and {told}; only its picture {drawn} cannot be written: "
            f"{error.strerror}"
        ) from None
    return [table, told, drawn]


def chart(report: Report, curve: Sequence[Point]) -> Figure:
    """Right on the held-out images against the parameters that are not zero; the level line is what must be
    kept, and the ring is the network that was written.
    """
    figure, axes = canvas(6.6, 3.8)
    steps = list(dict.fromkeys(step for step, _, _ in curve))
    for k, step in enumerate(steps):
        mine = [(n, 100 * a) for s, n, a in curve if s == step]
        few = len(mine) < 60
        axes.plot(
            *zip(*mine, strict=True), color=COLOURS[k % len(COLOURS)], lw=1.2, ms=3.5,
            marker=MARKS[k % len(MARKS)] if few else None, label=step,
        )  # fmt: skip
    axes.axhline(100 * report.keep, color=INK, lw=0.8, ls="--")
    right = 100 * report.heldout_right / report.heldout
    axes.scatter([report.nonzero], [right], s=70, facecolor="none", edgecolor=INK, zorder=5)
    place = {"xytext": (0, -15), "textcoords": "offset points", "ha": "center"}
    axes.annotate(f"{report.nonzero:,}", (report.nonzero, right), **place)
    axes.invert_xaxis()
    axes.set_xlabel(f"{report.counted} that are not zero")
    axes.set_ylabel(f"right on {report.heldout:,} held-out images, %")
    axes.grid()
    axes.set_axisbelow(True)
    axes.legend(loc="lower left")
    return figure
