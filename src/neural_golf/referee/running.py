"""onnxruntime in the one setting in which everything is run: whole models, and single nodes.

Only the child process and the tests import this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from neural_golf.referee.rules import Refused, describe
from neural_golf.referee.tensors import Array

__all__ = ["IR_VERSION", "SingleNodes", "as_one_line", "make_session", "onnx_type"]

IR_VERSION = 10  # of the models that the referee writes

onnxruntime.set_default_logger_severity(4)


def make_session(model: bytes) -> Any:
    """A session of a serialised model. Raises Refused where onnxruntime does not load it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime has one class per status code, all direct children of Exception
        raise Refused(f"onnxruntime does not load it: {as_one_line(error)}") from error


def onnx_type(array: Array) -> int:
    """The number of an array's type in ONNX."""
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


class SingleNodes:
    """Runs one node at a time on arrays; the sessions are kept."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._sessions: dict[tuple[int, tuple[int, ...]], Any] = {}
        self._nodes: list[onnx.NodeProto] = []  # so that no id is used again

    def run(self, node: onnx.NodeProto, inputs: Sequence[Array | None]) -> list[NDArray[Any]]:
        """The outputs of a node, without those that have no name. Raises Refused if it does not run."""
        types = tuple(0 if a is None else onnx_type(a) for a in inputs)
        names = [f"i{k}" if a is not None else "" for k, a in enumerate(inputs)]
        key = (id(node), types)
        if key not in self._sessions:
            self._sessions[key] = make_session(_single(node, names, types, self._opset))
            self._nodes.append(node)
        feeds = {
            name: np.asarray(a, order="C") for name, a in zip(names, inputs, strict=True) if a is not None
        }
        try:
            found: list[NDArray[Any]] = self._sessions[key].run(None, feeds)
        except MemoryError:
            raise
        except Exception as error:  # as above
            raise Refused(f"onnxruntime does not run {describe(node)}: {as_one_line(error)}") from error
        return found


def _single(node: onnx.NodeProto, names: list[str], types: tuple[int, ...], opset: int) -> bytes:
    model = onnx.ModelProto(ir_version=IR_VERSION)
    model.opset_import.add(domain="", version=opset)
    graph = model.graph
    graph.name = "one"
    for name, kind in zip(names, types, strict=True):
        if name:
            graph.input.append(helper.make_tensor_value_info(name, kind, None))
    outputs = [f"o{k}" if name else "" for k, name in enumerate(node.output)]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name)
    graph.node.add(op_type=node.op_type, input=names, output=outputs, attribute=node.attribute)
    data: bytes = model.SerializeToString()
    return data


def as_one_line(error: Exception) -> str:
    """An error's message in printable ASCII, cut to one short line, without onnxruntime's own places."""
    text = " ".join(str(error).split())
    _, _, status = text.partition("Status Message: ")
    status = status.rpartition("onnxruntime::")[2] if "/onnxruntime" in status else status
    text = ascii(status or text)[1:-1]
    return text if len(text) <= 300 else text[:297] + "..."
