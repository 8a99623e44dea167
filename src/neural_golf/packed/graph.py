"""A `.golf` file as an ONNX file: what `golf unpack` writes, and what the referee scores."""

from __future__ import annotations

import json
from dataclasses import asdict

from neural_golf.net.onnx import model_proto
from neural_golf.packed.file import decode

__all__ = ["to_onnx"]


def to_onnx(content: bytes) -> bytes:
    """The bytes of the ONNX file. Equal files give equal bytes.

    Raises GolfError, in one line, for whatever is no `.golf` file.
    """
    network, parameters = decode(content)
    told = {"network": ", ".join(network.spec), "packed": f"{len(content)} bytes"}
    if network.form:
        told["form"] = json.dumps(asdict(network.form))
    made: bytes = model_proto(network, parameters, told).SerializeToString(deterministic=True)
    return made
