"""The referee: counts and scores anyone's ONNX file. Nothing here loads torch."""
