"""Every constant of the rules: limits, operators, number types. docs/rules.md states them in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from neural_golf.base.errors import GolfError

__all__ = [
    "INTEGERS_TO_INTEGERS",
    "LIMITS",
    "OPERATORS",
    "OPSETS",
    "RULES_VERSION",
    "Limits",
    "Probe",
    "Refused",
    "describe",
    "probing_order",
    "quoted",
]

RULES_VERSION: Final = 2  # the version of the counting rule; a challenge names the one it is played under


# What is rounded in a probe: numbers of more than 8 bits, all numbers, or activations.
Probe = Literal["wide", "all", "activations"]


class Refused(GolfError):
    """The file is not scored. The message is one line of printable ASCII that says why."""


@dataclass(frozen=True)
class Limits:
    """What one file may use. Our larger reference network is scored with larger limits."""

    file_bytes: int = 1 << 20
    nodes: int = 256
    classes: int = 10  # the network must answer with so many numbers
    integers: int = 256  # of kernels, strides, shapes, pads and slices, wherever they are used
    wires: int = 32  # inputs of Concat, Sum, Mean, Max and Min that are not stored tensors
    elements: int = 1 << 26  # that Expand, Tile or Pad may make of one tensor
    memory_bytes: int = 3 << 30  # of address space, the interpreter and onnxruntime included
    cpu_seconds: int = 20
    open_files: int = 64
    reply_bytes: int = 16 << 20  # what the child may answer


LIMITS = Limits()

OPSETS = range(7, 27)  # what onnxruntime implements

# Left out on purpose: whatever makes numbers from nothing (Random*, ConstantOfShape, Range, EyeLike, OneHot),
# whatever takes a packed number apart (Mod, Floor, Ceil, Round, Sign, Hardmax, Bit*, comparisons),
# whatever holds a graph (If, Loop, Scan) or text, and what no small network of images needs.
OPERATORS = frozenset(
    """
    Conv ConvTranspose Gemm MatMul
    Add Sub Mul Div Neg Abs Reciprocal Sqrt Exp Log Pow Min Max Sum Mean Clip Erf
    Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Gelu Mish
    ThresholdedRelu Swish Softmax LogSoftmax
    MaxPool AveragePool GlobalMaxPool GlobalAveragePool ReduceMean ReduceMax ReduceMin ReduceSum ReduceL2
    LpPool GlobalLpPool ReduceL1 ReduceSumSquare ReduceLogSumExp
    BatchNormalization InstanceNormalization LayerNormalization GroupNormalization RMSNormalization
    MeanVarianceNormalization LRN LpNormalization
    Reshape Flatten Transpose Squeeze Unsqueeze Concat Split Slice Pad Identity Shape Gather Expand Tile
    Cast DepthToSpace SpaceToDepth Dropout Constant AffineGrid GridSample
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger
    """.split()  # noqa: SIM905 (a list of words reads better than a list of strings)
)

# Through these a shape may be computed from other integers (Shape -> Gather -> Concat -> Reshape).
INTEGERS_TO_INTEGERS = frozenset(
    "Add Sub Mul Div Cast Concat Gather Identity Reshape Slice Split Squeeze Unsqueeze".split()  # noqa: SIM905
)


def probing_order(n: int) -> NDArray[np.int64]:
    """The order in which n test images are taken for probes and hints: shuffled, and always the same."""
    return np.random.default_rng(20240229).permutation(n)


def quoted(text: str) -> str:
    """A name from a file, as a refusal shows it: quoted, printable ASCII, not too long."""
    shown = ascii(text[:100])
    return shown if len(shown) <= 100 else shown[:97] + "..."


def describe(node: onnx.NodeProto) -> str:
    """A node, as a refusal shows it."""
    operator = quoted(node.op_type)[1:-1]
    return f"{operator} ({quoted(node.name)})" if node.name else operator
