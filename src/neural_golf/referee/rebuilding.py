"""A fresh model of what was counted and of nothing else: what runs is what was counted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import AttributeProto, NodeProto, TensorProto, helper, numpy_helper

from neural_golf.referee.counting import meetings
from neural_golf.referee.folding import MOVES, Folded
from neural_golf.referee.numbers import Numbers
from neural_golf.referee.running import IR_VERSION, onnx_type
from neural_golf.referee.tensors import NARROW, Array, fixed_point, significant
from neural_golf.referee.walls import shape_positions

__all__ = ["INPUT", "OUTPUT", "rebuild", "widths", "with_float_input"]

INPUT, OUTPUT = "image", "answer"


def rebuild(folded: Folded, *, rounded: int | None = None, coarse: bool = False) -> bytes:
    """The folded model, serialised.

    rounded: numbers stored in more than so many bits keep 4 significant ones where they meet the image, and 8
    bits of the largest in their tensor, because a number can hide in the exponents of others.
    coarse: every float activation is rounded to bfloat16.
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
            array = _rounded(folded, numbers, as_counted.get(name, numbers), rounded)
        raw = np.ascontiguousarray(array).tobytes()
        graph.initializer.add(name=names[name], data_type=onnx_type(array), dims=array.shape, raw_data=raw)
    for node in folded.nodes:
        inputs, outputs = ([names[n] for n in side] for side in (node.input, node.output))
        copy = graph.node.add(op_type=node.op_type, input=inputs, output=outputs, attribute=node.attribute)
        if rounded is not None:
            _round_attributes(copy)
        if coarse and node.op_type not in MOVES and OUTPUT not in copy.output:
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


def _rounded(folded: Folded, numbers: Numbers, counted: Numbers, width: int) -> Array:
    """Numbers of more than `width` bits with 4 significant bits, and 8 of their tensor's largest."""
    array = numbers.values
    if array.dtype in (np.int64, np.bool_):
        return array
    values = counted.values.astype(np.float64)
    wide = folded.identities.bits(numbers.ids) > width
    with np.errstate(over="ignore"):
        new = np.where(wide, significant(fixed_point(values)), values)
    if counted.coarse is not None and width == NARROW:
        new = np.where(wide, new, counted.coarse.astype(np.float64))
    if array.dtype.kind in "iu":
        zero = array.astype(np.float64) - values
        info = np.iinfo(array.dtype)
        return np.clip(np.rint(new + zero), info.min, info.max).astype(array.dtype)
    made = new.astype(array.dtype)
    kept: Array = np.where(np.isfinite(made.astype(np.float32)), made, array).astype(array.dtype)
    return kept


def _round_outputs(graph: onnx.GraphProto, node: NodeProto, copy: NodeProto, folded: Folded) -> None:
    """Cast each float output of a node to bfloat16 and back."""
    for k, name in enumerate(node.output):
        if name and folded.sample[name].dtype == np.float32 and name not in folded.constants:
            final = copy.output[k]
            exact = copy.output[k] = f"{final}.exact"
            if folded.model.opset >= 13:
                part = f"{final}.half"
                graph.node.append(helper.make_node("Cast", [exact], [part], to=TensorProto.BFLOAT16))
                graph.node.append(helper.make_node("Cast", [part], [final], to=TensorProto.FLOAT))
                continue
            # Older sets have no bfloat16. Veltkamp's splitting keeps 24 - 16 bits: c - (c - x), where c is x
            # times 2^16 + 1.
            large, rest = f"{final}.large", f"{final}.rest"
            graph.initializer.append(
                numpy_helper.from_array(np.array(2**16 + 1, np.float32), f"{final}.split")
            )
            graph.node.append(helper.make_node("Mul", [exact, f"{final}.split"], [large]))
            graph.node.append(helper.make_node("Sub", [large, exact], [rest]))
            graph.node.append(helper.make_node("Sub", [large, rest], [final]))


def _round_attributes(node: NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.FLOAT:
            attribute.f = float(significant(np.array(attribute.f, np.float64)))
        elif attribute.type == AttributeProto.FLOATS:
            attribute.floats[:] = significant(np.array(attribute.floats, np.float64)).tolist()
