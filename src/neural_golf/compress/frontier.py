"""The stages of the rows made by descent: one per seed, with a snapshot at every size; some are entered. And
the descent of a network that is trained already, for `golf prune --retrain`.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from neural_golf import data
from neural_golf.base import longwork, watch
from neural_golf.base.errors import GolfError
from neural_golf.base.files import METRICS, MODELS, PLOTS, write_bytes, write_json
from neural_golf.compress.descent import Descent, Snapshot, Vector
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.config.recipe import Recipe
from neural_golf.config.sections import DescentSettings
from neural_golf.engine import engine
from neural_golf.net.checkpoint import Checkpoint, Run, write_checkpoint

__all__ = ["descend", "pieces", "run"]


PATIENCE = 4  # snapshots below the goal, one after the other, after which a descent that has a goal ends


def descend(
    row: str, name: str, recipe: Recipe, seed: int, train: data.Split, heldout: data.Split, digest: str,
    start: Vector | None = None, goal: int | None = None,
) -> longwork.Piece:  # fmt: skip
    """One descent, kept in .golf: the arrays parameters and mask [snapshots, n], and a record for each
    snapshot.

    digest: of the data. start: the parameters [n] of a trained network to begin with. With `goal`, a number
    of held-out images, it ends once some snapshots in a row have fewer right.
    """
    core = engine(recipe.networks(train.pixels.shape[1:])[1])

    def right(snapshot: Snapshot) -> int:
        return core.correct(snapshot.parameters, heldout.pixels, heldout.labels)

    def enough(snapshots: list[Snapshot]) -> bool:
        if goal is None or len(snapshots) < PATIENCE:
            return False
        return all(right(snapshot) < goal for snapshot in snapshots[-PATIENCE:])

    def compute(state: Path) -> longwork.Piece:
        descent = Descent(recipe, train, seed, start=start)
        total = len(descent.plan)

        def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
            if step.snapshot or epoch % 10 == 0:
                text = f"epoch {epoch}/{total}, {step.size} parameters left, loss {loss:.4f}"
                longwork.say(row, name, text)
            watch.note(row, name, epoch, loss=loss, nonzero=step.size)

        snapshots = descent.run(each_epoch, state, enough=enough)
        records = [
            Run(
                seed, "heldout", size=snapshot.size,
                **data.score(core, snapshot.parameters, train=train, heldout=heldout),
            )
            for snapshot in snapshots
        ]  # fmt: skip
        tensors = {
            "parameters": np.stack([snapshot.parameters for snapshot in snapshots]),
            "mask": np.stack([snapshot.mask for snapshot in snapshots]),
        }
        return tensors, {"runs": [asdict(record) for record in records]}

    own = {} if start is None else {"start": start.tobytes().hex(), "goal": goal}
    key = longwork.folder(row, recipe=recipe.model_dump(), seed=seed, data=digest, **own)
    return longwork.finished(key, compute, timed=start is None)


def run(config: Config, row: str) -> None:
    """Descend once per seed, and write every snapshot and which of them are entered."""
    section: DescentSettings = config.settings(row)
    recipe = section.recipe
    network, facts = data.network(recipe.kept_as or recipe.network, recipe.seen_in), data.facts()
    results = [*longwork.computed(pieces(config, row)).values()]
    # params.yaml says which sizes are entered before anything is trained, so no score decides it.
    runs = tuple(
        Run(**{**run, "entered": run["size"] in section.enter})
        for _, record in results
        for run in record["runs"]
    )
    parameters = np.concatenate([tensors["parameters"] for tensors, _ in results])
    masks = np.concatenate([tensors["mask"] for tensors, _ in results]).astype(bool)
    write_checkpoint(MODELS / f"{row}.safetensors", Checkpoint(network, parameters, masks, runs))
    found = pd.DataFrame([asdict(run) for run in runs])
    found["train_accuracy"] = found.train_correct / facts.train
    found["heldout_accuracy"] = found.heldout_correct / facts.heldout
    columns = ["seed", "size", "entered", "train_accuracy", "heldout_accuracy"]
    curve = found[columns].rename(columns={"size": "nonzero"})
    write_bytes(PLOTS / f"{row}.csv", curve.to_csv(index=False, lineterminator="\n").encode())
    at = found.groupby("size").heldout_accuracy.mean().round(6)
    write_json(
        METRICS / f"{row}.json",
        {
            "parameters": network.size,
            "runs": len(results),
            "heldout_accuracy": {str(size): float(at[size]) for size in section.enter},
        },
    )


def pieces(config: Config, row: str) -> longwork.Pieces:
    """The row's descents, one per seed; see `descend`."""
    recipe: Recipe = config.settings(row).recipe
    if recipe.distil:
        raise GolfError(f"params.yaml: {row}.recipe.distil: only `golf handbook` has a teacher to learn from")
    parts = (data.read("train"), data.read("heldout"), data.digest())
    return {
        f"seed-{seed}": partial(descend, row, f"seed {seed}", recipe, seed, *parts)
        for seed in config.rows[row].seeds
    }
