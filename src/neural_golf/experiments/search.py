"""`golf search`: which topologies and settings lie on the front of accuracy and size.

A study with two objectives, accuracy on the held-out images and non-zero parameters, by TPE (Ozaki
et al. 2022). It shows how good recipes can be looked for; those in params.yaml are older than it and were
chosen by hand. It is not part of the default run: `snakemake search`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_csv, write_json
from neural_golf.compress.descent import Descent
from neural_golf.compress.plan import Epoch
from neural_golf.config import Config
from neural_golf.config.recipe import Recipe
from neural_golf.config.sections import Search
from neural_golf.net.orbits import POSITIONS

if TYPE_CHECKING:
    import optuna

__all__ = ["recipe_of", "run"]

NAMES = ("first", "second", "third", "kernel", "activation", "sharing", "rate", "penalty", "size")


def run(config: Config) -> None:
    """Go on with the study until it has `search.trials` finished trials; write its table and front."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    section = config.needed("search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    train, heldout = data.read("train"), data.read("heldout")
    state = longwork.folder("search", settings=section.model_dump(exclude={"trials"}), data=data.digest())
    state.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(state / "journal.log")))
    study = optuna.create_study(
        study_name="search", storage=storage, directions=["maximize", "minimize"], load_if_exists=True
    )
    for frozen in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # of a killed run
        study.tell(frozen.number, state=optuna.trial.TrialState.FAIL)

    def evaluate(trial: optuna.Trial) -> tuple[float, int] | None:
        recipe = recipe_of(trial.params, section)

        def each_epoch(step: Epoch, epoch: int, loss: float) -> None:
            if epoch % 10 == 0:
                longwork.say("search", f"trial {trial.number}", f"epoch {epoch}, {step.size} left")

        try:
            descent = Descent(recipe, train, section.seed)
            last = descent.run(each_epoch)[-1]
        except GolfError:  # an impossible network, or one that diverged
            return None
        return descent.core.correct(last.parameters, heldout.pixels, heldout.labels) / len(heldout), last.size

    while (done := len(study.get_trials(deepcopy=False, states=_finished()))) < section.trials:
        study.sampler = optuna.samplers.TPESampler(
            seed=(section.seed + done) % 2**32, n_startup_trials=section.startup_trials
        )
        batch = [_suggest(study.ask(), section) for _ in range(min(section.parallel, section.trials - done))]
        values = longwork.in_parallel(batch, evaluate, workers=min(len(batch), longwork.cores()))
        for trial, value in zip(batch, values, strict=True):
            if value is None:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, value)
    report(study)


def _finished() -> tuple[optuna.trial.TrialState, ...]:
    import optuna

    return optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED


def _suggest(trial: optuna.Trial, section: Search) -> optuna.Trial:
    for name in ("first", "second", "third"):
        trial.suggest_int(name, *section.channels, step=8)
    trial.suggest_int("kernel", *section.kernel)
    trial.suggest_categorical("activation", ["relu", "abs"])
    trial.suggest_categorical("sharing", ["none", "turns", "turns mirrors", "turns mirrors tied"])
    trial.suggest_float("rate", *section.rate, log=True)
    trial.suggest_float("penalty", *section.penalty, log=True)
    trial.suggest_int("size", *section.size, log=True)
    return trial


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


def report(study: optuna.Study) -> None:
    """The study's table and its front's settings."""
    complete = [t for t in study.get_trials(deepcopy=False, states=_finished()) if t.values]
    front = {t.number for t in study.best_trials}
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
