"""A study that several processes work at: the budget is kept, nothing counts twice, and the dead are replaced."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neural_golf.base import shared
from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json
from neural_golf.base.shared import Shared
from neural_golf.config import Config
from neural_golf.train import tune

optuna = pytest.importorskip("optuna")
from optuna.trial import TrialState  # noqa: E402

TRIALS = 12
FORK = multiprocessing.get_context("fork")


def server(folder: Path) -> tuple[str, list[str]]:
    """The URL of a PostgreSQL that is started here, and the command that stops it. Skips where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install '.[cluster]')")
    if os.geteuid():
        pytest.skip("PostgreSQL is started as its own user, which needs root")

    def found() -> list[Path]:
        return sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

    if not found() and shutil.which("apt-get"):
        command = ["apt-get", "install", "-y", "--no-install-recommends", "postgresql"]
        subprocess.run(command, capture_output=True, check=False)
    if not found():
        pytest.skip("there is no PostgreSQL, and apt-get cannot bring it")
    programs = found()[-1].parent
    shutil.chown(folder, "postgres")
    user = ["runuser", "-u", "postgres", "--"]
    control = [*user, str(programs / "pg_ctl"), "-D", str(folder / "data")]
    run = [
        *user,
        str(programs / "initdb"),
        "-D",
        str(folder / "data"),
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run(run, check=True, capture_output=True, cwd="/")
    options = f"-c listen_addresses= -k {folder}"
    start = [*control, "-w", "-l", str(folder / "log"), "-o", options, "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd="/")
    subprocess.run([*user, str(programs / "createdb"), "-h", str(folder), "golf"], check=True, cwd="/")
    return f"postgresql+psycopg://postgres@/golf?host={folder}", [*control, "-m", "immediate", "stop"]


@pytest.fixture(params=["journal", "postgresql"])
def storage(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "journal":
        yield "journal"
        return
    with tempfile.TemporaryDirectory() as folder:  # pytest's own would be shut to the server's user
        url, stop = server(Path(folder))
        yield url
        subprocess.run(stop, check=True, capture_output=True, cwd="/")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead are found out sooner."""
    monkeypatch.setattr(shared, "BEAT", 1)
    monkeypatch.setattr(shared, "GRACE", 3)


def study(storage: str) -> Shared:
    return Shared(Path(".golf/tune/0123"), ["maximize"], storage)


def work(storage: str, dies: bool = False) -> None:
    """A worker. One that dies is killed in the middle of its second trial."""
    done = 0

    def evaluate(trial: Any, report: Any) -> list[float]:
        nonlocal done
        for step in range(4):
            report(trial.params["x"], step)
            time.sleep(0.05)
            if dies and done == 1 and step == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return [trial.params["x"]]

    study(storage).run(
        TRIALS, 4, lambda _: optuna.samplers.TPESampler(n_startup_trials=4), lambda t: t.suggest_float("x", 0, 1),
        evaluate, here=1,
    )  # fmt: skip


def test_four_workers_spend_the_budget_exactly_though_one_is_killed_in_mid_trial(
    storage: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin at once, on an empty storage."""
    monkeypatch.chdir(tmp_path)
    workers = [FORK.Process(target=work, args=(storage, number == 0)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [-signal.SIGKILL, 0, 0, 0]
    trials = study(storage).optuna.get_trials()
    for trial in trials:  # with -s, the table of docs/scaling.md
        of = trial.system_attrs.get("failed_trial")
        print(
            f"trial {trial.number:2}  {trial.state.name:8}  x = {trial.params['x']:.4f}",
            "" if of is None else f"  trial {of} again",
        )
    states = Counter(trial.state for trial in trials)
    assert states == {TrialState.COMPLETE: TRIALS, TrialState.FAIL: 1}
    (failed,) = [trial for trial in trials if trial.state == TrialState.FAIL]
    again = [trial for trial in trials if trial.system_attrs.get("failed_trial") == failed.number]
    assert [trial.params for trial in again] == [failed.params] and again[0].state == TrialState.COMPLETE
    names = [trial.params["x"] for trial in trials if trial.state == TrialState.COMPLETE]
    assert len(set(names)) == TRIALS
    work(storage)  # one that comes too late has nothing to do
    assert len(study(storage).optuna.get_trials()) == len(trials)


def test_a_trial_that_kills_each_of_its_workers_is_given_up(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def doomed() -> None:
        def evaluate(trial: Any, report: Any) -> list[float]:
            if trial.params["x"] == 0.5:
                os.kill(os.getpid(), signal.SIGKILL)
            return [0.0]

        study("journal").run(
            3,
            1,
            lambda _: optuna.samplers.RandomSampler(),
            lambda t: t.suggest_float("x", 0, 1),
            evaluate,
            here=1,
        )

    study("journal").optuna.enqueue_trial({"x": 0.5})
    codes = []
    while not codes or codes[-1]:
        worker = FORK.Process(target=doomed)
        worker.start()
        worker.join(60)
        codes.append(worker.exitcode)
        assert len(codes) < 10
    assert codes == [-signal.SIGKILL] * (1 + shared.RETRIES) + [0]
    states = Counter(trial.state for trial in study("journal").optuna.get_trials())
    assert states == {TrialState.FAIL: 1 + shared.RETRIES, TrialState.COMPLETE: 3}


def test_a_half_written_line_of_the_journal_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study("journal").optuna.enqueue_trial({"x": 0.5})
    path = Path(".golf/tune/0123", shared.NAME)
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    work("journal")
    assert len(study("journal").complete()) == TRIALS
    backend = optuna.storages.journal.JournalFileBackend(str(path.absolute()))
    seen = optuna.load_study(study_name="tune-0123", storage=optuna.storages.JournalStorage(backend))
    assert len(seen.trials) == TRIALS  # as the dashboard sees it


@pytest.fixture
def small(settings: Config, workplace: Path) -> Config:
    changes = {"network": ("conv 3 k5", "relu", "maxpool 4", "linear 10"), "trials": 6, "epochs": 2,
               "startup_trials": 2, "warmup_epochs": 0, "parallel": 2, "finalists": 1,
               "finalist_seeds": (5,)}  # fmt: skip
    return settings.model_copy(update={"tune": settings.tune.model_copy(update=changes)})


def test_the_stage_and_a_worker_share_one_study_and_the_stage_writes_the_table(
    storage: str, small: Config
) -> None:
    one = small.model_copy(update={"tune": small.tune.model_copy(update={"storage": storage})})
    both = [FORK.Process(target=target, args=(one,)) for target in (tune.run, tune.work)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    assert read_json(Path("results/metrics/tune.json"))["trials"] == 6
    assert len(Path("results/plots/tune.csv").read_text().splitlines()) == 7


def test_a_worker_at_a_study_of_pieces_changes_no_bit_of_it(small: Config) -> None:
    table = Path("results/plots/tune.csv")
    tune.run(small)
    want = table.read_bytes()
    shutil.rmtree(".golf/tune")
    table.unlink()
    tune.work(small)
    assert not table.exists()
    tune.run(small)
    assert table.read_bytes() == want


def test_a_database_that_is_not_there_is_told_in_one_line_without_its_password(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(
        GolfError, match=r"tune\.storage: postgresql\+psycopg://me:\*\*\*@.* cannot be reached"
    ) as caught:
        Shared(tmp_path / "tune/0", ["maximize"], "postgresql+psycopg://me:secret@127.0.0.1:9/golf")
    assert "\n" not in str(caught.value) and "secret" not in str(caught.value)
