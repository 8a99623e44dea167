"""The same network, written down as different tools write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from visiting.network import I64, F, Kind, net, node, passes, refused, weights

FLAT = np.array([-1, 36], I64)


def edited(change: Callable[[ModelProto], object], **options: Any) -> Callable[[], ModelProto]:
    def build() -> ModelProto:
        made = net(**options)
        change(made)
        return made

    return build


def old_inputs(m: ModelProto) -> None:
    """IR version 3: every initializer is an input too."""
    m.ir_version = 3
    for t in m.graph.initializer:
        m.graph.input.append(helper.make_tensor_value_info(t.name, t.data_type, t.dims))


def backwards(m: ModelProto) -> None:
    nodes = list(m.graph.node)[::-1]
    del m.graph.node[:]
    m.graph.node.extend(nodes)


def outside(m: ModelProto) -> None:
    """PyTorch's default: the weights go into model.onnx.data."""
    start = 0
    for t in m.graph.initializer:
        size = len(t.raw_data)
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        place = {"location": "model.onnx.data", "offset": str(start), "length": str(size)}
        for key, value in place.items():
            t.external_data.add(key=key, value=value)
        start += size


def as_constant_nodes(m: ModelProto) -> None:
    made = [helper.make_node("Constant", [], [t.name], value=t) for t in m.graph.initializer]
    nodes = [*made, *m.graph.node]
    del m.graph.node[:], m.graph.initializer[:]
    m.graph.node.extend(nodes)


def leftovers(m: ModelProto) -> None:
    """Initializers that nothing reads, shapes of tensors in between, and words about the file."""
    m.graph.initializer.append(numpy_helper.from_array(np.ones((10, 36), F), "optimizer.momentum"))
    m.graph.initializer.append(numpy_helper.from_array(np.array(60_000, I64), "bn1.num_batches_tracked"))
    m.graph.value_info.append(helper.make_tensor_value_info("f", TensorProto.FLOAT, ["batch", 36]))
    m.doc_string = m.graph.doc_string = "a file with a history"
    m.producer_name = "pytorch"
    helper.set_model_props(m, {"author": "a stranger"})


def more_domains(m: ModelProto) -> None:
    """Operator sets that no node is of, and names of functions that none calls."""
    m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    m.opset_import.append(helper.make_opsetid("pkg.onnxscript.torch_lib", 1))


def with_functions(m: ModelProto) -> None:
    m.opset_import.append(helper.make_opsetid("pkg.torch", 1))
    relu = helper.make_function(
        "pkg.torch", "relu", ["a"], ["b"], [node("Relu", "a", "b")], [helper.make_opsetid("", 17)]
    )
    m.functions.append(relu)
    m.graph.node[1].op_type, m.graph.node[1].domain = "relu", "pkg.torch"


def labels_too(m: ModelProto) -> None:
    m.graph.node.append(node("ArgMax", "y", "label", axis=1, keepdims=0))
    m.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"]))


def zip_map(m: ModelProto) -> None:
    m.graph.node[-1].output[0] = "logits"
    m.graph.node.append(node("Softmax", "logits", "p"))
    m.graph.node.append(
        helper.make_node("ZipMap", ["p"], ["y"], domain="ai.onnx.ml", classlabels_int64s=range(10))
    )
    m.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    element = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    m.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(element))


def first_dim(m: ModelProto) -> onnx.TensorShapeProto.Dimension:
    return m.graph.input[0].type.tensor_type.shape.dim[0]


def fixed(batch: int) -> Callable[[], ModelProto]:
    """A batch of so many, and its number once more in the Reshape."""
    parts = {"f": [node("Reshape", "r3 shape", "f")]}
    return lambda: net({"shape": np.array([batch, 36], I64)}, parts=parts, image=[batch, 1, 28, 28])


def shaped(
    image: list[str | int], *before: onnx.NodeProto, **constants: np.ndarray
) -> Callable[[], ModelProto]:
    return lambda: net(constants, before=before, image=image)


def computed_shape() -> ModelProto:
    """x.view(x.size(0), -1), as PyTorch wrote it for years."""
    parts = [
        node("Shape", "r3", "s"),
        node("Constant", "", "zero", value=numpy_helper.from_array(np.array(0, I64))),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n", "n1", axes=[0]),
        node("Constant", "", "minus", value=numpy_helper.from_array(np.array([-1], I64))),
        node("Concat", "n1 minus", "shape", axis=0),
        node("Reshape", "r3 shape", "f"),
    ]
    return net(parts={"f": parts}, opset=11)


def as_keras() -> ModelProto:
    """tf2onnx: channels last outside, biases that are added, and the last layer the other way round."""
    w = weights()
    b = {f"b{k}": w[f"b{k}"].reshape(1, -1, 1, 1) for k in (1, 2, 3)}
    last = w["w4"].reshape(10, 4, 9).transpose(2, 1, 0).reshape(36, 10)
    parts = {
        f"h{k}": [
            node("Conv", f"{at} w{k}", f"c{k}", kernel_shape=[size] * 2),
            node("Add", f"c{k} b{k}", f"h{k}"),
        ]
        for k, at, size in ((1, "x", 4), (2, "p1", 3), (3, "p2", 3))
    }
    parts["f"] = [node("Transpose", "r3", "last", perm=[0, 2, 3, 1]), node("Reshape", "last shape", "f")]
    parts["y"] = [node("MatMul", "f w4", "mm"), node("Add", "mm b4", "y")]
    before = [node("Transpose", "image", "x", perm=[0, 3, 1, 2])]
    return net(
        b | {"w4": last, "shape": FLAT}, before=before, parts=parts, image=["unk__1", 28, 28, 1], opset=15
    )


def as_cntk() -> ModelProto:
    """Weights that a Reshape brings into their form, as in the MNIST file of the ONNX zoo."""
    w4 = np.ascontiguousarray(weights()["w4"].T).reshape(4, 3, 3, 10)
    parts = {
        "f": [node("Reshape", "r3 shape", "f")],
        "y": [
            node("Reshape", "w4 shape4", "w4_reshaped"),
            node("MatMul", "f w4_reshaped", "mm"),
            node("Add", "mm b4", "y"),
        ],
    }
    four = {"w4": w4, "b4": weights()["b4"].reshape(1, 10), "shape4": np.array([36, 10], I64)}
    made = net(four | {"shape": np.array([1, 36], I64)}, parts=parts, image=[1, 1, 28, 28], opset=8)
    old_inputs(made)
    return made


def no_op_nodes() -> ModelProto:
    parts = {
        "p1": [
            node("Identity", "r1", "i1"),
            node("MaxPool", "i1", "q1", kernel_shape=[2, 2], strides=[2, 2]),
            node("Dropout", "q1 ratio", "p1"),
        ],
        "f": [node("Flatten", "r3", "g"), node("Dropout", "g ratio training", "f mask")],
    }
    return net({"ratio": np.array(0.25, F), "training": np.array(False)}, parts=parts)


def old_dropout() -> ModelProto:
    """Before operator set 12 the ratio is an attribute."""
    return net(parts={"f": [node("Flatten", "r3", "g"), node("Dropout", "g", "f", ratio=0.25)]}, opset=10)


def ending(*nodes: onnx.NodeProto, **options: Any) -> Callable[[], ModelProto]:
    parts = {"y": [node("Gemm", "f w4 b4", "z", transB=1), *nodes]}
    return lambda: net(parts=parts, **options)


def fully_convolutional() -> ModelProto:
    """It answers with [n, 10, 1, 1]."""
    parts = {"f": [], "y": [node("Conv", "r3 w4 b4", "y", kernel_shape=[3, 3])]}
    return net({"w4": weights()["w4"].reshape(10, 4, 3, 3)}, parts=parts)  # type: ignore[arg-type]


def larger_images() -> ModelProto:
    """LeNet's images of 32 by 32."""
    before = [node("Slice", "image a b axes", "x")]
    two = {k: np.array(v, I64) for k, v in {"a": [2, 2], "b": [30, 30], "axes": [2, 3]}.items()}
    return net(two, before=before, image=["batch", 1, 32, 32])


def coloured() -> ModelProto:
    w1 = np.repeat(weights()["w1"] / F(3), 3, axis=1)
    return net({"w1": w1}, image=["batch", 3, 28, 28])


def pooled_in_training(m: ModelProto) -> None:
    m.graph.node[8].output[0] = "g"
    m.graph.node.insert(9, node("Dropout", "g ratio training", "f"))
    for name, value in (("ratio", np.array(0.5, F)), ("training", np.array(True))):
        m.graph.initializer.append(numpy_helper.from_array(value, name))


def with_double(m: ModelProto) -> None:
    for t in m.graph.initializer:
        t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), t.name))
    for value in (m.graph.input[0], m.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE


def double_weights(m: ModelProto) -> None:
    t = next(t for t in m.graph.initializer if t.name == "b4")
    t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), "b4.double"))
    m.graph.node.insert(0, node("Cast", "b4.double", "b4", to=TensorProto.FLOAT))


def long_pixels(m: ModelProto) -> None:
    m.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


FILES: dict[str, Kind] = {
    "initializers among the inputs (IR version 3)": passes(edited(old_inputs, opset=8)),
    "nodes out of order": passes(edited(backwards)),
    "weights in a second file (PyTorch's default)": refused(edited(outside), "external_data=False"),
    "weights as Constant nodes": passes(edited(as_constant_nodes)),
    "initializers that nothing reads, doc strings, metadata": passes(edited(leftovers)),
    "operator sets of domains that it does not use": passes(edited(more_domains)),
    "functions of its own (PyTorch without optimisation)": refused(
        edited(with_functions), "functions of its own"
    ),
    "Identity and Dropout": passes(no_op_nodes),
    "Dropout with its ratio as an attribute (operator set 10)": passes(old_dropout),
    "a Dropout in training mode": refused(edited(pooled_in_training), "training mode"),
    "a batch of 1": passes(fixed(1)),
    "a batch of 64": passes(fixed(64)),
    "a batch of 100": passes(fixed(100)),
    "the batch by another name": passes(lambda: net(image=["N", 1, 28, 28])),
    "the batch without a name": passes(edited(lambda m: first_dim(m).Clear())),
    "the batch as -1 (MXNet, Paddle)": passes(edited(lambda m: setattr(first_dim(m), "dim_value", -1))),
    "images [n, 28, 28, 1] and a Transpose": passes(
        shaped(["batch", 28, 28, 1], node("Transpose", "image", "x", perm=[0, 3, 1, 2]))
    ),
    "images [n, 784] and a Reshape": passes(
        shaped(["batch", 784], node("Reshape", "image four", "x"), four=np.array([-1, 1, 28, 28], I64))
    ),
    "images [n, 28, 28] and an Unsqueeze": passes(
        shaped(["batch", 28, 28], node("Unsqueeze", "image axis", "x"), axis=np.array([1], I64))
    ),
    "images of 32 by 32 pixels": refused(larger_images, "declare [batch, 1, 28, 28]"),
    "images of three channels": refused(coloured, "declare [batch, 1, 28, 28]"),
    "images of any height": refused(lambda: net(image=["n", 1, "h", "w"]), "free dimension"),
    "Softmax at the end": passes(ending(node("Softmax", "z", "y", axis=1))),
    "LogSoftmax at the end": passes(ending(node("LogSoftmax", "z", "y", axis=-1))),
    "an answer [n, 10, 1, 1]": refused(
        fully_convolutional, "it answers with 1x10x1x1 numbers; 1x10 are wanted"
    ),
    "labels by ArgMax as a second output": refused(
        edited(labels_too), "the numbers of the classes and not the labels"
    ),
    "labels by ArgMax alone": refused(
        ending(node("ArgMax", "z", "a", axis=1), node("Cast", "a", "y", to=TensorProto.FLOAT)), "'ArgMax'"
    ),
    "probabilities by ZipMap (skl2onnx's default)": refused(edited(zip_map), "zipmap"),
    "shapes computed by Shape, Gather, Concat": passes(computed_shape),
    "as tf2onnx writes a Keras network": passes(as_keras),
    "as CNTK wrote the file of the ONNX zoo": passes(as_cntk),
    "operator set 6": refused(lambda: net(opset=6), "from 7 to 26"),
    **{
        f"operator set {k}": passes(lambda k=k: net(opset=k))  # type: ignore[misc]
        for k in (7, 8, 9, 10, 11, 12, 13, 21)
    },
    "float64": refused(edited(with_double), "float32"),
    "a bias in float64, cast": refused(edited(double_weights), "of type double"),
    "an int64 image": refused(
        edited(long_pixels, before=[node("Cast", "image", "x", to=TensorProto.FLOAT)]), "uint8 (raw pixels)"
    ),
}
