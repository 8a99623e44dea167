"""The command `golf`: one thin command per stage, named as the stage, and a few tools."""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from neural_golf.base.errors import GolfError

__all__ = ["MAKERS", "STAGES", "USAGE", "main"]

USAGE = (
    64  # the exit code of a command that is wrongly written; argparse's own, 2, is `golf verify`'s REFUSED
)

# What is run for a stage, and what it does: a module with `run(config)`.
STAGES = {
    "data": ("data.stage", "fetch and split the data set"),
    "tune": ("train.tune", "search batch size, learning rate and schedule"),
    "export": ("results.export", "the stage: write every network to ONNX; with --plain, one for other tools"),
    "verify": ("results.verify", "score an ONNX file; without one, the stage: every exported file"),
    "front": ("results.front", "show accuracy against size, and what honesty costs"),
    "ladder": ("results.ladder", "write the table of all networks, and their model cards"),
    "interpret": ("look.interpret", "draw what the networks look at"),
    "site": ("site.build", "make the web site, with everything in it"),
    "handbook": ("experiments.handbook", "measure what each technique is worth (not part of the default)"),
    "search": ("experiments.search", "search topologies and recipes (not part of the default)"),
}
# What makes a row of the ladder, by the row's `by` in params.yaml: a module with `run(config, row)`.
MAKERS = {
    "reference": "train.reference",
    "training": "train.stage",
    "zeroing": "compress.zeroing",
    "descent": "compress.frontier",
    "packing": "quantise.stage",
}
# The extra that brings a module, where it is not `train`.
EXTRAS = {"torch": "torch", "torchvision": "torch", "psycopg": "cluster", "tensorboardX": "watch"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors are one line on stderr.

    Besides a command's own codes there are 3 where a file gets no verdict, `USAGE` for a command that is
    wrongly written, 74 where the output cannot be written, and 128 and its number for a signal. `golf verify
    FILE` and `golf submit` never end with 0, 1 or 2 unless that is the verdict.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except Exception as error:
        return _failed(words, error)
    except KeyboardInterrupt:
        _complain(words, "stopped" if _judges(words) else "stopped; the same command goes on from here")
        return 130


def _run(words: Sequence[str]) -> int:
    _one_thread_of_linear_algebra()
    _a_home_that_can_be_written_to()
    from neural_golf.referee import cli as referee  # it imports numpy, which reads the number of threads

    parser = _parser(words)
    options = parser.parse_args(words)
    if options.command == "verify":
        referee.check_usage(options, parser.error)
    if options.command == "export" and (options.plain is None) != (options.output is None):
        parser.error("--plain MODEL.onnx and -o FILE go together")
    code = int(options.run(options))
    if sys.stdout is not None:
        sys.stdout.flush()
    return code


def _failed(words: Sequence[str], error: Exception) -> int:
    """Say what went wrong, and the exit code for it. What is no message to the user is raised again."""
    from neural_golf.referee.exits import NO_VERDICT, UNWRITTEN, NoVerdict, close_output

    judging = _judges(words)
    if isinstance(error, GolfError):
        _complain(words, str(error))
        return NO_VERDICT if judging or isinstance(error, NoVerdict) else 1
    if isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
        close_output()
        what = "the output" if error.filename is None else error.filename
        _complain(words, f"{what} cannot be written: {error.strerror}")
        return UNWRITTEN
    if isinstance(error, OSError):  # no permission, a folder in the place of a file, a broken disk
        what = "" if error.filename is None else f"{error.filename} cannot be read or written: "
        _complain(words, f"{what}{error.strerror or error}")
        if error.filename is not None and words[:1] in (["submit"], ["leaderboard"]):
            return UNWRITTEN
        return NO_VERDICT if judging else 1
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("neural_golf"):
        extra = EXTRAS.get(error.name or "", "train")
        hint = f"pip install '.[{extra}]' in the project's folder"
        _complain(words, f"{error.name} is not installed: {hint}")
        return NO_VERDICT if judging else 1
    if judging:  # a fault of the referee, which must not look like a verdict
        traceback.print_exception(error)
        return NO_VERDICT
    raise error


def _judges(words: Sequence[str]) -> bool:
    """Whether its exit code is a verdict: of `golf verify FILE`, `golf submit` and `golf leaderboard`."""
    return words[:1] in (["submit"], ["leaderboard"]) or (words[:1] == ["verify"] and len(words) > 1)


def _complain(words: Sequence[str], text: str) -> None:
    from neural_golf.referee.exits import complain

    complain(f"{' '.join(('golf', *words[:1]))}: {text}")


def _one_thread_of_linear_algebra() -> None:
    """Tell numpy's BLAS, before anything imports it, to use one thread whatever the environment says.

    With more threads its sums round differently, so a descent's result would depend on the number of cores
    (Snakemake sets these variables to it). On matrices as small as ours the threads would only wait for one
    another anyway. The stages share out the cores themselves.
    """
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"


def _a_home_that_can_be_written_to() -> None:
    """Where the person's home is missing or somebody else's, DVC and Snakemake keep their files in .golf."""
    if not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 (Path's raises where there is none)
        os.environ["HOME"] = str(Path(".golf/home").absolute())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        from neural_golf.referee.exits import complain

        complain(f"{self.format_usage()}{self.prog}: error: {message}")
        sys.exit(USAGE)


def _parser(words: Sequence[str] = ()) -> argparse.ArgumentParser:
    from neural_golf.device import cli as device
    from neural_golf.leaderboard import cli as leaderboard
    from neural_golf.prune import cli as prune
    from neural_golf.referee import cli as referee

    parser = _Parser(prog="golf", description="Reach an accuracy with the fewest non-zero parameters.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, run: object) -> argparse.ArgumentParser:
        shown = text.replace("%", "%%")  # argparse would fill it in
        made = commands.add_parser(
            name, help=shown, description=f"{text[:1].upper()}{text[1:]}.".replace("%", "%%")
        )
        made.set_defaults(run=run)
        return made

    made = {name: add(name, text, _stage) for name, (_, text) in STAGES.items()}
    made["data"].add_argument(
        "--check", action="store_true", help="only see whether some place has the data set"
    )
    made["tune"].add_argument(
        "--worker", action="store_true", help="only work at trials, beside other runs and other machines"
    )
    referee.add_verify_arguments(made["verify"])
    device.add_plain_arguments(made["export"])
    leaderboard.add_submit_arguments(
        add("submit", "put an ONNX file on the leaderboard", leaderboard.run_submit)
    )
    leaderboard.add_leaderboard_arguments(
        add("leaderboard", "verify all entries again and write the leaderboard", leaderboard.run_leaderboard)
    )
    leaderboard.add_enter_arguments(
        add("enter", "put our own networks on the leaderboard", leaderboard.run_enter)
    )
    _add_pack_arguments(
        add("pack", "write a network as a .golf file of few bytes", _pack),
        add("unpack", "write the ONNX file that a .golf file stands for", _unpack),
    )
    device.add_device_arguments(
        add("device", "measure networks on microcontrollers, in qemu", device.run_device)
    )
    device.add_c_arguments(add("c", "write a network as C99 for a microcontroller", device.run_c))
    _add_new(add("new", "write a folder in which the whole pipeline runs on your data", _new), words)
    about = "set weights of anyone's trained network to zero, as far as its accuracy allows"
    prune.add_prune_arguments(add("prune", about, prune.run_prune))
    add("bench", "measure the engine beside PyTorch, JAX and onnxruntime", _bench).add_argument(
        "--quick", action="store_true", help="fewer and smaller measurements; nothing is written"
    )
    stage = add("stage", "let DVC run, restore or skip one stage (what a Snakemake rule calls)", _dvc_stage)
    stage.add_argument("name")
    stage.add_argument("--force", action="store_true", help="run its command though nothing has changed")
    piece = add("piece", "compute independent pieces of a stage, or list them", _piece)
    piece.add_argument("name", metavar="STAGE")
    piece.add_argument("keys", metavar="KEY", nargs="*", help="as the list names them")
    known = not words or words[0].startswith("-") or words[0] in commands.choices
    for name, text in _rows_and_workspaces(known):
        if isinstance(name, str) and name not in commands.choices:  # else `config.load` says what is wrong
            add(name, text, _row_or_workspace)
    if not known and words[0] not in commands.choices and not Path("params.yaml").exists():
        parser.error(
            f"argument COMMAND: invalid choice: {words[0]!r}; there is no params.yaml here, whose rows "
            f"would be commands too (choose from {', '.join(commands.choices)})"
        )
    return parser


def _add_pack_arguments(pack: argparse.ArgumentParser, unpack: argparse.ArgumentParser) -> None:
    pack.add_argument(
        "file", type=Path, help="an ONNX or .golf file of this project, or one of its checkpoints"
    )
    pack.add_argument(
        "--run", dest="which", metavar="NAME", help="a checkpoint's network, such as golf98-200-2"
    )
    why = "the share of the held-out images that must be right afterwards, such as 0.978"
    pack.add_argument("--keep", type=float, required=True, metavar="SHARE", help=why)
    pack.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .golf file")
    unpack.add_argument("file", type=Path, help="the .golf file")
    unpack.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the ONNX file")


def _add_new(new: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The arguments of `golf new`, for it alone: they need what only the extra `train` brings."""
    if words[:1] == ["new"]:
        from neural_golf.tasks.new import add_new_arguments

        add_new_arguments(new)


def _new(options: argparse.Namespace) -> int:
    _needs("dvc", "snakemake")
    from neural_golf.tasks.new import run_new

    return run_new(options)


def _rows_and_workspaces(known: bool) -> list[tuple[str, str]]:
    """The commands that params.yaml names. Where it cannot be read, the command that was asked for says why,
    or, where it is not `known` and so may be one that is named there, the error that is raised.
    """
    from neural_golf import config

    try:
        raw = config.read(Path("params.yaml"))
    except GolfError:
        if not known and Path("params.yaml").exists():
            raise
        return [("demo", "run the whole pipeline on small data (in the project's folder)")]
    tables: list[Any] = [
        raw.get(key) if isinstance(raw.get(key), dict) else {} for key in ("rows", "workspaces")
    ]
    rows = [(name, f"make the row {name} of the ladder") for name in tables[0] or {}]
    return rows + [
        (name, f"run the whole pipeline in results/{name}, as params.yaml says") for name in tables[1] or {}
    ]


def _stage(options: argparse.Namespace) -> int:
    from neural_golf import config

    if options.command == "verify" and options.file is not None:
        from neural_golf.referee.cli import run_verify

        return run_verify(options)
    if options.command == "export" and options.plain is not None:
        from neural_golf.device.cli import run_plain

        return run_plain(options)
    settings = config.load()
    if options.command == "data" and options.check:
        from neural_golf.data.stage import check

        check(settings)
        return 0
    if options.command == "tune" and options.worker:
        from neural_golf.train.tune import work

        work(settings)
        return 0
    _timed(options.command, STAGES[options.command][0], settings)
    return 0


def _row_or_workspace(options: argparse.Namespace) -> int:
    from neural_golf import config

    settings = config.load()
    row = settings.rows.get(options.command)
    if row is None:
        return _workspace(options.command)
    _timed(options.command, MAKERS[row.by], settings, options.command)
    return 0


def _piece(options: argparse.Namespace) -> int:
    from neural_golf import config
    from neural_golf.base.longwork import in_parallel
    from neural_golf.config.pieces import check, table

    settings, stage = config.load(), options.name
    check(settings, stage, options.keys)
    if not options.keys:
        print(table(settings, stage))
        return 0
    row = settings.rows.get(stage)
    module = importlib.import_module(f"neural_golf.{MAKERS[row.by] if row else STAGES[stage][0]}")
    pieces = module.pieces(settings, *([stage] if row else []))
    # One that is missing has been told of: its network is below what is asked for, so that it is not zeroed.
    in_parallel([pieces[key] for key in options.keys if key in pieces], lambda work: work())
    return 0


def _timed(stage: str, module: str, *arguments: object) -> None:
    from neural_golf.base.longwork import note_seconds

    start = time.perf_counter()
    importlib.import_module(f"neural_golf.{module}").run(*arguments)
    note_seconds(stage, "", time.perf_counter() - start)


def _dvc_stage(options: argparse.Namespace) -> int:
    from neural_golf import workflow

    _needs("dvc")
    return workflow.run_stage(options.name, options.force)


def _needs(*modules: str) -> None:
    """Raise ModuleNotFoundError for a module that otherwise only a child process would miss."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def _pack(options: argparse.Namespace) -> int:
    from neural_golf.quantise.command import run_pack

    return run_pack(options)


def _unpack(options: argparse.Namespace) -> int:
    from neural_golf.quantise.command import run_unpack

    return run_unpack(options)


def _bench(options: argparse.Namespace) -> int:
    from neural_golf import bench
    from neural_golf.base.files import write_bytes
    from neural_golf.results.ladder import update_marked

    quick = options.quick
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "bench.json") if quick else Path("results/bench.json")
        record = bench.main(Path("data/train.safetensors"), out, quick=quick)
    table = bench.table(record)
    if not quick:
        write_bytes(Path("results/bench.md"), table.encode())
        update_marked(Path("docs/engine.md"), "bench", table)
        update_marked(Path("README.md"), "bench", bench.line(record))
    print(table)
    return 0


def _workspace(name: str) -> int:
    from neural_golf.workspace import make_workspace

    _needs("dvc", "snakemake")
    folder = make_workspace(Path("results", name), workspace=name)
    code = subprocess.run([sys.executable, "-m", "snakemake"], cwd=folder, check=False).returncode
    if code == 0:
        print((folder / "results/ladder.md").read_text(encoding="utf-8"))
        print(f"These are {name}'s, in {folder}/results; the real ones come from `make results`.")
    return code


if __name__ == "__main__":
    sys.exit(main())
