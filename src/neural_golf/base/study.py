"""Studies by Optuna that come out the same whatever interrupts them, and whichever trial is done first.

Nothing is read back but results of trials, each of which is a piece of long work: a study is asked again from
its beginning, gets the answers of the trials that are known, and goes on with those that are not. So there
is no journal that could be cut and no lock that could be left.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from neural_golf.base import longwork
from neural_golf.base.errors import NoResult
from neural_golf.base.files import write_bytes

if TYPE_CHECKING:
    import optuna

__all__ = ["Evaluate", "Report", "Study", "Way", "evaluated"]

# Takes a value and its step, and says whether the trial should be stopped.
Report = Callable[[float, int], bool]
# Takes a trial and its report; the trial's values, or None where it was stopped early.
Evaluate = Callable[["optuna.Trial", Report], Sequence[float] | None]
Way = Literal["maximize", "minimize"]
JOURNAL = "journal.log"


class Study:
    """A study whose trials run in rounds. The sampler is made anew for every round and learns only from the
    rounds before it; so does the pruner.

    state: the folder of `longwork.folder`, named by everything that the trials depend on.
    directions: one for each value of a trial.
    """

    def __init__(
        self, state: Path, directions: Sequence[Way], pruner: optuna.pruners.BasePruner | None = None
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.state = state
        self._journal = _Journal(state / JOURNAL)
        backend: Any = self._journal  # it has what Optuna asks of a backend, and not its class
        self.optuna: optuna.Study = optuna.create_study(
            study_name=state.parent.name,
            storage=optuna.storages.JournalStorage(backend),
            directions=list(directions),
            pruner=pruner,
        )

    def run(
        self,
        trials: int,
        parallel: int,
        sampler: Callable[[int], optuna.samplers.BaseSampler],
        suggest: Callable[[optuna.Trial], object],
        evaluate: Evaluate,
        only: int | None = None,
        here: int | None = None,
    ) -> None:
        """Rounds of `parallel` trials, until `trials` are finished.

        With `only`, the number of a trial, its round is the last one, and of that only this trial. here: the
        most trials that this process works at; one per core where it is None.

        sampler: makes the one of a round from the number of trials that are finished by then. suggest: asks
        a trial for all its settings. evaluate: its values, or None where it was stopped early; where it
        raises NoResult, the trial counts as stopped, and its attribute `why` tells the reason.
        """
        import optuna

        while (done := len(self.finished())) < trials:
            self.optuna.sampler = sampler(done)
            batch = []
            for _ in range(min(parallel, trials - done)):
                trial = self.optuna.ask()
                suggest(trial)
                batch.append(trial)
            if only is not None and only <= batch[-1].number:
                self._result(next(trial for trial in batch if trial.number == only), evaluate)
                return
            workers = min(len(batch), here or longwork.cores())
            results = longwork.in_parallel(batch, lambda trial: self._result(trial, evaluate), workers)
            for trial, (values, why) in zip(batch, results, strict=True):
                if why:
                    trial.set_user_attr("why", why)
                state = optuna.trial.TrialState.PRUNED if values is None else None
                self.optuna.tell(trial, values, state=state)
            self._journal.show()

    def finished(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that ran to their end or were stopped early, by number."""
        import optuna

        states = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
        return self.optuna.get_trials(deepcopy=False, states=states)

    def complete(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that ran to their end, by number."""
        import optuna

        return [trial for trial in self.finished() if trial.state == optuna.trial.TrialState.COMPLETE]

    def _result(self, trial: optuna.Trial, evaluate: Evaluate) -> tuple[list[float] | None, str]:
        """Values and reason of a trial, from disk if an earlier run has them."""
        reported: list[tuple[int, float]] = []

        def compute(state: Path) -> longwork.Piece:
            nonlocal reported
            values, why, reported = evaluated(trial, evaluate, self.state.parent.name)
            return {}, {"values": values, "why": why, "reported": reported}

        params = json.dumps(trial.params, sort_keys=True)
        name = f"{self.state.name}-{trial.number}-{hashlib.sha256(params.encode()).hexdigest()[:8]}"
        _, record = longwork.finished(self.state.with_name(name), compute)
        for step, value in record["reported"][len(reported) :]:  # by an earlier run
            trial.report(value, step)
        return record["values"], record["why"]


def evaluated(
    trial: optuna.Trial, evaluate: Evaluate, stage: str
) -> tuple[list[float] | None, str, list[tuple[int, float]]]:
    """Values of a trial, the reason where it has no result, and what it reported: steps with values."""
    reported: list[tuple[int, float]] = []

    def report(value: float, step: int) -> bool:
        reported.append((step, value))
        trial.report(value, step)
        return trial.should_prune()

    try:
        values = evaluate(trial, report)
    except NoResult as error:
        longwork.say(stage, f"trial {trial.number}", f"{error}; it counts as the worst")
        return None, str(error), reported
    return (values if values is None else list(values)), "", reported


class _Journal:
    """What Optuna's file journal would hold, in memory. Nothing reads the file that it is shown in but
    `make dashboard`.
    """

    def __init__(self, path: Path) -> None:
        self._lines: list[str] = []
        self._path, self._shown = path, 0.0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        return map(json.loads, self._lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._lines += [json.dumps(log, separators=(",", ":")) for log in logs]
        if time.monotonic() - self._shown > 1:  # a trial's progress, while it runs
            self.show()

    def show(self) -> None:
        write_bytes(self._path, "".join(f"{line}\n" for line in self._lines).encode())
        self._shown = time.monotonic()
