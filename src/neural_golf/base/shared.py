"""A study by Optuna at which any number of processes, on any machines, work together in a shared storage.

Unlike `base.study`, it is not the same twice: what a trial learns from is what happens to be finished when it
begins. In return nothing waits for the end of a round.
"""

from __future__ import annotations

import contextlib
import json
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.study import Evaluate, Study, Way, evaluated

if TYPE_CHECKING:
    import optuna

__all__ = ["Shared"]

BEAT = 5  # seconds from one heartbeat to the next, on a database
GRACE = 30  # seconds without one, after which a worker counts as dead
RETRIES = 3  # of a trial whose workers die
NAME = "shared.log"


class Shared(Study):
    """A study in a journal, `shared.log` in its folder, or in a PostgreSQL database.

    state: as `Study`'s; its name is part of the study's, so that other settings are another study.
    storage: "journal", or the URL of a database.
    """

    def __init__(
        self, state: Path, directions: Sequence[Way], storage: str,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:  # fmt: skip
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        # Heartbeats are an experiment to Optuna, and meant for its own loop, which cannot keep a budget.
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")
        self.state = state
        self._store: _Journal | _Database = _Journal(state) if storage == "journal" else _Database(storage)
        name = f"{state.parent.name}-{state.name}"
        with self._store.locked():  # two that create the tables at once would fail
            self.optuna = optuna.create_study(
                study_name=name, storage=self._store.open(), directions=list(directions), pruner=pruner,
                load_if_exists=True,
            )  # fmt: skip

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
        """Work at the study until `trials` are finished, whoever finished them. For the rest see `Study.run`;
        there are no rounds, and no trial is asked for by its number.
        """
        self.optuna.sampler = sampler(0)
        self.optuna.sampler.reseed_rng()  # workers with one seed would try the same
        workers = range(here or longwork.cores())
        longwork.in_parallel(workers, lambda _: self._work(trials, suggest, evaluate), len(workers))

    def _work(self, trials: int, suggest: Callable[[optuna.Trial], object], evaluate: Evaluate) -> None:
        import optuna

        while True:
            with contextlib.ExitStack() as held:
                trial, left = self._claim(trials, held)
                if trial is not None:
                    # A worker that was silent for so long that it counted as dead comes too late.
                    with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                        suggest(trial)
                        values, why, _ = evaluated(trial, evaluate, self.state.parent.name)
                        if why:
                            trial.set_user_attr("why", why)
                        state = optuna.trial.TrialState.PRUNED if values is None else None
                        self.optuna.tell(trial, values, state=state, skip_if_finished=True)
            if trial is None and not left:
                return
            if trial is None:
                longwork.rest(0.5)  # others are at the last trials, and may die

    def _claim(self, trials: int, held: contextlib.ExitStack) -> tuple[optuna.Trial | None, int]:
        """A trial to work at, or None where enough are finished or being worked at; and how many of these are
        not finished. What shows that its worker lives is held by `held`.
        """
        from optuna.trial import TrialState

        with self._store.locked():
            self._store.bury(self.optuna)
            found = self.optuna.get_trials(deepcopy=False)  # once: what is counted twice may have changed
            running = sum(trial.state == TrialState.RUNNING for trial in found)
            finished = sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in found)
            if finished + running >= trials:
                return None, running
            trial = self.optuna.ask()
            held.enter_context(self._store.alive(trial))
            return trial, running


def _retry(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Put a dead worker's trial into the queue again, with the same settings."""
    import optuna

    optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


class _Journal:
    """Optuna's journal in a file that every worker appends to.

    Its lock is the system's own, so that a killed worker leaves none behind; a line that a killed worker left
    half-written is taken away by the next one. So is the lock by which a worker shows that it lives.
    """

    def __init__(self, state: Path) -> None:
        self._path = (state / NAME).absolute()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._claims = threading.Lock()  # between threads, which would wait with pauses otherwise

    def open(self) -> optuna.storages.BaseStorage:
        import optuna

        backend: Any = self  # it has what Optuna asks of a backend, and not its class
        return optuna.storages.JournalStorage(backend)

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        with contextlib.suppress(FileNotFoundError):
            lines = self._path.read_bytes().split(b"\n")[:-1]  # the last is empty, or being written
            yield from map(json.loads, lines[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        text = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        with longwork.alone(self._path.with_suffix(".lock"), "the journal"), self._path.open("ab") as file:
            whole = self._path.read_bytes().rfind(b"\n") + 1
            file.truncate(whole)
            file.write(text.encode())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with self._claims, longwork.alone(self._path.with_suffix(".claims"), "the study"):
            yield

    def alive(self, trial: optuna.Trial) -> contextlib.AbstractContextManager[None]:
        return longwork.alone(self._life(trial.number), f"trial {trial.number}", wait=False)

    def bury(self, study: optuna.Study) -> None:
        """Fail the trials whose workers have ended without an answer, and put them into the queue again."""
        from optuna.trial import TrialState

        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            with (
                contextlib.suppress(longwork.Elsewhere),
                longwork.alone(self._life(trial.number), f"trial {trial.number}", wait=False),
            ):
                now = study.get_trials(deepcopy=False)[trial.number]
                if now.state == TrialState.RUNNING:  # it has not ended by itself in this moment
                    study.tell(trial.number, state=TrialState.FAIL)
                    _retry(study, trial)

    def _life(self, number: int) -> Path:
        return self._path.with_name("workers") / f"{number}.lock"


class _Database:
    """A PostgreSQL database, by its URL. Workers show by heartbeats that they live."""

    def __init__(self, url: str) -> None:
        import sqlalchemy

        self._url, self._sql = url, sqlalchemy
        try:
            self._engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
            with self._engine.connect():
                pass
        except sqlalchemy.exc.SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            where = sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
            raise GolfError(f"params.yaml: tune.storage: {where} cannot be reached: {reason}") from None

    def open(self) -> optuna.storages.BaseStorage:
        import optuna

        self._storage = optuna.storages.RDBStorage(
            self._url, heartbeat_interval=BEAT, grace_period=GRACE, heartbeat_stale_trial_callback=_retry,
            engine_kwargs={"pool_pre_ping": True},
        )  # fmt: skip
        return self._storage

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A lock of the database, which ends with the connection of its holder."""
        with self._engine.begin() as connection:
            connection.execute(self._sql.text("SELECT pg_advisory_xact_lock(7471201)"))
            yield

    @contextlib.contextmanager
    def alive(self, trial: optuna.Trial) -> Iterator[None]:
        number, over = trial._trial_id, threading.Event()
        self._storage.record_heartbeat(number)

        def beat() -> None:
            while not over.wait(BEAT):
                with contextlib.suppress(self._sql.exc.SQLAlchemyError):  # a server that starts again
                    self._storage.record_heartbeat(number)

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def bury(self, study: optuna.Study) -> None:
        """Fail the trials whose workers have been silent for too long, and put them into the queue again.

        So are those without any heartbeat: a worker that lives has sent one before it lets go of the lock.
        """
        import optuna
        from optuna.trial import TrialState

        optuna.storages.fail_stale_trials(study)
        with self._engine.connect() as connection:
            beating = set(
                connection.execute(self._sql.text("SELECT trial_id FROM trial_heartbeats")).scalars()
            )
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            if trial._trial_id not in beating:
                study.tell(trial.number, state=TrialState.FAIL)
                _retry(study, trial)
