"""`golf search`: which topologies and settings lie on the front of accuracy and size.

A study with two objectives, accuracy on the held-out images and non-zero parameters, by TPE (Ozaki
et al. 2022). It shows how good recipes can be looked for; those in params.yaml are older than it and were
chosen by hand. It is not part of the default run: `snakemake search`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError, NoResult
from neural_golf.base.files import write_csv, write_json
from neural_golf.base.study import Report, Study
from neural_golf.compress.descent import Descent
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.config.pieces import waves
from neural_golf.config.recipe import Recipe
from neural_golf.config.sections import Search
from neural_golf.net.orbits import POSITIONS
from neural_golf.net.spec import Network

if TYPE_CHECKING:
    import optuna

__all__ = ["pieces", "recipe_of", "run"]

NAMES = ("first", "second", "third", "kernel", "activation", "sharing", "rate", "penalty", "size")


def run(config: Config) -> None:
    """Go on with the study until it has `search.trials` finished trials; write its table and front."""
    report(_study(config))


def pieces(config: Config) -> longwork.Pieces:
    """The study's trials, each of which computes what it learns from where that is not there."""

    def trial(number: int) -> longwork.Piece:
        _study(config, number)
        return {}, {}

    return {
        key: partial(trial, int(key.removeprefix("trial-")))
        for wave in waves(config, "search")
        for key in wave
    }


def _study(config: Config, only: int | None = None) -> Study:
    """The study, run to its end or as far as the trial of the number `only`."""
    import optuna

    section = config.needed("search")
    train, heldout = data.read("train"), data.read("heldout")
    state = longwork.folder("search", settings=section.model_dump(exclude={"trials"}), data=data.digest())
    study = Study(state, ["maximize", "minimize"])

    def evaluate(trial: optuna.Trial, _: Report) -> tuple[float, int]:
        recipe = recipe_of(trial.params, section)
        try:
            Network.parse(recipe.network, train.pixels.shape[1:], recipe.seen_in)
        except GolfError as error:  # these images are too small for it
            raise NoResult(str(error)) from None

        def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
            if epoch % 10 == 0:
                longwork.say("search", f"trial {trial.number}", f"epoch {epoch}, {step.size} left")

        descent = Descent(recipe, train, section.seed)
        last = descent.run(each_epoch)[-1]
        return descent.core.correct(last.parameters, heldout.pixels, heldout.labels) / len(heldout), last.size

    def sampler(done: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(
            seed=(section.seed + done) % 2**32, n_startup_trials=section.startup_trials
        )

    study.run(
        section.trials, section.parallel, sampler, lambda trial: _suggest(trial, section), evaluate, only
    )
    return study


def _suggest(trial: optuna.Trial, section: Search) -> None:
    for name in ("first", "second", "third"):
        trial.suggest_int(name, *section.channels, step=8)
    trial.suggest_int("kernel", *section.kernel)
    trial.suggest_categorical("activation", ["relu", "abs"])
    trial.suggest_categorical("sharing", ["none", "turns", "turns mirrors", "turns mirrors tied"])
    trial.suggest_float("rate", *section.rate, log=True)
    trial.suggest_float("penalty", *section.penalty, log=True)
    trial.suggest_int("size", *section.size, log=True)


def recipe_of(params: dict[str, Any], section: Search) -> Recipe:
    """The recipe that a trial's parameters stand for. `tied` needs equal channels, and all get those of the
    first.
    """
    turns = "".join(f" {word}" for word in POSITIONS if word in params["sharing"])
    channels = [params[name] for name in ("first", "second", "third")]
    if "tied" in params["sharing"]:
        channels = channels[:1] * 3
    words = [f"conv {channels[0]} k{params['kernel']}{turns}", params["activation"], "maxpool 2"]
    words += [f"conv {channels[1]} k3{turns}", params["activation"], "maxpool 2"]
    last = section.recipe.network[-1]  # as many numbers as there are classes
    words += [f"conv {channels[2]} k3{turns}{' tied=conv2' if 'tied' in params['sharing'] else ''}"]
    change = {
        "network": (*words, params["activation"], last),
        "rate": params["rate"],
        "penalty": params["penalty"],
        "sizes": (params["size"],),
        "fast_to": max(section.recipe.fast_to, params["size"]),
    }
    return Recipe(**{**section.recipe.model_dump(), **change})


def report(study: Study) -> None:
    """The study's table and its front's settings."""
    complete = study.complete()
    front = {t.number for t in study.optuna.best_trials} if complete else set()
    rows = [(t.number, *t.values, t.number in front, *(t.params[n] for n in NAMES)) for t in complete]
    write_csv(Path("results/plots/search.csv"), ("trial", "accuracy", "nonzero", "front", *NAMES), rows)
    best = sorted((t for t in complete if t.number in front), key=lambda t: t.values[1])
    write_json(
        Path("results/metrics/search.json"),
        {
            "trials": len(complete),
            "front": [{"accuracy": t.values[0], "nonzero": int(t.values[1]), **t.params} for t in best],
        },
    )
