"""The independent pieces of a stage as jobs of their own, for `snakemake --profile profiles/slurm`.

A job leaves an empty file, its mark, when the piece is finished. The stage waits for the marks of its pieces
and then finds all of them finished; where a mark says too much, the stage computes the piece itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from neural_golf import config
from neural_golf.base import longwork
from neural_golf.base.files import write_bytes
from neural_golf.config import Config
from neural_golf.config.pieces import waves
from neural_golf.workflow import STAMPS, Needs, Stages

__all__ = ["Jobs"]

MARKS = Path(".golf/jobs")
# Of those that are no stages, and so do not stand in dvc.yaml.
EXPERIMENTS = {"handbook": Needs(mem_mb=1500, minutes=60), "search": Needs(mem_mb=1000, minutes=60)}


class Wildcards(Protocol):
    """What Snakemake gives an input function."""

    key: str


class Jobs:
    """The stages and experiments whose pieces are jobs; without `on`, none.

    main: whether this process plans the run. One that a job began writes no stamps.
    """

    def __init__(self, settings: Config, stages: Stages, on: bool, main: bool) -> None:
        self._stages, self._main = stages, main
        every = (*stages, *EXPERIMENTS) if on else ()
        self._waves = {stage: found for stage in every if (found := waves(settings, stage))}

    def __iter__(self) -> Iterator[str]:
        """The names of those that have pieces."""
        return iter(self._waves)

    def mark(self, stage: str, key: str = "{key}") -> str:
        """The file that says that a piece is finished."""
        return (MARKS / stage / key).as_posix()

    def awaited(self, stage: str) -> list[str]:
        """The marks that a stage waits for. One that is up to date waits for nothing."""
        if stage in self._stages and stage not in self._stages.outdated:
            return []
        return [self.mark(stage, key) for wave in self._waves.get(stage, ()) for key in wave]

    def before(self, stage: str) -> Callable[[Wildcards], list[str]]:
        """The input function of a piece: the marks of the wave before its own."""

        def marks(wildcards: Wildcards) -> list[str]:
            for earlier, wave in zip([[], *self._waves[stage]], self._waves[stage], strict=False):
                if wildcards.key in wave:
                    return [self.mark(stage, key) for key in earlier]
            return []  # no piece of this stage; `golf piece` says so

        return marks

    def inputs(self, stage: str) -> list[str]:
        """The files that a piece reads."""
        return self._stages.inputs(stage) if stage in self._stages else self._stages.outputs("data")

    def needs(self, stage: str) -> Needs:
        """What one piece takes."""
        return EXPERIMENTS.get(stage) or self._stages.needs(stage, piece=True)

    def stamp(self, stage: str) -> str:
        """A small file that changes with the code and the settings of a stage's pieces, but not with its
        seeds.

        What has a mark newer than it, and newer than the files that it reads, is not asked for again; so a
        run that was killed goes on with the pieces that are missing.
        """
        path = STAMPS / f"{stage}.pieces"
        if self._main:
            raw = config.read(Path("params.yaml"))
            names = self._stages.tree[stage].get("params", ()) if stage in self._stages else [stage]
            told = {name: _at(raw, name) for name in names if not name.endswith(".seeds")}
            content = f"{longwork.folder(stage, params=told).name}\n".encode()
            if not path.exists() or path.read_bytes() != content:
                write_bytes(path, content)
        return path.as_posix()


def _at(tree: object, name: str) -> object:
    """The value of a name such as tuned.network."""
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree
