"""The whole pipeline on scikit-learn's digits: deterministic, killed and resumed, minimal re-runs."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from neural_golf import config
from neural_golf.workspace import make_workspace

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", *words]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def dvc(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "dvc", *words]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout


def workspace(folder: Path) -> Path:
    """A demo small enough for a test."""
    make_workspace(folder, ROOT)
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for row in ("baseline", "tuned", "prelu", "tune"):
        params[row]["epochs"] = 6
    params["reference"]["epochs"] = 1
    params["tune"]["trials"] = 4
    params["prune"] |= {"threshold": 0.5, "heldout_threshold": 0.4}
    path.write_text(yaml.safe_dump(params))
    return folder


def onnx_files(folder: Path) -> dict[str, str]:
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.glob("results/onnx*/*.onnx"))
    }


def tracked(folder: Path) -> dict[str, bytes]:
    """Everything a run leaves that a person may keep: the results, the data, and DVC's record of them."""
    listed = [*folder.glob("results/**/*"), *folder.glob("data/*"), folder / "dvc.lock"]
    files = sorted(path.relative_to(folder) for path in listed if path.is_file())
    return {path.as_posix(): (folder / path).read_bytes() for path in files if path.name != "timings.csv"}


def differing(one: Path, other: Path) -> list[str]:
    """Files that only one of two runs has, or that differ."""
    a, b = tracked(one), tracked(other)
    found = sorted(name for name in {*a, *b} - {"dvc.lock"} if a.get(name) != b.get(name))
    # From nothing, DVC lists stages as they end, which is up to the scheduler; a committed file keeps its order.
    records = [yaml.safe_load(lock["dvc.lock"]) for lock in (a, b)]
    return found + ["dvc.lock"] * (records[0] != records[1])


def executed(output: str) -> set[str]:
    """Stages whose command ran, from DVC's own lines."""
    return {line.split()[2] for line in output.splitlines() if line.startswith("> golf ")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = workspace(tmp_path_factory.mktemp("one"))
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_afterwards_there_is_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in (lambda r: r.stdout + r.stderr)(snakemake(finished, "-n"))
    assert "up to date" in dvc(finished, "status")


def test_a_second_run_from_nothing_elsewhere_leaves_the_same_bytes(
    finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Regenerating changes nothing: no clock, no path, no order of threads is in any file that is kept."""
    # As deep in the file system as the first, since params.yaml names the folders of data as seen from it.
    folder = workspace(tmp_path_factory.mktemp("another place"))
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"results/ladder.json", "results/plots/verify.csv", "results/metrics/data.json"} <= set(
        tracked(folder)
    )
    assert differing(finished, folder) == []
    for name, content in tracked(folder).items():
        assert str(folder).encode() not in content, name
        assert platform.node().encode() not in content or len(platform.node()) < 5, name


def test_what_took_how_long_stands_in_one_file(finished: Path) -> None:
    with (finished / "results/timings.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    stages = yaml.safe_load((finished / "dvc.yaml").read_text())["stages"]
    assert set(stages) <= {line["stage"] for line in lines if not line["piece"]}
    assert all(float(line["seconds"]) >= 0 for line in lines)
    for name in ("dvc.lock", "dvc.yaml"):
        assert "timings" not in (finished / name).read_text()


def test_every_network_is_on_the_ladder(finished: Path) -> None:
    ladder = json.loads((finished / "results/ladder.json").read_text())
    settings = config.load(finished / "params.yaml")
    rows = [f"{row}-heldout-{size}" for row in ("golf98", "golf99", "open98") for size in (150, 120)]
    assert {*rows, "bytes98-heldout-120"} <= set(settings.variants()) == set(ladder)
    assert [ladder[row]["division"] for row in rows] == ["plain"] * 4 + ["open"] * 2
    assert ladder["open98-heldout-120"]["nonzero"]["mean"] == 123  # a form has three numbers
    assert 0 < ladder["bytes98-heldout-120"]["bytes"]["mean"] < 200
    assert len(list((finished / "results/golf").iterdir())) == 1
    variants = [f"{judge}-{order}" for judge in ("test", "heldout") for order in ("index", "saliency")]
    blog = {"reference", "baseline", "tuned", "prelu"} | {
        f"{p}-{v}" for p in ("pruned", "prelu_pruned") for v in variants
    }
    assert blog <= set(ladder)
    assert ladder["baseline"]["parameters"] == 1055
    assert ladder["tuned"]["nonzero"]["mean"] == 807
    assert ladder["prelu"]["nonzero"]["mean"] == 820
    assert ladder["reference"]["parameters"] == 1_199_882
    for variant in variants:
        assert ladder[f"pruned-{variant}"]["nonzero"]["mean"] < 807
    assert (finished / "results/ladder.csv").read_text().count("\n") == len(ladder) + 1


def test_every_row_has_a_model_card_whose_code_runs(finished: Path) -> None:
    ladder = json.loads((finished / "results/ladder.json").read_text())
    texts = {path.stem: path.read_text() for path in (finished / "results/cards").glob("*.md")}
    assert set(texts) == set(ladder)
    for name in ("tuned", "reference"):  # the reference lies in another folder
        code = texts[name].split("```python\n")[1].split("```")[0]
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=finished, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert len(run.stdout.strip("[]\n").split()) == 2
    for file in re.findall(r"\]\((.*?)\)", texts["reference"]):
        assert (finished / "results/cards" / file).is_file()


def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    """Three SIGKILLs of the whole group at different moments; then the same command, no unlocking."""
    folder = workspace(tmp_path)
    for seconds in (9, 14, 19):
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake"], cwd=folder, env=ENVIRONMENT, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert onnx_files(folder) == onnx_files(finished)
    assert differing(finished, folder) == []
    assert len(onnx_files(finished)) >= 1 + 3 * 2 + 2 * 4 * 2


def test_a_changed_threshold_runs_what_depends_on_it_and_its_way_back_runs_no_training(
    finished: Path,
) -> None:
    path = finished / "params.yaml"
    before, files = path.read_text(), onnx_files(finished)
    path.write_text(before.replace("threshold: 0.5", "threshold: 0.6"))
    followers = {"export", "verify", "front", "ladder", "interpret", "site"}
    try:
        changed = snakemake(finished)
        assert changed.returncode == 0, changed.stderr[-3000:]
        ran = executed(changed.stdout + changed.stderr)
        assert {"pruned", "prelu_pruned", "export", "verify", "ladder"} <= ran
        assert not ran & {"data", "reference", "baseline", "tune", "tuned", "prelu"}
        assert onnx_files(finished) != files
    finally:
        path.write_text(before)
    back = dvc(finished, "repro")
    assert executed(back) <= followers  # which take seconds; the rest comes from DVC's cache
    assert onnx_files(finished) == files
    assert "Nothing to be done" in (lambda r: r.stdout + r.stderr)(snakemake(finished, "-n"))


def test_a_forced_run_runs(finished: Path) -> None:
    files = onnx_files(finished)
    done = snakemake(finished, "-F", "tuned")
    assert done.returncode == 0, done.stderr[-3000:]
    assert executed(done.stdout + done.stderr) == {"data", "tune", "tuned"}
    assert onnx_files(finished) == files


def test_metrics_and_plots_are_there_for_dvc(finished: Path) -> None:
    shown = json.loads(dvc(finished, "metrics", "show", "--json"))
    files = shown[""]["data"]
    assert files["results/metrics/tune.json"]["data"]["trials"] == 4
    dvc(finished, "plots", "show", "-o", "plots-page")
    assert (finished / "plots-page/index.html").stat().st_size > 1000


def test_a_file_that_is_not_what_training_recorded_fails_the_run(finished: Path) -> None:
    path = finished / "results/exported.json"
    before = path.read_text()
    listing = json.loads(before)
    (tuned,) = (file for file in listing if file["name"] == "tuned-0")
    tuned["nonzero"] -= 1
    path.write_text(json.dumps(listing))
    try:
        command = [sys.executable, "-m", "neural_golf.cli", "verify"]
        run = subprocess.run(
            command, cwd=finished, env=ENVIRONMENT, capture_output=True, text=True, check=False
        )
    finally:
        path.write_text(before)
    assert run.returncode == 1
    assert "tuned-0: 807 non-zero parameters, 806 recorded" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_wrong_params_file_stops_snakemake_before_any_job(tmp_path: Path) -> None:
    folder = workspace(tmp_path)
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("threshold: 0.5", "threshold: 98"))
    run = snakemake(folder)
    assert run.returncode != 0
    assert "prune.threshold = 98" in run.stdout + run.stderr
    assert not (folder / "data").exists()
