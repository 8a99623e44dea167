"""An oracle for the count: random small networks of known weights, wrapped at random in honest ways.

A network is drawn as plain layers with random weights, so what it counts is known before any file is written. Then the
file is written in one of the many ways in which tools write such a network: tensors turned, cut, cast and quantised,
layers as Conv, Gemm or MatMul, nodes renamed and out of order. The count must be the known one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

F = np.float32
UNIT = 1 / 64  # weights are whole multiples of it, up to 127: exact in float16, bfloat16 and 8 bits
SIDE = 28
OPSETS = (13, 15, 17, 18, 21)


@dataclass
class Layer:
    """One plain layer: weights, the bias if it has one, and what follows."""

    weight: np.ndarray  # [outputs, inputs, height, width], or [outputs, inputs]
    bias: np.ndarray | None
    activation: str = ""
    slope: np.ndarray | None = None
    pool: bool = False
    normal: tuple[np.ndarray, ...] | None = None  # scale, offset, mean, variance


@dataclass
class Plain:
    """A network as layers, and its count."""

    layers: list[Layer]

    @property
    def count(self) -> int:
        total = 0
        for layer in self.layers:
            total += np.count_nonzero(layer.weight)
            if layer.normal is not None:  # folded into the layer: an offset for each output
                total += len(layer.weight)
            elif layer.bias is not None:
                total += np.count_nonzero(layer.bias)
            if layer.slope is not None:
                total += np.count_nonzero(layer.slope)
        return int(total)


def weights(rng: random.Random, *shape: int, zeros: float = 0.2) -> np.ndarray:
    """Multiples of 1/64, about so many of them zero."""
    size = int(np.prod(shape))
    found = [rng.choice((-1, 1)) * rng.randint(1, 127) * (rng.random() >= zeros) for _ in range(size)]
    return (np.array(found, np.float64) * UNIT).astype(F).reshape(shape) + F(0)


def drawn(rng: random.Random) -> Plain:
    """A small network for images of 28 by 28."""
    layers, channels, side = [], 1, SIDE
    for _ in range(rng.choice((0, 1, 1, 2))):
        outputs, kernel = rng.randint(1, 5), rng.choice((1, 3, 4, 5))
        layer = Layer(weights(rng, outputs, channels, kernel, kernel), None)
        side = side - kernel + 1
        if rng.random() < 0.25:
            scale, offset, mean = (weights(rng, outputs, zeros=0.0) for _ in range(3))
            layer.normal = (scale, offset, mean, np.abs(weights(rng, outputs, zeros=0.0)))
        elif rng.random() < 0.7:
            layer.bias = weights(rng, outputs)
        layer.activation = rng.choice(("Relu", "PRelu", "Abs", "LeakyRelu", "Tanh"))
        if layer.activation == "PRelu":
            layer.slope = weights(rng, outputs, 1, 1)
        if side >= 8 and rng.random() < 0.8:
            layer.pool, side = True, side // 2
        layers.append(layer)
        channels = outputs
    last = weights(rng, 10, channels * side * side if side < 8 or not layers else channels)
    layers.append(Layer(last, weights(rng, 10) if rng.random() < 0.7 else None))
    return Plain(layers)


@dataclass
class Writer:
    """Writes nodes and constants. What it adds to the count on the way is in `extra`."""

    rng: random.Random
    opset: int
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)
    extra: int = 0
    wires: int = 0
    ways: Sequence[Callable[[Writer, np.ndarray], str | None]] = ()  # to store a tensor; else the honest ones
    image: str = ""  # its pixels, [batch, 1, 28, 28]
    spread_out: bool = False  # whether the last layer may be a product element by element
    _names: int = 0

    def name(self) -> str:
        self._names += 1
        return f"{self.rng.choice('abcxyz/:.')}{self.rng.randint(0, 9)}_{self._names}"

    def add(self, op: str, *inputs: str, outputs: int = 0, **attributes: Any) -> Any:
        made = [self.name() for _ in range(outputs or 1)]
        self.nodes.append(helper.make_node(op, inputs, made, **attributes))
        return made if outputs else made[0]

    def store(self, array: np.ndarray) -> str:
        """An initializer, or a Constant node."""
        name = self.name()
        tensor = numpy_helper.from_array(np.array(array, order="C"), name)
        if self.rng.random() < 0.3:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        elif self.rng.random() < 0.2 and array.dtype == F and array.ndim == 1:
            self.nodes.append(helper.make_node("Constant", [], [name], value_floats=array.tolist()))
        else:
            self.initializers.append(tensor)
        return name

    def ints(self, *values: int) -> str:
        return self.store(np.array(values, np.int64))

    def reshape(self, name: str, *shape: int) -> str:
        return str(self.add("Reshape", name, self.ints(*shape)))


# Honest ways to store a tensor. Each takes the writer and the tensor and gives a name; None: not for this one.


def turned(w: Writer, array: np.ndarray) -> str:
    perm = w.rng.sample(range(array.ndim), array.ndim)
    back = [perm.index(k) for k in range(array.ndim)]
    return str(w.add("Transpose", tensor(w, array.transpose(perm)), perm=back))


def flat(w: Writer, array: np.ndarray) -> str:
    return w.reshape(tensor(w, array.ravel()), *array.shape)


def lengthened(w: Writer, array: np.ndarray) -> str:
    at = w.rng.randint(0, array.ndim)
    return str(w.add("Squeeze", tensor(w, np.expand_dims(array, at)), w.ints(at)))


def shortened(w: Writer, array: np.ndarray) -> str | None:
    ones = [k for k, n in enumerate(array.shape) if n == 1]
    if not ones:
        return None
    at = w.rng.choice(ones)
    return str(w.add("Unsqueeze", tensor(w, array.squeeze(at)), w.ints(at)))


def in_halves(w: Writer, array: np.ndarray) -> str | None:
    """float16, where it is exact."""
    half = array.astype(np.float16)
    if not (half == array).all():
        return None
    return str(w.add("Cast", w.store(half), to=TensorProto.FLOAT))


def quantised(w: Writer, array: np.ndarray) -> str | None:
    """8 bits with a scale, which counts, and a zero point of zero, or none."""
    whole = np.rint(array / UNIT)
    if not (np.abs(whole) <= 127).all() or not (whole * UNIT == array).all():
        return None
    w.extra += 1
    inputs = [w.store(whole.astype(np.int8)), w.store(np.array(UNIT, F))]
    if w.rng.random() < 0.5:
        inputs.append(w.store(np.array(0, np.int8)))
    return str(w.add("DequantizeLinear", *inputs))


def in_two(w: Writer, array: np.ndarray) -> str | None:
    """Cut and joined again."""
    even = [k for k, n in enumerate(array.shape) if n % 2 == 0 and n > 0]
    if not even or w.wires >= 20:
        return None
    at = w.rng.choice(even)
    w.wires += 1
    more = {"num_outputs": 2} if w.opset >= 18 else {}
    parts = w.add("Split", tensor(w, array), outputs=2, axis=at, **more)
    return str(w.add("Concat", *parts, axis=at))


def stored_in_two(w: Writer, array: np.ndarray) -> str | None:
    long = [k for k, n in enumerate(array.shape) if n > 1]
    if not long:
        return None
    at = w.rng.choice(long)
    cut = w.rng.randint(1, array.shape[at] - 1)
    return str(w.add("Concat", *(w.store(part) for part in np.split(array, [cut], at)), axis=at))


def all_of_it(w: Writer, array: np.ndarray) -> str | None:
    if array.ndim == 0:
        return None
    bounds = w.ints(0), w.ints(2**31 - 1), w.ints(w.rng.randrange(array.ndim))
    return str(w.add("Slice", tensor(w, array), *bounds))


def mirrored(w: Writer, array: np.ndarray) -> str:
    at = w.rng.randrange(array.ndim)
    bounds = w.ints(-1), w.ints(-(2**31)), w.ints(at), w.ints(-1)
    return str(w.add("Slice", tensor(w, np.flip(array, at)), *bounds))


def spread(w: Writer, array: np.ndarray) -> str:
    return str(w.add("Expand", tensor(w, array), w.ints(*[1] * array.ndim)))


def padded(w: Writer, array: np.ndarray) -> str:
    return str(w.add("Pad", tensor(w, array), w.ints(*[0] * 2 * array.ndim)))


def as_it_is(w: Writer, array: np.ndarray) -> str:
    return str(w.add("Identity", tensor(w, array)))


STORED: tuple[Callable[[Writer, np.ndarray], str | None], ...] = (
    turned, flat, lengthened, shortened, in_halves, quantised, in_two, stored_in_two, all_of_it, mirrored, spread,
    padded, as_it_is,
)  # fmt: skip


def tensor(w: Writer, array: np.ndarray) -> str:
    """A tensor, stored in some way; ways may stand in ways."""
    if w.rng.random() < 0.5 and array.ndim and len(w.nodes) < 120:
        found = w.rng.choice(w.ways or STORED)(w, array)
        if found is not None:
            return found
    return w.store(array)


# Honest detours of an activation of `rank` dimensions.


def detour(w: Writer, name: str, rank: int) -> str:
    if w.rng.random() < 0.6 or len(w.nodes) > 150:
        return name
    match w.rng.randrange(7):
        case 0:
            found = w.add("Identity", name)
        case 1:
            perm = w.rng.sample(range(rank), rank)
            found = w.add("Transpose", name, perm=perm)
            found = w.add("Transpose", found, perm=[perm.index(k) for k in range(rank)])
        case 2:
            found = w.reshape(name, *[0] * (rank - 1), -1)
        case 3:
            at = w.ints(w.rng.randint(0, rank))
            found = w.add("Squeeze", w.add("Unsqueeze", name, at), at)
        case 4:
            found = w.add("Neg", w.add("Neg", name))
        case 5:
            found = w.add("Dropout", name)
        case _:
            found = w.add("Concat", name, axis=w.rng.randrange(rank))
    return detour(w, str(found), rank)


# Layers


def convolution(w: Writer, name: str, layer: Layer) -> str:
    bias = layer.bias
    if layer.normal is None and layer.weight.shape[2:] == (1, 1) and w.rng.random() < 0.5:
        turned_in = w.add("Transpose", name, perm=[0, 2, 3, 1])
        made = w.add("MatMul", turned_in, tensor(w, layer.weight[:, :, 0, 0].T))
        if bias is not None:
            made = w.add("Add", made, tensor(w, bias))
        return str(w.add("Transpose", made, perm=[0, 3, 1, 2]))
    kernel = tensor(w, layer.weight)
    more = {"kernel_shape": layer.weight.shape[2:]} if w.rng.random() < 0.5 else {}
    if bias is None or w.rng.random() < 0.5:
        made = w.add("Conv", name, kernel, *([] if bias is None else [tensor(w, bias)]), **more)
    else:
        made = w.add("Conv", name, kernel, **more)
        made = w.add("Add", made, tensor(w, bias.reshape(-1, 1, 1)))
    if layer.normal is not None:
        made = w.add("BatchNormalization", made, *(tensor(w, part) for part in layer.normal))
    return str(made)


def classifier(w: Writer, name: str, layer: Layer, rank: int) -> str:
    """The last layer, of what is [batch, inputs], or [batch, channels, height, width] where the rank is 4."""
    rows, bias = layer.weight, layer.bias
    how = w.rng.randrange(3)
    if how == 2:
        name = w.reshape(name, 0, -1, 1, 1) if rank == 4 else w.add("Unsqueeze", name, w.ints(2, 3))
        made = w.add(
            "Conv", name, tensor(w, rows[..., None, None]), *([] if bias is None else [tensor(w, bias)])
        )
        return str(w.add("Flatten", made))
    name = w.add("Flatten", name) if rank == 4 else name
    if w.spread_out:
        product = w.add("Mul", w.add("Unsqueeze", name, w.ints(2)), tensor(w, rows.T[None]))
        made = w.add("ReduceSum", product, w.ints(1), keepdims=0)
        return str(made if bias is None else w.add("Add", made, tensor(w, bias)))
    if how == 1:
        made = w.add("MatMul", name, tensor(w, rows.T))
        return str(made if bias is None else w.add("Add", made, tensor(w, bias)))
    turn = w.rng.random() < 0.5
    inputs = [tensor(w, rows if turn else rows.T), *([] if bias is None else [tensor(w, bias)])]
    return str(w.add("Gemm", name, *inputs, **({"transB": 1} if turn else {})))


def after(w: Writer, name: str, layer: Layer) -> str:
    if layer.slope is not None:
        name = w.add("PRelu", name, tensor(w, layer.slope))
    elif layer.activation:
        name = w.add(layer.activation, name)
    if layer.pool:
        name = w.add("MaxPool", detour(w, name, 4), kernel_shape=[2, 2], strides=[2, 2])
    return name


def entrance(w: Writer) -> tuple[str, list[str | int], int]:
    """The image in some layout: the name of [batch, 1, 28, 28], the declared shape, the type."""
    batch = w.rng.choice(("batch", "N", 1))
    shape = w.rng.choice(([1, SIDE, SIDE], [SIDE, SIDE, 1], [SIDE, SIDE], [SIDE * SIDE]))
    name, kind = "input", TensorProto.FLOAT
    if w.rng.random() < 0.2:
        kind = TensorProto.UINT8
        w.extra += 1
        name = w.add("Div", w.add("Cast", name, to=TensorProto.FLOAT), w.store(np.array(255, F)))
    if shape != [1, SIDE, SIDE]:
        name = w.reshape(name, -1, 1, SIDE, SIDE)
    w.image = name
    return name, [batch, *shape], kind


def written(plain: Plain, w: Writer) -> tuple[ModelProto, int]:
    """The network in a file of some kind, and the count of this file."""
    rng = w.rng
    name, shape, kind = entrance(w)
    for layer in plain.layers[:-1]:
        name = detour(w, after(w, convolution(w, detour(w, name, 4), layer), layer), 4)
    last = plain.layers[-1]
    inputs = last.weight.shape[1]
    if len(plain.layers) > 1 and inputs == len(plain.layers[-2].weight):
        name = w.add("GlobalAveragePool", name)
    name = classifier(w, name, last, 4)
    name = detour(w, name, 2)
    w.nodes.append(helper.make_node("Identity", [name], ["output"]))
    if rng.random() < 0.5:
        rng.shuffle(w.nodes)
    inputs_ = [helper.make_tensor_value_info("input", kind, shape)]
    old = rng.random() < 0.3
    if old:  # as files of IR version 3 have it
        inputs_ += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in w.initializers]
        if rng.random() < 0.5:
            rng.shuffle(inputs_)
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, [shape[0], 10])]
    graph = helper.make_graph(w.nodes, "net", inputs_, outputs, w.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", w.opset)], ir_version=10)
    return model, plain.count + w.extra


def honest(seed: int, number: int) -> tuple[ModelProto, int, ModelProto]:
    """A wrapped network, its count, and the same network written plainly."""
    rng = random.Random(f"honest {seed}/{number}")
    plain = drawn(rng)
    model, count = written(plain, Writer(rng, rng.choice(OPSETS)))
    return model, count, plainly(plain)


class Sober(random.Random):
    """Chance that never chooses anything out of the ordinary."""

    def random(self) -> float:
        return 0.95

    def randrange(self, *_: Any) -> int:
        return 0

    def choice(self, options: Any) -> Any:
        return options[0]


def plainly(plain: Plain) -> ModelProto:
    return written(plain, Writer(Sober(0), 17))[0]
