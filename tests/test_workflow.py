"""Where Snakemake, DVC, the lock files and the code meet: one fact, one place."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neural_golf import cli, workflow
from neural_golf.config import WORKSPACES, Config

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src/neural_golf"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# What every stage imports and no result depends on: params.yaml's values are dependencies themselves.
EXPERIMENTS = {"handbook", "search"}  # rules and commands without a stage
# In Git and no stage's output; the leaderboard and the handbook are written when asked for.
APART = ("package-lock", "leaderboard/", "docs/")
FREE = {"__init__.py", "config.py", "errors.py", "recipe.py"}


def imported(path: Path) -> set[Path]:
    """The project's modules that a module imports, directly or not, wherever the import stands."""
    found: set[Path] = set()
    queue = [path]
    while queue:
        here = queue.pop()
        if here in found:
            continue
        found.add(here)
        for node in ast.walk(ast.parse(here.read_text())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("neural_golf"):
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.startswith("neural_golf")]
            for name in names:
                base = ROOT / "src" / name.replace(".", "/")
                queue += [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()]
    return found


def modules_of(stage: str) -> Path:
    if stage == "verify":
        return SRC / "referee/pipeline.py"
    return SRC / f"{cli.STAGES[stage][0].replace('.', '/')}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_modules_it_imports(stage: str) -> None:
    used = {
        path.relative_to(ROOT).as_posix() for path in imported(modules_of(stage)) if path.name not in FREE
    }
    for room in (
        "src/neural_golf/engine",
        "src/neural_golf/referee",
        "src/neural_golf/look",
        "src/neural_golf/web",
    ):  # with what they start or compile
        used = {room if path.startswith(room + "/") else path for path in used}
    declared = {dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")}
    assert declared == used


def test_rule_stage_command_and_section_have_one_name() -> None:
    rules = set(re.findall(r"^rule (\w+):", (ROOT / "Snakefile").read_text(), re.MULTILINE)) - {"all"}
    assert rules == set(STAGES) | EXPERIMENTS == set(cli.STAGES) | {"verify"}
    for stage, tree in STAGES.items():
        assert tree["cmd"] == f"golf {stage}"
    sections = set(Config.model_fields) - {"roster", "prune", *WORKSPACES}
    assert sections <= set(STAGES) | EXPERIMENTS
    assert set(STAGES) - sections == {
        "pruned",
        "prelu_pruned",
        "export",
        "front",
    }  # these share `prune`, or need no number


def test_every_section_is_a_parameter_of_some_stage() -> None:
    named = {name.split(".")[0] for tree in STAGES.values() for name in tree["params"]}
    assert named | EXPERIMENTS == set(Config.model_fields) - set(WORKSPACES)


def test_stages_that_train_or_tune_cannot_see_the_test_images() -> None:
    seeing = {name for name, tree in STAGES.items() if "data/test.safetensors" in tree["deps"]}
    assert seeing == {"pruned", "prelu_pruned", "verify", "interpret", "page"}


def test_every_output_of_git_is_no_cache_and_every_model_is_an_artifact() -> None:
    tree = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    listed = {entry["path"] for entry in tree["artifacts"].values()}
    models = {
        o
        for stage in STAGES.values()
        for o in stage.get("outs", ())
        if isinstance(o, str) and "/models/" in o
    }
    assert {m for m in models if m.endswith(".safetensors")} == listed
    for name, stage in STAGES.items():
        for kind in ("metrics", "plots"):
            for out in stage.get(kind, ()):
                assert next(iter(out.values())) == {"cache": False}, name


@pytest.mark.parametrize(
    "left", ['{"read": {"a": [{"pid', "", json.dumps({"write": {"a": {"pid": os.getpid(), "cmd": "dvc"}}})]
)
def test_a_lock_that_a_killed_run_left_is_removed(tmp_path: Path, left: str) -> None:
    """Half-written, empty, or naming a process that is another program by now (this one)."""
    path = tmp_path / "rwlock"
    path.write_text(left)
    workflow._wait_for_others(path)
    assert not path.exists()


def test_a_living_dvc_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rwlock"
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "dvc"], stdin=-1) as other:
        path.write_text(json.dumps({"write": {"a": {"pid": other.pid, "cmd": "dvc"}}}))
        command = Path(f"/proc/{other.pid}/cmdline")
        while command.exists() and not command.read_bytes():  # Linux fills it in after the start
            pass

        def end(seconds: float) -> None:
            other.kill()
            other.wait()

        monkeypatch.setattr(workflow.time, "sleep", end)
        workflow._wait_for_others(path)
    assert "waiting for another run" in capsys.readouterr().err
    assert not path.exists()


def test_a_workspace_sees_the_places_of_the_data_from_where_it_lies(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n")
    places = ["../shared/mnist", "/data/mnist", "https://a.b/mnist/"]
    tree = {"data": {"places": {"mnist": places}}, "fashion": {"data": {"dataset": "fashion-mnist"}}}
    (root / "params.yaml").write_text(yaml.safe_dump(tree))
    for target in (root / "results/fashion", tmp_path / "elsewhere"):
        (target / ".dvc").mkdir(parents=True)  # so that `dvc init` is left out
        workflow.make_workspace(target, root, "fashion")
        made = yaml.safe_load((target / "params.yaml").read_text())["data"]
        assert made["dataset"] == "fashion-mnist"
        here, *others = made["places"]["mnist"]
        assert (target / here).resolve() == tmp_path / "shared/mnist"
        assert not Path(here).is_absolute()
        assert others == places[1:]


def test_snakemake_lint_says_only_what_the_snakefile_answers() -> None:
    command = [sys.executable, "-m", "snakemake", "--lint"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = set(re.findall(r"^    \* (.*)$", found.stdout + found.stderr, re.MULTILINE))
    answered = ("No log directive", "Specify a conda environment", "Shell command directly uses")
    assert said
    assert not [title for title in said if not title.startswith(answered)]


def lock() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    found: dict[str, str] = {}
    for name, version, rest in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)([^\n]*)$", text, re.MULTILINE):
        if "python_full_version >= '3.12'" not in rest:
            found[name.lower().replace("_", "-")] = version
    return found


def test_conda_users_get_the_versions_of_the_lock_file() -> None:
    tree = yaml.safe_load((ROOT / "environment.yml").read_text())
    pins = next(d["pip"] for d in tree["dependencies"] if isinstance(d, dict))
    locked = lock()
    named = [pin.split("==") for pin in pins if "==" in pin]
    assert {"torch", "torchvision", "dvc", "snakemake", "optuna", "onnx", "onnxruntime", "pandas"} <= {
        n for n, _ in named
    }
    for name, version in named:
        assert locked[name] == version, name


def test_every_package_of_the_project_is_locked_with_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text()
    locked = lock()
    project = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'^\s*"([A-Za-z0-9-]+)[><=\[]', project, re.MULTILINE):
        assert name.lower() in locked, name
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text


@pytest.mark.parametrize("stage", STAGES)
def test_the_snakefiles_order_is_dvcs(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    stages = workflow.Stages()
    made = {dep for dep in STAGES[stage]["deps"] if not dep.startswith(("src/", *APART))}
    parents = stages.parents(stage)
    assert all(any(dep in _outs(p) for p in parents) for dep in made)


def _outs(stage: str) -> set[str]:
    listed = [o for kind in ("outs", "metrics", "plots") for o in STAGES[stage].get(kind, ())]
    return {o if isinstance(o, str) else next(iter(o)) for o in listed}


def test_the_map_in_the_readme_is_true() -> None:
    readme = (ROOT / "README.md").read_text()
    tree = next(part for part in readme.split("```") if "neural_golf/" in part)
    for path in sorted(SRC.glob("*")):
        if path.name.startswith("_") or path.suffix in (".so", ".pyc") or path.name == "__pycache__":
            continue
        assert path.name in tree, path.name
    assert importlib.util.find_spec("neural_golf")
