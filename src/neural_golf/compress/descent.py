"""One descent: a network trained, and its weights removed a few at a time while training goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError, NoResult, diverging
from neural_golf.compress.augmentation import augmented
from neural_golf.compress.optimiser import BlockAdam, FullAdam, restored
from neural_golf.compress.plan import Epoch, plan
from neural_golf.compress.surgeon import WHOLE, blocks, choose, fisher_blocks, operate
from neural_golf.compress.technique import techniques_of
from neural_golf.config.recipe import Recipe
from neural_golf.engine import Engine, engine
from neural_golf.net.parameters import initialise

__all__ = ["Descent", "Snapshot", "Vector", "price", "soft_targets"]

Vector = NDArray[np.float32]
PARTS = 8  # of an epoch of plain Adam; after each, its weights go into the average


@dataclass(frozen=True)
class Snapshot:
    """The averaged weights [n] at the moment when `size` of them were left, and which ones those are.

    They are those of the network that the recipe trains, and of `Descent.kept`.
    """

    size: int
    parameters: Vector
    mask: NDArray[np.bool_]


def soft_targets(labels: NDArray[np.integer[Any]], teacher: Vector | None, share: float) -> NDArray[Any]:
    """Targets of the loss: the labels [N], or (1 − share) label + share teacher [N, classes].

    Distillation (Hinton, Vinyals & Dean 2015, arXiv:1503.02531) with the temperatures matched at 1:
    `teacher` holds probabilities, and the student is asked for exactly these.
    """
    if share == 0:
        return labels.astype(np.int64)
    if teacher is None:
        raise GolfError("distil is above 0, but there is no teacher")
    hard = np.eye(teacher.shape[1], dtype=np.float32)[labels]
    mixed: Vector = ((1 - share) * hard + share * teacher).astype(np.float32)
    return mixed


def price(weights: NDArray[np.float64], penalty: float, knee: float = 0.1) -> NDArray[np.float64]:
    """Gradient [k] of penalty · Σ log(1 + |w| / knee) / log(1 + 1 / knee).

    The log-sum penalty of reweighted ℓ1 (Candès, Wakin & Boyd 2008): a large weight pays little more
    than a middling one, a small weight is pushed to 0. So there is room before the surgeon comes.
    """
    return np.asarray(penalty * np.sign(weights) / (np.abs(weights) + knee) / np.log1p(1 / knee))


class Descent:
    """The state of one descent. `run` takes it to the end, from the start or from where it was killed.

    train: the images that gradients, Fisher matrices and nothing else see.
    teacher: probabilities [N, classes] of a large network, for recipes that distil.
    start: parameters [n] of a trained network, whose zeros stay zeros; without them it starts anew.
    """

    def __init__(
        self, recipe: Recipe, train: data.Split, seed: int, teacher: Vector | None = None,
        core: Engine | None = None, start: Vector | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.train, self.seed = recipe, train, seed
        self.network, self.kept = recipe.networks(train.pixels.shape[1:])
        self.core = core or engine(self.network)
        self.seen = self.core.seen(train.pixels)
        self.targets = soft_targets(train.labels, teacher, recipe.distil)
        self.given = start
        self.alive = np.arange(self.network.size) if start is None else np.flatnonzero(start)
        self.full: FullAdam | BlockAdam | None = None
        self.curvature: tuple[int, NDArray[np.int64], NDArray[np.float64]] | None = None  # see `_fisher`
        self.starts: list[float] = []  # the loss of each network that began
        self._begin()
        size, rate = len(self.alive), recipe.dense_rate
        half = [1 - 0.5 * k / recipe.dense_epochs for k in range(recipe.dense_epochs + 1)]
        dense = [Epoch(size, (rate * half[k], rate * half[k + 1])) for k in range(recipe.dense_epochs)]
        self.plan = dense + plan(recipe, size)

    def run(
        self, each_epoch: Callable[[Epoch, int, float], None], state: Path | None = None, every: int = 5,
        enough: Callable[[list[Snapshot]], bool] = lambda _: False,
    ) -> list[Snapshot]:  # fmt: skip
        """All epochs; returns the snapshots, largest first.

        each_epoch(the epoch, its number counted from 1, its mean loss) is called after every epoch. With
        `state`, a folder, the state is written there after every `every`th epoch and at snapshots. It ends
        early where `enough` says so of the snapshots so far.
        """
        path = state / "descent.safetensors" if state else None
        found = longwork.kept(path) if path else None
        snapshots = self._load(found[0]) if found else []
        if len(self.starts) < self.recipe.starts != 1:
            self._choose_start(each_epoch, path)
        done = enough(snapshots)
        while self.epoch < len(self.plan) and not done:
            step = self.plan[self.epoch]
            self._one_epoch(step, each_epoch)
            if step.snapshot:
                snapshots.append(Snapshot(len(self.alive), self.whole(self.average), self._mask()))
                done = enough(snapshots)
            if path and (step.snapshot or self.epoch % every == 0):
                self._save(path, snapshots)
        return snapshots

    def _one_epoch(self, step: Epoch, each_epoch: Callable[[Epoch, int, float], None]) -> float:
        self._resize(step)
        for technique in self.techniques:
            technique.before_epoch(self, step)
        what = f"descent diverged in epoch {self.epoch + 1} (seed {self.seed})"
        with diverging(what):
            loss = self._train(step)
        if not np.isfinite(self.weights).all():
            raise NoResult(f"{what}: lower the learning rate")
        self.epoch += 1
        each_epoch(step, self.epoch, loss)
        return loss

    def _begin(self) -> None:
        """A network with fresh weights. Every start sees the same batches, so that losses can be compared."""
        self.epoch = self.adam_steps = 0
        self.techniques = techniques_of(self.recipe)
        rng = self.rng(f"start {len(self.starts)}" if self.starts else "start")
        first = initialise(self.network, rng) if self.given is None else self.given
        self.weights = first.astype(np.float64)
        self.average = self.weights.copy()
        self.moments = [np.zeros(self.network.size, np.float32) for _ in range(2)]

    def _choose_start(self, each_epoch: Callable[[Epoch, int, float], None], path: Path | None) -> None:
        """Of several starts, go on with the one that has the least loss in the last of its `start_epochs`."""
        best = (self.weights, self.average, self.moments, self.adam_steps)
        while len(self.starts) < self.recipe.starts:
            if self.starts:
                self._begin()
            loss = 0.0
            for step in self.plan[: self.recipe.start_epochs]:
                loss = self._one_epoch(step, each_epoch)
            if not self.starts or loss < min(self.starts):
                best = (self.weights, self.average, self.moments, self.adam_steps)
            self.starts.append(loss)
            if path:  # the best one so far; the others are not needed again
                self.weights, self.average, self.moments, self.adam_steps = best
                self._save(path, [])
        self.weights, self.average, self.moments, self.adam_steps = best

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator for one purpose in one epoch: nothing has to be remembered to go on."""
        epoch = getattr(self, "epoch", 0)
        return np.random.default_rng([self.seed, epoch, *purpose.encode()])

    def whole(self, weights: NDArray[np.float64]) -> Vector:
        """All parameters as the engine takes them, removed ones exactly 0."""
        whole = np.zeros(self.network.size, np.float32)
        whole[self.alive] = weights[self.alive]
        return whole

    def _mask(self) -> NDArray[np.bool_]:
        mask = np.zeros(self.network.size, bool)
        mask[self.alive] = True
        return mask

    def _resize(self, step: Epoch) -> None:
        """Bring the network to the size of this epoch."""
        recipe = self.recipe
        if step.size >= len(self.alive):
            return
        count, curvature = len(self.alive) - step.size, self._fisher()
        kept_weights = self.average[self.alive]
        if recipe.removal == "surgeon":
            moved, kept = operate(kept_weights, curvature, count, recipe.damping)
        else:
            moved, kept = choose(recipe.removal, kept_weights, curvature, count)
            if recipe.compensate:
                moved, kept = operate(kept_weights, curvature, count, recipe.damping, among=~kept)
        if not recipe.compensate:
            moved = np.where(kept, kept_weights, 0.0)
        self.weights = np.zeros(self.network.size)
        self.weights[self.alive] = moved
        self.average = self.weights.copy()
        self.alive = self.alive[kept]
        if self.curvature:
            uses, _, matrix = self.curvature
            self.curvature = uses, self.alive, matrix[np.ix_(kept, kept)]
        if self.full:
            self.full.keep(kept)
            if isinstance(self.full, BlockAdam) and len(blocks(self.network, self.alive)) == 1:
                self.full = self.full.joined()

    def _fisher(self) -> list[NDArray[np.float64]]:
        """The Fisher matrix of the weights that are left, or its blocks.

        `fisher_every` removals share a matrix, as long as there is only one and no weight came back:
        `curvature` has how often it was used, the weights [k] that it is of, and the matrix [k, k].
        """
        if self.curvature:
            uses, alive, matrix = self.curvature
            if uses < self.recipe.fisher_every and np.array_equal(alive, self.alive):
                self.curvature = uses + 1, alive, matrix
                return [matrix]
        # The Fisher matrix of many parameters is taken from fewer images, in bounded time.
        parts = blocks(self.network, self.alive)
        largest = max(part.stop - part.start for part in parts)
        images = min(self.recipe.fisher_images, int(25e9 / (len(self.alive) * largest)), len(self.train))
        rows = self.rng("rows").permutation(len(self.train))[:images]
        labels, whole = self.rng("labels"), self.whole(self.average)
        found = fisher_blocks(self.core, whole, self.alive, self.seen, rows, labels, parts)
        shared = self.recipe.fisher_every > 1 and len(parts) == 1
        self.curvature = (1, self.alive, found[0]) if shared else None
        return found

    def _train(self, step: Epoch) -> float:
        recipe = self.recipe
        order = self._order()
        pixels, targets = self.seen, self.targets
        if recipe.augment.on:  # first transformed, then brought into form
            changed = augmented(self.train.pixels, order, recipe.augment, self.rng("augment"))
            pixels = self.core.seen(changed)
            targets, order = targets[order], np.arange(len(order))
        if recipe.optimiser == "diagonal" or len(self.alive) > recipe.full_below:
            return self._adam(step, pixels, targets, order)
        return self._full_adam(step, pixels, targets, order)

    def _order(self) -> NDArray[np.int64]:
        """The images of this epoch, in their order."""
        rng = self.rng("order")
        order = rng.permutation(len(self.train))
        for technique in self.techniques:
            order = technique.order(self, order, rng)
        return order

    def _adam(self, step: Epoch, pixels: Any, targets: Any, order: NDArray[np.int64]) -> float:
        """Plain Adam, in the compiled core."""
        recipe, batch = self.recipe, self.recipe.batch
        steps = -(-len(order) // batch)
        rates = np.linspace(*step.rate, steps)
        if recipe.optimiser == "full" and step.size < self.network.size:
            rates = rates * 0.6  # the full-matrix rate suits plain Adam less
        mask, whole = self._mask(), self.whole(self.weights)
        total, length = 0.0, -(-steps // PARTS)
        for first in range(0, steps, length):
            rows = order[first * batch : (first + length) * batch]
            total += len(rows) * self.core.adam_epoch(
                whole, self.moments[0], self.moments[1], self.adam_steps, pixels, targets, rows, batch,
                rates[first : first + length], mask=mask, smoothing=recipe.smoothing,
            )  # fmt: skip
            self.adam_steps += -(-len(rows) // batch)
            self._take(whole, -(-len(rows) // batch), self.adam_steps)
        self.weights = whole.astype(np.float64)
        return total / len(order)

    def _full_adam(self, step: Epoch, pixels: Any, targets: Any, order: NDArray[np.int64]) -> float:
        recipe, batch, mask = self.recipe, self.recipe.batch, self._mask()
        if self.full is None:
            sizes = [part.stop - part.start for part in blocks(self.network, self.alive)]
            if len(sizes) == 1:
                self.full = FullAdam(len(self.alive), beta2=recipe.beta2, every=recipe.every)
            else:
                self.full = BlockAdam(sizes, beta2=recipe.beta2, every=recipe.every)
            most = len(order) * WHOLE // max(self.network.size, WHOLE)  # their gradients stay in memory
            rows = order[: most // 16 * 16]
            first = self.core.micro_gradients(self.whole(self.weights), pixels, targets, rows, 16, mask)
            self.full.warm(first[:, self.alive], batch / 16)
        starts = range(0, len(order) - batch + 1, batch) or range(1)
        total, penalty = 0.0, 0.0 if step.settles else recipe.penalty
        for k, rate in zip(starts, np.linspace(*step.rate, len(starts)), strict=True):
            rows = order[k : k + batch]
            loss, gradient = self.core.loss_gradient(
                self.whole(self.weights), pixels, targets, rows, recipe.smoothing, mask
            )
            slope = gradient[self.alive] + price(self.weights[self.alive], penalty)
            for technique in self.techniques:
                slope = slope + technique.slope(self)
            self.weights[self.alive] -= rate * self.full.direction(slope)
            self._take(self.weights, 1, self.full.steps)
            total += loss
        self.full.rest()
        return total / len(starts)

    def _take(self, weights: NDArray[Any], steps: int, since_start: int) -> None:
        """Weights [n] into the average (Polyak & Juditsky 1992; here it forgets exponentially).

        The first steps are forgotten fast, because where a network starts says nothing.
        """
        memory = min(self.recipe.average, since_start / (since_start + 10))
        self.average += (1 - memory**steps) * (weights - self.average)

    def _save(self, path: Path, snapshots: list[Snapshot]) -> None:
        tensors: dict[str, NDArray[Any]] = {
            "weights": self.weights,
            "average": self.average,
            "alive": self.alive,
        }
        tensors |= {
            "m": self.moments[0],
            "v": self.moments[1],
            "count": np.array([self.epoch, self.adam_steps]),
        }
        if self.starts:
            tensors["starts"] = np.array(self.starts)
        if self.curvature:
            uses, alive, matrix = self.curvature
            tensors |= {"fisher.uses": np.array(uses), "fisher.alive": alive, "fisher.matrix": matrix}
        if self.full:
            tensors |= {f"full.{name}": array for name, array in self.full.state().items()}
        if snapshots:
            tensors["snapshots.parameters"] = np.stack([s.parameters for s in snapshots])
            tensors["snapshots.mask"] = np.stack([s.mask for s in snapshots])
        longwork.keep(path, tensors, {})

    def _load(self, t: Mapping[str, NDArray[Any]]) -> list[Snapshot]:
        self.weights, self.average, self.alive = t["weights"], t["average"], t["alive"]
        self.moments = [t["m"].copy(), t["v"].copy()]
        self.epoch, self.adam_steps = map(int, t["count"])
        self.starts = list(map(float, t.get("starts", [])))
        if "fisher.uses" in t:
            self.curvature = int(t["fisher.uses"]), t["fisher.alive"], t["fisher.matrix"]
        full = {name.removeprefix("full."): array for name, array in t.items() if name.startswith("full.")}
        if full:
            self.full = restored(full, self.recipe.beta2, self.recipe.every)
        pairs = zip(t.get("snapshots.parameters", []), t.get("snapshots.mask", []), strict=True)
        return [Snapshot(int(mask.sum()), parameters, mask.astype(bool)) for parameters, mask in pairs]
