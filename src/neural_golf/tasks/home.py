"""The project's own params.yaml, dvc.yaml and Snakefile: in a clone, or as they came with the package."""

from __future__ import annotations

from pathlib import Path

from neural_golf.base.errors import GolfError

__all__ = ["FILES", "home"]

# What a task needs of the project. setup.py puts these into the wheel, as neural_golf/home.
FILES = (
    "Snakefile",
    "dvc.yaml",
    "params.yaml",
    "package.json",
    "package-lock.json",
    "profiles/default/config.yaml",
)
PACKAGE = Path(__file__).parent.parent


def home() -> Path:
    """The folder that has FILES. Raises GolfError where the package was installed without them."""
    for folder in (PACKAGE.parent.parent, PACKAGE / "home"):
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise GolfError("this installation is without params.yaml and dvc.yaml of the project; install it again")
