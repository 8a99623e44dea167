"""One style for all figures: black on white first, colour second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "INK",
    "MARKS",
    "MINUS",
    "PALE",
    "PLUS",
    "applied",
    "beside",
    "canvas",
    "mosaic",
    "picture",
    "settle",
    "tall",
    "tiles",
    "words",
]

INK = "#1b2230"
PALE = "#aab2bf"
PLUS = "#16325c"  # dark: stays dark in black and white
MINUS = "#e8833a"  # light: stays light
# As many as the front has rows and judges; five-pointed stars are others' records.
MARKS: tuple[Any, ...] = (
    "o", "s", "^", "D", "v", "P", "X", "<", ">", (3, 1, 0), "h", "d", (4, 1, 0), "p",
    "8", "H", (3, 1, 60), (6, 1, 0),
)  # fmt: skip
COLOURS = (PLUS, MINUS, "#5f6b7a", "#3f8a7d")

STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "grid.color": "#e3e6eb",
    "grid.linewidth": 0.7,
    "figure.facecolor": "white",
    "svg.hashsalt": "neural-golf",
    "svg.fonttype": "none",
}


@contextmanager
def applied() -> Iterator[None]:
    """Draw in this style inside the context, whatever the user's own matplotlibrc says."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def canvas(
    width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, Any]:
    """A figure of so many inches, and its axes as `Figure.subplots` gives them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")  # no window, whatever the backend
    return figure, figure.subplots(rows, columns, **options)


def settle(figure: Figure) -> None:
    """Lay the figure out and round the positions: the solver's last digits are not always the same."""
    from matplotlib.transforms import Bbox

    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(Bbox(np.round(axes.get_position(original=True).get_points(), 4)))


def beside(axes: Axes, text: str, x: float, y: float) -> None:
    """A few words to the right of a bar's end; leading spaces would be lost in an SVG."""
    axes.annotate(text, (x, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)


def mosaic(tiles: NDArray[Any], columns: int, gap: int = 1) -> NDArray[Any]:
    """Tiles [n, height, width] or, coloured, [n, height, width, 3] side by side in rows of `columns`, NaN
    between them.

    >>> mosaic(np.zeros((3, 2, 2)), columns=2).shape
    (5, 5)
    """
    n, h, w = tiles.shape[:3]
    rows = -(-n // columns)
    sheet = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, *tiles.shape[3:]), np.nan)
    for k, tile in enumerate(tiles):
        y, x = k // columns * (h + gap), k % columns * (w + gap)
        sheet[y : y + h, x : x + w] = tile
    return sheet


def tiles(images: NDArray[Any]) -> NDArray[Any]:
    """Images [n, channels, height, width] as they are shown: three channels as red, green and blue
    [n, height, width, 3], any other number as their mean [n, height, width]. Of a series each channel is a
    band, one below the other.

    >>> [tiles(np.zeros((2, *shape))).shape for shape in ((1, 8, 9), (3, 8, 9), (2, 1, 40))]
    [(2, 8, 9), (2, 8, 9, 3), (2, 10, 40)]
    """
    n, c, h, w = images.shape
    if h == 1:
        return tall(images.reshape(n, c, w))
    return images.transpose(0, 2, 3, 1) if c == 3 else images.mean(axis=1)


def tall(rows: NDArray[Any]) -> NDArray[Any]:
    """Images [n, height, width] of few rows, each row often enough that the image is no mere line."""
    return np.repeat(rows, max(1, rows.shape[2] // (4 * rows.shape[1])), axis=1)


def words(text: str) -> Figure:
    """A figure that only says why there is none."""
    figure, axes = canvas(6.4, 0.8)
    axes.axis("off")
    axes.text(0, 0.5, text, va="center", fontsize=8)
    return figure


def picture(axes: Axes, sheet: NDArray[Any], low: float, high: float, ink: bool = True) -> None:
    """An image, pixel for pixel: grey, where high is black with `ink`, or coloured. NaN is left white."""
    coloured = sheet.ndim == 3
    shown = np.clip((sheet - low) / max(high - low, 1e-12), 0, 1)
    shown = 1 - shown if ink and not coloured else shown
    levels = np.round(np.nan_to_num(shown, nan=1.0) * 255).astype(np.uint8)
    alpha = np.where(np.isnan(sheet[..., 0] if coloured else sheet), 0, 255).astype(np.uint8)
    axes.imshow(np.dstack([*([levels] if coloured else [levels] * 3), alpha]), interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
