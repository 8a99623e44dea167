"""The command `golf`: one thin command per stage, named as the stage, and a few tools."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from neural_golf.base.errors import GolfError

__all__ = ["main"]

# stage: (module, what it does). The module has `run(settings)`, or `run(settings, stage)` if it is SHARED.
STAGES = {
    "data": ("data", "fetch and split the data set"),
    "reference": ("train.reference", "train PyTorch's MNIST example"),
    "baseline": ("train.fit", "train the blog's hand-made network"),
    "tune": ("train.tune", "search batch size, learning rate and schedule"),
    "tuned": ("train.fit", "train 4-5-4 with the best settings"),
    "pruned": ("compress.zeroing", "zero the weights of tuned, one by one"),
    "prelu": ("train.fit", "train 4-5-4 with PReLU"),
    "prelu_pruned": ("compress.zeroing", "zero the weights of prelu, one by one"),
    "teacher": ("experiments.teacher", "train a large network that small ones can be taught by"),
    "golf98": ("compress.frontier", "descend to the fewest parameters at 98 %"),
    "golf99": ("compress.frontier", "descend to the fewest parameters at 99 %"),
    "export": ("results.export", "write every network to ONNX"),
    "handbook": ("experiments.handbook", "measure what each technique is worth (not part of the default)"),
    "search": ("experiments.search", "search topologies and recipes (not part of the default)"),
    "front": ("results.front", "accuracy against size, and what honesty costs"),
    "ladder": ("results.ladder", "write the table of all networks, and their model cards"),
    "interpret": ("look.interpret", "draw what the networks look at"),
    "page": ("site.build", "put everything on one page"),
}
SHARED = {"train.fit", "compress.zeroing", "compress.frontier"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors are one line on stderr."""
    _one_thread_of_linear_algebra()
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except GolfError as error:
        print(f"golf {options.command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("neural_golf"):
            raise
        hint = "pip install '.[train]' in the project's folder"
        print(f"golf {options.command}: {error.name} is not installed: {hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"golf {options.command}: stopped; the same command goes on from here", file=sys.stderr)
        return 130


def _needs(*modules: str) -> None:
    """Raise ModuleNotFoundError for a module that only a child process would miss, in its own words."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)


def _one_thread_of_linear_algebra() -> None:
    """Tell numpy's BLAS, before anything imports it, to use one thread whatever the environment says.

    With more its sums round otherwise, so that a descent's result would depend on the number of cores
    (Snakemake sets these variables to it); and on matrices as small as ours the threads only wait for
    one another. The stages share out the cores themselves.
    """
    for name in ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ[name] = "1"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="golf", description="Reach an accuracy with the fewest non-zero parameters."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, text) in STAGES.items():
        what = text.replace("%", "%%")  # argparse would fill it in
        made = commands.add_parser(name, help=f"stage: {what}", description=f"Stage of the pipeline: {what}.")
        if name == "data":
            made.add_argument(
                "--check", action="store_true", help="only see whether some place has the data set"
            )
    from neural_golf import config
    from neural_golf.leaderboard import cli as board_cli
    from neural_golf.leaderboard import enter
    from neural_golf.referee import cli as referee

    verify = "score an ONNX file; without one, the stage: every exported file"
    referee.add_verify_arguments(commands.add_parser("verify", help=verify))
    board_cli.add_submit_arguments(commands.add_parser("submit", help="put an ONNX file on the leaderboard"))
    board = "verify all entries again and write the leaderboard"
    board_cli.add_leaderboard_arguments(commands.add_parser("leaderboard", help=board))
    enter.add_enter_arguments(commands.add_parser("enter", help="put our own networks on the leaderboard"))
    bench = commands.add_parser("bench", help="measure the engine beside PyTorch")
    bench.add_argument(
        "--quick", action="store_true", help="fewer and smaller measurements; nothing is written"
    )
    stage = commands.add_parser(
        "stage", help="let DVC run, restore or skip one stage (what a Snakemake rule calls)"
    )
    stage.add_argument("name")
    for name, dataset in config.WORKSPACES.items():
        commands.add_parser(name, help=f"run the whole pipeline on {dataset}, in results/{name}")
    return parser


def _run(options: argparse.Namespace) -> int:
    match options.command:
        case "verify" if options.file:
            from neural_golf.referee.cli import run_verify

            return run_verify(options)
        case "verify":
            from neural_golf import config
            from neural_golf.results import verify

            verify.run(config.load())
            return 0
        case "submit":
            from neural_golf.leaderboard.cli import run_submit

            return run_submit(options)
        case "leaderboard":
            from neural_golf.leaderboard.cli import run_leaderboard

            return run_leaderboard(options)
        case "enter":
            from neural_golf.leaderboard.enter import run_enter

            return run_enter(options)
        case "bench":
            return _bench(options.quick)
        case "stage":
            from neural_golf import workflow

            _needs("dvc")
            return workflow.run_stage(options.name)
    from neural_golf import config

    if options.command in config.WORKSPACES:
        return _workspace(options.command)
    if options.command == "data" and options.check:
        from neural_golf import data

        data.check(config.load())
        return 0
    module, _ = STAGES[options.command]
    settings = config.load()
    work = importlib.import_module(f"neural_golf.{module}").run
    work(settings, options.command) if module in SHARED else work(settings)
    return 0


def _bench(quick: bool) -> int:
    from neural_golf import bench
    from neural_golf.base.files import write_bytes
    from neural_golf.results import ladder

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "bench.json") if quick else Path("results/bench.json")
        table = bench.main(Path("data/train.safetensors"), Path("data/test.safetensors"), out, quick=quick)
    if not quick:
        write_bytes(Path("results/bench.md"), table.encode())
        ladder.update_readme("bench", Path("results/bench.md"))
    print(table)
    return 0


def _workspace(name: str) -> int:
    from neural_golf import config, workflow

    config.load()  # a wrong params.yaml, or none, is told before anything is written
    _needs("dvc", "snakemake")
    folder = workflow.make_workspace(Path("results", name), section=name)
    code = subprocess.run([sys.executable, "-m", "snakemake"], cwd=folder, check=False).returncode
    if code == 0:
        print((folder / "results/ladder.md").read_text())
        print(f"These are {name}'s, in {folder}/results; the real ones come from `make results`.")
    return code


if __name__ == "__main__":
    sys.exit(main())
