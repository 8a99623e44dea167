"""Every constant of the rules: limits, operators, number types. docs/rules.md says them in words."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from neural_golf.errors import GolfError

__all__ = ["BITS", "INTEGERS_TO_INTEGERS", "LIMITS", "OPERATORS", "OPSETS", "RULES", "Limits", "Refused"]

RULES = 1  # the version of the counting rule; a challenge names the one it is played under


class Refused(GolfError):
    """The file is not scored. The message is one line of printable ASCII that says why."""


@dataclass(frozen=True)
class Limits:
    """What one file may use. A bigger reference network is scored by passing bigger limits."""

    file_bytes: int = 1 << 20
    nodes: int = 256
    free_integers: int = 256  # shapes, axes, pads and slices, over the whole graph
    memory_bytes: int = 3 << 30  # of address space, the interpreter and onnxruntime included
    cpu_seconds: int = 20
    wall_seconds: int = 60
    open_files: int = 64
    reply_bytes: int = 8 << 20  # what the child may answer


LIMITS = Limits()

OPSETS = range(7, 27)  # what onnxruntime implements

# Left out on purpose: whatever makes numbers from nothing (Random*, ConstantOfShape, Range, EyeLike, OneHot),
# whatever takes a packed number apart (Mod, Floor, Ceil, Round, Sign, Bit*, comparisons), Reciprocal,
# whatever holds a graph (If, Loop, Scan) or text, and what no small network of images needs.
OPERATORS = frozenset(
    """
    Conv ConvTranspose Gemm MatMul
    Add Sub Mul Div Neg Abs Sqrt Exp Log Pow Min Max Sum Mean Clip Erf
    Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Gelu Mish
    ThresholdedRelu Softmax LogSoftmax
    MaxPool AveragePool GlobalMaxPool GlobalAveragePool ReduceMean ReduceMax ReduceMin ReduceSum ReduceL2
    BatchNormalization InstanceNormalization LayerNormalization GroupNormalization RMSNormalization
    Reshape Flatten Transpose Squeeze Unsqueeze Concat Split Slice Pad Identity Shape Gather Expand Tile
    Cast DepthToSpace SpaceToDepth Dropout Constant
    QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger
    """.split()
)

# Through these a shape may be computed from other integers (Shape -> Gather -> Concat -> Reshape).
INTEGERS_TO_INTEGERS = frozenset(
    "Add Sub Mul Div Cast Concat Gather Identity Reshape Slice Split Squeeze Unsqueeze".split()
)

# Bits of one element, for the number types that may be stored.
BITS = {
    TensorProto.FLOAT: 32,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.BOOL: 1,
}
