"""A second decoder of .golf files, written from docs/bytes.md alone: it imports nothing of the project."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs" / "bytes.md").read_text(encoding="utf-8")
KINDS = ["end", "conv", "linear", "relu", "abs", "leaky", "prelu", "maxpool", "avgpool", "gap", "norm", "add"]
ACTIVATIONS = ("relu", "abs", "leaky", "prelu")


def table(name: str) -> list[list[str]]:
    """The rows of a table of the page, without its head."""
    text = PAGE.split(f"<!-- {name}: begin -->")[1].split(f"<!-- {name}: end -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]


def usual(cell: str) -> dict[str, int]:
    return {value.strip("`"): int(more) for value, more in re.findall(r"(\S+) \((\d+)\)", cell)}


AFTER = {after: usual(cell) for after, cell in table("kinds")}
FIELDS: dict[str, list[tuple[str, dict[str, int], int]]] = defaultdict(list)
for _kind, _field, _cell, _version in table("fields"):
    FIELDS[_kind.strip("`")].append((_field.strip("`"), usual(_cell), int(_version)))


class Decoder:
    def __init__(self, content: bytes) -> None:
        self.bytes = iter(content)
        self.code, self.range = 0, 1 << 48
        for _ in range(6):
            self.code = self.code * 256 + next(self.bytes, 0)
        self.lists: dict[str, list[int]] = {}

    def symbol(self, sizes: list[int]) -> int:
        total = sum(sizes)
        step = self.range // total
        place = self.code // step
        assert place < total
        value = start = 0
        while start + sizes[value] <= place:
            start += sizes[value]
            value += 1
        self.code -= step * start
        self.range = step * sizes[value]
        while self.range < 1 << 40:
            self.range *= 256
            self.code = self.code * 256 + next(self.bytes, 0)
        return value

    def adaptive(self, name: str, first: list[int], step: int) -> int:
        sizes = self.lists.setdefault(name, first)
        value = self.symbol(sizes)
        sizes[value] += step
        return value

    def uniform(self, n: int) -> int:
        return self.symbol([1] * n)

    def number(self, name: str, usual: dict[str, int]) -> int:
        value = self.adaptive(name, [1 + usual.get(str(i), 0) for i in range(16)], 64)
        return value if value < 15 else 15 + self.uniform(1 << self.uniform(17))


def read(content: bytes) -> tuple[list[tuple[str, dict[str, int]]], list[list[Fraction]]]:
    """The layers with their fields, and the numbers of each tensor."""
    d = Decoder(content)
    version = 1 + d.symbol([15, 1])
    assert version == 1 or d.symbol([15, 1]) == 0
    known = KINDS[: 10 + version]
    form = d.symbol([12, 10, 1, 1])
    assert form < 3
    if form == 2:
        for _ in range(4):
            d.number("form", {})
    shape = [d.number("shape", {}) for _ in range(3)] if d.symbol([63, 1]) else [1, 28, 28]
    layers: list[tuple[str, dict[str, int]]] = []
    before = "(at the start)"
    while True:
        sizes = [1 + AFTER[before].get(known[i] if i < len(known) else "", 0) for i in range(16)]
        kind = known[d.adaptive(f"after {before}", sizes, 64)]
        if kind == "end":
            break
        told = {
            name: d.number(f"{kind} {name}", more) for name, more, since in FIELDS[kind] if since <= version
        }
        layers.append((kind, told))
        before = f"`{kind}`"
        before = "`relu`, `abs`, `leaky`, `prelu`" if kind in ACTIVATIONS else before
        before = "a pool" if kind.endswith("pool") else before
    tensors = sizes_of(layers, shape)
    counts = [
        d.symbol([1 + 4096 * n // (n + (k - math.isqrt(4 * n)) ** 2) for k in range(what == "bias", n + 1)])
        + (what == "bias")
        for what, n in tensors
    ]
    there = [places(d, k, n) for (_, n), k in zip(tensors, counts, strict=True)]
    levels: list[list[int]] = [[0] * n for _, n in tensors]
    if any(counts):
        m = 1 + d.number("m", {"3": 32, "7": 32})
        for tensor, found in zip(levels, there, strict=True):
            for place in found:
                size = 1 + d.adaptive("size", [4 if 2 <= s <= m // 2 + 1 else 1 for s in range(1, m + 1)], 1)
                tensor[place] = size * (-1 if d.adaptive("sign", [4, 4], 1) else 1)
    told = any(what == "bias" for what, _ in tensors) or any(kind in ("norm", "add") for kind, _ in layers)
    numbers = []
    for (what, _), tensor, k in zip(tensors, levels, counts, strict=True):
        scale = Fraction(1)
        if k and (told or what == "slope"):
            s = d.uniform(512)
            scale = (8 + s % 8) * Fraction(2) ** (s // 8 - 40)
        numbers.append([level * scale for level in tensor])
    return layers, numbers


def places(d: Decoder, k: int, n: int) -> list[int]:
    found = []
    for place in range(n):
        ones, total = k - len(found), n - place
        if ones == 0:
            break
        if ones == total or d.symbol([total - ones, ones]):
            found.append(place)
    return found


def both(f: dict[str, int], name: str) -> tuple[int, int]:
    """Rows and columns."""
    rows = f.get(f"{name}_rows", 0)
    return (rows - 1 if rows else f[name]), f[name]


def sizes_of(layers: list[tuple[str, dict[str, int]]], shape: list[int]) -> list[tuple[str, int]]:
    """Of each tensor, what it is and how many numbers it has."""
    channels, *sides = shape
    found = []
    for kind, f in layers:
        if kind == "conv":
            out = f["channels"] * (1, 4, 8)[f["positions"]]
            if not f["tied"]:
                found.append(
                    ("weight", f["channels"] * (channels // f["groups"]) * math.prod(both(f, "kernel")))
                )
            found += [("bias", out)] * f["bias"]
            reach = [(k - 1) * apart for k, apart in zip(both(f, "kernel"), both(f, "dilation"), strict=True)]
            kept = sides if f["same"] else [side - far for side, far in zip(sides, reach, strict=True)]
            steps = both({"stride": 1} | f, "stride")
            channels, sides = out, [1 + (side - 1) // step for side, step in zip(kept, steps, strict=True)]
        elif kind == "linear":
            found.append(("weight", f["outputs"] * channels * math.prod(sides)))
            found += [("bias", f["outputs"])] * f["bias"]
            channels, sides = f["outputs"], [1, 1]
        elif kind == "prelu":
            found.append(("slope", channels))
        elif kind.endswith("pool"):
            size, pad = both(f, "size"), both(f, "pad")
            steps = both(f, "stride") if f["stride"] else size
            sides = [1 + (sides[k] + 2 * pad[k] - size[k]) // steps[k] for k in range(2)]
        elif kind == "gap":
            sides = [1, 1]
    return found
