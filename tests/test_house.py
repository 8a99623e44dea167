"""The rules of the house: which room may import which, how large a module is, where untyped values end."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SRC = ROOT / "src/neural_golf"

# From top to bottom: a room may import those that stand below it, and only those.
FLOORS = (
    "cli", "tasks", "jobs", "workspace", "workflow", "site", "leaderboard", "prune", "look", "experiments", "device", "results", "quantise", "compress", "train", "bench",
    "data", "config", "referee", "engine", "packed", "net", "base",
)  # fmt: skip
ONLY = {"referee": {"base", "packed"}, "base": set(), "config": {"net", "base"}, "packed": {"net", "base"}}
# Modules that import by a name that they put together, which no reader of imports sees: tables of commands and recipes.
BY_NAME = {"cli.py", "compress/technique.py"}
MOST_LINES = 400
MARKER = re.compile(rb"^\s*(<{7}|>{7}|\|{7}) ", re.MULTILINE)  # of a merge
# `results` and above, where a value has a type; and the modules whose values are still to be given one.
TYPED = ("tasks", "workspace", "workflow", "site", "leaderboard", "prune", "look", "results")
UNTYPED = {
    "tasks/new.py": "a line of the table of data sets, as it is written",
    "tasks/stages.py": "dvc.yaml, a tree that it rewrites key by key",
    "workflow.py": "dvc.yaml as it is read",
    "workspace.py": "dvc.yaml and params.yaml, trees that it rewrites key by key",
    "site/board.py": "leaderboard.json as it is read",
}


def modules(src: Path) -> list[Path]:
    return sorted(path for path in src.rglob("*.py") if "__pycache__" not in path.parts)


def imports(path: Path, src: Path) -> Iterator[Path]:
    """The modules of the project that a module imports, wherever in it the import stands."""

    def found(dotted: str) -> Path | None:
        base = src.parent.joinpath(*dotted.split("."))
        places = (base.with_suffix(".py"), base.with_suffix(".pyi"), base / "__init__.py")
        return next((place for place in places if place.exists()), None)

    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(src.parent).parts[: -node.level] if node.level else ()
            origin = ".".join((*package, *filter(None, (node.module,))))
            names = [f"{origin}.{alias.name}" for alias in node.names]
            names = [name if found(name) else origin for name in names]
        else:
            continue
        for name in names:
            target = found(name)
            if name.split(".")[0] == src.name and target is not None:
                yield target


def room(path: Path, src: Path) -> str:
    return path.relative_to(src).parts[0].removesuffix(".py")


def wrong_arrows(src: Path) -> list[str]:
    """Every import from a room that does not stand below, as "room/module -> room/module"."""
    found = []
    for path in modules(src):
        here = room(path, src)
        for target in imports(path, src):
            there = room(target, src)
            if there in (here, "__init__") or here == "__init__":
                continue
            below = FLOORS.index(there) > FLOORS.index(here)
            if not below or there not in ONLY.get(here, {there}):
                found.append(f"{path.relative_to(src)} -> {target.relative_to(src)}")
    return found


def cycles(src: Path) -> list[str]:
    """Modules that import one another, directly or not; a package's modules may import the package."""
    arrows = {path: set(imports(path, src)) - {path} for path in modules(src)}
    found = []
    for path in arrows:
        queue, seen = list(arrows[path]), set()
        while queue:
            here = queue.pop()
            if here not in seen:
                seen.add(here)
                queue += arrows.get(here, ())
        if path in seen:
            found.append(path.relative_to(src).as_posix())
    return found


def untyped(src: Path) -> dict[str, int]:
    """Modules of the typed rooms, with how often `dict[str, Any]` stands in each."""
    found = {}
    for path in modules(src):
        if room(path, src) in TYPED:
            nodes = (
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Subscript)
            )
            count = sum(ast.unparse(node) in ("dict[str, Any]", "Mapping[str, Any]") for node in nodes)
            if count:
                found[path.relative_to(src).as_posix()] = count
    return found


def test_every_room_has_its_place_on_one_list() -> None:
    rooms = {
        p.name.removesuffix(".py") for p in SRC.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert rooms - {"__init__"} == set(FLOORS)


def test_arrows_run_down() -> None:
    assert wrong_arrows(SRC) == []


def test_the_referee_has_one_way_out_of_its_room() -> None:
    """What unpacks a `.golf` file; all the rest it knows by itself."""
    arrows = [
        (path.relative_to(SRC).as_posix(), target.relative_to(SRC).as_posix())
        for path in modules(SRC / "referee")
        for target in imports(path, SRC)
        if room(target, SRC) not in ("referee", "base")
    ]
    assert sorted(arrows) == [
        ("referee/unpacking.py", "packed/__init__.py"),
        ("referee/unpacking.py", "packed/graph.py"),
    ]


def by_name(src: Path) -> set[str]:
    """Modules that mention importlib's import_module or __import__."""
    return {
        path.relative_to(src).as_posix()
        for path in modules(src)
        if re.search(r"\bimport_module\b|\b__import__\b", path.read_text())
    }


def test_nothing_is_imported_past_the_rules() -> None:
    assert by_name(SRC) == BY_NAME


def test_an_import_by_name_is_found(small: Path) -> None:
    (small / "referee/cli.py").write_text(
        "import importlib\nimportlib.import_module('neural_golf.net.spec')\n"
    )
    assert by_name(small) == {"referee/cli.py"}


def test_no_modules_import_one_another() -> None:
    assert cycles(SRC) == []


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A house with a room on four floors, in order."""
    files = {
        "__init__": "__version__ = '1'",
        "base/__init__": "",
        "base/files": "from pathlib import Path\nfrom neural_golf import __version__",
        "net/__init__": "",
        "net/spec": "from neural_golf.base.files import read",
        "referee/__init__": "",
        "referee/cli": "from neural_golf.base import files",
        "config/__init__": "from neural_golf.net.spec import Network",
        "look/__init__": "",
        "look/draw": "from neural_golf import config\nfrom neural_golf.look import style",
        "look/style": "import neural_golf.base.files",
    }
    for name, text in files.items():
        path = tmp_path / f"neural_golf/{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "neural_golf"


def test_a_house_in_order_is_found_in_order(small: Path) -> None:
    assert wrong_arrows(small) == [] == cycles(small)


@pytest.mark.parametrize(
    ("where", "line", "arrow"),
    [
        ("base/files", "from neural_golf.net.spec import Network", "base/files.py -> net/spec.py"),
        ("base/files", "import neural_golf.net.spec", "base/files.py -> net/spec.py"),
        (
            "config/__init__",
            "def f():\n    from neural_golf.look import draw",
            "config/__init__.py -> look/draw.py",
        ),
        (
            "net/spec",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from neural_golf import config",
            "net/spec.py -> config/__init__.py",
        ),
        ("net/spec", "from ..look.draw import anything", "net/spec.py -> look/draw.py"),
        ("referee/cli", "from neural_golf.net import spec", "referee/cli.py -> net/spec.py"),
        ("config/__init__", "from neural_golf import referee", "config/__init__.py -> referee/__init__.py"),
    ],
)
def test_a_new_arrow_that_runs_up_is_found(small: Path, where: str, line: str, arrow: str) -> None:
    path = small / f"{where}.py"
    path.write_text(f"{path.read_text()}\n{line}\n")
    assert wrong_arrows(small) == [arrow]


def test_a_circle_is_found(small: Path) -> None:
    (small / "look/style.py").write_text("def f():\n    from neural_golf.look.draw import draw\n")
    assert cycles(small) == ["look/draw.py", "look/style.py"]


def test_no_module_is_longer_than_it_may_be() -> None:
    kinds = (".py", ".pyi", ".js", ".cpp", ".hpp", ".inc")
    lines = {
        path.relative_to(SRC).as_posix(): len(path.read_text().splitlines())
        for path in SRC.rglob("*")
        if path.suffix in kinds
    }
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_no_merge_was_left_half_done() -> None:
    """A docstring keeps its markers through every import and every test."""
    folders = ("src", "tests", "docs", "leaderboard", ".github", "profiles")
    paths = [*(p for p in ROOT.iterdir()), *(p for folder in folders for p in (ROOT / folder).rglob("*"))]
    texts = {path: path.read_bytes() for path in paths if path.is_file() and path.suffix != ".so"}
    assert SRC / "engine/__init__.py" in texts
    assert [path for path, text in texts.items() if MARKER.search(text)] == []


def test_past_the_results_no_dictionary_is_untyped() -> None:
    assert sorted(set(untyped(SRC)) - set(UNTYPED)) == []


def test_no_exception_outlives_its_reason() -> None:
    assert sorted(set(UNTYPED) - set(untyped(SRC))) == []


def test_an_untyped_dictionary_is_found(small: Path) -> None:
    (small / "look/style.py").write_text("def f(x: list[dict[str, Any]]) -> None: ...\n")
    (small / "net/spec.py").write_text("x: dict[str, Any] = {}\n")  # below: not asked for
    assert untyped(small) == {"look/style.py": 1}


@pytest.mark.parametrize("stage", yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
def test_a_stage_depends_on_rooms_not_on_files(stage: str) -> None:
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]["deps"]
    rooms = [dep.removeprefix("src/neural_golf/") for dep in deps if dep.startswith("src/")]
    assert rooms
    assert [name for name in rooms if name not in FLOORS or not (SRC / name).is_dir()] == []


def test_text_is_read_and_written_as_utf8_whatever_the_locale() -> None:
    odd = []
    for path in modules(SRC):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            named = {word.arg for word in call.keywords}
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            text = name in ("read_text", "write_text") or (name in ("run", "Popen") and "text" in named)
            if text and "encoding" not in named:
                odd.append(f"{path.relative_to(SRC)}:{call.lineno}")
    assert not odd
