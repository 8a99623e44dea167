"""Files mutated at random: bytes flipped, structures edited. Each is made from (seed, number) alone."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto

from neural_golf.referee.frame import parse
from neural_golf.referee.rules import OPERATORS, Refused

EXTREMES = (0, 1, -1, 2, 3, 7, 28, 255, 256, 2**31 - 1, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63))


@cache
def pool() -> tuple[bytes, ...]:
    """The files to mutate: every hand-counted network and every hostile file."""
    from hostile import FILES
    from test_counting import COUNTED

    good = [build().SerializeToString() for build, *_ in COUNTED.values()]
    return tuple(data for data in good + [build() for build, _ in FILES.values()] if 0 < len(data) < 100_000)


@cache
def models() -> tuple[ModelProto, ...]:
    """Those of the pool that parse, for edits of their structure."""
    found = []
    for data in pool():
        try:
            found.append(parse(data))
        except Refused:
            continue
    return tuple(m for m in found if len(m.graph.node) < 400)


def case(seed: int, number: int) -> bytes:
    """The file of one case."""
    rng = random.Random(f"{seed}/{number}")
    kind = rng.random()
    if kind < 0.25:
        return mutated_bytes(rng)
    return mutated_model(rng, gently=kind < 0.6)


def mutated_bytes(rng: random.Random) -> bytes:
    data = bytearray(rng.choice(pool()))
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                del data[at : at + rng.choice((1, 2, 8, 100))]
            case 3:
                data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))
            case 4:
                other = rng.choice(pool())
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + rng.choice((4, 40, 400))]
            case 5:
                del data[at:]
            case _:
                data[at:at] = data[at : at + 50]
        if not data:
            return b"\x08"
    return bytes(data)


def mutated_model(rng: random.Random, gently: bool) -> bytes:
    model = ModelProto()
    model.CopyFrom(rng.choice(models()))
    if gently:
        nudge(rng, model)
        return model.SerializeToString()
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        edit(rng, model)
    return model.SerializeToString()


UNARY = (
    "Relu",
    "Exp",
    "Log",
    "Sqrt",
    "Softmax",
    "Transpose",
    "GlobalMaxPool",
    "Flatten",
    "Identity",
    "Shape",
)


def nudge(rng: random.Random, model: ModelProto) -> None:
    """A change that the rules often allow, so that onnxruntime sees the file: numbers and operators."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.ints and rng.random() < 0.5:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice((0, 1, 2, 3, 5, 27, 28, 1000))
            elif attribute.type == AttributeProto.INT and rng.random() < 0.5:
                attribute.i = rng.choice((-2, -1, 0, 1, 2, 3, 10))
        if len(node.input) == 1 and rng.random() < 0.2:
            node.op_type = rng.choice(UNARY)
    for weight in model.graph.initializer:
        if weight.data_type == TensorProto.INT64 and weight.raw_data and rng.random() < 0.7:
            values = np.frombuffer(weight.raw_data, "<i8").copy()
            values[rng.randrange(len(values))] = rng.choice((-1, 0, 1, 2, 10, 28, 4096, *EXTREMES))
            weight.raw_data = values.tobytes()
        elif rng.random() < 0.2:
            weight.dims[:] = rng.sample(list(weight.dims), len(weight.dims))


def edit(rng: random.Random, model: ModelProto) -> None:
    """One change of a model's structure."""
    graph = model.graph
    node = rng.choice(graph.node) if graph.node else graph.node.add(op_type="Relu")
    names = [t.name for t in graph.initializer] + [n for m in graph.node for n in m.output] + ["x", "", "new"]
    names = [n for n in names if isinstance(n, str)]  # protobuf cannot write the others again
    weight = rng.choice(graph.initializer) if graph.initializer else graph.initializer.add(name="w2")
    match rng.randrange(16):
        case 0:
            node.op_type = rng.choice(sorted(OPERATORS))
        case 1 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
        case 2:
            node.input.append(rng.choice(names))
        case 3 if node.output:
            node.output[rng.randrange(len(node.output))] = rng.choice(names)
        case 4:
            node.output.append(rng.choice(names))
        case 5 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i = rng.choice(EXTREMES)
            attribute.f = rng.choice((0.0, -0.0, 1e38, float("nan"), float("inf"), 1e-45))
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(EXTREMES)
        case 6:
            attribute = node.attribute.add(name=rng.choice(("axis", "alpha", "pads", "group", "to", "value")))
            attribute.type = rng.choice(AttributeProto.AttributeType.values())
            attribute.ints.append(rng.choice(EXTREMES))
        case 7:
            weight.dims[:] = [rng.choice(EXTREMES) for _ in range(rng.randrange(5))]
        case 8:
            weight.data_type = rng.choice(TensorProto.DataType.values())
        case 9 if weight.raw_data:
            raw = bytearray(weight.raw_data)
            raw[rng.randrange(len(raw))] = rng.randrange(256)
            weight.raw_data = bytes(raw)
        case 10:
            getattr(weight, rng.choice(("float_data", "int32_data", "int64_data"))).append(3)
        case 11:
            graph.node.add().CopyFrom(node)
        case 12 if len(graph.node) > 1:
            del graph.node[rng.randrange(len(graph.node))]
        case 13:
            model.opset_import[0].version = rng.choice((7, 9, 11, 13, 17, 18, 19, 21, 23, 26, *EXTREMES))
        case 14:
            shape = graph.input[0].type.tensor_type if graph.input else graph.input.add().type.tensor_type
            shape.elem_type = rng.choice((1, 2, 7, 10))
            if shape.shape.dim:
                rng.choice(shape.shape.dim).dim_value = rng.choice(EXTREMES)
        case _ if graph.output:
            graph.output[0].name = rng.choice(names)
