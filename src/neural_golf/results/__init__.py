"""From checkpoints to verified results: ONNX files, the referee's word, tables and model cards."""
