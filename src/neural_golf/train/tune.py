"""The stage `tune`: which batch size, learning rate and schedule train the 4-5-4 network best.

Optuna's TPE (Bergstra et al. 2011) with a median pruner (Golovin et al. 2017). Trials are judged
on images taken out of the training part, so that the held-out part has chosen nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_csv, write_json
from neural_golf.config import Config
from neural_golf.config.sections import Tune
from neural_golf.engine import engine
from neural_golf.train.fit import Settings, Vector, fit

if TYPE_CHECKING:
    import optuna

__all__ = ["run"]


def run(config: Config) -> None:
    """Go on with the study until it has `tune.trials` finished trials; write its table."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    section = config.needed("tune")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    images = data.read("train")
    if section.validation >= len(images):
        raise GolfError(
            f"params.yaml: tune.validation = {section.validation}: there are only {len(images)} "
            "training images"
        )
    judge, train = images[: section.validation], images[section.validation :]
    settings = section.model_dump(exclude={"trials", "finalists", "finalist_seeds"})
    state = longwork.folder("tune", settings=settings, data=data.digest())
    state.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(state / "journal.log")))
    study = optuna.create_study(
        study_name="tune", storage=storage, direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(section.startup_trials, section.warmup_epochs),
    )  # fmt: skip
    search(study, section, section.trials, train, judge)
    report(study, final(study, section, train, judge))


def search(study: optuna.Study, section: Tune, trials: int, train: data.Split, judge: data.Split) -> None:
    """Run the study in rounds of `parallel` trials. The sampler learns of a round only when all of it is
    done.

    The sampler is seeded anew for every round and sees only finished rounds. So the study is the same
    whichever trial finishes first, and also after a kill, since unfinished trials are run again.
    """
    import optuna

    facts = data.facts()
    network = data.network(section.network)
    score = engine(network)

    def evaluate(trial: optuna.Trial) -> float | None:
        """Accuracy on the judging images; None where the pruner stopped the trial."""
        accuracy = 0.0
        pruned = False

        def each_epoch(epoch: int, loss: float, parameters: Vector) -> bool:
            nonlocal accuracy, pruned
            accuracy = score.correct(parameters, judge.pixels, judge.labels) / len(judge)
            trial.report(accuracy, epoch)
            pruned = trial.should_prune()
            longwork.say(
                "tune",
                f"trial {trial.number}",
                f"epoch {epoch + 1}/{section.epochs}, accuracy {accuracy:.2%}",
            )
            return not pruned

        chosen = Settings(epochs=section.epochs, mean=facts.mean, std=facts.std, **trial.params)
        try:
            fit(network, train, chosen, section.seed, each_epoch)
        except GolfError:  # it diverged: as bad as can be
            return None
        return None if pruned and trial.params else accuracy

    while (done := len(_finished(study))) < trials:
        study.sampler = optuna.samplers.TPESampler(
            seed=(section.seed + done) % 2**32, n_startup_trials=section.startup_trials, constant_liar=True
        )
        batch = _left_over(study) or [
            _suggest(study.ask(), section) for _ in range(min(section.parallel, trials - done))
        ]
        values = longwork.in_parallel(batch, evaluate, workers=min(len(batch), longwork.cores()))
        for trial, value in zip(batch, values, strict=True):
            pruned = optuna.trial.TrialState.PRUNED
            study.tell(trial, value) if value is not None else study.tell(trial, state=pruned)


def final(study: optuna.Study, section: Tune, train: data.Split, judge: data.Split) -> dict[int, float]:
    """Train the best trials again with more seeds; mean accuracy per trial number.

    The best of many single trainings is partly the luckiest. Raises GolfError if no trial ran to
    its end.
    """
    import optuna

    facts = data.facts()
    network = data.network(section.network)
    score = engine(network)
    complete = [t for t in _finished(study) if t.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        raise GolfError(
            "tune: no trial ran to its end; give tune.trials or tune.startup_trials a higher value"
        )
    complete.sort(key=lambda t: (-(t.value or 0.0), t.number))
    pieces = [(trial, seed) for trial in complete[: section.finalists] for seed in section.finalist_seeds]

    def one(piece: tuple[optuna.trial.FrozenTrial, int]) -> float:
        trial, seed = piece
        chosen = Settings(epochs=section.epochs, mean=facts.mean, std=facts.std, **trial.params)

        def compute(state: Path) -> longwork.Piece:
            parameters = fit(network, train, chosen, seed, lambda *_: True, state)
            return {}, {"accuracy": score.correct(parameters, judge.pixels, judge.labels) / len(judge)}

        key = longwork.folder("tune", network=network.spec, settings=vars(chosen), seed=seed,
                              judged_by=len(judge), data=data.digest())  # fmt: skip
        accuracy: float = longwork.finished(key, compute)[1]["accuracy"]
        longwork.say("tune", f"finalist {trial.number} seed {seed}", f"accuracy {accuracy:.2%}")
        return accuracy

    found: dict[int, list[float]] = {}
    for (trial, _), accuracy in zip(pieces, longwork.in_parallel(pieces, one), strict=True):
        found.setdefault(trial.number, []).append(accuracy)
    return {number: float(np.mean(accuracies)) for number, accuracies in found.items()}


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    import optuna

    states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    return study.get_trials(deepcopy=False, states=states)


def _suggest(trial: optuna.Trial, section: Tune) -> optuna.Trial:
    trial.suggest_int("batch", *section.batch)
    trial.suggest_float("learning_rate", *section.learning_rate, log=True)
    trial.suggest_int("step", *section.step)
    trial.suggest_float("gamma", *section.gamma)
    return trial


def _left_over(study: optuna.Study) -> list[optuna.Trial]:
    """The trials that a killed run had begun; those without all their settings are marked as failed."""
    import optuna

    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    whole = [t for t in running if len(t.params) == 4]
    for frozen in running:
        if frozen not in whole:
            study.tell(frozen.number, state=optuna.trial.TrialState.FAIL)
    return [optuna.Trial(study, t._trial_id) for t in whole]


def report(study: optuna.Study, finalists: dict[int, float]) -> None:
    """The study's table, what each setting explains, and the settings of the best finalist."""
    import optuna

    trials = _finished(study)
    complete = [t for t in trials if t.state == optuna.trial.TrialState.COMPLETE]
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


def importance(study: optuna.Study) -> dict[str, float]:
    """How much of the differences between the finished trials each setting explains, by fANOVA (Hutter et
    al. 2014); empty where they do not differ.
    """
    import optuna

    complete = [t for t in _finished(study) if t.state == optuna.trial.TrialState.COMPLETE]
    if len({t.value for t in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except RuntimeError:  # the trials are so few that no tree of the forest saw any difference
        return {}
    return {name: round(float(part), 6) for name, part in found.items()}
