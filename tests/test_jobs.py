"""Pieces as jobs of Snakemake: the same bits, no piece twice, and profiles that a cluster's users copy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neural_golf import config
from neural_golf.base.errors import GolfError
from neural_golf.jobs import Jobs
from neural_golf.workflow import Needs, Stages
from neural_golf.workspace import make_workspace

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
BASELINE = "results/models/baseline.safetensors"


def snakemake(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "snakemake", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def workspace(folder: Path, **seeds: list[int]) -> Path:
    """The demo, with short trainings."""
    make_workspace(folder, ROOT)
    change(folder, seeds.get("baseline", [0, 1]))
    return folder


def change(folder: Path, seeds: list[int], epochs: int = 2) -> None:
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["rows"]["baseline"]["seeds"] = seeds
    params["baseline"]["epochs"] = epochs
    path.write_text(yaml.safe_dump(params))


def planned(said: str) -> list[str]:
    """The pieces that Snakemake began or would begin."""
    return sorted(re.findall(r"wildcards: key=(\S+)", said))


def test_pieces_as_jobs_make_the_same_bits_and_a_new_seed_is_one_job(tmp_path: Path) -> None:
    whole, apart = workspace(tmp_path / "whole"), workspace(tmp_path / "apart")
    snakemake(whole, BASELINE)
    said = snakemake(apart, "--config", "pieces=true", "--", BASELINE)
    assert planned(said) == ["seed-0", "seed-1"]
    assert (apart / BASELINE).read_bytes() == (whole / BASELINE).read_bytes()
    assert (apart / "dvc.lock").read_text() == (whole / "dvc.lock").read_text()
    again = ("-n", "--config", "pieces=true", "--", BASELINE)
    assert "Nothing to be done" in snakemake(apart, *again)
    change(apart, [0, 1, 2])
    assert planned(snakemake(apart, *again)) == ["seed-2"]
    change(apart, [0, 1, 2], epochs=3)
    assert planned(snakemake(apart, *again)) == ["seed-0", "seed-1", "seed-2"]


def test_a_run_that_was_killed_goes_on_with_the_pieces_that_are_missing(tmp_path: Path) -> None:
    folder = workspace(tmp_path / "run", baseline=[0, 1, 2])
    marks = [".golf/jobs/baseline/seed-0", ".golf/jobs/baseline/seed-2"]
    assert planned(snakemake(folder, "--config", "pieces=true", "--", *marks)) == ["seed-0", "seed-2"]
    assert planned(snakemake(folder, "-n", "--config", "pieces=true", "--", BASELINE)) == ["seed-1"]


def test_a_job_asks_no_dvc_and_writes_no_stamps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = workspace(tmp_path / "run")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("neural_golf.workflow._dvc", lambda *_, **__: pytest.fail("DVC was asked"))
    stages = Stages(main=False)
    jobs = Jobs(config.load(), stages, on=True, main=False)
    assert stages.stamp("tuned") and jobs.stamp("tuned") and stages.outdated == set(stages)
    assert not list(Path(".golf").rglob("*")) if Path(".golf").exists() else True


def test_a_wave_of_a_study_waits_for_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace(tmp_path / "run"))

    class Wildcards:
        def __init__(self, key: str) -> None:
            self.key = key

    jobs = Jobs(config.load(), Stages(main=False), on=True, main=False)
    first = [f".golf/jobs/tune/trial-{number}" for number in range(6)]
    before = jobs.before("tune")
    assert [before(Wildcards(f"trial-{number}")) for number in (0, 5)] == [[], []]
    assert before(Wildcards("trial-7")) == first
    assert before(Wildcards("finalist-0-seed-1000")) == [".golf/jobs/tune/trial-6", ".golf/jobs/tune/trial-7"]
    assert jobs.awaited("verify") == [] and "verify" not in jobs and "handbook" in jobs


def test_what_a_piece_takes_stands_in_the_meta_of_its_stage(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    meta = {"threads": 6, "piece": {"mem_mb": 300, "small": True}}
    path.write_text(yaml.safe_dump({"stages": {"a": {"cmd": "x", "meta": meta}, "b": {"cmd": "x"}}}))
    stages = Stages(path)
    assert stages.needs("a") == Needs(threads=6)
    assert stages.needs("a", piece=True) == Needs(mem_mb=300, small=True)
    assert stages.needs("b", piece=True) == Needs()
    meta["piece"] = {"memory": 1}
    path.write_text(yaml.safe_dump({"stages": {"a": {"cmd": "x", "meta": meta}}}))
    with pytest.raises(GolfError, match=r"dvc\.yaml: stages\.a\.meta\.piece: .*memory"):
        Stages(path).needs("a", piece=True)


@pytest.mark.parametrize(("profile", "plugin"), [("slurm", "slurm"), ("kubernetes", "cluster_generic")])
def test_a_profile_plans_each_piece_as_a_job_and_keeps_the_stages_here(
    profile: str, plugin: str, tmp_path: Path
) -> None:
    pytest.importorskip(f"snakemake_executor_plugin_{plugin}")
    folder = workspace(tmp_path / "run")
    said = snakemake(folder, "-n", "--profile", f"profiles/{profile}")
    rules = re.findall(r"^\s*(local)?rule (\w+):", said, re.MULTILINE)
    assert {"baseline_piece", "golf98_piece", "tune_piece"} <= {name for local, name in rules if not local}
    # The stages and the two experiments; a dry run does not tell it of a rule.
    assert (ROOT / "Snakefile").read_text().count("localrule: True") == 3
    small = {
        name for name in Stages(ROOT / "dvc.yaml") if Stages(ROOT / "dvc.yaml").needs(name, piece=True).small
    }
    listed = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())["group-components"]
    assert {entry.split("=")[0] for entry in listed} == small


def test_the_scripts_for_kubernetes_do_what_snakemake_asks_of_them(tmp_path: Path) -> None:
    """With a stand-in for kubectl, which runs a Job's script at once."""
    scripts = ROOT / "profiles/kubernetes"
    stand_in = tmp_path / "bin/kubectl"
    stand_in.parent.mkdir()
    stand_in.write_text(
        f"""#!{sys.executable}
import subprocess, sys, yaml
from pathlib import Path
if sys.argv[1] == "create":
    job = yaml.safe_load(sys.stdin)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    done = subprocess.run(container["command"], cwd=container["workingDir"])
    Path(job["metadata"]["name"]).write_text("1/" if done.returncode == 0 else "/1")
elif sys.argv[1] == "get" and Path(sys.argv[3]).exists():
    print(sys.argv[3], Path(sys.argv[3]).read_text(), sep="/", end="")
elif sys.argv[1] == "delete":
    Path(sys.argv[-1]).unlink()
"""
    )
    stand_in.chmod(0o755)
    settings = {"GOLF_IMAGE": "golf", "GOLF_CLAIM": "golf", "GOLF_MOUNT": "/work"}
    environment = {**ENVIRONMENT, **settings, "PATH": f"{stand_in.parent}:{ENVIRONMENT['PATH']}"}

    def run(script: str, *words: str) -> str:
        command = ["bash", str(scripts / script), *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    (tmp_path / "good.sh").write_text("touch done")
    (tmp_path / "bad.sh").write_text("exit 3")
    good = run("submit.sh", "1", "500", "10", "good.sh")
    assert re.fullmatch("golf-[a-z0-9]{12}", good) and (tmp_path / "done").exists()
    assert run("status.sh", good) == "success"
    bad = run("submit.sh", "1", "500", "10", "bad.sh")
    assert run("status.sh", bad) == "failed"
    (tmp_path / bad).write_text("/")
    assert run("status.sh", bad) == "running"
    run("cancel.sh", bad)
    assert run("status.sh", bad) == "failed"
