"""A foreign network that onnxruntime runs: its answers, and its weights set to zero one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from neural_golf.base import longwork
from neural_golf.base.errors import GolfError, in_one_line
from neural_golf.engine import Progress
from neural_golf.net.foreign import Feed, Model

__all__ = ["Runtime"]

Vector = NDArray[np.float32]
BATCH = 500  # images at a time, where the network takes any number
BLOCK = 64  # weights that are tried together first
# Operators with weights, and which of their inputs these are.
WEIGHTED = {
    "Conv": (1,), "ConvTranspose": (1,), "Gemm": (0, 1), "MatMul": (0, 1), "RNN": (1, 2), "GRU": (1, 2),
    "LSTM": (1, 2),
}  # fmt: skip


class Runtime:
    """A network behind onnxruntime. Its weights are one vector [n]: the float constants of two and more axes
    that convolutions and products of matrices read, in the order of the graph.
    """

    def __init__(self, model: Model, feed: Feed, name: str) -> None:
        self.model, self.feed, self.name = model, feed, name
        constants = {**model.constants, **_stored(model)}
        read = [
            node.input[place]
            for node in model.nodes
            for place in WEIGHTED.get(node.op_type, ())
            if place < len(node.input)
        ]
        self.tensors = {
            name: constants[name]
            for name in dict.fromkeys(read)
            if name in constants and constants[name].ndim > 1 and constants[name].dtype == np.float32
        }
        self.parameters: Vector = np.concatenate(
            [np.zeros(0, np.float32), *(tensor.ravel() for tensor in self.tensors.values())]
        )
        self._session: Any = None
        self._fixed = _session(model.proto, name)

    def answers(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scores [n, classes] of images [n, channels, height, width]."""
        return np.concatenate([self._run(self._fixed, part, {}) for part in self._shown(images)])[
            : len(images)
        ]

    def right(self, images: NDArray[np.uint8], labels: NDArray[Any]) -> int:
        """How many of the images the file as it is gets right."""
        return int((self.answers(images).argmax(axis=1) == labels).sum())

    def zero_one_by_one(
        self, parameters: Vector, candidates: NDArray[np.int64], images: NDArray[Any], labels: NDArray[Any],
        threshold: int, progress: Progress | None = None,
    ) -> NDArray[np.bool_]:  # fmt: skip
        """As `Engine.zero_one_by_one`, but several are tried together first, and alone only where that costs
        too many images. So it takes a run of the network for each weight that stays, and few for those that
        go.
        """
        now, mask = parameters.copy(), np.ones(len(parameters), bool)
        shown = self._shown(images)
        done = 0
        blocks = [candidates[start : start + BLOCK] for start in range(0, len(candidates), BLOCK)][::-1]
        while blocks:
            block = blocks.pop()
            kept = now[block].copy()
            now[block] = 0
            correct = self._right(now, shown, labels, threshold)
            if correct >= threshold:
                mask[block] = False
                done += len(block)
            else:
                now[block] = kept
                if len(block) > 1:
                    half = len(block) // 2
                    blocks += [block[half:], block[:half]]
                    continue
                done += 1
            if progress:
                progress(done, int((~mask).sum()), correct)
        return mask

    def correct(self, parameters: Vector, images: NDArray[np.uint8], labels: NDArray[Any]) -> int:
        """How many of the images get their label, with these weights [n]."""
        return self._right(parameters, self._shown(images), labels, 0)

    def written(self, parameters: Vector) -> bytes:
        """The ONNX file with these weights [n]; all else is as it was."""
        made = self._changeable(parameters)
        for name in self.tensors:
            place = next(k for k, value in enumerate(made.graph.input) if value.name == name)
            del made.graph.input[place]
        content: bytes = made.SerializeToString(deterministic=True)
        return content

    def _right(self, parameters: Vector, shown: list[Any], labels: NDArray[Any], threshold: int) -> int:
        """The images that are right; counting ends where the threshold is out of reach."""
        if self._session is None:
            self._session = _session(self._changeable(self.parameters), self.name)
        feeds = self._feeds(parameters)
        right, seen = 0, 0
        for part in shown:
            of = labels[seen : seen + len(part)]
            right += int((self._run(self._session, part, feeds)[: len(of)].argmax(axis=1) == of).sum())
            seen += len(of)
            if right + len(labels) - seen < threshold:
                break
        return right

    def _shown(self, images: NDArray[np.uint8]) -> list[Any]:
        """The images as the network gets them, in parts."""
        size = self.model.batch or BATCH
        kind = helper.tensor_dtype_to_np_dtype(self.model.input_type)
        found = []
        for start in range(0, len(images), size):
            part = self.feed.shown(images[start : start + size])
            if self.model.batch and len(part) < size:
                part = np.concatenate([part, np.zeros((size - len(part), *part.shape[1:]), part.dtype)])
            found.append((np.round(part) if kind.kind in "iu" else part).astype(kind))
        return found

    def _run(self, session: Any, part: Any, feeds: dict[str, Vector]) -> NDArray[np.float32]:
        try:
            (made,) = session.run([self.model.output], {self.model.input: part, **feeds})
        except Exception as error:  # onnxruntime has many of its own
            raise GolfError(f"{self.name} cannot be run by onnxruntime: {in_one_line(error, 250)}") from None
        if not isinstance(made, np.ndarray) or made.size % len(part) or made.dtype.kind != "f":
            raise GolfError(f"{self.name} answers with something other than one number per class and image")
        return np.asarray(made.reshape(len(part), -1), np.float32)

    def _feeds(self, parameters: Vector) -> dict[str, Vector]:
        found, start = {}, 0
        for name, tensor in self.tensors.items():
            found[name] = parameters[start : start + tensor.size].reshape(tensor.shape)
            start += tensor.size
        return found

    def _changeable(self, parameters: Vector) -> onnx.ModelProto:
        """The model with the weights as inputs, whose defaults are these."""
        made = onnx.ModelProto()
        made.CopyFrom(self.model.proto)
        nodes = [n for n in made.graph.node if not (n.op_type == "Constant" and n.output[0] in self.tensors)]
        stored = [t for t in made.graph.initializer if t.name not in self.tensors]
        named = [v for v in made.graph.input if v.name not in self.tensors]
        for field, kept in (
            (made.graph.node, nodes),
            (made.graph.initializer, stored),
            (made.graph.input, named),
        ):
            del field[:]
            field.extend(kept)
        for name, values in self._feeds(parameters).items():
            made.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
            made.graph.input.append(
                helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(values.shape))
            )
        return made


def _stored(model: Model) -> dict[str, NDArray[Any]]:
    """The values of Constant nodes."""
    return {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in model.nodes
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }


def _session(proto: onnx.ModelProto, name: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = longwork.cores()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise GolfError(f"{name} cannot be loaded by onnxruntime: {in_one_line(error, 250)}") from None
