"""Networks that others trained: an ONNX graph of any exporter as a `Network` and its parameters."""

from neural_golf.net.foreign.graph import Foreign, UnknownLayer, read_foreign
from neural_golf.net.foreign.model import Feed, Model, load_model, model_of

__all__ = ["Feed", "Foreign", "Model", "UnknownLayer", "load_model", "model_of", "read_foreign"]
