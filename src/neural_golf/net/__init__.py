"""Networks as data: specs, layer kinds, parameters, checkpoints, and ONNX in both directions."""
