"""Weights and maps as whole numbers of 8 bits, with scales from the maps of some images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.device.plan import Stage, plan
from neural_golf.net.layers import EPSILON, KINDS
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

__all__ = ["Whole", "calibrated", "common_unit"]


@dataclass(frozen=True)
class Whole:
    """A network of whole numbers. A map's number q stands for q · scale."""

    stages: list[Stage]
    parameters: list[int]  # [n]


def common_unit(values: NDArray[np.float64], most: int = 127) -> float:
    """The largest number of which all values are whole multiples from −most to most; 0.0 if there is none.

    Values are taken as float32, so a multiple may be off by its rounding.
    """
    there = np.abs(values[values != 0])
    if not len(there):
        return 1.0
    for times in range(1, most + 1):
        ratios = there / (there.min() / times)
        if ratios.max() > most + 0.5:
            break
        if np.abs(ratios - np.round(ratios)).max() <= 1e-6 * ratios.max():
            return float(there.min() / times)
    return 0.0
