"""Where it runs: every Python that is here, an empty environment, any clone, any umask and home.

What is installed for the Python that runs the tests is the wheel with the extra `train`. For the others, to
save time, it is the sdist alone, from which pip builds a wheel without optimising it. None of them has torch.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from neural_golf import __version__
from neural_golf.base.errors import GolfError
from neural_golf.base.files import write_bytes
from neural_golf.referee.challenge import load_challenge, load_test_set

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src/neural_golf"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SAID = re.compile(r"Programming Language :: Python :: (3\.\d+)")
VERSIONS = [found[1] for line in PROJECT["project"]["classifiers"] if (found := SAID.fullmatch(line))]
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
NEEDS_TORCH = {"neural_golf.engine.modules", "neural_golf.engine.twin"}  # no other does to be imported
PACKAGES = {
    "scikit-learn": "sklearn",
    "markdown-it-py": "markdown_it",
    "optuna-dashboard": "optuna_dashboard",
}
in_git = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None, reason="this folder is no Git repository"
)


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[><=]", requirement)[0] for requirement in requirements]


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that sees nothing of this folder's code, with these variables on top of the person's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=inherited | variables, capture_output=True, text=True,
        check=False, timeout=1800,
    )  # fmt: skip


def must(*words: str | Path, cwd: Path, **variables: str) -> str:
    """The output of a command that has to succeed."""
    done = run(*words, cwd=cwd, **variables)
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def copy_of_the_project(target: Path) -> Path:
    """What a download has: nothing that was built or computed beside it, and no .git."""
    left_out = [".git", ".venv", ".golf", ".snakemake", "node_modules", "build", "raw"]
    workspaces = [path.parent.name for path in ROOT.glob("results/*/dvc.yaml")]
    built = [
        "*.so",
        "*.safetensors",
        "*.egg-info",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        "models",
        "report",
    ]
    shutil.copytree(
        ROOT, target, ignore=shutil.ignore_patterns(*left_out, *workspaces, *built, "onnx-large", "tmp")
    )
    return target


def interpreter(version: str) -> str | None:
    """A Python of this version; each that may be one is run, since pyenv's names may stand for nothing."""
    if version == HERE:
        return sys.executable
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    say = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in filter(None, [shutil.which(f"python{version}"), *map(str, kept)]):
        if run(path, "-c", say, cwd=ROOT).stdout.strip() == version:
            return path
    return None


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel made from it, as `python -m build` makes them with what the lock file has."""
    pytest.importorskip("build", reason="the dev extra brings build")
    folder = tmp_path_factory.mktemp("built")
    source = copy_of_the_project(folder / "source")
    must(sys.executable, "-m", "build", "--no-isolation", "-o", folder, source, cwd=folder)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def constraints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The versions of the lock file, for pip."""
    pins = re.findall(r"^[\w.-]+==[^\\]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    path = tmp_path_factory.mktemp("pins") / "constraints.txt"
    path.write_text("\n".join(pins))
    return path


@pytest.fixture(scope="session", params=VERSIONS)
def installed(
    request: pytest.FixtureRequest,
    built: tuple[Path, Path],
    constraints: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The `bin` of an environment that had nothing in it before the package."""
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    folder = tmp_path_factory.mktemp("with spaces ") / request.param
    must(python, "-m", "venv", folder, cwd=ROOT)
    sdist, wheel = built
    what = f"{wheel}[train]" if request.param == HERE else str(sdist)
    install = [folder / "bin/python", "-m", "pip", "install", "-q", "--no-compile", "-c", constraints, what]
    must(*install, cwd=folder, GOLF_BUILD_FLAGS="-O0")
    return folder / "bin"


def test_the_sdist_and_the_wheel_have_every_file(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    there = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*") if path.is_file()}
    there = {name for name in there if not name.endswith((".so", ".pyc"))}
    with tarfile.open(sdist) as file:
        packed = {name.partition("/src/neural_golf/")[2] for name in file.getnames()}
    assert there <= packed
    installed = {name.removeprefix("neural_golf/") for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in there if not name.startswith("engine/core/")} <= installed
    assert any(name.startswith("engine/_core.") and not name.endswith(".pyi") for name in installed)


def test_an_empty_environment_verifies_a_file(installed: Path, tmp_path: Path) -> None:
    entry = ROOT / "leaderboard/mnist-98/golf98-heldout-200/model.onnx"
    places = [ROOT / "data", ROOT.parent / "shared"]
    try:
        load_test_set(load_challenge("mnist-98"), *places)
    except GolfError as error:
        pytest.skip(f"NO FILE WAS VERIFIED: {error}")
    data = itertools.chain(*(("--data", place) for place in places))
    said = must(installed / "golf", "verify", entry, "--challenge", "mnist-98", *data, cwd=tmp_path)
    assert said.startswith("PASS")


def test_every_module_is_imported_without_torch(installed: Path, tmp_path: Path) -> None:
    """And where there is no extra either, what is missing is a package that the extra `train` brings."""
    (tmp_path / "all.py").write_text(
        "import importlib, pkgutil, neural_golf\n"
        "for module in pkgutil.walk_packages(neural_golf.__path__, 'neural_golf.'):\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ImportError as error:\n"
        "        print(module.name, error.name)\n"
    )
    said = [line.split() for line in must(installed / "python", "all.py", cwd=tmp_path).splitlines()]
    assert {module for module, missing in said if missing == "torch"} == NEEDS_TORCH
    train = {PACKAGES.get(name, name) for name in names(PROJECT["project"]["optional-dependencies"]["train"])}
    brought = train if installed.parent.name != HERE else set()
    assert [words for words in said if words[1] not in brought | {"torch"}] == []


def test_a_network_is_trained_by_the_compiled_engine(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "learn.py").write_text(
        "import numpy as np\n"
        "from neural_golf.engine import engine\n"
        "from neural_golf.net.spec import Network\n"
        "rng = np.random.default_rng(0)\n"
        "net = Network.parse(['conv 2 k5', 'relu', 'maxpool 4', 'linear 10'])\n"
        "core = engine(net, core='compiled')\n"
        "p = (rng.normal(size=net.size) / 5).astype(np.float32)\n"
        "m, v = np.zeros_like(p), np.zeros_like(p)\n"
        "labels = np.arange(200) % 10\n"
        "images = rng.integers(0, 50, (200, 1, 28, 28)) + 20 * labels[:, None, None, None]\n"
        "images = images.astype(np.uint8)\n"
        "order = np.arange(200)\n"
        "losses = [core.adam_epoch(p, m, v, 20 * i, images, labels, order, 10, 0.01) for i in range(10)]\n"
        "assert losses[-1] < losses[0], losses\n"
    )
    must(installed / "python", "learn.py", cwd=tmp_path)


@pytest.mark.parametrize("installed", [HERE], indirect=True)
def test_the_demo_needs_no_torch(installed: Path, tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "a project")
    said = must(installed / "golf", "demo", cwd=project, PATH=f"{installed}:{os.environ['PATH']}")
    assert "These are demo's" in said
    assert list((project / "results/demo/results/onnx").glob("*.onnx"))


# Clones, permissions and homes


@in_git
@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_every_clone_has_the_same_bytes(setting: str, tmp_path: Path) -> None:
    """Also where Git writes Windows' line ends: DVC hashes these files, and tests compare them."""
    must("git", "clone", "-q", "-c", f"core.autocrlf={setting}", ROOT, "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    listed = [line.split() for line in must("git", "ls-files", "-s", cwd=clone).splitlines()]
    names = [words[3] for words in listed]
    have = must("git", "hash-object", "--no-filters", *names, cwd=clone).split()
    assert [name for name, words, made in zip(names, listed, have, strict=True) if words[1] != made] == []


@in_git
def test_git_takes_every_file_for_what_it_is() -> None:
    """Text taken for binary has no difference to show, and binary taken for text is changed."""
    listed = must("git", "ls-files", "--eol", cwd=ROOT).splitlines()
    of = {line.split("\t")[1]: line.split()[0] for line in listed}
    binary = {".onnx", ".golf", ".gz", ".png"}
    assert {Path(name).suffix for name, kind in of.items() if kind == "i/-text"} <= binary
    assert set(of.values()) <= {"i/lf", "i/-text", "i/none"}


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_a_file_is_written_with_the_persons_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "new" / "file", b"first")
        write_bytes(tmp_path / "new" / "file", b"second")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "file").stat().st_mode & 0o777 == mode
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def one_stage(folder: Path) -> Path:
    """A project of one stage, as DVC wants it where there is no Git."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (folder / "dvc.yaml").write_text("stages:\n  one:\n    cmd: echo done > made\n    outs: [made]\n")
    return folder


def golf(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(
        sys.executable, "-m", "neural_golf.cli", *words, cwd=cwd, PYTHONPATH=str(SRC.parent), **variables
    )


def test_a_stage_runs_where_the_home_cannot_be_written_to(tmp_path: Path) -> None:
    done = golf("stage", "one", cwd=one_stage(tmp_path), HOME="/dev/null/nowhere")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert (tmp_path / "made").read_text() == "done\n"


def test_verify_runs_where_the_home_cannot_be_written_to(tmp_path: Path) -> None:
    done = golf("verify", "none.onnx", "--data", ".", cwd=tmp_path, HOME="/dev/null/nowhere")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_out_of_a_zip_is_told_to_become_a_repository(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "project")
    advice = "this is not a Git repository, and DVC asks for one: run `git init` here first"
    done = golf("stage", "data", cwd=project)
    assert (done.returncode, done.stderr) == (1, f"golf stage: {advice}\n")
    dry = run(sys.executable, "-m", "snakemake", "-n", cwd=project, PYTHONPATH=str(SRC.parent))
    assert dry.returncode
    assert advice in dry.stdout + dry.stderr
    assert "Traceback" not in dry.stdout + dry.stderr
    (project / ".git").mkdir()  # DVC itself has the next word
    assert advice not in golf("stage", "data", cwd=project).stderr


# What is said in several files has to be the same


def test_the_pythons_of_the_makefile_and_of_the_workflow_are_the_packages() -> None:
    makefile = (ROOT / "Makefile").read_text()
    names = re.search(r"^NAMES := (.*)$", makefile, re.MULTILINE)
    assert names is not None
    assert [name.removeprefix("python") for name in names[1].split() if "." in name] == VERSIONS
    assert f"CPython {', '.join(VERSIONS[:-1])} or {VERSIONS[-1]}" in makefile
    last = int(VERSIONS[-1].partition(".")[2])
    assert f"(3, 11) <= sys.version_info < (3, {last + 1})" in makefile
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == VERSIONS


def test_pre_commit_runs_make_lint_and_no_linter_of_another_version() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [(place["repo"], [hook["entry"] for hook in place["hooks"]]) for place in config["repos"]] == [
        ("local", ["make lint"])
    ]
    program = pytest.importorskip("pre_commit.main", reason="the dev extra brings pre-commit")
    assert program.main(["validate-config", str(ROOT / ".pre-commit-config.yaml")]) == 0


def test_the_version_of_the_citation_is_the_packages() -> None:
    assert "version" in PROJECT["project"]["dynamic"]  # it is read from the code
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__


def test_train_does_not_ask_for_torch() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert not {"torch", "torchvision", "onnxscript"} & {
        *names(PROJECT["project"]["dependencies"]),
        *names(extras["train"]),
    }
    assert names(extras["torch"]) == ["onnxscript", "torch", "torchvision"]
