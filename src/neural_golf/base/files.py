"""Reading and writing files. Every file appears whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import glob
import io
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError

__all__ = [
    "METRICS",
    "MODELS",
    "PLOTS",
    "read_json",
    "read_tensors",
    "write_bytes",
    "write_csv",
    "write_json",
    "write_tensors",
]


MODELS = Path("results/models")
METRICS = Path("results/metrics")
PLOTS = Path("results/plots")
KILLED_SECONDS = 60  # the age from which a temporary file is one that a kill left


def write_bytes(path: Path, content: bytes) -> None:
    """Write a temporary file beside `path`, then rename it, so that a kill leaves either the old file or the
    new one. What a kill left of the temporary file goes with a later write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
        with contextlib.suppress(FileNotFoundError):  # another writer has just renamed its own
            if time.time() - left.stat().st_mtime > KILLED_SECONDS:
                left.unlink()
    made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with made.open("xb") as file:  # with the person's umask, where tempfile's would be for the owner only
            file.write(content)
        made.replace(path)
    except OSError as error:  # of a full disk, which does not say what could not be written
        made.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def write_json(path: Path, payload: Mapping[str, Any] | Sequence[Any]) -> None:
    write_bytes(path, (json.dumps(payload, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Raises GolfError if the file is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GolfError(
            f"{path} is missing: the stage that writes it has not run (`snakemake` runs it)"
        ) from None
    except ValueError as error:
        raise GolfError(f"{path} is not JSON: {error}") from None


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_tensors(
    path: Path, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """A safetensors file."""
    from safetensors.numpy import save

    # Unlike np.ascontiguousarray, this leaves a single number without axes.
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = save(contiguous, dict(metadata or {}))
    # The library writes metadata in an order that is drawn anew each time; equal files must be equal bytes.
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    write_bytes(path, len(text).to_bytes(8, "little") + text + content[end:])


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The tensors and metadata of a safetensors file. Raises GolfError if the file is missing or is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise GolfError(
            f"{path} is missing: the stage that writes it has not run (`snakemake` runs it)"
        ) from None
    except (SafetensorError, OSError) as error:
        raise GolfError(f"{path} is not a whole safetensors file: {error}") from None
