"""A `.golf` file as an ONNX file, which is what the referee scores; and networks read from either."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError, in_one_line
from neural_golf.net.onnx import model_proto, unpack
from neural_golf.net.spec import Network
from neural_golf.packed.file import SUFFIX, decode

__all__ = ["read_network", "to_onnx"]

Vector = NDArray[np.float32]


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


def read_network(path: Path) -> tuple[Network, Vector, dict[str, str]]:
    """The network of an ONNX or `.golf` file, its parameters [n], and what an ONNX file says of itself.

    Raises GolfError, in one line, for any other file, and for numbers that are not finite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GolfError(f"{path} cannot be read: {error.strerror}") from None
    if not content:
        raise GolfError(f"{path} is empty")
    props: Any = ()
    try:
        if path.suffix == SUFFIX:
            network, parameters = decode(content)
        else:
            network, parameters = unpack(content, str(path))
            props = onnx.load_from_string(content).metadata_props
    except GolfError as error:
        raise GolfError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    except Exception as error:  # protobuf and onnx have errors of their own
        raise GolfError(f"{path} is no ONNX file of this project: {in_one_line(error)}") from None
    for tensor in network.tensors:
        if not np.isfinite(parameters[tensor.slice]).all():
            raise GolfError(f"{path}: tensor {tensor.name!r} holds NaN or infinity")
    return network, parameters, {prop.key: prop.value for prop in props}
