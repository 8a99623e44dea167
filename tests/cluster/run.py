"""`make test-slurm`: the pipeline through a real Slurm of two nodes, disturbed, and the same bits at the end.

The demo in small runs four times: by `dvc repro`, by plain `snakemake`, through Slurm, and through Slurm while
a job is cancelled, a node dies, and the process that submits is killed and started again. Then one real stage,
`baseline`, on MNIST, through Slurm, against the digest of its networks in dvc.lock; it is left out where the
data set cannot be had, and with `--no-real`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(Path(__file__).parent)]

import yaml  # noqa: E402
from slurm import Missing, Slurm, slurm  # noqa: E402

from neural_golf import workspace as workspaces  # noqa: E402
from test_pipeline import differing, workspace  # noqa: E402

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
SLURM = ("--profile", "profiles/slurm")
# Sooner than on a real cluster; and one job may meet several of the troubles below.
QUICK = ("--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10", "--retries", "3")


def begin(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    with (folder / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", *words]
        return subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log)


def finish(process: subprocess.Popen[bytes], folder: Path, seconds: float = 1800) -> None:
    code = process.wait(seconds)
    if code:
        tail = (folder / "log.txt").read_text(errors="replace")[-3000:]
        raise SystemExit(f"the run in {folder} ended with {code}:\n{tail}")


def seen(cluster: Slurm, wanted: Callable[[str], bool], process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """Number and node of a running job whose comment is wanted; raises SystemExit if the run ends before."""
    while process.poll() is None:
        for number, node, comment in cluster.jobs():
            if wanted(comment):
                return number, node
        time.sleep(0.2)
    raise SystemExit("the run ended before it could be disturbed")


def disturbed(cluster: Slurm, folder: Path, say: Callable[[str], None]) -> None:
    """The demo through Slurm, with one trouble of each kind."""
    process = begin(folder, "snakemake", *SLURM, *QUICK)
    number, _ = seen(cluster, lambda comment: True, process)
    subprocess.run(["scancel", number], check=True)
    say(f"cancelled job {number}")
    number, node = seen(cluster, lambda comment: "tune" in comment or "prelu" in comment, process)
    cluster.kill_node(node)
    say(f"killed node {node} with job {number}")
    time.sleep(5)
    cluster.start_node(node)
    cluster.wait_for([node])
    number, _ = seen(cluster, lambda comment: "golf9" in comment or "pruned" in comment, process)
    process.kill()
    process.wait()
    say(f"killed the process that submits, while job {number} ran; the same command again")
    finish(begin(folder, "snakemake", *SLURM, *QUICK), folder)


def real(cluster: Slurm, folder: Path) -> str:
    """The stage `baseline` with the project's own settings: what is said of it."""
    workspaces.make_workspace(folder, ROOT, "demo")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params.pop("workspaces")
    for dataset in params["datasets"].values():
        if "places" in dataset:
            dataset["places"] = [workspaces.seen_from(folder, ROOT, place) for place in dataset["places"]]
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    if begin(folder, "neural_golf.cli", "data", "--check").wait():
        return "left out, because MNIST cannot be had here"
    finish(begin(folder, "snakemake", *SLURM, *QUICK, "results/models/baseline.safetensors"), folder)
    made = hashlib.md5((folder / "results/models/baseline.safetensors").read_bytes()).hexdigest()
    outs = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["baseline"]["outs"]
    (want,) = [out["md5"] for out in outs if out["path"] == "results/models/baseline.safetensors"]
    if made != want:
        raise SystemExit(f"baseline through Slurm is {made}, and dvc.lock has {want}")
    return f"the same bits as dvc.lock ({want[:8]})"


def runs(cluster: Slurm, scratch: Path, say: Callable[[str], None]) -> Iterator[tuple[str, Path]]:
    """The four ways, each with its folder."""
    ways: dict[str, Callable[[Path], None]] = {
        "dvc repro": lambda folder: finish(begin(folder, "dvc", "repro"), folder),
        "snakemake": lambda folder: finish(begin(folder, "snakemake"), folder),
        "Slurm": lambda folder: finish(begin(folder, "snakemake", *SLURM, *QUICK), folder),
        "Slurm, disturbed": lambda folder: disturbed(cluster, folder, say),
    }
    for way, run in ways.items():
        folder = workspace(scratch / way.replace(" ", "-").replace(",", ""))
        start = time.monotonic()
        run(folder)
        say(f"{way}: {time.monotonic() - start:.0f} s")
        yield way, folder


def compared(found: dict[str, Path]) -> str:
    """What is said of the four ways. Raises SystemExit where any file differs."""
    first = next(iter(found))
    if wrong := {way: names for way in found if (names := differing(found[first], found[way]))}:
        raise SystemExit(f"these differ from {first}: {wrong}")
    return f"the same bits in {len(found)} ways of running: {', '.join(found)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--no-real", action="store_true", help="without the stage on MNIST")
    part.add_argument("--no-demo", action="store_true", help="only the stage on MNIST")
    options = parser.parse_args()

    def say(text: str) -> None:
        print(f"test-slurm: {text}", flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped then too
    try:
        import snakemake_executor_plugin_slurm  # noqa: F401
    except ModuleNotFoundError:
        say("skipped: snakemake-executor-plugin-slurm is not installed (pip install '.[cluster]')")
        return 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:  # as of jobs that still end
        scratch = Path(temporary)
        try:
            with slurm(scratch / "slurm") as cluster:
                if not options.no_demo:
                    say(compared(dict(runs(cluster, scratch, say))))
                if not options.no_real:
                    say(f"baseline on MNIST: {real(cluster, scratch / 'real')}")
        except Missing as why:
            say(f"skipped: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
