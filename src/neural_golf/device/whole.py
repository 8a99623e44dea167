"""Weights and maps as whole numbers of 8 bits, with scales from the maps of some images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.device.plan import Stage, as_it_is, plan, upright
from neural_golf.engine.form import canonical
from neural_golf.net.kind import Sides, Tensor
from neural_golf.net.layers import EPSILON, KINDS
from neural_golf.net.plain import Plain
from neural_golf.net.spec import Network

Ints = NDArray[Any]

__all__ = ["Whole", "calibrated", "common_unit"]


@dataclass(frozen=True)
class Whole:
    """A network of whole numbers. In the memory of stage k a number q stands for q · scales[k].

    scales: of each stage's input, after its normalisation; and of the logits.
    norms, epsilons: per stage, what a spread of 1 becomes, and `norm`'s epsilon in the units before it.
    factors, shifts: per stage; its output is (sum >> shift) · factor / 2048.
    added: per stage, what a number of the map that is added to its sums counts there.
    network: as `upright` leaves it.
    """

    network: Network
    stages: list[Stage]
    parameters: NDArray[np.int64]  # [n]
    scales: list[float]
    norms: list[float]
    epsilons: list[float]
    factors: list[int]
    shifts: list[int]
    added: list[int]
    signed: bool

    cell_bytes = 1

    @property
    def cell(self) -> str:
        return "signed char" if self.signed else "unsigned char"

    @property
    def lowest(self) -> int:
        return -127 if self.signed else 0

    @property
    def highest(self) -> int:
        return 127 if self.signed else 255

    @property
    def pixel_bits(self) -> int:
        """Of a pixel's byte, how many the first stage sees; unless the image has a form."""
        return 7 if self.signed else 8

    def logits(self, images: Ints) -> Ints:
        """What the C computes, in numpy: whole numbers [n, classes], in units of scales[-1].

        images: uint8 [n, channels, height, width], of the network's shape before `upright`. Only
        normalisation may round otherwise than on a device.
        """
        images = images.reshape(len(images), *self.network.in_shape)
        network, parameters = self.network, self.parameters
        if network.equivariant:
            network, source = network.unrolled()
            parameters = parameters[source]
        named = network.unpack(parameters)
        x = self._pixels(images)
        outputs: list[Ints] = []
        for k, stage in enumerate(self.stages):
            if stage.norm is not None:
                spread = np.sqrt(x.var(axis=(1, 2), keepdims=True) + self.epsilons[k])
                away = (x - x.mean(axis=(1, 2), keepdims=True)) / spread * self.norms[k]
                x = np.clip(np.trunc(away + np.copysign(0.5, away)), -127, 127).astype(np.int64)
            if stage.op == "taps":
                layer = network.layers[stage.layers[0]]
                tensors = [named[t.name] if t else None for t in (layer.weight, layer.bias)]
                sums = KINDS[layer.kind].forward(layer, x, *tensors)
            else:
                border = self.lowest if stage.op == "largest" else 0
                windows = _windows(x, stage.kernel, stage.down, stage.pad, border)
                sums = 256 * (windows.max if stage.op == "largest" else windows.sum)(axis=(-2, -1))
            if stage.adds is not None:
                sums = sums + outputs[stage.adds] * self.added[k]
            if k == len(self.stages) - 1:
                break
            x = self._rounded(stage, k, sums, named)
            x = _windows(x, stage.pool, stage.step).max(axis=(-2, -1))
            outputs.append(x)
        return np.asarray(sums.reshape(network.classes, -1).T)

    def _pixels(self, images: Ints) -> Ints:
        if self.network.form:
            seen = canonical(images, self.network.form) / self.scales_before[0]
            return np.asarray((seen + 0.5).astype(np.int64).transpose(1, 2, 3, 0))
        return np.asarray((images >> (8 - self.pixel_bits)).astype(np.int64).transpose(1, 2, 3, 0))

    @property
    def scales_before(self) -> list[float]:
        """Of each stage's input before its normalisation."""
        return [
            (EPSILON / epsilon) ** 0.5 if stage.norm is not None else scale
            for stage, epsilon, scale in zip(self.stages, self.epsilons, self.scales, strict=False)
        ]

    def _rounded(self, stage: Stage, k: int, sums: Ints, named: dict[str, Any]) -> Ints:
        """The activation of a stage, in the numbers of the next stage's memory."""
        v = sums >> self.shifts[k]
        slope: Any = round(stage.slope * 128)
        if stage.slopes and stage.slopes.weight:
            slope = named[stage.slopes.weight.name][:, None, None, None]
        product = v * slope
        v = np.where(v < 0, np.sign(product) * (np.abs(product) // 128), v)
        return np.asarray(np.clip((v * self.factors[k] + 1024) >> 11, self.lowest, self.highest))


def _windows(x: Ints, size: Sides, step: Sides, pad: Sides = (0, 0), border: int = 0) -> Ints:
    """Of maps [channels, height, width, n]: [channels, rows, columns, n, *size]."""
    down, across = pad
    x = np.pad(x, ((0, 0), (down, down), (across, across), (0, 0)), constant_values=border)
    return np.asarray(sliding_window_view(x, size, axis=(1, 2))[:, :: step[0], :: step[1]])


def calibrated(network: Network, parameters: NDArray[np.float32], images: NDArray[np.uint8]) -> Whole:
    """The network in whole numbers. images: uint8 [n, channels, height, width], for the ranges of the maps.

    Weights get one scale per layer. A map's largest number in these images becomes 127, or 255 where no map
    has negative ones. Raises GolfError where sums would not fit in 32 bits, and where maps are not finite.
    """
    network = upright(network)
    images = images.reshape(len(images), *network.in_shape)
    stages = plan(network, means=False)
    if not stages[-1].plain:  # logits are sums
        stages.append(as_it_is(stages[-1].out_shape))
    positive = _never_negative(stages)
    most = 255 if positive else 127

    seen = canonical(images, network.form) if network.form else images / np.float32(255)
    with np.errstate(over="ignore", invalid="ignore"):  # told below
        maps = Plain(network, parameters).forward(seen.transpose(1, 2, 3, 0))
    largest = [float(np.abs(one).max()) or 1.0 for one in maps]
    huge = next((k for k, one in enumerate(largest) if not math.isfinite(one)), None)
    if huge is not None:
        raise GolfError(f"the maps of layer {huge} are too large for whole numbers")
    ends = [0, *(stage.last + 1 for stage in stages)]
    whole = np.zeros(network.size, np.int64)
    norms, epsilons, factors, shifts, added = [], [], [], [], []
    pixel = 1 / 255 if positive else 1 / 127 if network.form else 2 / 255
    before = [pixel, *(largest[end] / most for end in ends[1:])]
    scales = [
        old if stage.norm is None else largest[stage.norm + 1] / most
        for stage, old in zip(stages, before, strict=False)
    ]
    for k, stage in enumerate(stages):
        unit = scales[k] / 256
        if stage.op == "mean":
            unit /= math.prod(stage.kernel)
        if stage.conv and stage.conv.weight:
            unit = scales[k] * _store(whole, parameters, stage.conv.weight, most=127)
            if stage.conv.bias:
                _store(whole, parameters, stage.conv.bias, scale=unit)
        if stage.slopes and stage.slopes.weight:
            _store(whole, parameters, stage.slopes.weight, scale=1 / 128)
        added.append(0 if stage.adds is None else round(before[stage.adds + 1] / unit))
        _check_fits(stage, whole, most, added[-1])
        norms.append(1 / scales[k] if stage.norm is not None else 0.0)
        epsilons.append(EPSILON / before[k] ** 2 if stage.norm is not None else 0.0)
        if k == len(stages) - 1:
            scales.append(unit)
            factors.append(0)
            shifts.append(0)
            break
        ratio = unit / before[k + 1]
        shift = max(0, -3 - math.frexp(ratio)[1])  # so that the factor has 8 bits
        factor = round(min(ratio, 2.0**11) * 2 ** (11 + shift))  # which may be infinite
        if factor > 32767:
            raise GolfError(f"the maps of layer {stage.last + 1} are too small for whole numbers")
        factors.append(factor)
        shifts.append(shift)
    return Whole(network, stages, whole, scales, norms, epsilons, factors, shifts, added, not positive)


def _never_negative(stages: Sequence[Stage]) -> bool:
    """Whether no map that is in memory has negative numbers."""
    above = [True]  # of each stage's input
    for stage in stages:
        sums = stage.op != "taps" and above[-1] and (stage.adds is None or above[stage.adds + 1])
        above.append(sums or (stage.slopes is None and stage.slope <= 0))
    return all(above[:-1]) and not any(stage.norm is not None for stage in stages)


def _store(
    whole: Ints, parameters: NDArray[np.float32], tensor: Tensor, most: int = 0, scale: float = 0.0
) -> float:
    """Write a tensor as multiples of a scale: that one, or the one that makes its largest number `most`."""
    values = parameters[tensor.slice].astype(np.float64)
    if not scale:
        unit = common_unit(values, most)  # exact, if they are whole numbers already
        scale = unit or float(np.abs(values).max(initial=0)) / most
    values = np.round(values / scale)
    if not np.abs(values).max(initial=0) < 2**31:
        raise GolfError(f"tensor {tensor.name!r} does not fit in 32 bits")
    whole[tensor.slice] = values
    return scale


def _check_fits(stage: Stage, whole: Ints, most: int, added: int) -> None:
    largest = 256 * most * math.prod(stage.kernel)
    if stage.conv and stage.conv.weight:
        kernels = np.abs(whole[stage.conv.weight.slice].reshape(stage.conv.weight.shape[0], -1))
        largest = int(kernels.sum(axis=1).max()) * most
        if stage.conv.bias:
            largest += int(np.abs(whole[stage.conv.bias.slice]).max())
    if largest + added * most >= 2**31:
        raise GolfError(f"the sums of layer {stage.last + 1} do not fit in 32 bits")


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
