"""Opening one of our own networks, to put something else in the place of its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

ROOT: Final = Path(__file__).parents[2]
F = np.float32
FLATS: Final = 784  # numbers in an image


@dataclass(frozen=True)
class Attack:
    """A file that hides weights. `real` is the count that an honest file of the same network has."""

    build: Callable[[], ModelProto]
    real: int
    reason: str = ""  # what a refusal must match
    like: str | None = None  # the entry that it still answers like
    agree: float = 0.99  # on so many of the images
    least: int | None = None  # so many of 1,000 training images are right, at least
    harmless: int = 0  # with fewer of 1,000 right it may count what it likes


@cache
def entry(name: str) -> bytes:
    return (ROOT / "leaderboard/mnist-98" / name / "model.onnx").read_bytes()


def filled(name: str) -> int:
    """The non-zero weights of an entry."""
    graph = onnx.load_from_string(entry(name)).graph
    floats = [t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT]
    return sum(int(np.count_nonzero(numpy_helper.to_array(t))) for t in floats)


class Surgery:
    """An entry, opened. What is added goes before the network, or into the gap that `cut` leaves."""

    def __init__(self, name: str, opset: int | None = None) -> None:
        self.model = onnx.load_from_string(entry(name))
        if opset is not None:
            self.model.opset_import[0].version = opset
        self.nodes: list[NodeProto] = list(self.model.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}
        self.image = self.model.graph.input[0].name
        self.tensors = [k for k, v in self.constants.items() if v.dtype == F and v.any()]  # its weights
        self.at = 0
        self._names = 0
        self._once: dict[str, str] = {}

    def _name(self) -> str:
        self._names += 1
        return f"h{self._names}"

    def add(self, op: str, *inputs: str, outputs: int = 0, name: str | None = None, **attributes: Any) -> Any:
        """A node. Its output's name, or a list of names where `outputs` says how many there are."""
        made = [self._name() for _ in range(outputs)] if outputs else [name or self._name()]
        self.nodes.insert(self.at, helper.make_node(op, inputs, made, **attributes))
        self.at += 1
        return made if outputs else made[0]

    def once(self, what: str, make: Callable[[], str]) -> str:
        """What `make` made when it was first asked for."""
        if what not in self._once:
            self._once[what] = make()
        return self._once[what]

    def const(self, value: Any, dtype: Any = F) -> str:
        name = self._name()
        self.constants[name] = np.asarray(value, dtype)
        return name

    def ints(self, *values: int) -> str:
        return self.const(values, np.int64)

    def take(self, name: str) -> np.ndarray:
        """Remove a weight from the file. Something of that name must be made in its place."""
        return self.constants.pop(name)

    def cut(self, output: str) -> NodeProto:
        """Remove the node that makes `output`; what is added next stands in its place."""
        at = next(i for i, n in enumerate(self.nodes) if output in n.output)
        self.at = at
        return self.nodes.pop(at)

    def reshape(self, name: str, *shape: int, made: str | None = None) -> str:
        return self.add("Reshape", name, self.ints(*shape), name=made)

    def nothing(self) -> str:
        """Zeros [28, 28] from something that cancels."""
        same = self.add("Sub", self.image, self.image)
        return self.add("ReduceMax", same, axes=[0, 1], keepdims=0)

    def nothing_of(self, name: str) -> str:
        """Zeros of the shape of a tensor."""
        return self.add("Sub", name, name)

    def ones(self) -> str:
        """Ones [784] from the image."""
        return self.reshape(self.add("Exp", self.nothing()), FLATS)

    def built(self) -> ModelProto:
        made = ModelProto()
        made.CopyFrom(self.model)
        del made.graph.node[:], made.graph.initializer[:], made.metadata_props[:]
        made.graph.node.extend(self.nodes)
        made.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in self.constants.items())
        return made


def span(values: np.ndarray) -> float:
    """A power of two, at least 1 and more than twice every value."""
    return float(max(1.0, 2.0 ** np.ceil(np.log2(2.02 * np.abs(values).max()))))
