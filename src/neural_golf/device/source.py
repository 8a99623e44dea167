"""The C text of a plan: a file with its tables and only the code that this network needs, and its header."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError
from neural_golf.device.plan import Stage, pads, plan
from neural_golf.device.tables import Tables, number, put, unsigned
from neural_golf.device.whole import Whole
from neural_golf.net.form import FAINT
from neural_golf.net.layers import EPSILON
from neural_golf.net.spec import Network

__all__ = ["Source", "write_source"]

Values = NDArray[Any]
# Words of C, and names of this file.
RESERVED = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
main cell sum small stage stages taps weights biases slopes memory root power ink measure pixel normalise row
image logits
"""


@dataclass(frozen=True)
class Source:
    """What `golf c` writes, and what can be said of it without a compiler.

    memory: bytes of static memory. adds: multiply-adds for an image.
    """

    code: str
    header: str
    memory: int
    adds: int


def write_source(
    network: Network, parameters: NDArray[np.float32], name: str = "net", pixel: str = "unsigned char",
    whole: Whole | None = None, header: str = "net.h",
) -> Source:  # fmt: skip
    """The C99 of a network with parameters [n], as a function called `name`.

    pixel: the type of the image's numbers, "unsigned char" (0 to 255) or "float" (0 to 1). With `whole` all
    weights and maps are whole numbers; see `whole.calibrated`. header: the file that the code includes.

    Raises GolfError for a name that is none in C, and for a layer that cannot be written.
    """
    if not name.isidentifier() or not name.isascii():
        raise GolfError(f"--name {name!r} should be letters, digits and _, as C wants it")
    if name in RESERVED.split():
        raise GolfError(f"--name {name} means something else in C, or in this file")
    stages = whole.stages if whole else plan(network)
    tables = Tables(network, parameters, stages, whole)
    features = _features(network, stages, whole, tables)
    rows, fields = _rows(stages, tables, features, whole)
    unit = whole.scales[-1] if whole else 1.0
    adds = _adds(network, parameters)
    size = whole.cell_bytes if whole else 4
    memory = sum(stage.cells for stage in stages)
    told = {
        **features, "name": name, "NAME": name.upper(), "header": header, "spec": ", ".join(network.spec),
        "nonzero": np.count_nonzero(parameters), "shape": network.in_shape, "classes": network.classes,
        "pixel": pixel, "logit": "int" if whole else "float", "unit": f"{unit:.9g}f", "adds": f"{adds:,}",
        "bytes": f"{memory * size:,}", "memory": memory, "rows": rows, "fields": fields, "n": len(stages),
        "cell": whole.cell if whole else "float", "sum": "int" if whole else "float",
        "cols": max(stage.cols for stage in stages), "epsilon": f"{EPSILON:g}f", "tables": tables.texts(),
        "read": _read(network, pixel, whole), "unit_factor": " * t->unit" if tables.unit else "",
        "lowest": whole.lowest if whole else 0, "highest": whole.highest if whole else 0,
        "last_argument": f", s == {len(stages) - 1} ? logits : 0" if whole else "",
    }  # fmt: skip
    code, text = (_template(part).render(told) for part in ("net.c.j2", "net.h.j2"))
    return Source(code, text, memory * size, adds)


@cache
def _template(name: str) -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    ).get_template(name)  # fmt: skip


def _features(
    network: Network, stages: Sequence[Stage], whole: Whole | None, tables: Tables
) -> dict[str, Any]:
    """Which parts of the code are needed."""
    windows = [stage for stage in stages if stage.op != "taps"]
    form = network.form
    return {
        "whole_maps": whole is not None,
        "walk": tables.walk,
        "orbit": any(stage.orbit > 1 for stage in stages),
        "mirrors": any(stage.orbit > 4 for stage in stages),
        "dilated": any(stage.dilation > 1 for stage in stages),
        "window": bool(windows),
        "window_mean": any(stage.op == "mean" for stage in stages),
        "alike": any(place["alike"] for place in tables.places),
        "strided": any(stage.down > 1 for stage in stages),
        "activation": any(stage.slope != 1 or stage.slopes for stage in stages),
        "pool": any(stage.pool != (1, 1) or stage.step > 1 for stage in stages),
        "pool_mean": any(stage.pool_mean for stage in stages),
        "pads": pads(stages),
        "border": any(stage.pad and stage.op == "largest" for stage in stages),
        "norm": any(stage.norm is not None for stage in stages),
        "form": form and {
            "faint": f"{FAINT:g}f",
            "kx": _spread("uu", form.width, form.width_exponent),
            "ky": _spread("vv", form.height, form.height_exponent),
            "power": not {form.width_exponent, form.height_exponent} <= set(_ROOTS),
        },
        "small": unsigned(
            size
            for s in stages
            for size in (s.width, *s.shape, s.outs, s.cols, s.rows + s.down, *s.pool, s.step)
        ),
    }  # fmt: skip


_ROOTS = {0.0: "1", 0.5: "root(root({}))", 1.0: "root({})"}


def _spread(square: str, size: float, exponent: float) -> str:
    """(√square / size) to an exponent, in C."""
    if exponent in _ROOTS:
        return f"{_ROOTS[exponent].format(square)} * {number(float(size**-exponent))}"
    return f"power({square}, {number(exponent / 2)}) * {number(float(size**-exponent))}"


def _rows(
    stages: Sequence[Stage], tables: Tables, features: dict[str, Any], whole: Whole | None
) -> tuple[list[list[str]], list[tuple[str, str, str]]]:
    """The table of stages: a row for each, and what its columns are."""
    at = np.cumsum([0, *(stage.cells for stage in stages)]).tolist()
    taps, pool = bool(tables.taps), features["pool"]
    slope = "slope" if not tables.slopes else ""
    offset = unsigned([*at, len(tables.taps), len(tables.weights)])
    offset = "unsigned short" if offset == "unsigned char" else offset
    if max(at) > 65535 or len(tables.taps) > 65535:
        offset = "unsigned int"
    signed = "short" if whole else "float"
    found: list[tuple[bool, str, str, str, list[float]]] = []

    def field(there: Any, kind: str, name: str, comment: str, values: Iterable[float]) -> None:
        found.append((bool(there), kind, name, comment, list(values)))

    places = tables.places
    orbit, walk, window = features["orbit"], features["walk"], features["window"]
    skips = [
        after.width - s.out_shape[2] if after else 0
        for s, after in zip(stages, [*stages[1:], None], strict=True)
    ]
    small = "small"
    field(True, offset, "at", "where its input begins in memory", at[:-1])
    field(taps, offset, "tap", "where its tables begin", (p["tap"] for p in places))
    field(taps, offset, "weight", "", (p["weight"] for p in places))
    field(
        features["alike"], small, "alike", "the taps are those of every kernel", (p["alike"] for p in places)
    )
    field(tables.biases, "short", "bias", "", (p["bias"] for p in places))
    slopes = "below zero the activation is a product with it"
    if tables.slopes:  # every stage's slopes are in the table then
        own = [
            p["slope"] if s.slopes else put(tables.slopes, [_slope(s, whole)])
            for s, p in zip(stages, places, strict=True)
        ]
        field(features["activation"], "short", "slope", slopes, own)
        field(features["activation"], "short", "slope_step", "", (int(s.slopes is not None) for s in stages))
    else:
        field(features["activation"] and slope, signed, "slope", slopes, (_slope(s, whole) for s in stages))
    field(tables.unit, "float", "unit", "of its weights", tables.units)
    field(
        features["window_mean"] and not whole,
        "float",
        "share",
        "of one number in a mean",
        (_share(s) for s in stages),
    )
    field(
        features["pool_mean"],
        "float",
        "pool_share",
        "",
        (1 / math.prod(s.pool) if s.pool_mean else 0.0 for s in stages),
    )
    if whole:
        field(features["norm"], "float", "norm", "of a spread of 1", whole.norms)
        field(features["norm"], "float", "epsilon", "", whole.epsilons)
        field(True, "short", "factor", "from sums to the next stage's numbers", whole.factors)
        field(True, small, "shift", "", whole.shifts)
        field(
            features["border"],
            signed,
            "border",
            "what lies outside",
            (whole.lowest if s.op == "largest" else 0 for s in stages),
        )
    else:
        field(features["norm"], small, "norm", "", (int(s.norm is not None) for s in stages))
        field(
            features["border"],
            signed,
            "border",
            "what lies outside",
            (-3e38 if s.op == "largest" else 0.0 for s in stages),
        )
    field(True, small, "channels", "of its input", (s.shape[0] for s in stages))
    field(True, small, "width", "", (s.width for s in stages))
    field(True, small, "rows", "that are in memory", (s.rows for s in stages))
    field(features["norm"], small, "reach", "rows that it reads", (max(s.reach, s.down) for s in stages))
    field(features["pads"], small, "pad", "", (s.pad for s in stages))
    field(features["pads"], small, "height", "of its output", (s.out_shape[1] for s in stages))
    field(walk or window, small, "kernel_h", "", (s.kernel[0] for s in stages))
    field(walk or window, small, "kernel_w", "", (s.kernel[1] for s in stages))
    field(features["dilated"] and walk, small, "dilation", "", (s.dilation for s in stages))
    field(
        orbit,
        small,
        "orbit",
        "in how many positions its kernels stand, less 1",
        (s.orbit - 1 for s in stages),
    )
    field(orbit, small, "among", "and the channels of its input", (s.among - 1 for s in stages))
    field(
        window and taps,
        small,
        "window",
        "1: the largest of a window, 2: the sum",
        (("taps", "largest", "mean").index(s.op) for s in stages),
    )
    field(
        window and not taps and features["window_mean"],
        small,
        "window",
        "1: the largest, 2: the sum",
        (("taps", "largest", "mean").index(s.op) for s in stages),
    )
    field(
        window or features["strided"],
        small,
        "down",
        "rows and columns from window to window",
        (s.down for s in stages),
    )
    field(True, small, "outs", "channels of its output", (s.outs for s in stages))
    field(True, small, "cols", "columns of its sums", (s.cols for s in stages))
    field(pool, small, "pool_h", "", (s.pool[0] for s in stages))
    field(pool, small, "pool_w", "", (s.pool[1] for s in stages))
    field(pool, small, "step", "from pool to pool", (s.step for s in stages))
    field(True, small, "out", "columns of its output", (s.out_shape[2] for s in stages))
    field(True, small, "skip", "the rest of a row in the next stage's memory", skips)
    used = [one for one in found if one[0]]
    rows = [[_cell(kind, values[k]) for _, kind, _, _, values in used] for k in range(len(stages))]
    return rows, [(kind, name, comment) for _, kind, name, comment, _ in used]


def _cell(kind: str, value: float) -> str:
    return number(float(value)) if kind == "float" else str(round(value))


def _slope(stage: Stage, whole: Whole | None) -> float:
    return round(stage.slope * 128) if whole else float(stage.slope)


def _share(stage: Stage) -> float:
    return 1 / math.prod(stage.kernel) if stage.op == "mean" else 1.0


def _read(network: Network, pixel: str, whole: Whole | None) -> str:
    """A number of the image in C, at row y and column i of channel c."""
    _, height, width = network.in_shape
    channel = "c" if network.in_shape[0] > 1 else "0"
    if network.form:
        value = f"pixel(image, m, {channel}, y, i)"
        return f"(cell)({value} * {number(1 / whole.scales_before[0])} + 0.5f)" if whole else value
    place = f"(c * {height} + y) * {width} + i" if network.in_shape[0] > 1 else f"y * {width} + i"
    if whole:
        if pixel == "float":
            return f"(cell)(image[{place}] * {number(1 / whole.scales_before[0])} + 0.5f)"
        return (
            f"(cell)(image[{place}] >> {8 - whole.pixel_bits})" if whole.pixel_bits < 8 else f"image[{place}]"
        )
    return f"image[{place}]" if pixel == "float" else f"image[{place}] * (1 / 255.0f)"


def _adds(network: Network, parameters: Values) -> int:
    """Multiply-adds for an image: each weight that is not zero, once per place where its kernel is put."""
    found = 0
    for layer in network.layers:
        if layer.weight is not None and layer.weight.name.endswith(".weight"):
            found += (
                layer.orbit
                * math.prod(layer.out_shape[1:])
                * int(np.count_nonzero(parameters[layer.weight.slice]))
            )
    return int(found)
