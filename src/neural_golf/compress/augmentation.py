"""Image transformations: every image a little shifted, turned, scaled or stretched."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from neural_golf.config.recipe import Augment
from neural_golf.engine.warp import transform

__all__ = ["augmented"]


def augmented(
    images: NDArray[np.uint8], rows: NDArray[np.int64], change: Augment, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """images[rows], each shifted, turned, scaled and stretched a little (Simard, Steinkraus & Platt 2003)."""
    n = len(rows)
    angle = np.deg2rad(rng.uniform(-change.turn, change.turn, n))
    zoom = 1 + rng.uniform(-change.scale, change.scale, (n, 1, 1))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1).reshape(n, 2, 2)
    shift = rng.uniform(-change.shift, change.shift, (n, 2, 1))
    affine = np.concatenate([turn * zoom, shift], axis=2).astype(np.float32)
    grid = None
    if change.elastic:
        grid = rng.uniform(-change.elastic, change.elastic, (n, 2, 5, 5)).astype(np.float32)
    return transform(images, rows, affine, grid)
