"""What networks need on a microcontroller, as `golf device` measured it: leaderboard/device.json.

Ladder, model cards, leaderboard and site find a network there by the SHA-256 of its file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from neural_golf.base.errors import GolfError
from neural_golf.base.files import read_json, write_json

__all__ = ["BUILDS", "COLUMNS", "DEVICE", "UNKNOWN", "Build", "DeviceTable", "Measured", "read_device"]

DEVICE = Path("leaderboard/device.json")
UNKNOWN = "\u2013"  # in a table: it has not been measured
BUILDS = ("cortex-m4 float", "cortex-m4 int8", "cortex-m0 float", "cortex-m0 int8")
SHOWN = BUILDS[0]  # in the columns
COLUMNS = ("flash (B)", "RAM (B)", "multiply-adds", "instructions")


@dataclass(frozen=True)
class Build:
    """Bytes of flash and of RAM, its stack among them, and instructions for an image."""

    flash: int
    ram: int
    instructions: int


@dataclass(frozen=True)
class Measured:
    """A network on a microcontroller: multiply-adds for an image; and by the words of BUILDS what it needs,
    or why there is no such figure. `why`: the reason why it cannot be turned into C at all.
    """

    multiply_adds: int = 0
    builds: Mapping[str, Build | str] = field(default_factory=dict)
    why: str = ""

    def cells(self) -> tuple[str, ...]:
        """What stands in COLUMNS. Where there is no figure, the first says why."""
        build = self.builds.get(SHOWN, UNKNOWN)
        if self.why:
            return (f"no C: {self.why}", *(UNKNOWN for _ in COLUMNS[1:]))
        if isinstance(build, str):
            return (build, UNKNOWN, f"{self.multiply_adds:,}", UNKNOWN)
        return tuple(f"{n:,}" for n in (build.flash, build.ram, self.multiply_adds, build.instructions))


@dataclass(frozen=True)
class DeviceTable:
    """leaderboard/device.json: what measured, and the networks by the SHA-256 of their files."""

    compiler: str = ""
    emulator: str = ""
    networks: Mapping[str, Measured] = field(default_factory=dict)

    def knows(self, digests: Iterable[str | None]) -> bool:
        """Whether some network of a table is here, so that the table has these columns."""
        return any(digest in self.networks for digest in digests)

    def cells(self, sha256: str | None) -> dict[str, str]:
        """A network's line, by the names of the columns; dashes where it has not been measured."""
        found = self.networks.get(sha256 or "")
        return dict(zip(COLUMNS, found.cells() if found else (UNKNOWN,) * len(COLUMNS), strict=True))

    def write(self, path: Path) -> None:
        """Networks in the order of their digests, so that equal tables are equal bytes."""
        networks = {}
        for sha256, found in sorted(self.networks.items()):
            builds = {
                name: asdict(build) if isinstance(build, Build) else build
                for name in BUILDS
                if (build := found.builds.get(name)) is not None
            }
            networks[sha256] = (
                {"why": found.why} if found.why else {"multiply_adds": found.multiply_adds, **builds}
            )
        write_json(path, {"compiler": self.compiler, "emulator": self.emulator, "networks": networks})


def read_device(path: Path = DEVICE) -> DeviceTable:
    """What `golf device` wrote; an empty table where there is no such file.

    Raises GolfError for one of another form.
    """
    if not path.exists():
        return DeviceTable()
    try:
        found = read_json(path)
        networks = {
            sha256: Measured(
                one.get("multiply_adds", 0),
                {k: v if isinstance(v, str) else Build(**v) for k, v in one.items() if k in BUILDS},
                one.get("why", ""),
            )
            for sha256, one in found["networks"].items()
        }
        return DeviceTable(found["compiler"], found["emulator"], networks)
    except (TypeError, KeyError, AttributeError):
        raise GolfError(
            f"{path} is of another version of this project: remove it, and `golf device` writes it anew"
        ) from None
