"""Folding: what a network computes without looking at the image, and where that meets the image.

Each element of a constant is a pair of an identity and a value. A stored number has an identity of its own.
Moves keep it; they are found by really running them on arrays of places. Arithmetic makes new numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from neural_golf.referee.norms import fold_normalisation
from neural_golf.referee.numbers import Coordinates, Identities, Numbers, moved
from neural_golf.referee.places import integers_of, places_of, stretched
from neural_golf.referee.reading import Model
from neural_golf.referee.rules import LIMITS, Limits, Refused, describe, quoted
from neural_golf.referee.running import SingleNodes
from neural_golf.referee.tensors import SHIFTS, Array, coarse
from neural_golf.referee.walls import (
    Operand,
    Wires,
    check_constant_node,
    check_data_node,
    only_shapes,
    shape_positions,
)

__all__ = ["MOVES", "Folded", "fold"]

# These move numbers about. Cast and DequantizeLinear change the value of a number, and not whose it is.
MOVES = frozenset(
    "Concat Expand Flatten Identity Pad Reshape Slice Split Squeeze Tile Transpose Unsqueeze".split()  # noqa: SIM905
)
# A BatchNormalization's epsilon is folded into its scales, and a Dropout does nothing outside training.
_FLOATS_DO_NOTHING = {"BatchNormalization", "Dropout"}
_INTEGERS = (np.dtype(np.int64), np.dtype(np.int32))
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@dataclass(frozen=True)
class Folded:
    """A model without what does not depend on the image."""

    model: Model
    nodes: tuple[onnx.NodeProto, ...]  # that depend on the image, or on how many images there are
    constants: Mapping[str, Numbers]  # every tensor that does not depend on the image
    sample: Mapping[str, Array]  # every tensor, for one batch of black images: for shapes and types only
    identities: Identities
    stored: int  # how many of the identities' sources are tensors of the file; the others were made
    scales: tuple[Numbers, ...]  # scales and zero points of folded quantised numbers, which count too
    quantised: tuple[Numbers, ...]  # these numbers as they are stored, less their zero points
    floats: tuple[float, ...]  # float attributes that count
    integers: int
    places: int  # integers that choose places
    wires: Wires
    runner: SingleNodes


def fold(
    model: Model,
    limits: Limits = LIMITS,
    still: Mapping[str, Array] | None = None,
    runner: SingleNodes | None = None,
    pruned: bool = False,
) -> Folded:
    """Fold a model; what is named in `still` is taken for a constant of these values. With `pruned`, what
    only helps to make it is left out. Raises Refused.
    """
    return _Folding(model, limits, still or {}, runner or SingleNodes(model.opset), pruned).fold()


class _Folding:
    def __init__(
        self,
        model: Model,
        limits: Limits,
        still: Mapping[str, Array],
        runner: SingleNodes,
        pruned: bool,
    ) -> None:
        self.model, self.limits, self.still, self.runner, self.pruned = model, limits, still, runner, pruned
        self.identities = Identities()
        self.constants: dict[str, Numbers] = {}
        self.sample: dict[str, Array] = {}
        self.data: set[str] = {model.input_name}
        self.nodes: list[onnx.NodeProto] = []
        self.scales: list[Numbers] = []
        self.quantised: list[Numbers] = []
        self.floats: list[float] = []
        self.integers = self.places = 0
        self.shapes = only_shapes(model.nodes, model.output_name, model.opset)
        self.wires = Wires(model.stored, limits, self.shapes)

    def fold(self) -> Folded:
        model = self.model
        needed, used = _needed(model, set(self.still) if self.pruned else set())
        for name, stored in model.stored.items():
            if name in used:
                self._constant(name, self.identities.new(stored.array, stored.elem_type))
        kind = np.uint8 if model.input_type == TensorProto.UINT8 else np.float32
        self.sample[model.input_name] = np.zeros((model.batch or 1, *model.input_shape), kind)
        tensors = self.identities.sources
        if self.pruned:
            for name, values in self.still.items():
                self._constant(name, self._still(values))
        for k in needed:
            self._node(k, model.nodes[k])
        self._check_output()
        nodes = fold_normalisation(
            self.nodes, self.constants, self.sample, self.identities, model.output_name
        )
        return Folded(
            model,
            tuple(nodes),
            self.constants,
            self.sample,
            self.identities,
            tensors,
            tuple(self.scales),
            tuple(self.quantised),
            tuple(self.floats),
            self.integers,
            self.places,
            self.wires,
            self.runner,
        )

    def _check_output(self) -> None:
        name = self.model.output_name
        if self.sample[name].dtype in (np.int64, np.int32):
            raise Refused("the graph's output is made of integers")
        if name not in self.data:
            raise Refused("its answer does not depend on the image")
        wanted = (self.model.batch or 1, self.limits.classes)
        if self.sample[name].shape != wanted:
            found, asked = ("x".join(map(str, shape)) for shape in (self.sample[name].shape, wanted))
            raise Refused(
                f"it answers with {found} numbers; {asked} are wanted (a Flatten, or fewer outputs)"
            )

    def _constant(self, name: str, numbers: Numbers) -> None:
        self.constants[name] = numbers
        self.sample[name] = numbers.values

    def _still(self, values: Array) -> Numbers:
        """New numbers for an activation that is a constant, the same for all images of a fixed batch."""
        batch = self.model.batch or 1
        if batch == 1 or not values.ndim or values.shape[0] != batch:
            return self.identities.new(values, TensorProto.FLOAT)
        one = self.identities.new(values[:1], TensorProto.FLOAT)
        return Numbers(values, np.repeat(one.ids, batch, axis=0))

    def _node(self, index: int, node: onnx.NodeProto) -> None:
        if not node.input or not node.input[0]:
            raise Refused(f"{describe(node)} has no first input")
        operands = [
            Operand(name, self.sample[name].dtype, name in self.data) if name else None for name in node.input
        ]
        shapes = shape_positions(node, self.model.opset)
        self.wires.check(node, operands)
        inputs = [self.sample[name] if name else None for name in node.input]
        self.integers += integers_of(node, {at: a for at in shapes if (a := inputs[at]) is not None})
        if self.integers > self.limits.integers:
            what = "integers for shapes, kernels, pads and slices"
            raise Refused(f"{self.integers} {what}; the limit is {self.limits.integers}")
        if node.op_type == "Shape":
            self._shape(node)
            return
        _check_size(node, inputs, self.limits.elements)
        data = any(o is not None and o.data for o in operands)
        if data:
            check_data_node(node, operands, shapes)
            if node.op_type == "Gather" and inputs[1] is not None and inputs[1].size != 1:
                raise Refused(f"{describe(node)} uses the integers {quoted(node.input[1])} as data")
            outputs = self.runner.run(node, inputs)
            self._data(node, outputs)
        else:
            check_constant_node(node, operands, shapes, self.shapes)
            outputs = self._fold_node(node, shapes)
        named = [name for name in node.output if name]
        self.places += places_of(node, inputs, outputs, data, self.model.input_shape)
        if data:
            images = [a for a, o in zip(inputs, operands, strict=True) if a is not None and o and o.data]
            self.places += stretched(node, images, outputs)
        if node.op_type not in _FLOATS_DO_NOTHING or not data:
            self.floats += self.model.floats.get(index, ())
        for name in named:
            if name in self.still and name in self.data:
                self.data.discard(name)
                self._constant(name, self._still(self.still[name]))

    def _data(self, node: onnx.NodeProto, outputs: Sequence[Array]) -> None:
        named = [name for name in node.output if name]
        self.sample.update(zip(named, outputs, strict=True))
        self.data.update(named)
        self.nodes.append(node)

    def _shape(self, node: onnx.NodeProto) -> None:
        (name,) = node.input
        shape = np.array(self.sample[name].shape, np.int64)
        given = {a.name: int(a.i) for a in node.attribute}
        shape = shape[given.get("start") : given.get("end")]
        known = self.constants.get(name)
        per_batch = known is None or known.per_batch
        self._constant(node.output[0], self.identities.new(shape, TensorProto.INT64, per_batch))
        if per_batch:
            self.nodes.append(node)

    def _fold_node(self, node: onnx.NodeProto, shapes: set[int]) -> list[Array]:
        """A node of constants; its outputs are constants."""
        inputs = [self.constants[name] if name else None for name in node.input]
        per_batch = any(n is not None and n.per_batch for n in inputs)
        made = self._outputs(node, inputs, shapes, per_batch)
        runs = per_batch or any(n.of for n in made)  # coordinates are made when it runs, of what counts
        for name, numbers in zip((n for n in node.output if n), made, strict=True):
            values = numbers.values
            if values.dtype.kind == "f" and not np.isfinite(values).all():
                raise Refused(f"{describe(node)} makes NaN or infinity of constants")
            self._constant(name, numbers)
        if runs:
            self.nodes.append(node)
        return [numbers.values for numbers in made]

    def _outputs(
        self, node: onnx.NodeProto, inputs: Sequence[Numbers | None], shapes: set[int], per_batch: bool
    ) -> list[Numbers]:
        first = inputs[0]
        assert first is not None  # `_node` has seen to it
        if node.op_type == "Cast":
            to = helper.tensor_dtype_to_np_dtype(next(a.i for a in node.attribute if a.name == "to"))
            with np.errstate(over="ignore"):
                on_grids = None if first.coarse is None else first.coarse.astype(to)
                return [self._named(first.seen_as(first.values.astype(to), on_grids))]
        if node.op_type in MOVES and not self._pads_with_a_number(node):
            moving = [None if at in shapes else n for at, n in enumerate(inputs)]

            def run(places: list[Array | None]) -> list[Array]:
                fixed = [
                    n.values if n is not None and at in shapes else place
                    for at, (n, place) in enumerate(zip(inputs, places, strict=True))
                ]
                return self.runner.run(node, fixed)

            made = moved(moving, run, per_batch)
            of = first.of
            return [replace(n, of=of) if of and of.whole(n.ids) else n for n in made]
        values = [None if n is None else n.values for n in inputs]
        if any(v is not None and v.dtype == _BFLOAT16 for v in values):
            raise Refused(f"{describe(node)} computes on constants in bfloat16; store them as float32")
        if per_batch and any(v is not None and v.dtype not in _INTEGERS for v in values):
            raise Refused(f"{describe(node)} computes on constants whose shape is that of the batch")
        outputs = self.runner.run(node, values)
        if node.op_type == "DequantizeLinear":
            self.scales += [n for n in inputs[1:] if n is not None]
            one = np.ones_like(values[1])
            self.quantised.append(first.seen_as(self.runner.run(node, [values[0], one, *values[2:]])[0]))
            on_grids = np.stack(
                [self.runner.run(node, [_rounded(v, shift) for v in values])[0] for shift in SHIFTS]
            )
            return [self._named(first.seen_as(outputs[0], on_grids))]
        if node.op_type == "AffineGrid":
            grid = self.identities.new(outputs[0], TensorProto.FLOAT, per_batch)
            return [replace(grid, of=Coordinates(first, grid.ids.reshape(-1, grid.ids.shape[-1])))]
        return [self.identities.new(v, helper.np_dtype_to_tensor_dtype(v.dtype), per_batch) for v in outputs]

    def _named(self, numbers: Numbers) -> Numbers:
        """With new identities for zeros that Pad put in and that a zero point has made numbers of."""
        nameless = (numbers.ids == 0) & (numbers.values != 0)
        if not nameless.any():
            return numbers
        made = self.identities.new(numbers.values, TensorProto.FLOAT)
        return replace(numbers, ids=np.where(nameless, made.ids, numbers.ids))

    def _pads_with_a_number(self, node: onnx.NodeProto) -> bool:
        """Pad before operator set 11 has its number in an attribute, which is no element of any tensor."""
        return node.op_type == "Pad" and any(a.name == "value" and a.f for a in node.attribute)


def _rounded(values: Array | None, shift: float) -> Array | None:
    """Scales, rounded; each keeps its size beside larger ones."""
    if values is None or values.dtype.kind != "f":
        return values
    rounded: Array = coarse(values.astype(np.float64), shift).astype(values.dtype)
    return rounded


def _needed(model: Model, given: set[str]) -> tuple[list[int], set[str]]:
    """The nodes on whose outputs the answer depends, in order, and all names that they read; what is given is
    not made.
    """
    used = {model.output_name}
    needed: list[int] = []
    for k in range(len(model.nodes) - 1, -1, -1):
        node = model.nodes[k]
        if used.intersection(node.output):
            needed.append(k)
            used.update(name for name in node.input if name and name not in given)
    return needed[::-1], used


def _check_size(node: onnx.NodeProto, inputs: Sequence[Array | None], limit: int) -> None:
    """Expand, Tile, Pad and AffineGrid can ask for any size: look before they run. Raises Refused."""
    first, second = inputs[0], inputs[1] if len(inputs) > 1 else None
    if first is None or second is None or node.op_type not in ("Expand", "Tile", "Pad", "AffineGrid"):
        return
    ints = [int(i) for i in second.ravel()]
    sizes = list(first.shape)
    if node.op_type == "Expand":
        sizes = [1] * (len(ints) - len(sizes)) + sizes
        size = math.prod(max(a, b) for a, b in zip(sizes, [1] * (len(sizes) - len(ints)) + ints, strict=True))
    elif node.op_type == "AffineGrid":
        if len(ints) not in (4, 5) or min(ints) < 1:
            raise Refused(f"{describe(node)} asks for a grid of a size that there is not")
        size = math.prod([first.shape[0], *ints[2:], len(ints) - 2])
    elif node.op_type == "Tile":
        size = math.prod(sizes) * math.prod(abs(i) for i in ints)
    else:
        half = len(ints) // 2
        size = math.prod(
            n + max(a, 0) + max(b, 0) for n, a, b in zip(sizes, ints[:half], ints[half:], strict=False)
        )
    if size > limit:
        raise Refused(f"{describe(node)} makes {size} numbers; the limit is {limit}")
