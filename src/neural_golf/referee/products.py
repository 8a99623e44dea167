"""What products of two activations cost: a weight that comes with the image is a weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import copy

import onnx

from neural_golf.referee.folding import Folded
from neural_golf.referee.tensors import Array

__all__ = ["gates", "products"]

_Root = tuple[str, tuple[int, ...]]  # a tensor, and the order of its axes where a Transpose changed it

FREE = 64  # a gate for each of so many channels is free

_OF_ONE = frozenset(
    """
    Abs Cast Celu Clip Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Pow Reciprocal
    Relu Selu Sigmoid Softplus Softsign Sqrt Swish Tanh ThresholdedRelu
    """.split()  # noqa: SIM905
)
_OF_TWO = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min"})


def products(folded: Folded) -> int:
    """The cost of all products and quotients of two activations: the elements of the smaller, per image,
    beyond 64, and all of them where each is repeated for the other. x·x and x·f(x) are free. A GridSample is
    a product too, of what it reads and its grid, or the matrix that AffineGrid makes the grid of.

    Raises Refused for too many, because a product of exponentials is a sum: they are wires, too.
    """
    wires = copy(folded.wires)
    roots = _roots(folded)
    cost = 0
    for node, names in _of_two(folded):
        if node.output[0] not in roots:
            wires.more(1)
            one, other, out = (folded.sample[n] for n in (*names, node.output[0]))
            cost += _cost(one, other, out, folded.model.batch or 1)
    for k, (read, grid) in enumerate(_resamplings(folded)):
        wires.more(int(k > 0))  # the first one is free
        cost += max(0, min(read.size, grid.size) // (folded.model.batch or 1) - FREE)
    return cost


def gates(folded: Folded) -> set[str]:
    """The f(x) of each x·f(x) that nothing else reads: it holds no number that x does not."""
    roots = _roots(folded)
    readers = Counter(name for node in folded.nodes for name in node.input)
    of_one = [names for node, names in _of_two(folded) if node.output[0] in roots]
    return {name for names in of_one for name in names if readers[name] == 1}


def _of_two(folded: Folded) -> Iterator[tuple[onnx.NodeProto, list[str]]]:
    """Products and quotients of two activations, and their names."""
    for node in folded.nodes:
        names = [n for n in node.input if n and n not in folded.constants]
        if node.op_type in ("Mul", "Div") and len(names) == 2:
            yield node, names


def _resamplings(folded: Folded) -> Iterator[tuple[Array, Array]]:
    """For each GridSample whose grid depends on the image: what it reads, and its grid or what AffineGrid
    makes the grid of.
    """
    matrices = {node.output[0]: node.input[0] for node in folded.nodes if node.op_type == "AffineGrid"}
    for node in folded.nodes:
        if node.op_type == "GridSample" and node.input[1] not in folded.constants:
            grid = matrices.get(node.input[1], node.input[1])
            yield folded.sample[node.input[0]], folded.sample[grid]


def _roots(folded: Folded) -> dict[str, _Root]:
    """Activations that are a function of one other, element by element, and which it is."""
    roots: dict[str, _Root] = {}
    for node in folded.nodes:
        names = [n for n in node.input if n and n not in folded.constants]
        numbers = [folded.constants[n].values for n in node.input if n in folded.constants]
        known = {roots.get(n, (n, ())) for n in names}
        if node.op_type == "Transpose" and names:
            roots[node.output[0]] = _turned(known.pop(), node, folded.sample[names[0]].ndim)
        elif _elementwise(node, numbers) and len(known) == 1 and _same_size(node, names, folded):
            roots[node.output[0]] = known.pop()
    return roots


def _turned(root: _Root, node: onnx.NodeProto, rank: int) -> _Root:
    """The root of a Transpose's output: turned back, it is as it was."""
    name, order = root
    axes = order or tuple(range(rank))
    perm = next((tuple(a.ints) for a in node.attribute if a.name == "perm"), tuple(range(rank))[::-1])
    turned = tuple(axes[k] for k in perm)
    return name, () if turned == tuple(range(rank)) else turned


def _elementwise(node: onnx.NodeProto, numbers: list[Array]) -> bool:
    """Whether it is a function of one number, element by element: its constants are single numbers."""
    return (node.op_type in _OF_ONE or node.op_type in _OF_TWO) and all(a.size == 1 for a in numbers)


def _same_size(node: onnx.NodeProto, names: list[str], folded: Folded) -> bool:
    return all(folded.sample[n].shape == folded.sample[node.output[0]].shape for n in names)


def _cost(one: Array, other: Array, out: Array, images: int) -> int:
    smaller = -(-min(one.size, other.size) // images)
    repeated = one.size < out.size and other.size < out.size
    return smaller if repeated else max(0, smaller - FREE)
