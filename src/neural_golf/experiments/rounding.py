"""What whole numbers cost: the nearest ones against the surgeon's, and what the file is made of.

The smallest entries of the descents are rounded, each seed by itself and to several numbers of bits. Nothing
is trained after it: `golf pack` does that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_golf import data
from neural_golf.base import longwork
from neural_golf.base.statistics import Spread
from neural_golf.config import Config
from neural_golf.config.sections import Pack
from neural_golf.engine import engine
from neural_golf.experiments.pages import grid
from neural_golf.net.onnx import unpack
from neural_golf.packed import encode
from neural_golf.packed.file import as_packed, bill, told_scales
from neural_golf.quantise.search import Search, nearest, without_biases
from neural_golf.results.result import VERIFIED, Result, read_results

__all__ = ["Rounded", "rounded", "tables"]

BITS = (2, 3, 4, 5)  # of a weight, with its sign


@dataclass(frozen=True)
class Rounded:
    """One network without its biases, in whole numbers: the share of the held-out images that are right as it
    was and in both ways of rounding, and what its file is made of, in bits.
    """

    row: str
    bits: int
    weights: int
    before: float
    nearest: float
    surgeon: float
    layers: float
    positions: float
    levels: float
    bytes: int


def tables(config: Config) -> dict[str, str]:
    """The tables `rounding` and `bytes` as Markdown; none where no descent has been verified yet."""
    results = [r for r in read_results() if r.size and r.entered] if VERIFIED.exists() else []
    least = {row: min(r.nonzero for r in results if r.row == row) for row in {r.row for r in results}}
    chosen = [r for r in results if r.nonzero == least[r.row]]
    if not chosen:
        return {}
    settings = config.pack.model_copy(update={"rounds": 1, "sweeps": 0, "step_images": 1})
    parts = data.read("train"), data.read("heldout")

    def one(job: tuple[Result, int]) -> Rounded:
        result, bits = job
        kept = settings.model_dump(exclude={"levels", "twins", "biases"})
        key = longwork.folder("rounding", sha256=result.sha256, bits=bits, settings=kept, data=data.digest())
        piece = longwork.finished(key, lambda state: ({}, asdict(rounded(result, bits, settings, *parts))))
        return Rounded(**piece[1])

    groups: dict[tuple[str, int], list[Rounded]] = {}
    for found in longwork.in_parallel([(result, bits) for result in chosen for bits in BITS], one):
        groups.setdefault((found.row, found.bits), []).append(found)
    return {
        "rounding": _table(
            groups,
            {"before": "before", "nearest": "nearest levels", "surgeon": "in the surgeon's order"},
            " %",
        ),
        "bytes": _table(
            groups,
            {"layers": "layers", "positions": "positions", "levels": "values", "bytes": "bytes of the file"},
        ),
    }


def rounded(result: Result, bits: int, settings: Pack, train: data.Split, heldout: data.Split) -> Rounded:
    """One network in so many bits for each weight. The scales are the same in both ways of rounding."""
    network, parameters = unpack(Path(result.path).read_bytes(), result.path)
    parameters = without_biases(engine(network), parameters, train, settings)
    network, parameters = as_packed(network, parameters)
    core, most = engine(network), 1 << (bits - 1)
    found = Search(core, parameters, train, settings, most, lambda text: None).run()
    sizes = [tensor.size for tensor in network.tensors]
    scale = np.repeat(found.scales, sizes)
    plain = np.where(parameters == 0, 0.0, nearest(parameters / scale, most))
    told = np.repeat(np.where(told_scales(network, found.levels != 0), found.scales, 1.0), sizes)
    written = (found.levels * told).astype(np.float32)
    cost = bill(network, written)

    def right(values: NDArray[Any]) -> float:
        return core.correct(values.astype(np.float32), heldout.pixels, heldout.labels) / len(heldout)

    return Rounded(
        row=result.row, bits=bits, weights=int(np.count_nonzero(parameters)),
        before=right(parameters), nearest=right(plain * scale), surgeon=right(found.levels * scale),
        layers=cost["layers"], positions=cost["positions"], levels=cost["levels"],
        bytes=len(encode(network, written)),
    )  # fmt: skip


def _table(
    groups: Mapping[tuple[str, int], Sequence[Rounded]], columns: Mapping[str, str], unit: str = ""
) -> str:
    """A line per row and number of bits, with the mean and the spread over the seeds; shares in per cent."""
    digits, scale = (2, 100.0) if unit else (0, 1.0)

    def told(group: Sequence[Rounded], name: str) -> str:
        return Spread.of([getattr(one, name) for one in group]).text(digits, scale) + unit

    lines = []
    for (row, bits), group in groups.items():
        weights = Spread.of([one.weights for one in group]).text()
        lines.append([row, weights, str(bits), *(told(group, name) for name in columns), str(len(group))])
    return grid(["row", "weights", "bits of each", *columns.values(), "n"], lines)
