"""The stage `tune`: which batch size, learning rate and schedule train the 4-5-4 network best.

Optuna's TPE (Bergstra et al. 2011) with a median pruner (Golovin et al. 2017). Trials are judged
on images taken out of the training part, so that the held-out part has chosen nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_golf import data
from neural_golf.base import longwork, watch
from neural_golf.base.errors import GolfError, NoResult
from neural_golf.base.files import write_csv, write_json
from neural_golf.base.shared import Shared
from neural_golf.base.study import Report, Study
from neural_golf.config import Config
from neural_golf.config.pieces import waves
from neural_golf.config.sections import Tune
from neural_golf.engine import engine
from neural_golf.train.fit import Settings, Vector, fit

if TYPE_CHECKING:
    import optuna

__all__ = ["pieces", "run", "work"]


def run(config: Config) -> None:
    """Go on with the study until it has `tune.trials` finished trials; write its table."""
    study, parts = begun(config)
    search(study, section := config.needed("tune"), *parts)
    report(study, final(study, section, *parts))


def work(config: Config) -> None:
    """Work at the study beside other runs, one trial at a time, until it has `tune.trials` finished ones."""
    study, parts = begun(config)
    search(study, config.needed("tune"), *parts, here=1)


def pieces(config: Config) -> longwork.Pieces:
    """The study's trials, each of which computes what it learns from where that is not there; then its
    finalists.
    """
    section: Tune = config.needed("tune")

    def trial(number: int) -> longwork.Piece:
        study, parts = begun(config)
        search(study, section, *parts, only=number)
        return {}, {}

    def finalist(key: str) -> longwork.Piece:
        study, parts = begun(config)
        search(study, section, *parts)
        works = finalists(study, section, *parts)
        return works[key]() if key in works else ({}, {})  # so few trials ran to their end

    *rounds, last = waves(config, "tune")
    trials = {key: partial(trial, int(key.removeprefix("trial-"))) for keys in rounds for key in keys}
    return trials | {key: partial(finalist, key) for key in last}


def begun(config: Config) -> tuple[Study, tuple[data.Split, data.Split]]:
    """The study, and the images to train on and those that judge."""
    import optuna

    section = config.needed("tune")
    images = data.read("train")
    if section.validation >= len(images):
        raise GolfError(
            f"params.yaml: tune.validation = {section.validation}: there are only {len(images)} "
            "training images"
        )
    judge, train = images[: section.validation], images[section.validation :]
    settings = section.model_dump(exclude={"storage", "trials", "finalists", "finalist_seeds"})
    state = longwork.folder("tune", settings=settings, data=data.digest())
    pruner = optuna.pruners.MedianPruner(section.startup_trials, section.warmup_epochs)
    if section.storage == "pieces":
        return Study(state, ["maximize"], pruner), (train, judge)
    return Shared(state, ["maximize"], section.storage, pruner), (train, judge)


def search(
    study: Study, section: Tune, train: data.Split, judge: data.Split, only: int | None = None,
    here: int | None = None,
) -> None:  # fmt: skip
    """Run the study until it has `tune.trials` trials, or as far as the one of the number `only`.

    here: the most trials that this process works at; one per core where it is None.
    """
    import optuna

    facts = data.facts()
    network = data.network(section.network)
    score = engine(network)

    def suggest(trial: optuna.Trial) -> None:
        trial.suggest_int("batch", *section.batch)
        trial.suggest_float("learning_rate", *section.learning_rate, log=True)
        trial.suggest_int("step", *section.step)
        trial.suggest_float("gamma", *section.gamma)

    def evaluate(trial: optuna.Trial, report: Report) -> list[float] | None:
        """Accuracy on the judging images; None where the pruner stopped the trial."""
        accuracy = 0.0
        pruned = False

        def each_epoch(epoch: int, loss: float, parameters: Vector) -> bool:
            nonlocal accuracy, pruned
            accuracy = score.correct(parameters, judge.pixels, judge.labels) / len(judge)
            pruned = report(accuracy, epoch)
            longwork.say(
                "tune",
                f"trial {trial.number}",
                f"epoch {epoch + 1}/{section.epochs}, accuracy {accuracy:.2%}",
            )
            watch.note("tune", f"trial {trial.number}", epoch + 1, loss=loss, accuracy=accuracy)
            return not pruned

        chosen = Settings(epochs=section.epochs, mean=facts.mean, std=facts.std, **trial.params)
        fit(network, train, chosen, section.seed, each_epoch)
        return None if pruned else [accuracy]

    def sampler(done: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(
            seed=(section.seed + done) % 2**32, n_startup_trials=section.startup_trials, constant_liar=True
        )

    study.run(section.trials, section.parallel, sampler, suggest, evaluate, only, here)


def finalists(
    study: Study, section: Tune, train: data.Split, judge: data.Split
) -> dict[str, Callable[[], longwork.Piece]]:
    """The trainings of the best trials with more seeds, by their keys.

    Each is a record of the trial's number and the accuracy on the judging images. Raises GolfError if no
    trial ran to its end.
    """
    facts = data.facts()
    network = data.network(section.network)
    score = engine(network)
    complete = study.complete()
    if not complete:
        whys = [why for trial in study.finished() if (why := trial.user_attrs.get("why"))]
        told = (
            f"{whys[-1]} (tune.learning_rate)"
            if whys
            else "give tune.trials or tune.startup_trials a higher value"
        )
        raise GolfError(f"tune: no trial ran to its end; {told}")
    complete.sort(key=lambda t: (-(t.value or 0.0), t.number))

    def one(trial: optuna.trial.FrozenTrial, seed: int) -> longwork.Piece:
        what = f"finalist {trial.number} seed {seed}"
        chosen = Settings(epochs=section.epochs, mean=facts.mean, std=facts.std, **trial.params)

        def compute(state: Path) -> longwork.Piece:
            try:
                parameters = fit(network, train, chosen, seed, lambda *_: True, state)
            except NoResult as error:
                longwork.say("tune", what, f"{error}; it counts as 0")
                return {}, {"accuracy": 0.0}
            return {}, {"accuracy": score.correct(parameters, judge.pixels, judge.labels) / len(judge)}

        key = longwork.folder("tune", network=network.spec, settings=vars(chosen), seed=seed,
                              judged_by=len(judge), data=data.digest())  # fmt: skip
        accuracy: float = longwork.finished(key, compute)[1]["accuracy"]
        longwork.say("tune", what, f"accuracy {accuracy:.2%}")
        return {}, {"trial": trial.number, "accuracy": accuracy}

    return {
        f"finalist-{rank}-seed-{seed}": partial(one, trial, seed)
        for rank, trial in enumerate(complete[: section.finalists])
        for seed in section.finalist_seeds
    }


def final(study: Study, section: Tune, train: data.Split, judge: data.Split) -> dict[int, float]:
    """Train the best trials again with more seeds; mean accuracy per trial number.

    The best of many single trainings is partly the luckiest. Raises GolfError if no trial ran to
    its end.
    """
    found: dict[int, list[float]] = {}
    for _, record in longwork.computed(finalists(study, section, train, judge)).values():
        found.setdefault(record["trial"], []).append(record["accuracy"])
    if not any(map(any, found.values())):
        raise GolfError("tune: the training of every finalist diverged; lower the ends of tune.learning_rate")
    return {number: float(np.mean(accuracies)) for number, accuracies in found.items()}


def report(study: Study, finalists: dict[int, float]) -> None:
    """The study's table, what each setting explains, and the settings of the best finalist."""
    trials, complete = study.finished(), study.complete()
    names = ("batch", "learning_rate", "step", "gamma")
    best = max(complete, key=lambda t: (finalists.get(t.number, 0.0), -t.number))
    rows: list[Sequence[Any]] = []
    ceiling = 0.0
    for number, trial in enumerate(trials):
        reported = trial.intermediate_values
        last = reported[max(reported)] if reported else float("nan")
        if trial in complete:
            ceiling = max(ceiling, trial.value or 0.0)
        accuracy = last if trial.value is None else trial.value
        rows.append(
            (
                *(number, trial.state.name.lower(), accuracy, ceiling, len(reported)),
                finalists.get(trial.number, ""),
                *(trial.params[n] for n in names),
            )
        )
    write_csv(
        Path("results/plots/tune.csv"),
        ("trial", "state", "accuracy", "best_accuracy", "epochs", "finalist_accuracy", *names),
        rows,
    )
    write_json(
        Path("results/metrics/tune.json"),
        {
            "accuracy": finalists[best.number],
            "trials": len(trials),
            "complete": len(complete),
            "best": {n: best.params[n] for n in names},
            "importance": importance(study),
        },
    )


def importance(study: Study) -> dict[str, float]:
    """How much of the differences between the finished trials each setting explains, by fANOVA (Hutter et
    al. 2014); empty where they do not differ.
    """
    import optuna

    if len({t.value for t in study.complete()}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        found = optuna.importance.get_param_importances(study.optuna, evaluator=evaluator)
    except RuntimeError:  # the trials are so few that no tree of the forest saw any difference
        return {}
    return {name: round(float(part), 6) for name, part in found.items()}
