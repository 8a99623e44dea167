"""The positions of a kernel: its orbit under quarter turns, or under quarter turns and mirror images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["POSITIONS", "in_all_positions"]


POSITIONS = ("turns", "mirrors")  # words of a spec for kernels that stand in several positions


Position = tuple[int, int]  # (r, m): mirrored m times (0 or 1), then turned r times by 90 degrees


def _after(a: Position, b: Position) -> Position:
    """The position that b and then a lead to. A mirror image turns the other way."""
    return (a[0] + (-b[0] if a[1] else b[0])) % 4, (a[1] + b[1]) % 2


def in_all_positions(index: NDArray[np.int64], orbit: int, among: int) -> NDArray[np.int64]:
    """Kernels [out / orbit, in, k, k] in all positions: [out, in, k, k]."""
    positions = [(r, m) for m in range(orbit // 4) for r in range(4)]
    found = []
    for r, m in positions:
        moved = np.rot90(index[..., ::-1] if m else index, r, axes=(2, 3))
        if among > 1:  # the input in position h plays the part that h has as seen from here
            back = (r, m) if m else (-r % 4, 0)
            parts = moved.reshape(len(index), -1, orbit, *index.shape[2:])
            moved = parts[:, :, [positions.index(_after(back, h)) for h in positions]].reshape(index.shape)
        found.append(moved)
    return np.stack(found, axis=1).reshape(-1, *index.shape[1:])
