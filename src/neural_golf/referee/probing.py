"""What a network does with images, as far as the count depends on it: activations that are constants in
disguise.

An activation that stands still is a constant. So is one that can be exchanged with another image's while the
answers stay, though they need it: a weight that trembles with the image is still a weight.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.referee.folding import Folded
from neural_golf.referee.products import gates
from neural_golf.referee.rules import Refused, describe, quoted
from neural_golf.referee.tensors import Array
from neural_golf.referee.walls import JOINS

__all__ = ["CHUNK", "IMAGES", "Network", "constants_in_disguise", "standing_elements"]

CHUNK = 50  # images of a batch, here and in scoring: a network that knows their number cannot tell them apart
IMAGES = 200  # with 64, branches of honest networks that pruning has left thin were taken for constants
STILL = 1e-3  # of the largest element: what varies less stands still
EXCHANGED = 0.01  # of the answers may change where a constant is exchanged
NEEDED = 0.05  # of the answers change at least where a needed one is set to zero
_CHUNK_BYTES = 512 << 20  # of all activations of one chunk of images
_EXTREMES = 8  # images of which the largest value of a constant in disguise is taken
_MEETS = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow"}


class Network:
    """A folded network, run node by node on any images."""

    def __init__(self, folded: Folded) -> None:
        self.folded = folded
        made = {name for node in folded.nodes for name in node.output if name}
        read = {name for node in folded.nodes for name in node.input if name}
        self._fixed = {n: c.values for n, c in folded.constants.items() if n in read and n not in made}
        per_batch = {n for n in made if n in folded.constants}
        self.data = [n for node in folded.nodes for n in node.output if n and n not in per_batch]
        self.batch = folded.model.batch

    def run(self, pixels: Array) -> dict[str, Array]:
        """Every tensor that depends on the image, for pixels [n, ...]; the network takes n at once."""
        return self._go(self.folded.nodes, {self.folded.model.input_name: pixels} | self._fixed)

    def run_one(self, image: Array, nodes: Sequence[onnx.NodeProto]) -> dict[str, Array]:
        """What some nodes make of one image [...]; a network with a fixed batch gets as many copies as it
        takes.
        """
        pixels = np.repeat(image[None], self.batch or 1, axis=0)
        return self._go(nodes, {self.folded.model.input_name: pixels} | self._fixed)

    def again(self, values: Mapping[str, Array], changed: str, to: Array) -> Array:
        """The answers if one tensor is changed, for the values of a run."""
        nodes = self.after(changed)
        found = self._go(nodes, {**self._fixed, **values, changed: to})
        return found[self.folded.model.output_name]

    def after(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that depend on a tensor, in order."""
        reached, found = {name}, []
        for node in self.folded.nodes:
            if reached.intersection(node.input):
                found.append(node)
                reached.update(n for n in node.output if n)
        return found

    def before(self, names: Iterable[str]) -> list[onnx.NodeProto]:
        """The nodes that are needed for some tensors, in order."""
        needed, found = set(names), []
        for node in reversed(self.folded.nodes):
            if needed.intersection(n for n in node.output if n):
                found.append(node)
                needed.update(node.input)
        return found[::-1]

    def _go(self, nodes: Sequence[onnx.NodeProto], values: dict[str, Array]) -> dict[str, Array]:
        for node in nodes:
            made = self.folded.runner.run(node, [values[n] if n else None for n in node.input])
            values.update(zip((n for n in node.output if n), made, strict=True))
        return values


@dataclass
class _Pair:
    """The tensors of a chunk of images, those of the next image of each, and the answers."""

    values: Mapping[str, Array]
    others: Mapping[str, Array]
    answers: NDArray[np.int64]


def constants_in_disguise(network: Network, pixels: Array) -> tuple[dict[str, Array], dict[str, Array]]:
    """Tensors that are constants though they depend on the image, with values of one batch: those that stand
    still, and those that can be exchanged.

    pixels: [n, ...], real images. The tensors come by name, as `fold` takes them. Raises Refused for an
    answer that stands still.
    """
    output = network.folded.model.output_name
    still = {*network.data} & {output, *(n for node in network.folded.nodes for n in node.input)}
    copies = _Copies(network)
    tested = _worth_an_exchange(network)
    changed = dict.fromkeys(tested, 0)
    zeroed = dict.fromkeys(tested, 0)
    size = len(pixels)
    for pair in _pairs(network, pixels):
        copies.look(pair.values)
        still = {name for name in still if _stands_still(pair.values[name], pair.others[name])}
        for name in [n for n, count in changed.items() if count <= EXCHANGED * size]:
            changed[name] += _moved(network, pair, name, pair.others[name])
    if output in still:
        raise Refused("its answer is the same for every image")
    copies.check(still)
    found = [n for n, count in changed.items() if count <= EXCHANGED * size and n not in still]
    if found:
        for pair in _pairs(network, pixels):
            for name in found:
                zeroed[name] += _moved(network, pair, name, np.zeros_like(pair.values[name]))
    exchanged = {name for name in found if zeroed[name] > NEEDED * size}
    values = _values(network, pixels, still | exchanged) if still | exchanged else {}
    return {n: values[n] for n in still}, {n: values[n] for n in network.data if n in exchanged}


class _Copies:
    """Inputs of one Concat, Sum, Mean, Max or Min that are equal on every image, whatever their names are."""

    def __init__(self, network: Network) -> None:
        data = set(network.data)
        self._equal = {
            (node.name or node.op_type, a, b): node
            for node in network.folded.nodes
            if node.op_type in JOINS
            for a, b in combinations([n for n in node.input if n in data], 2)
        }

    def look(self, values: Mapping[str, Array]) -> None:
        self._equal = {
            key: node for key, node in self._equal.items() if np.array_equal(values[key[1]], values[key[2]])
        }

    def check(self, still: set[str]) -> None:
        """Raises Refused where an activation is added to a copy of it."""
        for (_, a, b), node in self._equal.items():
            if a not in still:
                raise Refused(f"two inputs of {describe(node)} are copies: {quoted(a)} and {quoted(b)}")


def _pairs(network: Network, pixels: Array) -> Iterator[_Pair]:
    """Chunks of the images beside the same chunks with each image replaced by the next one."""
    name = network.folded.model.output_name
    images = network.batch or 1
    sample = sum(a.nbytes for n, a in network.folded.sample.items() if n not in network.folded.constants)
    some = min(CHUNK, len(pixels))
    fits = 2 * sample // images * some <= _CHUNK_BYTES
    chunk = network.batch or (some if fits else 1)  # the images are scored in such batches, and one by one
    others = np.roll(pixels, 1, axis=0)
    for start in range(0, len(pixels) - chunk + 1, chunk):
        values = network.run(pixels[start : start + chunk])
        if not np.isfinite(values[name]).all():
            raise Refused("it answers NaN or infinity")
        yield _Pair(values, network.run(others[start : start + chunk]), values[name].argmax(1))


def _moved(network: Network, pair: _Pair, name: str, to: Array) -> int:
    """How many answers change if a tensor is changed."""
    with np.errstate(all="ignore"):
        answers = network.again(pair.values, name, to).argmax(1)
    return int((answers != pair.answers).sum())


def _stands_still(one: Array, other: Array) -> bool:
    """Whether two tensors are equal but for STILL. Infinities and NaN hide no other element."""
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return False
    a, b = one[finite].astype(np.float64), other[finite].astype(np.float64)
    largest = max(np.abs(a).max(initial=0), np.abs(b).max(initial=0))
    return bool(np.abs(a - b).max(initial=0) <= STILL * largest)


def _worth_an_exchange(network: Network) -> list[str]:
    """The tensors that are not the only way from the image to the answer, one for each chain of nodes."""
    folded = network.folded
    data = {folded.model.input_name, *network.data}
    scales = {n for node in folded.nodes if node.op_type == "DynamicQuantizeLinear" for n in node.output[1:]}
    scales |= gates(folded)
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in folded.nodes:
        for name in set(node.input) & data:
            readers.setdefault(name, []).append(node)
    found = []
    for name in network.data:
        uses = readers.get(name, [])
        single = len(uses) == 1 and len({n for n in uses[0].input if n in data}) == 1
        if not uses or name in scales or (single and sum(bool(n) for n in uses[0].output) == 1):
            continue  # the answer, or a tensor whose exchange is that of the next one
        after = network.after(name)
        made = {n for node in after for n in node.output}
        if {n for node in after for n in node.input if n in data} - made - {name}:
            found.append(name)
    return found


def _values(network: Network, pixels: Array, names: set[str]) -> dict[str, Array]:
    """Of some images, the value of each element that is farthest from zero; for one batch of images."""
    found: dict[str, Array] = {}
    nodes = network.before(names)
    for image in pixels[:_EXTREMES]:
        values = network.run_one(image, nodes)
        for name in names:
            old = found.get(name, values[name])
            found[name] = np.where(np.abs(values[name]) > np.abs(old), values[name], old)
    return found


def standing_elements(network: Network, real: Array, noise: Array, known: set[str]) -> int:
    """How many non-zero elements of activations stand still, over real and noise images, and meet element by
    element others that do not. Of an activation that keeps its proportions over the real images, which is
    constants times one number, all different numbers count. known: tensors that are constants anyway.
    """
    constants = network.folded.constants
    meets = []
    tables: set[str] = set()  # what GridSample reads: constants times one number are a table, too
    for node in network.folded.nodes:
        names = [n for n in node.input if n and n not in constants and n not in known]
        if node.op_type in _MEETS and len(names) > 1:
            meets.append((node.output[0], names))
        if node.op_type == "GridSample" and node.input[0] in names:
            tables.add(node.input[0])
    wanted = {n for _, names in meets for n in names} | tables
    if not wanted:
        return 0
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    proportions = {name: _Proportions() for name in wanted}
    copies = network.batch or 1
    some = max(_EXTREMES, IMAGES * 10 // copies)  # a large batch of copies takes its time
    nodes = network.before(wanted)
    for images, is_real in ((real[:some], True), (noise[:some], False)):
        for image in images:
            values = network.run_one(image, nodes)
            for name in wanted:
                value = values[name].astype(np.float64)
                low[name] = np.fmin(low.get(name, value), value)  # NaN on some images hides nothing
                high[name] = np.fmax(high.get(name, value), value)
                if is_real:
                    proportions[name].look(value)
    still = {n: high[n] - low[n] <= STILL * np.maximum(np.abs(high[n]), np.abs(low[n])) for n in wanted}
    charged = {n: np.zeros(low[n].shape, bool) for n in wanted}
    for _, names in meets:
        shape = np.broadcast_shapes(*(low[n].shape for n in names))
        varies = np.zeros(shape, bool)
        for name in names:
            varies |= np.broadcast_to(~still[name], shape)
        for name in names:
            here = np.broadcast_to(still[name] & (high[name] != 0), shape) & varies
            charged[name] |= _reduced(here, charged[name].shape)
    return sum(max(-(-int(charged[n].sum()) // copies), proportions[n].numbers()) for n in wanted)


class _Proportions:
    """Whether the elements of an activation keep their proportions, whatever the image."""

    def __init__(self) -> None:
        self._first: Array | None = None
        self._kept = True

    def look(self, value: Array) -> None:
        value = np.where(np.isfinite(value), value, 0)
        largest = np.abs(value).max(initial=0)
        if not self._kept or largest == 0:
            return
        if self._first is None:
            self._first = value / largest
            return
        first = self._first
        scale = float((first * value).sum() / (first * first).sum())
        self._kept = bool(np.abs(value - scale * first).max() <= STILL * largest)

    def numbers(self) -> int:
        """How many different numbers they are, without 0; a single one is no proportion."""
        if self._first is None or not self._kept:
            return 0
        sizes = np.sort(np.abs(self._first.ravel()))
        sizes = sizes[sizes > STILL]
        different = 1 + int((np.diff(sizes) > STILL).sum()) if sizes.size else 0
        return different if different > 1 else 0


def _reduced(array: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether any of the elements that were broadcast from each element is true."""
    aligned = (1,) * (array.ndim - len(shape)) + shape
    stretched = tuple(k for k, n in enumerate(aligned) if n == 1)
    return np.asarray(array.any(axis=stretched, keepdims=True)).reshape(shape)
