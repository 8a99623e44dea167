"""Files in and out: every file appears whole or not at all, and says what made it."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from neural_golf.errors import GolfError
from neural_golf.model import Network, masked

__all__ = [
    "Checkpoint",
    "parse_yaml",
    "read_checkpoint",
    "read_json",
    "read_tensors",
    "write_bytes",
    "write_checkpoint",
    "write_csv",
    "write_json",
    "write_tensors",
]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a temporary file beside `path`, then rename it: a kill leaves the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise


def write_json(path: Path, payload: Mapping[str, Any]) -> None:
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


def parse_yaml(text: str) -> Any:
    """The values of a YAML text. Raises GolfError, in one line, for whatever a stranger may write.

    PyYAML lets other errors than its own through for a wrong date or number, or for deep nesting.
    A key that stands twice is an error too, where PyYAML silently takes the last one.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
        raise GolfError(f"not YAML ({' '.join(str(error).split())})") from None


class _Loader(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            problem = f"the key {twice[0]} stands more than once"
            raise yaml.constructor.ConstructorError(problem, node.start_mark)
        return node


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

    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    write_bytes(path, save(contiguous, dict(metadata or {})))


def read_tensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Raises GolfError if it is missing or not one."""
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


@dataclass(frozen=True)
class Checkpoint:
    """The runs of one row of the ladder: one network, trained or pruned once per run.

    parameters: float32 [runs, n], for inputs in [0, 1] (the normalisation is folded in).
    masks: bool [runs, n], False where a parameter was pruned.
    runs: one record per run (seed, and what its stage measured: counts of correct images, seconds …).
    """

    network: Network
    parameters: NDArray[np.float32]
    masks: NDArray[np.bool_]
    runs: tuple[dict[str, Any], ...]

    def baked(self, run: int) -> NDArray[np.float32]:
        """The parameters [n] of one run with its mask applied."""
        return masked(self.parameters[run], self.masks[run])


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Named tensors [runs, …] and their masks; spec and runs as metadata. Never pickle."""
    network = checkpoint.network
    tensors: dict[str, NDArray[Any]] = {}
    for tensor in network.tensors:
        shape = (len(checkpoint.runs), *tensor.shape)
        tensors[tensor.name] = checkpoint.parameters[:, tensor.slice].reshape(shape)
        tensors[f"{tensor.name}.mask"] = checkpoint.masks[:, tensor.slice].reshape(shape)
    metadata = {"network": json.dumps(network.spec), "runs": json.dumps(checkpoint.runs)}
    write_tensors(path, tensors, metadata)


def read_checkpoint(path: Path, network: Network | None = None) -> Checkpoint:
    """Raises GolfError if the file is not a checkpoint, or is one of another architecture than `network`."""
    tensors, metadata = read_tensors(path)
    try:
        found = Network.parse(json.loads(metadata["network"]))
        runs = tuple(json.loads(metadata["runs"]))
    except (KeyError, ValueError, TypeError):
        raise GolfError(
            f"{path} is not a checkpoint of this project: its metadata names no network and runs"
        ) from None
    if network is not None and found.spec != network.spec:
        raise GolfError(
            f"{path} is of another architecture: {', '.join(found.spec)}; expected {', '.join(network.spec)} "
            "(`snakemake` makes it anew)"
        )
    parameters = np.empty((len(runs), found.size), np.float32)
    masks = np.empty((len(runs), found.size), np.bool_)
    for tensor in found.tensors:
        for target, name in ((parameters, tensor.name), (masks, f"{tensor.name}.mask")):
            have = tensors.get(name)
            if have is None or have.shape != (len(runs), *tensor.shape):
                raise GolfError(
                    f"{path} is of another architecture: {name} is {getattr(have, 'shape', 'missing')}"
                )
            target[:, tensor.slice] = have.reshape(len(runs), -1)
    return Checkpoint(found, parameters, masks, runs)
