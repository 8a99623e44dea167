"""Zeroing one weight at a time: the stages of the rows that are made this way, pruned and prelu_pruned, and
what `golf prune` shares with them.

It is done as the blog did it, in one pass over the weights of convolutions and linear layers (not the biases
and not the slopes). Each weight is set to zero, and it stays zero if the network still has the accuracy asked
for. Nothing is trained again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import METRICS, MODELS, PLOTS, write_csv, write_json
from neural_golf.base.statistics import needed
from neural_golf.config import Config
from neural_golf.engine import Engine, Progress, engine
from neural_golf.net.checkpoint import Checkpoint, Judge, Order, Run, read_checkpoint, write_checkpoint
from neural_golf.net.parameters import masked

__all__ = ["Zeroes", "candidates", "pieces", "run", "saliency", "zero"]

Vector = NDArray[np.float32]
CHUNK = 100  # candidates between two saves of the state


class Zeroes(Protocol):
    """What can set one weight after the other to zero: an `Engine`, or a network that onnxruntime runs."""

    def zero_one_by_one(
        self, parameters: Vector, candidates: NDArray[np.int64], images: NDArray[Any], labels: NDArray[Any],
        threshold: int, progress: Progress | None = None,
    ) -> NDArray[np.bool_]: ...  # fmt: skip


def saliency(core: Engine, parameters: Vector, images: data.Split) -> Vector:
    """An estimate [n] of how much the loss rises when one parameter alone is zeroed: w² · E[g²] / 2.

    Optimal Brain Damage (LeCun, Denker & Solla 1990) with the diagonal of the empirical Fisher
    matrix, from one gradient per image, as the second derivative.
    """
    index = np.arange(len(images))
    gradients = core.micro_gradients(parameters, images.pixels, images.labels, index, micro_batch=1)
    fisher = np.square(gradients, dtype=np.float64).mean(axis=0)
    return np.asarray(np.square(parameters, dtype=np.float64) * fisher / 2, np.float32)


def candidates(
    core: Engine, parameters: Vector, order: Order, images: data.Split, everything: bool = False
) -> NDArray[np.int64]:
    """The weights of convolutions and linear layers, or with `everything` all parameters, in the order in
    which they are tried: as they stand in the network, or those first without which the loss on `images`
    rises least.
    """
    weights = np.arange(core.network.size) if everything else core.network.weights()
    if order != "saliency":
        return weights
    return np.asarray(weights[np.argsort(saliency(core, parameters, images)[weights], kind="stable")])


def zero(
    row: str, name: str, core: Zeroes, parameters: Vector, order: NDArray[np.int64],
    judge: data.Split, threshold: int, state: Path, every: int = CHUNK,
) -> longwork.Piece:  # fmt: skip
    """One pass over `order`, which goes on from `state`, where it is saved after `every` candidates. Returns
    mask [n] and the curve of accepted zeros.

    curve: int [accepted, 2], the number of zeros so far and of the images that were then right. (Where
    several are set at once, the curve has one line for them.)
    """
    path = state / "pass.safetensors"
    if found := longwork.kept(path):
        saved, metadata = found
        mask, curve, first = saved["mask"].astype(bool), saved["curve"], int(metadata["done"])
    else:
        mask, curve, first = np.ones(len(parameters), bool), np.empty((0, 2), np.int64), 0
    for start in range(first, len(order), every):
        chunk = order[start : start + every]
        before = int((~mask).sum())
        accepted: list[tuple[int, int]] = [(before, 0)]

        def note(done: int, zeroed: int, correct: int) -> None:
            if before + zeroed > accepted[-1][0]:  # noqa: B023 (called before the next chunk begins)
                accepted.append((before + zeroed, correct))  # noqa: B023

        now = masked(parameters, mask)
        mask = mask & core.zero_one_by_one(now, chunk, judge.pixels, judge.labels, threshold, note)
        curve = np.concatenate([curve, np.array(accepted[1:], np.int64).reshape(-1, 2)])
        longwork.keep(path, {"mask": mask, "curve": curve}, {"done": str(start + len(chunk))})
        longwork.say(row, name, f"{start + len(chunk)}/{len(order)} weights tried, {(~mask).sum()} zeroed")
    return {"mask": mask, "curve": curve}, {}


def run(config: Config, row: str) -> None:
    """Zero every run of the source row, with every judge and in every order that params.yaml names."""
    dense, made = _source(config, row), longwork.computed(pieces(config, row))
    numbers = {record.seed: number for number, record in enumerate(dense.runs)}
    runs = tuple(Run(**record["run"]) for _, record in made.values())
    masks = np.stack([tensors["mask"] for tensors, _ in made.values()]).astype(bool)
    parameters = np.stack([dense.parameters[numbers[record.seed]] for record in runs])
    write_checkpoint(MODELS / f"{row}.safetensors", Checkpoint(dense.network, parameters, masks, runs))
    facts = data.facts()
    images = {"test": facts.test, "heldout": facts.heldout}
    curve = [
        (
            f"{record.judge}-{record.order}",
            record.seed,
            dense.network.size - zeros,
            correct / images[record.judge],
        )
        for (tensors, _), record in zip(made.values(), runs, strict=True)
        for zeros, correct in tensors["curve"].tolist()
    ]
    write_csv(PLOTS / f"{row}.csv", ("variant", "seed", "nonzero", "accuracy"), curve)
    write_json(METRICS / f"{row}.json", _summary(runs, masks))


def _source(config: Config, row: str) -> Checkpoint:
    trained = config.settings(str(config.rows[row].of))
    expected = data.network(trained.network, trained.seen_in)
    return read_checkpoint(MODELS / f"{config.rows[row].of}.safetensors", network=expected)


def pieces(config: Config, row: str) -> longwork.Pieces:
    """The row's zeroings, for each judge, order and seed whose network has anything to prune.

    Each is the mask [n], the curve of `zero`, and a record of the run.
    """
    section, source, dense = config.prune, str(config.rows[row].of), _source(config, row)
    network = dense.network
    parts: dict[str, data.Split] = {judge: data.read(judge) for judge in section.judges}
    heldout, train = data.read("heldout"), data.read("train")
    thresholds: dict[str, float] = {"test": section.threshold, "heldout": section.heldout_threshold}
    goals: dict[str, int] = {judge: needed(thresholds[judge], len(part)) for judge, part in parts.items()}
    able = _able(row, source, dense, section.judges, parts, goals)
    missing = [judge for judge in section.judges if not able[judge]]
    if missing:
        judge = missing[0]
        key = "threshold" if judge == "test" else "heldout_threshold"
        raise GolfError(
            f"no {source} network reaches prune.{key} = {thresholds[judge]:g} on the {judge} "
            f"images, so there is nothing to prune: lower prune.{key} in params.yaml, or train {source} "
            "longer"
        )

    def one(judge: Judge, order_name: Order, run: int) -> longwork.Piece:
        seed = dense.runs[run].seed
        name = f"{judge} {order_name} seed {seed}"
        parameters = dense.parameters[run]

        def compute(state: Path) -> longwork.Piece:
            core = engine(network)  # of its own: one engine does one thing at a time
            order = candidates(core, parameters, order_name, train[: section.saliency_images])
            tensors, _ = zero(row, name, core, parameters, order, parts[judge], goals[judge], state)
            baked = masked(parameters, tensors["mask"].astype(bool))
            scored = {"train": train, "heldout": heldout, judge: parts[judge]}
            record = Run(seed, judge, order_name, **data.score(core, baked, **scored))
            return tensors, {"run": asdict(record)}

        key = longwork.folder(
            row, settings=section.model_dump(exclude={"judges", "orders"}), job=(judge, order_name, run),
            parameters=parameters.tobytes().hex(), data=data.digest(),
        )  # fmt: skip
        return longwork.finished(key, compute)

    return {
        f"{judge}-{order}-seed-{dense.runs[run].seed}": partial(one, judge, order, run)
        for judge, order in itertools.product(section.judges, section.orders)
        for run in able[judge]
    }


def _able(
    row: str, source: str, dense: Checkpoint, judges: Sequence[Judge], parts: dict[str, data.Split],
    goals: dict[str, int],
) -> dict[str, list[int]]:  # fmt: skip
    """For each judge, the runs that reach its goal; those that do not are told."""
    core = engine(dense.network)
    able: dict[str, list[int]] = {judge: [] for judge in judges}
    for run, judge in itertools.product(range(len(dense.runs)), judges):
        correct = core.correct(dense.parameters[run], parts[judge].pixels, parts[judge].labels)
        if correct >= goals[judge]:
            able[judge].append(run)
        else:
            print(
                f"{row}: left out {source} seed {dense.runs[run].seed}: it has {correct} of "
                f"{len(parts[judge])} {judge} images right, below the {goals[judge]} asked for, "
                "so there is nothing to prune"
            )
    return able


def _summary(runs: Sequence[Run], masks: NDArray[np.bool_]) -> dict[str, object]:
    """Mean non-zero parameters of each variant."""
    variants: dict[str, list[int]] = {}
    for record, mask in zip(runs, masks, strict=True):
        variants.setdefault(f"{record.judge}-{record.order}", []).append(int(mask.sum()))
    return {name: {"nonzero": round(float(np.mean(v)), 2), "runs": len(v)} for name, v in variants.items()}
