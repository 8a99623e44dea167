"""The stage `export`: checkpoints to ONNX, masks baked in, the same bytes every time.

The graph is built from the spec with onnx.helper, node by node: no tracer, so no source paths, no
stray constants, and a parameter count that is the spec's own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from neural_golf import __version__
from neural_golf.config import WORKSPACES, Config
from neural_golf.model import Layer, Network
from neural_golf.records import Checkpoint, read_checkpoint, write_bytes, write_json
from neural_golf.train import MODELS
from neural_golf.turning import turned_nodes

__all__ = ["ROWS", "model_proto", "name_of", "run"]

ROWS = ("reference", "baseline", "tuned", "pruned", "prelu", "prelu_pruned", "golf98", "golf99")
SMALL = Path("results/onnx")  # in Git
LARGE = Path("results/onnx-large")  # over the referee's size limit: in DVC's cache
OPSET, IR_VERSION = 17, 8  # old enough for every runtime of the last years


def model_proto(
    network: Network, parameters: NDArray[np.float32], card: Mapping[str, str]
) -> onnx.ModelProto:
    """The network as an ONNX model.

    Input `image`: float32 [batch, 1, 28, 28] in [0, 1], 0 is background. Output `logits`: float32
    [batch, classes], class k is digit k. parameters: [n], zeros exact and positive.
    """
    named = network.unpack(parameters + np.float32(0))  # −0.0 + 0.0 = +0.0
    nodes: list[onnx.NodeProto] = []
    current = "image"
    constants: dict[str, onnx.TensorProto] = {}  # integers only: shapes and axes
    places, biases = 1, set()
    for number, layer in enumerate(network.layers):
        if layer.places > 1:
            made, integers = turned_nodes(layer, current, among=places)
            constants |= {tensor.name: tensor for tensor in integers}
            biases |= {layer.bias.name} if layer.bias else set()
            nodes += made
            current, places = layer.name, layer.places
            continue
        places = 1 if layer.kind == "conv" else places
        made = _nodes(layer, current, last=number == len(network.layers) - 1)
        nodes += made
        current = made[-1].output[0] if made else current
    if current != "logits":  # the last layer is `gap`: [batch, classes, 1, 1]
        nodes.append(helper.make_node("Flatten", [current], ["logits"]))
    planes = {f"{layer.name}.slope" for layer in network.layers if layer.kind == "prelu"} | biases
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(a.reshape(-1, 1, 1) if n in planes else a), n)
        for n, a in named.items()
    ]
    initializers += constants.values()
    graph = helper.make_graph(
        nodes,
        "neural-golf",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *network.in_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", network.classes])],
        initializers,
    )
    model = helper.make_model(
        graph, producer_name="neural-golf", producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
    )  # fmt: skip
    helper.set_model_props(model, dict(card))
    onnx.checker.check_model(model, full_check=True)
    return model


def _nodes(layer: Layer, source: str, last: bool) -> list[onnx.NodeProto]:
    target = "logits" if last else layer.name
    weights = [t.name for t in (layer.weight, layer.bias) if t is not None]
    k = [layer.kernel, layer.kernel]
    match layer.kind:
        case "conv":
            options: dict[str, Any] = {"kernel_shape": k}
            if layer.pad:
                options["pads"] = [layer.pad] * 4
            if layer.groups > 1:
                options["group"] = layer.groups
            return [helper.make_node("Conv", [source, *weights], [layer.name], layer.name, **options)]
        case "linear":
            flat = f"{layer.name}.flat"
            return [
                helper.make_node("Flatten", [source], [flat], flat),
                helper.make_node("Gemm", [flat, *weights], [target], layer.name, transB=1),
            ]
        case "relu":
            return [helper.make_node("Relu", [source], [layer.name], layer.name)]
        case "abs":
            return [helper.make_node("Abs", [source], [layer.name], layer.name)]
        case "leaky":
            return [helper.make_node("LeakyRelu", [source], [layer.name], layer.name, alpha=layer.value)]
        case "prelu":
            return [helper.make_node("PRelu", [source, *weights], [layer.name], layer.name)]
        case "maxpool" | "avgpool":
            kind = "MaxPool" if layer.kind == "maxpool" else "AveragePool"
            return [helper.make_node(kind, [source], [layer.name], layer.name, kernel_shape=k, strides=k)]
        case "gap":
            return [helper.make_node("GlobalAveragePool", [source], [layer.name], layer.name)]
        case "norm":
            # The operator's epsilon is the spec's. It wants a gain and a bias per channel; the paper's
            # normalisation has none, so they are made on the way: m - m = 0 and e^0 = 1, whatever m is.
            peak, zero, one = (f"{layer.name}.{part}" for part in ("peak", "zero", "one"))
            return [
                helper.make_node("ReduceMax", [source], [peak], peak, axes=[0, 2, 3], keepdims=0),
                helper.make_node("Sub", [peak, peak], [zero], zero),
                helper.make_node("Exp", [zero], [one], one),
                helper.make_node("InstanceNormalization", [source, one, zero], [layer.name], layer.name),
            ]
        case "dropout":  # does nothing outside training
            return []
    raise AssertionError(layer.kind)


def name_of(row: str, record: Mapping[str, Any]) -> str:
    """The readable name of one run: baseline-3, pruned-test-index-0, golf98-200-3."""
    if "size" in record:
        return f"{row}-{record['size']}-{record['seed']}"
    return "-".join([row, *(str(record[key]) for key in ("judge", "order", "seed") if key in record)])


def run(config: Config) -> None:
    """Write one ONNX file per run of every row, and results/exported.json that lists them."""
    listing = {}
    for row in ROWS:
        checkpoint = read_checkpoint(MODELS / f"{row}.safetensors")
        for number, record in enumerate(checkpoint.runs):
            name = name_of(row, record)
            baked = checkpoint.baked(number)
            card = _card(config, row, record, checkpoint, baked)
            content = model_proto(checkpoint.network, baked, card).SerializeToString(deterministic=True)
            folder = SMALL if len(content) <= config.verify.max_bytes else LARGE
            path = folder / f"{name}.onnx"
            write_bytes(path, content)
            listing[name] = {
                "row": row,
                "path": path.as_posix(),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "parameters": checkpoint.network.size,
                "nonzero": int(np.count_nonzero(baked)),
                **record,
            }
    for folder in (SMALL, LARGE):  # DVC wants both to exist; files of an older roster must go
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("*.onnx"):
            if path.stem not in listing or listing[path.stem]["path"] != path.as_posix():
                path.unlink()
    write_json(Path("results/exported.json"), listing)


def _card(
    config: Config, row: str, record: Mapping[str, Any], checkpoint: Checkpoint, baked: NDArray[np.float32]
) -> dict[str, str]:
    """What the file says of itself. No clock and no commit, so that equal networks are equal bytes."""
    judge = record.get("judge")
    return {
        "title": f"Neural Golf: {row}",
        "dataset": config.data.dataset,
        "network": ", ".join(checkpoint.network.spec),
        "parameters": str(checkpoint.network.size),
        "nonzero": str(np.count_nonzero(baked)),
        "seed": str(record["seed"]),
        "chosen_on": {
            None: "nothing chosen on test images",
            "heldout": "held-out images",
            "test": "test images",
        }[judge],
        "recorded": json.dumps({k: v for k, v in record.items() if k.endswith("correct")}),
        "input": "float32 [batch, 1, 28, 28], pixel / 255, 0 is background; no other normalisation",
        "output": "float32 [batch, 10] logits; index k is class k",
        "source": config_digest(config),
        "license": "MIT",
    }


def config_digest(config: Config) -> str:
    """A digest of the settings that the networks come from, to tell two regenerations apart."""
    after = ("verify", "ladder", "interpret", "page", "handbook", "search")
    others: dict[str, Any] = dict.fromkeys(("roster", *after, *WORKSPACES), True)
    text = config.model_dump_json(exclude={"data": {"places"}, **others})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
