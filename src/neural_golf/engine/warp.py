"""Augmentation: images shifted, turned, scaled and stretched, fast enough to do it every epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError

__all__ = ["transform", "transform_plain"]

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def transform(
    images: Bytes,
    index: NDArray[np.int64],
    affine: Floats,
    grid: Floats | None = None,
    *,
    threads: int = 1,
) -> Bytes:
    """Warped copies of images[index], uint8 [n, channels, height, width].

    `images` is uint8 [N, channels, height, width]. With the origin in the middle of the image and
    pixels as the unit, output pixel (x, y) is read at affine[i] · (x, y, 1) + displacement(x, y),
    bilinearly, with zeros outside, and rounded to whole grey levels. `affine` is float32 [n, 2, 3],
    the identity being ((1, 0, 0), (0, 1, 0)). `grid` is float32 [n, 2, g, g], g >= 2: displacements
    in x and in y at g by g knots from corner to corner, bilinear between them (after Simard,
    Steinkraus & Platt 2003, who smooth a finer field).

    Raises GolfError for wrong shapes or types, an index out of range, NaN or Inf.
    """
    if images.dtype != np.uint8 or images.ndim != 4:
        raise GolfError(f"transform: images of {images.dtype} {images.shape}, not uint8 [N, c, h, w]")
    rows = np.ascontiguousarray(index, np.int64)
    if rows.ndim != 1 or (len(rows) and (rows.min() < 0 or rows.max() >= len(images))):
        raise GolfError(f"transform: the index must be rows of the {len(images)} images")
    affine = np.ascontiguousarray(affine, np.float32)
    if affine.shape != (len(rows), 2, 3) or not np.isfinite(affine).all():
        raise GolfError(f"transform: affine {affine.shape} must be finite numbers [{len(rows)}, 2, 3]")
    if grid is not None:
        grid = np.ascontiguousarray(grid, np.float32)
        g = grid.shape[-1]
        if grid.shape != (len(rows), 2, g, g) or g < 2 or not np.isfinite(grid).all():
            raise GolfError(f"transform: grid {grid.shape} must be finite numbers [{len(rows)}, 2, g, g]")
    try:
        from neural_golf.engine import _core
    except ImportError:
        return transform_plain(images, rows, affine, grid)
    out = np.empty((len(rows), *images.shape[1:]), np.uint8)
    _core.warp(np.ascontiguousarray(images), rows, affine, grid, out, threads, "")
    return out


def transform_plain(
    images: Bytes, index: NDArray[np.int64], affine: Floats, grid: Floats | None = None
) -> Bytes:
    """`transform` in numpy, in blocks. It equals the compiled one except for rounding (one grey level)."""
    out = np.empty((len(index), *images.shape[1:]), np.uint8)
    for start in range(0, len(index), 1024):
        part = slice(start, start + 1024)
        out[part] = _warp(images[index[part]], affine[part], None if grid is None else grid[part])
    return out


def _warp(images: Bytes, affine: Floats, grid: Floats | None) -> Bytes:
    n, _, height, width = images.shape
    one, half = np.float32(1), np.float32(0.5)
    cx, cy = half * (width - 1), half * (height - 1)
    u = (np.arange(width, dtype=np.float32) - cx)[None, None, :]
    v = (np.arange(height, dtype=np.float32) - cy)[None, :, None]
    a = affine[:, :, :, None, None]
    x = a[:, 0, 0] * u + a[:, 0, 1] * v + a[:, 0, 2] + cx + one  # [n, height, width], one zero in front
    y = a[:, 1, 0] * u + a[:, 1, 1] * v + a[:, 1, 2] + cy + one
    if grid is not None:
        knots = grid.shape[-1]
        across, down = _weights(width, knots), _weights(height, knots)  # [pixels, knots]
        x = x + np.einsum("yj,njk,xk->nyx", down, grid[:, 0], across)
        y = y + np.einsum("yj,njk,xk->nyx", down, grid[:, 1], across)
    x, y = np.clip(x, 0, width + 1), np.clip(y, 0, height + 1)
    ix, iy = x.astype(np.int64), y.astype(np.int64)
    fx, fy = (x - ix)[:, None], (y - iy)[:, None]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 2), (1, 2))).astype(np.float32)
    image = np.arange(n)[:, None, None]

    def pixel(down: int, right: int) -> Floats:  # [n, channels, height, width]
        picked: Floats = padded[image, :, iy + down, ix + right].transpose(0, 3, 1, 2)
        return picked

    above = pixel(0, 0) + fx * (pixel(0, 1) - pixel(0, 0))
    below = pixel(1, 0) + fx * (pixel(1, 1) - pixel(1, 0))
    levels: Bytes = (above + fy * (below - above) + half).astype(np.uint8)
    return levels


def _weights(pixels: int, knots: int) -> Floats:
    """Bilinear weights [pixels, knots] of knots that span the pixels from first to last."""
    at = np.arange(pixels, dtype=np.float32) * np.float32((knots - 1) / max(pixels - 1, 1))
    left = np.minimum(at.astype(np.int64), knots - 2)
    out = np.zeros((pixels, knots), np.float32)
    out[np.arange(pixels), left] = 1 - (at - left)
    out[np.arange(pixels), left + 1] = at - left
    return out
