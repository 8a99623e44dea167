"""The tables of a network in C: the weights that are not zero, and how far each is from the one before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.device.plan import Stage
from neural_golf.device.whole import Whole, common_unit
from neural_golf.net.spec import Network

__all__ = ["Tables", "number", "numbers", "put", "unsigned"]

Values = NDArray[Any]


class Tables:
    """The weights that are not zero, and where each stands, of all stages; equal tables once.

    Where a weight stands is how far it is from the one before, in the order channel, row, column. Where no
    kernel stands in several positions and none is shared, that is a distance in the memory of the stage.
    """

    def __init__(
        self, network: Network, parameters: Values, stages: Sequence[Stage], whole: Whole | None
    ) -> None:
        convs = [stage.conv for stage in stages if stage.conv]
        weights = [conv.weight for conv in convs]
        self.walk = any(stage.orbit > 1 for stage in stages) or len(set(weights)) < len(weights)
        source = np.asarray(whole.parameters if whole else parameters, np.float64)
        units = [
            common_unit(source[w.slice]) if w else 1.0 for w in (s.conv and s.conv.weight for s in stages)
        ]
        self.ints = whole is not None
        self.bytes = whole is not None or all(units)  # whole numbers, times a scale or not
        self.units = [1.0] * len(stages) if whole or not self.bytes else units
        self.unit = any(unit != 1 for unit in self.units)
        self.taps: list[int] = []
        self.weights: list[float] = []
        self.biases: list[float] = []
        self.slopes: list[float] = []
        self.places = [self._add(network, stage, source, number) for number, stage in enumerate(stages)]

    def _add(self, network: Network, stage: Stage, parameters: Values, number: int) -> dict[str, int]:
        """Where the tables of a stage begin."""
        place = {"tap": 0, "weight": 0, "bias": -1, "slope": 0, "alike": 0}
        conv = stage.conv
        if conv is not None and conv.weight is not None:
            kernels = parameters[conv.weight.slice].reshape(stage.outs // stage.orbit, -1, *stage.kernel)
            taps, weights, alike = self._kernels(stage, kernels, conv.groups)
            place["tap"] = put(self.taps, taps)
            place["alike"] = int(alike)
            place["weight"] = put(self.weights, [value / self.units[number] for value in weights])
            if conv.bias is not None and parameters[conv.bias.slice].any():
                biases = parameters[conv.bias.slice] / self.units[number]
                place["bias"] = put(self.biases, biases.tolist())
        if stage.slopes is not None and stage.slopes.weight is not None:
            place["slope"] = put(self.slopes, parameters[stage.slopes.weight.slice].tolist())
        return place

    def _kernels(self, stage: Stage, kernels: Values, groups: int) -> tuple[list[int], list[float], bool]:
        """Of kernels [outs, inputs, height, width]: per kernel a count and as many distances; the weights;
        and whether these counts and distances are those of every kernel, as in a dense layer, and stand once.
        """
        taps: list[list[int]] = []
        weights: list[float] = []
        inputs = kernels.shape[1]
        for out, kernel in enumerate(kernels):
            first = out // max(len(kernels) // groups, 1) * inputs
            c, y, x = np.nonzero(kernel)
            if self.walk:
                places = ((c + first) * stage.kernel[0] + y) * stage.kernel[1] + x
            else:
                channels = stage.shape[0]
                down, across = stage.dilation
                places = (y * down * channels + c + first) * stage.width + x * across
            order = np.argsort(places, kind="stable")
            steps = np.diff(places[order], prepend=0).tolist()
            values = kernel[c, y, x][order].tolist()
            taps.append([len(steps), *steps])
            weights += values
        alike = len(taps) > 1 and all(one == taps[0] for one in taps)
        return [step for one in (taps[:1] if alike else taps) for step in one], weights, alike

    def texts(self) -> dict[str, str]:
        return {
            "taps": numbers(self.taps),
            "tap_type": unsigned(self.taps),
            "weights": numbers(self.weights, self.bytes),
            "weight_type": "signed char" if self.bytes else "float",
            "biases": numbers(self.biases, self.ints),
            "slopes": numbers(self.slopes, self.ints),
            "slope_type": "short" if self.ints else "float",
        }


def put(table: list[Any], values: list[Any]) -> int:
    """Where these values stand in a table; they are added if they do not."""
    n = len(values)
    for start in range(len(table) - n + 1):
        if table[start : start + 1] == values[:1] and table[start : start + n] == values:
            return start
    table += values
    return len(table) - n


def unsigned(values: Iterable[int]) -> str:
    """The smallest type of C that holds these numbers, which are not negative."""
    most = max(values, default=0)
    return "unsigned char" if most < 256 else "unsigned short" if most < 65536 else "unsigned int"


def number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    text = f"{float(np.float32(value)):.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def numbers(values: Sequence[float], whole: bool = False) -> str:
    """In lines of at most 100 letters."""
    texts = [str(round(v)) if whole else number(v) for v in values]
    lines, line = [], ""
    for text in texts:
        if len(line) + len(text) > 98:
            lines.append(line)
            line = ""
        line += f"{text}, "
    lines.append(line)
    return "\n  ".join(line.rstrip() for line in lines).rstrip(",")
