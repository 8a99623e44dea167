"""The canonical form of images (`net.form`), computed: fast in the compiled core, and plainly in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.net.form import FAINT, Form

__all__ = ["canonical", "canonical_plain"]

Floats = NDArray[np.float32]


def canonical(
    images: NDArray[Any],
    form: Form,
    index: NDArray[np.int64] | None = None,
    *,
    mean: float = 0.0,
    std: float = 1.0,
    threads: int = 1,
) -> Floats:
    """images[index] in their canonical form, float32 [n, channels, height, width], less `mean`, over `std`.

    `images` is uint8 [N, channels, height, width], which is divided by 255, or float32 from 0 on; 0 is
    background, and what lies outside an image. The ink of a pixel is the sum of its channels. Images are read
    bilinearly. A blank one stays blank; a dot or a line has the spread that FAINT gives it. `threads` changes
    no bit.

    Raises GolfError for wrong shapes or types, an index out of range, and ink that is negative or no number.
    """
    if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
        raise GolfError(f"form: images of {images.dtype} {images.shape}, not uint8 or float32 [N, c, h, w]")
    if images.shape[1] < 1 or min(images.shape[2:]) < 2:
        raise GolfError(f"form: images of {images.shape[1:]}; a slant needs at least 2 rows and 2 columns")
    if images.dtype == np.float32 and not (np.isfinite(images).all() and images.min(initial=0.0) >= 0):
        raise GolfError("form: an image has ink that is negative or not a finite number")
    rows = None if index is None else np.ascontiguousarray(index, np.int64)
    if rows is not None and (
        rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(images))
    ):
        raise GolfError(f"form: the index must be rows of the {len(images)} images")
    try:
        from neural_golf.engine import _core
    except ImportError:
        return canonical_plain(images, form, rows, mean=mean, std=std)
    out = np.empty((len(images) if rows is None else len(rows), *images.shape[1:]), np.float32)
    settings = (form.width, form.height, form.width_exponent, form.height_exponent, FAINT)
    _core.bring_into_form(
        np.ascontiguousarray(images), rows, settings, 1 / std, -mean / std, out, threads, ""
    )
    return out


def canonical_plain(
    images: NDArray[Any], form: Form, index: NDArray[np.int64] | None = None, *, mean: float = 0.0,
    std: float = 1.0,
) -> Floats:  # fmt: skip
    """`canonical` in numpy and float64, in blocks."""
    rows = np.arange(len(images)) if index is None else index
    out = np.empty((len(rows), *images.shape[1:]), np.float32)
    for start in range(0, len(rows), 1024):
        part = images[rows[start : start + 1024]].astype(np.float64)
        part = part / 255 if images.dtype == np.uint8 else part
        out[start : start + len(part)] = (_resampled(part, _matrices(part, form)) - mean) / std
    return out


def _matrices(images: NDArray[np.float64], form: Form) -> NDArray[np.float64]:
    """Of images [n, channels, height, width], what takes new coordinates to old ones: [n, 2, 3]."""
    n, _, height, width = images.shape
    u, v = _coordinates(width)[None, None, :], _coordinates(height)[None, :, None]
    share = images.sum(axis=1) + FAINT  # [n, height, width]
    share /= share.sum(axis=(1, 2), keepdims=True)

    def mean(of: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((share * of).sum(axis=(1, 2), keepdims=True))

    x, y = mean(u), mean(v)
    xx, xy, yy = mean((u - x) ** 2), mean((u - x) * (v - y)), mean((v - y) ** 2)
    slant = xy / yy
    left = np.maximum(xx - slant * xy, 0)
    kx = (np.sqrt(left) / form.width) ** form.width_exponent
    ky = (np.sqrt(yy) / form.height) ** form.height_exponent
    return np.stack([kx, slant * ky, x, np.zeros_like(kx), ky, y], axis=-1).reshape(n, 2, 3)


def _coordinates(size: int) -> NDArray[np.float64]:
    """The middles of pixels, from -1 at the first one's edge to 1 at the last one's, as in AffineGrid."""
    return (2 * np.arange(size) + 1) / size - 1


def _resampled(images: NDArray[np.float64], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    n, _, height, width = images.shape
    u, v = _coordinates(width)[None, :], _coordinates(height)[:, None]
    m = matrices[:, :, :, None, None]
    x = m[:, 0, 0] * u + m[:, 0, 1] * v + m[:, 0, 2]  # [n, height, width]
    y = m[:, 1, 0] * u + m[:, 1, 1] * v + m[:, 1, 2]
    px = np.clip(((x + 1) * width - 1) / 2 + 1, 0, width + 1)  # in an image with one zero in front
    py = np.clip(((y + 1) * height - 1) / 2 + 1, 0, height + 1)
    ix, iy = px.astype(np.int64), py.astype(np.int64)
    fx, fy = (px - ix)[:, None], (py - iy)[:, None]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2)))
    image = np.arange(n)[:, None, None]

    def pixel(down: int, right: int) -> NDArray[np.float64]:  # [n, channels, height, width]
        return np.asarray(padded[image, :, iy + down, ix + right].transpose(0, 3, 1, 2))

    above = pixel(0, 0) + fx * (pixel(0, 1) - pixel(0, 0))
    below = pixel(1, 0) + fx * (pixel(1, 1) - pixel(1, 0))
    return np.asarray(above + fy * (below - above))
