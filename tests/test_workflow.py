"""Where Snakemake, DVC, the lock files and the code meet: one fact, one place."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from neural_golf import cli, config, workflow
from neural_golf.base import longwork
from neural_golf.base.errors import GolfError
from neural_golf.results import export
from neural_golf.workspace import FILLED_BY, _leave_out, make_workspace
from test_house import imports, room

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src/neural_golf"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
CONFIG = config.load(ROOT / "params.yaml")
ABSENT = {
    row
    for row, line in config.read(ROOT / "params.yaml")["workspaces"]["demo"]["rows"].items()
    if line is None
}
EXPERIMENTS = {"handbook", "search"}  # rules and commands without a stage
TOOLS = {"pack"}  # commands with settings, without a rule and without a stage
# In Git and no stage's output; the leaderboard and the handbook are written when asked for.
APART = ("package-lock", "leaderboard", "docs")
# What every command imports and no result depends on: the values of params.yaml are dependencies themselves.
FREE = {"config", "cli", "workflow", "__init__"}


def imported(path: Path) -> set[Path]:
    """The project's modules that a module imports, directly or not, wherever the import stands."""
    found: set[Path] = set()
    queue = [path]
    while queue:
        here = queue.pop()
        if here not in found and here.suffix == ".py":
            found.add(here)
            queue += imports(here, SRC)
    return found


def module_of(stage: str) -> Path:
    row = CONFIG.rows.get(stage)
    name = cli.MAKERS[row.by] if row else cli.STAGES[stage][0]
    return SRC / f"{name.replace('.', '/')}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_rooms_it_imports(stage: str) -> None:
    used = {room(path, SRC) for path in imported(module_of(stage))} - FREE
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    assert sorted(declared) == sorted(f"src/neural_golf/{name}" for name in used)


def test_every_stage_has_a_command_of_its_name() -> None:
    assert set(STAGES) == (set(cli.STAGES) | set(CONFIG.rows)) - EXPERIMENTS
    for stage, tree in STAGES.items():
        assert tree["cmd"] == f"golf {stage}"
        assert module_of(stage).is_file()


def test_the_names_that_no_row_may_have_are_the_commands_without_a_section() -> None:
    (chosen,) = [a.choices for a in cli._parser()._actions if a.dest == "command"]
    sections = set(config.Config.model_fields)
    assert {*chosen} - sections - {*CONFIG.rows, *CONFIG.workspaces} - {"demo", "fashion"} == config.COMMANDS


@pytest.mark.parametrize("text", ["garbage {", "[1]", "text", "stages: [1]", "stages: {baseline: 1}", ""])
def test_a_dvc_yaml_that_lists_no_stages_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GolfError, match=r"^dvc\.yaml "):
        longwork.folder("baseline")
    with pytest.raises(GolfError, match=r"^dvc\.yaml "):
        workflow.Stages()


def test_the_rules_are_the_stages_and_the_two_experiments() -> None:
    command = [sys.executable, "-m", "snakemake", "--list-rules"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert sorted(found) == sorted([*STAGES, *EXPERIMENTS, "all"])


def test_an_experiment_runs_whenever_it_is_asked_for(tmp_path: Path) -> None:
    """Also where its files are newer than all: what has changed is up to `golf`, which does nothing again."""
    folder = make_workspace(tmp_path / "run", ROOT)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def snakemake(*words: str) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    snakemake("data")
    assert "Nothing to be done" in snakemake("-n", "data")
    for rule in EXPERIMENTS:
        for name in (f"plots/{rule}.csv", f"metrics/{rule}.json"):
            (folder / "results" / name).parent.mkdir(exist_ok=True)
            (folder / "results" / name).write_text("newer than the data")
        assert re.search(rf"^rule {rule}:", snakemake("-n", rule), re.MULTILINE)


def test_every_section_is_a_parameter_of_some_stage_or_a_commands_own() -> None:
    named = {name.split(".")[0] for tree in STAGES.values() for name in tree["params"]}
    sections = set(config.Config.model_fields) - {"workspaces"}
    sections |= {row for row in CONFIG.rows if CONFIG.rows[row].by != "zeroing"}
    assert named | EXPERIMENTS | TOOLS == sections


def test_a_row_depends_on_its_seeds_and_settings_and_not_on_what_is_told_of_it() -> None:
    for row, line in CONFIG.rows.items():
        params = set(STAGES[row]["params"])
        if line.by == "zeroing":
            assert params == {"prune", f"{line.of}.network", f"rows.{row}.of"}
            assert f"results/models/{line.of}.safetensors" in STAGES[row]["deps"]
        elif line.by == "packing":
            assert params == {row, "pack", f"rows.{row}.of"}
            assert f"results/models/{line.of}.safetensors" in STAGES[row]["deps"]
        else:
            assert params == {row, f"rows.{row}.seeds"}
        assert STAGES[row]["outs"] == [f"results/models/{row}.safetensors"]
    assert {f"results/models/{row}.safetensors" for row in CONFIG.rows} <= set(STAGES["export"]["deps"])


def test_what_a_stage_can_use_is_read_from_its_meta(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    stages = {"a": {"cmd": "x", "meta": {"threads": 6, "mem_mb": 700}}, "b": {"cmd": "x"}}
    path.write_text(yaml.safe_dump({"stages": stages}))
    found = workflow.Stages(path)
    assert list(found) == ["a", "b"]
    assert found.needs("a") == workflow.Needs(threads=6, mem_mb=700, minutes=60)
    assert found.needs("b") == workflow.Needs()
    stages["b"]["meta"] = {"thread": 2}
    path.write_text(yaml.safe_dump({"stages": stages}))
    with pytest.raises(GolfError, match=r"dvc\.yaml: stages\.b\.meta: .*thread"):
        workflow.Stages(path).needs("b")


@pytest.mark.parametrize("row", CONFIG.rows)
def test_a_row_can_use_a_thread_per_independent_piece(row: str) -> None:
    line = CONFIG.rows[row]
    seeds = line.seeds or CONFIG.rows[str(line.of)].seeds
    sizes = CONFIG.settings(row).sizes if line.by == "packing" else ("",)
    assert workflow.Stages(ROOT / "dvc.yaml").needs(row).threads == len(seeds) * len(sizes)


def test_the_figures_depend_on_the_table_of_every_row_that_they_read() -> None:
    read = ["tune", *CONFIG.rows_by("reference", "training", "zeroing")]
    assert {f"results/plots/{name}.csv" for name in read} <= set(STAGES["interpret"]["deps"])


def test_stages_that_train_or_tune_cannot_see_the_test_images() -> None:
    seeing = {name for name, tree in STAGES.items() if "data/test.safetensors" in tree["deps"]}
    assert seeing == {*CONFIG.rows_by("zeroing"), "verify", "interpret", "site"}


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


def test_a_lock_that_dvc_is_just_writing_is_not_taken_for_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes under a lock of its own, which lasts until the file names the processes at work."""
    monkeypatch.chdir(tmp_path)
    path = Path(".dvc/tmp/rwlock")
    path.parent.mkdir(parents=True)
    path.write_text('{"write": {"a": {"pid": ')
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "dvc"], stdin=-1) as other:

        def write() -> None:
            with longwork.alone(path.with_name("lock"), "the lock"):
                begun.set()
                time.sleep(0.3)
                path.write_text(json.dumps({"write": {"a": {"pid": other.pid, "cmd": "dvc repro"}}}))

        begun = threading.Event()
        writer = threading.Thread(target=write)
        writer.start()
        begun.wait()
        with pytest.raises(GolfError, match=f"is held by process {other.pid}"):
            workflow._wait_for_others(path, until=0)
        writer.join()
        other.kill()
    assert path.exists()


def test_a_lock_of_another_machine_is_left_alone_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rwlock"
    path.write_text(json.dumps({"read": {"a": [{"pid": 1, "cmd": "dvc@elsewhere repro --single-item a"}]}}))
    with pytest.raises(GolfError, match="held by process 1 on elsewhere: if that has ended, delete the file"):
        workflow._wait_for_others(path, until=0)
    monkeypatch.setattr(workflow.time, "sleep", lambda seconds: path.unlink())
    workflow._wait_for_others(path)
    assert "waiting for another run in this folder (process 1 on elsewhere)" in capsys.readouterr().err


BUSY = "ERROR: '/a' is busy, it is being blocked by:\n  (PID 1): dvc repro\n"


@pytest.fixture
def other_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts a program in DVC's place, in a folder that is entered; it notes each of its calls in a file."""

    def made(code: str) -> Path:
        (tmp_path / "dvc.py").write_text(
            "import sys\nfrom pathlib import Path\ncalls = Path('calls')\n"
            "with calls.open('a') as file: file.write(' '.join(sys.argv[1:]) + '\\n')\n"
            f"count = len(calls.read_text().splitlines())\n{code}"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(workflow.time, "sleep", lambda seconds: None)
        return tmp_path / "calls"

    return made


def test_a_busy_dvc_is_asked_again(other_dvc: Callable[..., Path], capfd: pytest.CaptureFixture[str]) -> None:
    calls = other_dvc(f"if count < 3: sys.exit(sys.stderr.write({BUSY!r}))\nprint('done')")
    assert workflow.run_stage("tuned") == 0
    assert calls.read_text() == "--wait-for-lock repro --single-item tuned\n" * 3
    shown = capfd.readouterr()
    assert shown.err == "golf: another run is at work; waiting for it\n" and shown.out == "done\n"


def test_another_failure_is_not_tried_again(
    other_dvc: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    calls = other_dvc("sys.stderr.write('loss 1\\nERROR: failed\\nmore\\n'); sys.exit(7)")
    assert workflow.run_stage("tuned") == 7
    assert capfd.readouterr().err == "loss 1\nERROR: failed\nmore\n"
    assert calls.read_text().count("\n") == 1


def test_a_dvc_that_stays_busy_is_given_up(
    other_dvc: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = other_dvc(f"sys.stderr.write({BUSY!r}); sys.exit(255)")
    monkeypatch.setattr(workflow, "BUSY_SECONDS", 0)
    assert workflow.run_stage("tuned") == 255
    assert calls.read_text().count("\n") == 1


def test_half_a_lock_file_of_a_killed_dvc_gives_way_to_the_last_whole_one(
    other_dvc: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    calls = other_dvc(
        "lock = Path('dvc.lock')\n"
        "if lock.read_text() != 'whole': sys.exit(sys.stderr.write(\"'./dvc.lock' is invalid.\\n\"))\n"
    )
    Path("dvc.lock").write_text("whole")
    assert workflow.run_stage("tuned") == 0
    Path("dvc.lock").write_text("wh")
    assert workflow.run_stage("tuned") == 0
    assert Path("dvc.lock").read_text() == "whole"
    assert calls.read_text().count("\n") == 3
    assert "a killed run left half of dvc.lock" in capfd.readouterr().err


def test_a_lock_file_that_was_wrong_from_the_start_is_told_once(other_dvc: Callable[..., Path]) -> None:
    calls = other_dvc("sys.exit(sys.stderr.write(\"'./dvc.lock' is invalid.\\n\"))\n")
    Path("dvc.lock").write_text("wrong")
    assert workflow.run_stage("tuned")
    assert calls.read_text().count("\n") == 1


def test_a_corrupt_cache_is_no_result_and_a_cut_lock_file_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By DVC itself, which trusts what is read-only."""
    monkeypatch.chdir(tmp_path)
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    Path("dvc.yaml").write_text("stages:\n  one:\n    cmd: echo done > made\n    outs: [made]\n")
    assert workflow.run_stage("one") == 0
    (cached,) = Path(".dvc/cache/files/md5").glob("??/*")
    cached.chmod(0o644)
    cached.write_text("spoilt")
    cached.chmod(0o444)
    Path("made").unlink()
    assert workflow.run_stage("one") == 0
    assert Path("made").read_text() == "done\n"
    whole = Path("dvc.lock").read_bytes()
    for cut in (60, 75):  # no YAML, and YAML that is no lock file
        Path("dvc.lock").write_bytes(whole[:cut])
        assert workflow.run_stage("one") == 0
        assert Path("dvc.lock").read_bytes() == whole


def test_a_forced_stage_is_forced_in_dvc(other_dvc: Callable[..., Path]) -> None:
    calls = other_dvc("")
    assert cli.main(["stage", "tuned", "--force"]) == 0
    assert calls.read_text() == "--wait-for-lock repro --single-item --force tuned\n"


def test_what_follows_an_outdated_stage_is_outdated_too(other_dvc: Callable[..., Path]) -> None:
    other_dvc("""print('{"tune": [{}], "dvc.yaml:prelu": [{}], "no-stage": [{}]}')""")
    found = workflow.Stages(ROOT / "dvc.yaml").outdated
    assert found == {
        "tune",
        "tuned",
        "pruned",
        "prelu",
        "prelu_pruned",
        "export",
        "verify",
        "front",
        "ladder",
        "interpret",
        "site",
    }


def test_a_dvc_that_fails_is_one_line(other_dvc: Callable[..., Path]) -> None:
    other_dvc("sys.stderr.write('ERROR: a\\n  b\\n'); sys.exit(255)")
    with pytest.raises(GolfError, match="dvc status failed: ERROR: a b"):
        _ = workflow.Stages(ROOT / "dvc.yaml").outdated


def test_a_dvc_that_says_more_than_a_pipe_holds_is_read_to_its_end(other_dvc: Callable[..., Path]) -> None:
    """Both pipes hold 64 KiB, so whoever reads one of them to its end first waits for ever."""
    long = "print(' ' * 1_000_000, file={}, flush=True)"
    other_dvc("\n".join([long.format("sys.stdout"), long.format("sys.stderr"), "print('{\"tune\": [{}]}')"]))
    assert "tune" in workflow.Stages(ROOT / "dvc.yaml").outdated


def test_stages_that_wait_for_one_another_are_named(other_dvc: Callable[..., Path], tmp_path: Path) -> None:
    stages = {"a": {"deps": ["y.x"], "outs": ["x.x"]}, "b": {"deps": ["x.x"], "outs": ["y.x"]}, "c": {}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    other_dvc("print('{}')")
    with pytest.raises(GolfError, match="the stages a, b wait for one another"):
        _ = workflow.Stages().outdated


# Workspaces


@pytest.fixture
def project(tmp_path: Path, raw: dict[str, Any]) -> Callable[..., Path]:
    """A project without sources, and the workspaces made of it."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc/config").write_text("[core]\n")
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")

    def made(workspace: str = "demo", target: Path = root / "results/demo") -> Path:
        (root / "params.yaml").write_text(yaml.safe_dump(raw))
        (target / ".dvc").mkdir(parents=True, exist_ok=True)  # so that `dvc init` is left out
        return make_workspace(target, root, workspace)

    return made


def test_a_folder_that_no_row_fills_is_nobodys(tmp_path: Path, raw: dict[str, Any]) -> None:
    """DVC warns of every output that is empty. These are the folders of the stage that writes them."""
    assert set(FILLED_BY) == {folder.as_posix() for folder in (export.GOLF, export.LARGE)}
    stages = {"stages": STAGES, "artifacts": {}, "plots": []}
    for by, folder in (("packing", "results/golf"), ("reference", "results/onnx-large")):
        tree, left = json.loads(json.dumps(raw)), json.loads(json.dumps(stages))
        assert yaml.safe_dump(left).count(f"- {folder}\n") + yaml.safe_dump(left).count(f"- {folder}:") > 1
        rows = [row for row, line in raw["rows"].items() if line["by"] == by]
        for row in rows:
            assert folder in yaml.safe_dump(left)
            _leave_out(row, tree, left)
        assert not re.search(rf"\b{folder}\b(?!-)", yaml.safe_dump(left))
        assert {*FILLED_BY} - {folder} <= {*re.findall(r"results/[a-z-]+", yaml.safe_dump(left))}


def test_a_workspace_sees_the_places_of_the_data_from_where_it_lies(
    tmp_path: Path, project: Callable[..., Path], raw: dict[str, Any]
) -> None:
    places = ["../shared/mnist", "/data/mnist", "https://a.b/mnist/", "~/mnist"]
    raw["datasets"] |= {
        "mnist": {"torchvision": "MNIST", "places": places},
        "packed": {"npz": "own/a.npz"}, "far": {"npz": "/own/a.npz"}, "home": {"npz": "~/a.npz"},
        "files": {"folder": "own/pictures", "test": 10},
    }  # fmt: skip
    for target in (tmp_path / "project/results/demo", tmp_path / "elsewhere"):
        config.load(project(target=target) / "params.yaml")
        made = yaml.safe_load((target / "params.yaml").read_text())["datasets"]
        here, *others = made["mnist"]["places"]
        assert (target / here).resolve() == tmp_path / "shared/mnist"
        assert not Path(here).is_absolute()
        assert others == places[1:]
        assert (target / made["packed"]["npz"]).resolve() == tmp_path / "project/own/a.npz"
        assert (target / made["files"]["folder"]).resolve() == tmp_path / "project/own/pictures"
        assert (made["far"]["npz"], made["home"]["npz"]) == ("/own/a.npz", "~/a.npz")


def test_git_sees_no_workspace_whatever_its_name(
    project: Callable[..., Path], raw: dict[str, Any], tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout

    root = tmp_path / "project"
    raw["workspaces"]["garden"] = raw["workspaces"]["demo"]
    shutil.copyfile(ROOT / ".gitignore", root / ".gitignore")
    git("init", "-q")
    folder = project("garden", root / "results/garden")
    (folder / "results").mkdir()
    (folder / "results/ladder.md").write_text("made here")
    assert "results" not in git("status", "--porcelain", "--untracked-files=all")


def dangling(folder: Path) -> list[str]:
    """What dvc.yaml names and nothing makes or says: files, parameters, artifacts, files of plots."""
    tree = yaml.safe_load((folder / "dvc.yaml").read_text())
    raw = yaml.safe_load((folder / "params.yaml").read_text())
    stages = tree["stages"]
    kinds = ("outs", "metrics", "plots")
    made = {workflow.name_of(o) for stage in stages.values() for kind in kinds for o in stage.get(kind, ())}
    found = [
        dep
        for stage in stages.values()
        for dep in stage["deps"]
        if not dep.startswith(("src/", *APART)) and dep not in made
    ]
    for name in (name for stage in stages.values() for name in stage["params"]):
        here: Any = raw
        for part in name.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        found += [name] * (here is None)
    found += [entry["path"] for entry in tree["artifacts"].values() if entry["path"] not in made]
    plots = [plot for entry in tree["plots"] for plot in entry.values()]
    found += [path for plot in plots for path in plot["y"] if path not in made]
    return found + ["an empty plot" for plot in plots if not plot["y"]]


def test_without_torch_the_rows_that_need_it_are_left_out_with_nothing_dangling(
    project: Callable[..., Path], raw: dict[str, Any], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    raw["workspaces"]["demo"]["interpret"]["networks"].append("reference")
    folder = project()
    assert dangling(folder) == []
    assert "reference" in yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    folder = project()
    assert (
        "without torch the row reference is left out (pip install '.[torch]' brings it)"
        in capsys.readouterr().out
    )
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    assert set(STAGES) - set(stages) == {"reference", *ABSENT}
    assert dangling(folder) == []
    settings = config.load(folder / "params.yaml")
    assert "reference" not in settings.variants() and "reference" not in settings.interpret.networks
    assert "reference" not in (folder / "dvc.yaml").read_text().replace("PyTorch's example", "")


def test_a_workspace_may_take_a_row_out(project: Callable[..., Path], raw: dict[str, Any]) -> None:
    demo = raw["workspaces"]["demo"]
    demo["rows"] |= {"golf99": None, "prelu_pruned": None}
    demo["golf99"] = None
    demo["interpret"]["networks"] = ["tuned"]
    folder = project()
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    assert set(STAGES) - set(stages) == {"golf99", "prelu_pruned", *ABSENT}
    assert dangling(folder) == []
    assert config.load(folder / "params.yaml").rows_by("descent") == ["golf98", "open98"]


@pytest.mark.parametrize(
    ("gone", "drawn"),
    [
        (["reference"], "baseline"),
        (["reference", "baseline", "tuned", "pruned", "prelu", "prelu_pruned"], "golf98-heldout-120"),
    ],
)
def test_where_only_left_out_networks_were_to_be_drawn_another_is(
    project: Callable[..., Path], raw: dict[str, Any], gone: list[str], drawn: str
) -> None:
    demo = raw["workspaces"]["demo"]
    demo["interpret"]["networks"] = [gone[0]]
    demo["rows"] |= dict.fromkeys(gone)
    demo |= dict.fromkeys(set(gone) - {"pruned", "prelu_pruned"})
    assert config.load(project() / "params.yaml").interpret.networks == (drawn,)


def test_a_second_copy_leaves_what_has_not_changed(project: Callable[..., Path]) -> None:
    folder = project()
    before = {name: (folder / name).read_bytes() for name in ("params.yaml", "dvc.yaml")}
    project()
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_snakemake_lint_says_only_what_the_snakefile_answers() -> None:
    command = [sys.executable, "-m", "snakemake", "--lint"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = set(re.findall(r"^    \* (.*)$", found.stdout + found.stderr, re.MULTILINE))
    answered = ("No log directive", "Specify a conda environment", "Shell command directly uses")
    assert said
    assert not [title for title in said if not title.startswith(answered)]


def lock(name: str = "requirements.lock") -> dict[str, str]:
    text = (ROOT / name).read_text()
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
    locked, cluster = lock(), lock("tests/cluster/cluster.lock")
    assert {name: locked[name] for name in locked.keys() & cluster} == {
        name: cluster[name] for name in locked.keys() & cluster
    }
    locked |= cluster
    project = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'^\s*"([A-Za-z0-9-]+)[><=\[]', project, re.MULTILINE):
        assert name.lower() in locked, name
    text += (ROOT / "tests/files.lock").read_text() + (ROOT / "tests/cluster/cluster.lock").read_text()
    assert all(f"{name}==" in text for name in re.findall(r'^files = \["([a-z]+)>=', project, re.MULTILINE))
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
