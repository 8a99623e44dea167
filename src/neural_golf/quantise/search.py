"""Whole numbers for the weights of a sparse network: rounding in the surgeon's order, training, single steps.

Each tensor has one scale s, and each weight becomes q · s with a whole number q, 1 ≤ |q| ≤ levels. A removed
weight stays removed, and none is added. Only training images are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.compress.augmentation import augmented
from neural_golf.compress.optimiser import FullAdam
from neural_golf.compress.surgeon import fisher, operate
from neural_golf.config.sections import Pack
from neural_golf.engine import Engine
from neural_golf.net.spec import Network
from neural_golf.packed.file import level_bits, near_scale, told_scales

__all__ = ["Quantised", "Search", "nearest", "without_biases"]

Matrix = NDArray[np.float64]
Whole = NDArray[np.int64]
Say = Callable[[str], None]

MICRO = 16  # images of a gradient that the optimiser's second moment begins with


@dataclass(frozen=True)
class Quantised:
    """A network's whole numbers q [n], which of them are there, and the scale of each tensor [tensors]."""

    levels: Whole
    scales: Matrix


def nearest(values: Matrix, most: int) -> Matrix:
    """The nearest whole numbers from 1 to `most`, or from −1 to −most: none is 0."""
    sign = np.where(values < 0, -1.0, 1.0)
    return np.asarray(sign * np.clip(np.rint(np.abs(values)), 1, most))


def round_one(w: Matrix, inverse: NDArray[Any], q: int, value: float) -> None:
    """Set weight q to a value for good and move the others, as the surgeon does; changes w and H⁻¹.

    With w_q ← v the others follow by δw = − (w_q − v) / [H⁻¹]_qq · H⁻¹ e_q, at a cost of
    ½ (w_q − v)² / [H⁻¹]_qq (Frantar & Alistarh 2022, arXiv:2208.11580). v = 0 is the surgeon's removal.
    """
    row = inverse[q].copy()
    w -= (w[q] - value) / row[q] * row
    w[q] = value
    inverse -= np.outer(row, row) / row[q]


class Search:
    """One search for `most` levels on either side of 0.

    parameters: float32 [n] with exact zeros where there is no weight. `say` gets a line of progress.
    """

    def __init__(
        self, core: Engine, parameters: NDArray[np.float32], train: data.Split, settings: Pack, most: int,
        say: Say,
    ) -> None:  # fmt: skip
        self.core, self.train, self.settings, self.most, self.say = core, train, settings, most, say
        self.network = core.network
        self.pixels = core.seen(train.pixels)
        self.labels = train.labels.astype(np.int64)
        self.alive = np.flatnonzero(parameters)
        self.weights = parameters[self.alive].astype(np.float64)
        owner = np.repeat(np.arange(len(self.network.tensors)), [t.size for t in self.network.tensors])
        self.owner = owner[self.alive]
        self.scales = np.ones(len(self.network.tensors))
        self.fixed = np.zeros(len(self.alive), bool)
        self.round = 0

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one purpose in one round: nothing has to be remembered to go on."""
        return np.random.default_rng([self.settings.seed, self.most, self.round, *purpose.encode()])

    def run(self, state: Path | None = None) -> Quantised:
        """All rounds and all steps, from the start or from where an earlier run was killed."""
        path = state / "search.safetensors" if state else None
        if path and (found := longwork.kept(path)):
            self._load(found[0])
        else:
            self.scales = self._scales()
        while not self.fixed.all():
            self._fix()
            if not self.fixed.all():
                self._train()
            self.round += 1
            self.say(f"{int(self.fixed.sum())} of {len(self.fixed)} weights are whole numbers")
            if path:
                self._save(path)
        return self._steps(path)

    def whole(self, weights: Matrix) -> NDArray[np.float32]:
        """All parameters [n] as the engine takes them."""
        made = np.zeros(self.network.size, np.float32)
        made[self.alive] = weights
        return made

    def levels(self) -> Matrix:
        """The weights in units of their scales."""
        return np.asarray(self.weights / self.scales[self.owner])

    def _fisher(self) -> Matrix:
        rows = self.rng("rows").permutation(len(self.train))[: self.settings.fisher_images]
        found = fisher(self.core, self.whole(self.weights), self.alive, self.pixels, rows, self.rng("labels"))
        size = len(found)
        return np.asarray(found + (1e-3 * np.trace(found) / size + 1e-12) * np.eye(size))

    def _scales(self) -> Matrix:
        """The scale of each tensor: of many, the one with the smallest error by the Fisher matrix."""
        curvature = self._fisher()
        scales = np.ones(len(self.network.tensors))
        there = np.zeros(self.network.size, bool)
        there[self.alive] = True
        told = told_scales(self.network, there)
        for tensor in np.unique(self.owner):
            mine = self.owner == tensor
            w, h = self.weights[mine], curvature[np.ix_(mine, mine)]
            best = np.inf
            for part in np.linspace(0.5, 1.2, 71):
                scale = np.abs(w).max() / self.most * part
                scale = near_scale(scale) if told[tensor] else scale
                error = nearest(w / scale, self.most) * scale - w
                cost = float((error**2 * np.diag(h)).sum())
                if cost < best:
                    best, scales[tensor] = cost, scale
        return scales

    def _fix(self) -> None:
        """Round a share of the weights, the cheapest first, while the others make up for it."""
        free = np.flatnonzero(~self.fixed)
        count = -(-len(self.alive) // self.settings.rounds)
        inverse = np.linalg.inv(self._fisher()[np.ix_(free, free)])
        w: Matrix = self.weights[free]
        scale = self.scales[self.owner[free]]
        left = np.ones(len(free), bool)
        for _ in range(min(count, len(free))):
            target = nearest(w / scale, self.most) * scale
            diagonal = np.diag(inverse)
            cost = np.where(left, (w - target) ** 2 / np.where(left, diagonal, 1.0), np.inf)
            q = int(np.argmin(cost))
            left[q] = False
            round_one(w, inverse, q, float(target[q]))
            inverse[q, q] = 1.0  # its row and column are 0 now
        self.weights[free] = w
        done = free[~left]
        self.weights[done] = nearest(self.levels()[done], self.most) * self.scales[self.owner[done]]
        self.fixed[done] = True

    def _train(self) -> None:
        """Epochs of full-matrix Adam on the weights that are not whole numbers yet."""
        settings, batch = self.settings, self.settings.batch
        free = np.flatnonzero(~self.fixed)
        mask = np.zeros(self.network.size, bool)
        mask[self.alive[free]] = True
        rng, full = self.rng("order"), FullAdam(len(free))
        starts = range(0, len(self.train) - batch + 1, batch) or range(1)
        rates = np.linspace(settings.rate, 0, settings.epochs * len(starts))
        for epoch in range(settings.epochs):
            order = rng.permutation(len(self.train))
            pixels, labels = self.pixels, self.labels
            if settings.augment.on:
                changed = augmented(self.train.pixels, order, settings.augment, rng)
                pixels = self.core.seen(changed)
                labels, order = labels[order], np.arange(len(order))
            if not full.steps:
                rows = order[: len(order) // MICRO * MICRO]
                first = self.core.micro_gradients(self.whole(self.weights), pixels, labels, rows, MICRO, mask)
                full.warm(first[:, self.alive[free]], batch / MICRO)
            for number, k in enumerate(starts):
                _, gradient = self.core.loss_gradient(
                    self.whole(self.weights), pixels, labels, order[k : k + batch], 0.0, mask
                )
                rate = rates[epoch * len(starts) + number]
                self.weights[free] -= rate * full.direction(gradient[self.alive[free]])

    def _loss(self, weights: Matrix, rows: Whole) -> float:
        logits = self.core.logits(self.whole(weights), self.pixels, rows).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        right = logits[np.arange(len(rows)), self.labels[rows]]
        return float((np.log(np.exp(logits).sum(axis=1)) - right).mean())

    def _steps(self, path: Path | None) -> Quantised:
        """Single weights one level up or down, as long as loss + price · bits falls on training images.

        The gradient g and the Fisher matrix's diagonal say which steps are worth a try: those with the
        smallest g δ + ½ h δ² + price · bits. A step over 0 goes from 1 to −1.
        """
        price = self.settings.price
        levels = np.rint(self.levels())
        rows = np.sort(self.rng("steps").permutation(len(self.train))[: self.settings.step_images])
        scale = self.scales[self.owner]
        mask = np.zeros(self.network.size, bool)
        mask[self.alive] = True
        loss = self._loss(levels * scale, rows) + price * level_bits(levels.astype(np.int64))
        first = loss
        for sweep in range(self.settings.sweeps):
            self.weights = levels * scale
            h = np.diag(self._fisher())
            _, gradient = self.core.loss_gradient(
                self.whole(self.weights), self.pixels, self.labels, rows, 0.0, mask
            )
            g = gradient[self.alive]
            tries: list[tuple[float, int, float]] = []
            bits = level_bits(levels.astype(np.int64))

            def cost(q: int, value: float, levels: Matrix = levels, bits: float = bits) -> float:
                trial = levels.astype(np.int64)
                trial[q] = int(value)
                return level_bits(trial) - bits

            for way in (-1.0, 1.0):
                new = levels + way
                new = np.where(new == 0, way, new)
                move = (new - levels) * scale
                gain = np.where(np.abs(new) <= self.most, g * move + 0.5 * h * move**2, np.inf)
                tries += [
                    (float(gain[q]) + price * cost(q, new[q]), q, float(new[q]))
                    for q in range(len(levels))
                    if np.isfinite(gain[q])
                ]
            taken = 0
            for expected, q, value in sorted(tries)[: self.settings.tries]:
                if expected > 0:
                    break
                trial = levels.copy()
                trial[q] = value
                found = self._loss(trial * scale, rows) + price * level_bits(trial.astype(np.int64))
                if found < loss:
                    levels, loss, taken = trial, found, taken + 1
            self.say(
                f"sweep {sweep + 1}: {taken} steps of one level, loss and price {loss:.4f} after {first:.4f}"
            )
            if not taken:
                break
        self.weights = levels * scale
        whole = np.zeros(self.network.size, np.int64)
        whole[self.alive] = levels.astype(np.int64)
        return Quantised(whole, self.scales)

    def _save(self, path: Path) -> None:
        tensors: dict[str, NDArray[Any]] = {
            "weights": self.weights, "fixed": self.fixed, "scales": self.scales,
            "round": np.array([self.round]),
        }  # fmt: skip
        longwork.keep(path, tensors, {})

    def _load(self, t: Mapping[str, NDArray[Any]]) -> None:
        self.weights, self.scales, self.fixed = t["weights"].copy(), t["scales"], t["fixed"].astype(bool)
        self.round = int(t["round"][0])


def without_biases(
    core: Engine, parameters: NDArray[np.float32], train: data.Split, settings: Pack
) -> NDArray[np.float32]:
    """The network without its biases, which the surgeon removes: without them no scale has to be stored."""
    network: Network = core.network
    biases = np.zeros(network.size, bool)
    for tensor in network.tensors:
        biases[tensor.slice] = tensor.name.endswith(".bias")
    alive = np.flatnonzero(parameters)
    count = int(biases[alive].sum())
    if not count:
        return parameters
    rng = np.random.default_rng([settings.seed, *b"biases"])
    rows = rng.permutation(len(train))[: settings.fisher_images]
    curvature = fisher(core, parameters, alive, train.pixels, rows, rng)
    moved, _ = operate(parameters[alive].astype(np.float64), curvature, count, 1e-3, among=biases[alive])
    made = np.zeros_like(parameters)
    made[alive] = moved
    return made
