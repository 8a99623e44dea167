"""Disturbs the demo's pipeline at random moments, runs the same command again, and compares every ONNX file byte for
byte with those of an undisturbed run.

`make disturb N=50` writes what came of it into docs/reliability.md. `python tests/disturb.py --seed 7 --runs 1`
repeats the run of seed 7.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import ctypes
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from neural_golf import config
from neural_golf.base.yaml12 import read_yaml, yaml_text
from neural_golf.workspace import _leave_out
from test_pipeline import ENVIRONMENT, ROOT, onnx_files, workspace

ROWS = ("tuned", "pruned", "golf98")  # a study, a training, a zeroing and a descent
COMMAND = [sys.executable, "-m", "snakemake", "export"]
LIMIT = 3600  # seconds, after which a run counts as one that hangs
DAC_OVERRIDE, READ_SEARCH = 1, 2  # the capabilities by which root ignores permissions


@dataclass
class Run:
    """One disturbed run: its folder, its random numbers and what was done to it."""

    folder: Path
    dice: random.Random
    seconds: float  # that an undisturbed run takes
    done: list[str] = field(default_factory=list)

    def start(self, **limits: int) -> subprocess.Popen[bytes]:
        def before() -> None:
            for number in (DAC_OVERRIDE, READ_SEARCH):
                ctypes.CDLL(None).prctl(
                    24, number, 0, 0, 0
                )  # drop it from the bounding set; no root, no effect
            for name, most in limits.items():
                resource.setrlimit(getattr(resource, name), (most, most))

        log = (self.folder / "log").open("ab")
        return subprocess.Popen(
            COMMAND, cwd=self.folder, env=ENVIRONMENT, stdout=log, stderr=log, start_new_session=True,
            preexec_fn=before,
        )  # fmt: skip

    def wait_a_while(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.dice.uniform(0.02, 0.9) * self.seconds)

    def files(self, *patterns: str) -> list[Path]:
        found = [path for pattern in patterns for path in self.folder.glob(pattern) if path.is_file()]
        return sorted(path for path in found if path.stat().st_size)


def end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_all(run: Run) -> None:
    """SIGKILL of all processes at once"""
    process = run.start()
    run.wait_a_while(process)
    end(process)


def kill_one(run: Run) -> None:
    """SIGKILL of one process, the others go on"""
    process = run.start()
    run.wait_a_while(process)
    listed = subprocess.run(["pgrep", "-g", str(process.pid)], capture_output=True, text=True, check=False)
    if several := listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(run.dice.choice(several)), signal.SIGKILL)
    process.wait(LIMIT)


def full_disk(run: Run) -> None:
    """no space left (a small tmpfs for root, else a limit on the size of files)"""
    folder = run.folder / "ballast"
    folder.mkdir(exist_ok=True)
    if not os.path.ismount(run.folder):
        process = run.start(RLIMIT_FSIZE=run.dice.choice((0, 1_000, 20_000)))
        run.wait_a_while(process)
        end(process)
        return
    process = run.start()
    run.wait_a_while(process)
    with contextlib.suppress(OSError), (folder / "full").open("wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    process.wait(LIMIT)
    (folder / "full").unlink()


def read_only(run: Run) -> None:
    """a folder that may not be written to"""
    process = run.start()
    run.wait_a_while(process)
    some = [path for path in sorted(run.folder.glob("*/**")) if path.is_dir() and "src" not in path.parts]
    some = [path for path in some if os.access(path, os.W_OK)] or [run.folder]
    folder = run.dice.choice(some)
    mode = folder.stat().st_mode
    folder.chmod(0o500)
    try:
        process.wait(LIMIT)
    finally:
        folder.chmod(mode)


def damage(*patterns: str) -> Callable[[Run], None]:
    def damaged(run: Run) -> None:
        kill_all(run)
        some = run.files(*patterns)
        for path in run.dice.sample(some, min(3, len(some))):
            content = path.read_bytes()
            mode = path.stat().st_mode
            path.chmod(0o644)
            cut = run.dice.randrange(len(content))
            path.write_bytes(run.dice.choice((content[:cut], content[:cut] + bytes(len(content) - cut), b"")))
            path.chmod(mode)

    damaged.__doc__ = f"SIGKILL, then up to three files of {', '.join(patterns)} cut or overwritten"
    return damaged


def second_run(run: Run) -> None:
    """a second run beside the first; both have to end well"""
    one = run.start()
    if run.dice.random() < 0.5:
        time.sleep(run.dice.uniform(0, 0.5) * run.seconds)
    other = run.start()
    codes = [process.wait(LIMIT) for process in (one, other)]
    if codes != [0, 0]:
        raise AssertionError(f"two runs side by side ended with {codes}")


TROUBLES: dict[str, Callable[[Run], None]] = {
    "kill": kill_all,
    "kill one": kill_one,
    "full disk": full_disk,
    "read-only": read_only,
    "cache": damage(".dvc/cache/**/*"),
    "state": damage(".golf/**/*", ".dvc/tmp/**/*"),
    "results": damage("results/**/*", "data/*", "dvc.lock"),
    "second run": second_run,
}


def template(folder: Path) -> Path:
    """A workspace with few rows, in which no torch is needed."""
    workspace(folder)
    raw, stages = config.read(folder / "params.yaml"), read_yaml(folder / "dvc.yaml")
    for row in set(raw["rows"]) - set(ROWS):
        _leave_out(row, raw, stages)
    raw["interpret"]["networks"] = ["tuned"]
    (folder / "params.yaml").write_text(yaml_text(raw))
    (folder / "dvc.yaml").write_text(yaml_text(stages))
    return folder


@contextlib.contextmanager
def place(root: Path, megabytes: int = 200) -> Iterator[Path]:
    """A folder that is a small file system of its own where that may be mounted."""
    folder = root / "disturbed"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield folder
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def undisturbed(root: Path) -> tuple[Path, dict[str, str], float]:
    """The template, the ONNX files that a run of it leaves, and the seconds that it took."""
    folder = template(root / "template")
    shutil.copytree(folder, root / "whole")
    start = time.monotonic()
    done = subprocess.run(
        COMMAND, cwd=root / "whole", env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, onnx_files(root / "whole"), time.monotonic() - start


def disturb(seed: int, start: Path, want: dict[str, str], seconds: float) -> list[str]:
    """One to three troubles, one after the other, in a new folder; returns their names.

    Raises AssertionError, which tells the seed, where the same command does not go on to the same files.
    """
    dice = random.Random(seed)
    again = f"seed {seed}: `python tests/disturb.py --seed {seed} --runs 1` repeats it"
    with tempfile.TemporaryDirectory() as root, place(Path(root)) as folder:
        shutil.copytree(start, folder, dirs_exist_ok=True)
        run = Run(folder, dice, seconds)
        for _ in range(dice.randint(1, 3)):
            run.done.append(dice.choice(sorted(TROUBLES)))
            try:
                TROUBLES[run.done[-1]](run)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                raise AssertionError(f"{again}: {run.done}: {error}\n{tail(folder)}") from None
        process = run.start()
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            end(process)
            raise AssertionError(f"{again}: {run.done}: it hangs\n{tail(folder)}") from None
        assert code == 0, f"{again}: {run.done}: exit code {code}\n{tail(folder)}"
        assert onnx_files(folder) == want, f"{again}: {run.done}: other ONNX files"
        return run.done


GOLF = [sys.executable, "-m", "neural_golf.cli"]
PAIRS = {
    "two `golf stage`": ([*GOLF, "stage", "tune"], [*GOLF, "stage", "tune"]),
    "two `snakemake`": ([*COMMAND[:-1], "tune"], [*COMMAND[:-1], "tune"]),
    "`dvc repro` beside `snakemake`": (
        [sys.executable, "-m", "dvc", "repro", "tune"], [*COMMAND[:-1], "tune"],
    ),
}  # fmt: skip


def pair(kind: str, folder: Path, seed: int) -> tuple[list[int], Counter[str]]:
    """Starts two runs of an outdated study in the same instant; returns both exit codes, and how often each
    piece of it, and its command itself (the piece ""), ran to its end.
    """
    raw = config.read(folder / "params.yaml")
    raw["tune"]["seed"] = seed
    (folder / "params.yaml").write_text(yaml_text(raw))
    before = len(timed(folder))
    with (folder / "log").open("ab") as log:
        both = [
            subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log)
            for command in PAIRS[kind]
        ]
        codes = [process.wait(LIMIT) for process in both]
    return codes, Counter(line["piece"] for line in timed(folder)[before:])


def timed(folder: Path) -> list[dict[str, str]]:
    with (folder / "results/timings.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_down(name: str, command: str, table: str) -> None:
    """Put what a command wrote between its markers in docs/reliability.md."""
    page = ROOT / "docs/reliability.md"
    begin, end = f"<!-- {name}: written by `{command}` -->\n", f"\n<!-- end of {name} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    page.write_text(before + begin + table + end + rest.partition(end)[2], encoding="utf-8")


def tail(folder: Path) -> str:
    return (folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]


def pairs(count: int) -> tuple[str, bool]:
    """The table of what came of `count` pairs of each kind, and whether all went well."""
    lines, failed = [], 0
    with tempfile.TemporaryDirectory() as root:
        folder = template(Path(root, "pairs"))
        subprocess.run([*COMMAND[:-1], "tune"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=True)
        for number, kind in enumerate(PAIRS):
            found = [pair(kind, folder, 1 + number * count + k) for k in range(count)]
            good = sum(codes == [0, 0] for codes, _ in found)
            pieces = sum(len(ran) - 1 for _, ran in found)
            once = sum(times == 1 for _, ran in found for piece, times in ran.items() if piece)
            failed += (count - good) + (pieces - once)
            lines.append(f"| {kind} | {count} | {good} | {pieces} | {once} |")
            print(lines[-1], *(codes for codes, _ in found if codes != [0, 0]), flush=True)
        if failed:
            print(tail(folder))
    head = ["| started in the same instant | pairs | both ended with 0 | pieces | computed once |"]
    return "\n".join([*head, "|---|--:|--:|--:|--:|", *lines]), not failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; each has one more")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    parser.add_argument("--pairs", type=int, help="only start so many pairs of each kind side by side")
    options = parser.parse_args()
    if options.pairs:
        table, well = pairs(options.pairs)
        if options.write:
            write_down("pairs", "python tests/disturb.py --pairs 20 --write", table)
        return int(not well)
    counts = dict.fromkeys(TROUBLES, 0)
    failed = 0
    with tempfile.TemporaryDirectory() as root:
        start, want, seconds = undisturbed(Path(root))
        for seed in range(options.seed, options.seed + options.runs):
            try:
                done = disturb(seed, start, want, seconds)
                print(f"seed {seed}: {', '.join(done)}: the same bytes", flush=True)
            except AssertionError as error:
                failed += 1
                print(error, flush=True)
                continue
            for name in done:
                counts[name] += 1
    lines = [f"| {name} | {TROUBLES[name].__doc__} | {count} |" for name, count in counts.items()]
    head = ["| trouble | what it is | times |", "|---|---|--:|"]
    ends = (
        f"\n{options.runs} runs with seeds from {options.seed} on, each with one to three troubles: "
        f"{options.runs - failed} ended with the same {len(want)} ONNX files, {failed} did not."
    )
    table = "\n".join([*head, *lines, ends])
    print(table)
    if options.write:
        write_down("disturbed", "make disturb", table)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
