"""A fresh model of what was counted and of nothing else: what runs is what was counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from neural_golf.referee.counting import meetings
from neural_golf.referee.folding import MOVES, Folded
from neural_golf.referee.numbers import Numbers
from neural_golf.referee.running import IR_VERSION, onnx_type
from neural_golf.referee.tensors import NARROW, SHIFTS, Array, coarse
from neural_golf.referee.walls import shape_positions

__all__ = ["INPUT", "OUTPUT", "rebuild", "widths", "with_float_input"]

INPUT, OUTPUT = "image", "answer"
_FLOATS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16}


def rebuild(folded: Folded, *, rounded: int | None = None, grid: int = 0, activations: bool = False) -> bytes:
    """The folded model, serialised.

    rounded: numbers stored in more than so many bits are rounded where they meet the image, to 4 significant
    bits and to 1/256 of the largest in their tensor.
    grid: which of the SHIFTS the grid has to which they are rounded.
    activations: every float activation is rounded to bfloat16.
    """
    source = folded.model
    names = {source.input_name: INPUT, source.output_name: OUTPUT, "": ""}
    for name in (n for node in folded.nodes for n in (*node.input, *node.output)):
        names.setdefault(name, f"t{len(names)}")  # no name of the file's author, so none can be taken
    model = onnx.ModelProto(ir_version=IR_VERSION)
    model.opset_import.add(domain="", version=source.opset)
    graph = model.graph
    graph.name = "golf"
    image = ["batch" if source.batch is None else source.batch, *source.input_shape]
    graph.input.append(helper.make_tensor_value_info(INPUT, source.input_type, image))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None))
    made = {name for node in folded.nodes for name in node.output if name}
    as_counted = dict(meetings(folded)) if rounded is not None else {}
    met = _that_meet(folded, as_counted)
    for name in names:
        if name not in folded.constants or name in made:
            continue
        numbers = folded.constants[name]
        array = numbers.values
        if rounded is not None and name in met:
            array = _rounded(folded, numbers, as_counted.get(name, numbers), rounded, grid)
        raw = np.ascontiguousarray(array).tobytes()
        graph.initializer.add(name=names[name], data_type=onnx_type(array), dims=array.shape, raw_data=raw)
    for node in folded.nodes:
        inputs, outputs = ([names[n] for n in side] for side in (node.input, node.output))
        copy = graph.node.add(op_type=node.op_type, input=inputs, output=outputs, attribute=node.attribute)
        if rounded is not None:
            _round_attributes(copy, SHIFTS[grid])
        if activations and node.op_type not in MOVES and OUTPUT not in copy.output:
            _round_outputs(graph, node, copy, folded)
    data: bytes = model.SerializeToString()
    return data


def with_float_input(folded: Folded) -> bytes | None:
    """The same model, which takes its raw pixels as floats; None if it does more with them than Cast."""
    model = onnx.ModelProto.FromString(rebuild(folded))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        if INPUT in node.input:
            if node.op_type != "Cast" or node.attribute[0].i != TensorProto.FLOAT:
                return None
            node.op_type = "Identity"
            del node.attribute[:]
    data: bytes = model.SerializeToString()
    return data


def widths(folded: Folded) -> set[int]:
    """The bits in which the numbers that count are stored."""
    found = {32} if folded.floats else set()
    for _, numbers in meetings(folded):
        found |= set(np.unique(folded.identities.bits(numbers.ids)).tolist())
    return found - {0}


def _that_meet(folded: Folded, met: Iterable[str]) -> set[str]:
    """The constants that meet the image, and those that they are made of for each batch; a shape is none, of
    whatever integers.
    """
    found = set(met)
    for node in reversed(folded.nodes):
        if found.intersection(node.output):
            shapes = shape_positions(node, folded.model.opset)
            found.update(name for at, name in enumerate(node.input) if name and at not in shapes)
    return found


def _rounded(folded: Folded, numbers: Numbers, counted: Numbers, width: int, grid: int) -> Array:
    """Numbers of more than `width` bits rounded to 4 significant bits and to 1/256 of the largest."""
    array = numbers.values
    if array.dtype in (np.int64, np.bool_):
        return array
    values = counted.values.astype(np.float64)
    wide = folded.identities.bits(numbers.ids) > width
    with np.errstate(over="ignore"):
        new = np.where(wide, coarse(values, SHIFTS[grid], np.abs(values).max(initial=0)), values)
    if counted.coarse is not None and width == NARROW:
        new = np.where(wide, new, counted.coarse[grid].astype(np.float64))
    if array.dtype.kind in "iu":
        zero = array.astype(np.float64) - values
        info = np.iinfo(array.dtype)
        return np.clip(np.rint(new + zero), info.min, info.max).astype(array.dtype)
    made = new.astype(array.dtype)
    kept: Array = np.where(np.isfinite(made.astype(np.float32)), made, array).astype(array.dtype)
    return kept


def _round_outputs(graph: onnx.GraphProto, node: NodeProto, copy: NodeProto, folded: Folded) -> None:
    """Cast each float output of a node to bfloat16 and back."""

    def add(op: str, inputs: list[str], made: str, **attributes: Any) -> str:
        graph.node.append(helper.make_node(op, inputs, [made], **attributes))
        return made

    for k, name in enumerate(node.output):
        if not name or name in folded.constants or folded.sample[name].dtype not in _FLOATS:
            continue
        final = copy.output[k]
        exact = copy.output[k] = f"{final}.exact"
        to = _FLOATS[folded.sample[name].dtype]
        if folded.model.opset >= 13:
            add("Cast", [add("Cast", [exact], f"{final}.half", to=TensorProto.BFLOAT16)], final, to=to)
            continue
        # Older sets have no bfloat16. Veltkamp's splitting keeps 24 - 16 bits: c - (c - x), where c is x
        # times 2^16 + 1.
        split = numpy_helper.from_array(np.array(2**16 + 1, np.float32), f"{final}.split")
        graph.initializer.append(split)
        exact = add("Cast", [exact], f"{final}.float", to=TensorProto.FLOAT)
        large = add("Mul", [exact, split.name], f"{final}.large")
        rest = add("Sub", [large, exact], f"{final}.rest")
        add("Cast", [add("Sub", [large, rest], f"{final}.high")], final, to=to)


def _round_attributes(node: NodeProto, shift: float) -> None:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.FLOAT:
            attribute.f = float(coarse(np.array(attribute.f, np.float64), shift))
        elif attribute.type == AttributeProto.FLOATS:
            attribute.floats[:] = coarse(np.array(attribute.floats, np.float64), shift).tolist()
