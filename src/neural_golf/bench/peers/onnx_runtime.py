"""onnxruntime, which only evaluates: the exported file, in batches of one size."""

from __future__ import annotations

import numpy as np

from neural_golf.bench.peers.peer import NORMAL, Evaluation, Work
from neural_golf.net.onnx import model_proto
from neural_golf.net.parameters import fold_normalisation

__all__ = ["evaluate"]


def evaluate(task: Evaluation, batch: int) -> Work:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    options.inter_op_num_threads = 1
    parameters = fold_normalisation(task.network, task.parameters, *NORMAL)
    model = model_proto(task.network, parameters, {}).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    images, labels = task.data[0].astype(np.float32) / np.float32(255), task.data[1]

    def right() -> int:
        total = 0
        for k in range(0, len(images), batch):
            (logits,) = session.run(None, {"image": images[k : k + batch]})
            total += int((logits.argmax(1) == labels[k : k + batch]).sum())
        return total

    return Work(right)
