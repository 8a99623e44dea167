"""How Snakemake and DVC work together: dvc.yaml says what a stage is, DVC what is out of date, Snakemake when
it runs.

Used by the Snakefile (`Stages`) and by the command line (`run_stage`).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.base.yaml12 import read_stages

__all__ = ["Stages", "dvc_init", "init_dvc", "name_of", "run_stage"]

STAMPS = Path(".golf/stamps")
BUSY_SECONDS = 3600  # how long another run in this folder is waited for
LOCK_FILE = Path("dvc.lock")
LOCK_COPY = Path(".golf/dvc.lock")
# As `python -m dvc`, under a name by which its read-write lock tells on which machine it is.
_RUN_DVC = (
    "import platform, runpy, sys; sys.argv[0] = 'dvc@' + platform.node(); "
    "runpy.run_module('dvc', run_name='__main__')"
)


@dataclass(frozen=True)
class Needs:
    """What a stage can use: as many threads as it has independent pieces, memory in MB, minutes. Or what one
    of its pieces takes, and whether that is so little that several make one job.
    """

    threads: int = 1
    mem_mb: int = 1000
    minutes: int = 60
    small: bool = False


class Stages:
    """The stages of dvc.yaml for the Snakefile: the files they read and write, and a stamp that says "run
    me".

    main: whether this process plans the run. One that Snakemake began for a job asks no DVC, writes no stamp.
    """

    def __init__(self, path: Path = Path("dvc.yaml"), main: bool = True) -> None:
        self.tree = read_stages(path)
        self._main = main

    def __iter__(self) -> Iterator[str]:
        """The names of the stages, as they stand in dvc.yaml."""
        return iter(self.tree)

    def needs(self, stage: str, piece: bool = False) -> Needs:
        """What the stage can use, or one of its pieces, from its `meta`; one thread where nothing is said."""
        meta = dict(self.tree[stage].get("meta", {}))
        own = meta.pop("piece", {})
        try:
            return Needs(**(own if piece else meta))
        except TypeError as error:
            told = str(error).rpartition("argument ")[2]
            where = f"dvc.yaml: stages.{stage}.meta{'.piece' * piece}"
            raise GolfError(f"{where}: {told} is not one of its keys") from None

    def outputs(self, stage: str) -> list[str]:
        """The files a stage writes. A directory is DVC's alone: Snakemake would put a file into it."""
        listed = (name_of(o) for kind in ("outs", "metrics", "plots") for o in self.tree[stage].get(kind, ()))
        return [name for name in listed if Path(name).suffix]

    def inputs(self, stage: str) -> list[str]:
        """What a stage waits for: the outputs of the stages it depends on."""
        return [name for parent in self.parents(stage) for name in self.outputs(parent)]

    def parents(self, stage: str) -> list[str]:
        deps = set(self.tree[stage].get("deps", ()))
        makes = {
            other: {name_of(o) for kind in ("outs", "metrics", "plots") for o in tree.get(kind, ())}
            for other, tree in self.tree.items()
        }
        return [other for other, made in makes.items() if made & deps]

    def stamp(self, stage: str) -> str:
        """A small file, newer than the outputs if and only if DVC finds the stage out of date.

        Snakemake decides from times and from a memory of its own, and a fresh clone has neither;
        DVC decides from checksums of dependencies, parameters and outputs, in dvc.lock. So DVC is
        asked once, when the Snakefile is read. What follows an outdated stage counts as outdated:
        if it turns out the same, DVC does nothing.
        """
        path = STAMPS / stage
        if not self._main:
            return path.as_posix()
        if stage in self.outdated:
            # New content each time, or Snakemake would ignore the new time.
            write_bytes(path, f"outdated {time.time_ns()}\n".encode())
        elif not path.exists() or path.read_text(encoding="utf-8") != "clean\n":
            write_bytes(path, b"clean\n")
        if stage not in self.outdated:
            os.utime(path, (0, 0))
        return path.as_posix()

    @cached_property
    def outdated(self) -> set[str]:
        """The stages that DVC finds out of date, and those that follow them; all, where DVC is not asked."""
        if not self._main:
            return set(self.tree)
        result = _dvc("status", "--json", capture=True)
        if result.returncode:
            raise GolfError(f"dvc status failed: {' '.join(result.stderr.split())}")
        found = {name.rpartition(":")[2] for name in json.loads(result.stdout)} & set(self.tree)
        for stage in self._downstream():
            if found & set(self.parents(stage)):
                found.add(stage)
        return found

    def _downstream(self) -> Iterator[str]:
        """All stages, each after its parents."""
        left = dict(self.tree)
        while left:
            ready = [stage for stage in left if not set(self.parents(stage)) & set(left)]
            if not ready:
                raise GolfError(f"dvc.yaml: the stages {', '.join(left)} wait for one another")
            for stage in ready:
                del left[stage]
                yield stage


def name_of(out: str | dict[str, Any]) -> str:
    """The path of an output, which dvc.yaml lists alone or with options."""
    return out if isinstance(out, str) else next(iter(out))


def _dvc(*words: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Run DVC after any other DVC that is at work in this folder; its output is shown or captured.

    If two start at the same instant, neither finds anything to wait for, and then one of them finds a file
    "busy" and gives up. That one is asked again. So is one that found dvc.lock half-written by a DVC that was
    killed: it gets the last whole one back.
    """
    _say_where_git_is_missing(Path.cwd())
    command = [sys.executable, "-c", _RUN_DVC, "--wait-for-lock", *words]
    until, told = time.monotonic() + BUSY_SECONDS, False
    if LOCK_FILE.exists() and not LOCK_COPY.exists():
        write_bytes(LOCK_COPY, LOCK_FILE.read_bytes())
    while True:
        _wait_for_others(Path(".dvc/tmp/rwlock"), until)
        _let_dvc_look_at_its_cache()
        result = (
            subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace")
            if capture
            else _shown(command)
        )
        if not result.returncode:
            _copy_lock_file()
            return result
        if "is busy, it is being blocked by" in result.stderr and time.monotonic() < until:
            if not told:
                print("golf: another run is at work; waiting for it", file=sys.stderr)
            told = True
            time.sleep(1)
        elif not (re.search(r"dvc\.lock' (is invalid|validation)", result.stderr) and _whole_lock_file()):
            if not capture:
                sys.stderr.write(_from_error(result.stderr))
            return result


def _copy_lock_file() -> None:
    """Keep a copy of dvc.lock as DVC left it, since DVC writes it in place."""
    with _dvcs_own_lock():
        whole = LOCK_FILE.read_bytes() if LOCK_FILE.exists() else None
        if whole and not (LOCK_COPY.exists() and LOCK_COPY.read_bytes() == whole):
            write_bytes(LOCK_COPY, whole)


def _whole_lock_file() -> bool:
    """Put the copy of dvc.lock in its place; False if that would change nothing."""
    with _dvcs_own_lock():
        whole = LOCK_COPY.read_bytes() if LOCK_COPY.exists() else None
        if not LOCK_FILE.exists() or LOCK_FILE.read_bytes() == whole:
            return False
        print("golf: a killed run left half of dvc.lock; going on from the last whole one", file=sys.stderr)
        if whole is None:  # there was none before that run
            LOCK_FILE.unlink()
        else:
            write_bytes(LOCK_FILE, whole)
        return True


def _let_dvc_look_at_its_cache() -> None:
    """Files of the cache that are read-only are whole to DVC, whatever is in them; of others it looks at the
    MD5 where it wants to use one, and makes it read-only.
    """
    for path in Path(".dvc/cache/files/md5").glob("??/*"):
        if stat.S_IMODE(path.stat().st_mode) == 0o444:
            with contextlib.suppress(OSError):  # somebody else's
                path.chmod(0o644)


def _dvcs_own_lock() -> contextlib.AbstractContextManager[None]:
    """The lock that DVC holds where it reads and writes its files, but not while a stage's command runs."""
    folder = Path(".dvc/tmp")
    return longwork.alone(folder / "lock", "DVC's files") if folder.is_dir() else contextlib.nullcontext()


def _shown(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run DVC, which writes where this process does; what it says on standard error is kept as well. Its
    error, with which it ends, is for the caller to show: it may not be the end of the matter.
    """
    said, ended = [], False
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace"
    ) as process:
        for line in process.stderr or ():
            said.append(line)
            ended = ended or line.startswith("ERROR: ")
            if not ended:
                sys.stderr.write(line)
                sys.stderr.flush()
    whole = "".join(said)
    if not process.returncode:
        sys.stderr.write(_from_error(whole))
    return subprocess.CompletedProcess(command, process.returncode, stderr=whole)


def _from_error(said: str) -> str:
    """What DVC said from the line of its error on."""
    found = re.search(r"^ERROR: ", said, re.MULTILINE)
    return said[found.start() :] if found else ""


def _say_where_git_is_missing(folder: Path) -> None:
    """Raise GolfError in a folder out of a ZIP: DVC asks for a Git repository unless told otherwise."""
    settings = [path.read_text(encoding="utf-8") for path in folder.glob(".dvc/config*")]
    without = any(re.search(r"^\s*no_scm\s*=\s*true", text, re.MULTILINE) for text in settings)
    if settings and not without and not any((place / ".git").exists() for place in (folder, *folder.parents)):
        raise GolfError("this is not a Git repository, and DVC asks for one: run `git init` here first")


def _wait_for_others(lock: Path, until: float = math.inf) -> None:
    """DVC's read-write lock names the processes that hold it and never waits for them, so they are waited for
    here, to a moment of the monotonic clock.

    After a SIGKILL it may be half-written, or name a process that is gone or by now another
    program: then it is removed. One of another machine is left alone, because nobody here can know.
    """
    said = False
    while True:
        with _dvcs_own_lock():
            holders = _holders(lock)
            if not holders:
                lock.unlink(missing_ok=True)
                return
        if time.monotonic() > until:
            raise GolfError(f"{lock} is held by {holders[0]}: if that has ended, delete the file")
        if not said:
            print(f"golf: waiting for another run in this folder ({holders[0]})", file=sys.stderr)
            said = True
        time.sleep(1)


def _holders(lock: Path) -> list[str]:
    """Who holds the read-write lock: DVCs that are at work here, and those that `_dvc` began elsewhere."""
    try:
        tree = json.loads(lock.read_text(encoding="utf-8"))
        several = [*tree.get("read", {}).values(), [*tree.get("write", {}).values()]]
        entries = [(int(one["pid"]), str(one["cmd"])) for some in several for one in some]
    except (FileNotFoundError, ValueError, AttributeError, LookupError, TypeError):
        return []
    found = []
    for pid, command in entries:
        host = command.partition(" ")[0].partition("dvc@")[2] or platform.node()
        if host != platform.node() or _is_dvc(pid):
            found.append(f"process {pid} on {host}")
    return found


def _is_dvc(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    command = Path(f"/proc/{pid}/cmdline")  # on Linux; elsewhere any live process is taken for DVC
    return not command.exists() or b"dvc" in command.read_bytes()


def run_stage(stage: str, force: bool = False) -> int:
    """Let DVC run, restore or skip one stage, or run it in any case; returns its exit code."""
    return _dvc("repro", "--single-item", *(["--force"] if force else []), stage).returncode


def init_dvc(folder: Path) -> None:
    """Make a folder a DVC project of its own, of the Git repository that it lies in, if it does in one."""
    inside = any((place / ".git").exists() for place in folder.resolve().parents)
    dvc_init(folder, "--subdir" if inside else "--no-scm")
    settings = "[core]\n    analytics = false\n    check_update = false\n"
    write_bytes(folder / ".dvc/config", (settings + ("" if inside else "    no_scm = true\n")).encode())


def dvc_init(folder: Path, how: str) -> None:
    """`dvc init`, with one option. Raises GolfError where DVC refuses."""
    command = [sys.executable, "-m", "dvc", "init", how, "-q"]
    made = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace", check=False
    )
    if made.returncode:
        raise GolfError(f"dvc init in {folder} failed: {' '.join(made.stderr.split())}")
