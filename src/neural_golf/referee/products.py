"""What products of two activations cost: a weight that comes with the image is a weight."""

from __future__ import annotations

from copy import copy

import onnx

from neural_golf.referee.folding import Folded
from neural_golf.referee.tensors import Array

__all__ = ["products"]

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
    roots: dict[str, _Root] = {}
    matrices: dict[str, str] = {}  # of grids
    resampled = False
    cost = 0
    for node in folded.nodes:
        names = [n for n in node.input if n and n not in folded.constants]
        numbers = [folded.constants[n].values for n in node.input if n in folded.constants]
        known = {roots.get(n, (n, ())) for n in names}
        if node.op_type == "Transpose" and names:
            roots[node.output[0]] = _turned(known.pop(), node, folded.sample[names[0]].ndim)
        elif _elementwise(node, numbers) and len(known) == 1 and _same_size(node, names, folded):
            roots[node.output[0]] = known.pop()
        elif node.op_type in ("Mul", "Div") and len(names) == 2:
            wires.more(1)
            one, other, out = (folded.sample[n] for n in (*names, node.output[0]))
            cost += _cost(one, other, out, folded.model.batch or 1)
        elif node.op_type == "AffineGrid" and names:
            matrices[node.output[0]] = names[0]
        elif node.op_type == "GridSample" and len(names) == 2:
            read, grid = (folded.sample[n] for n in (names[0], matrices.get(names[1], names[1])))
            cost += max(0, min(read.size, grid.size) // (folded.model.batch or 1) - FREE)
            wires.more(int(resampled))  # the first one is free
            resampled = True
    return cost


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
    smaller = min(one.size, other.size) // images
    repeated = one.size < out.size and other.size < out.size
    return smaller if repeated else max(0, smaller - FREE)
