"""Networks as data: specs, layer kinds, parameters, checkpoints, ONNX in and out."""
