"""Numbers in an ONNX file: reading a tensor strictly, and rounding it for the precision probe."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from neural_golf.referee.rules import Refused, describe, quoted

__all__ = ["BITS", "FLOATS", "NARROW", "Array", "decode", "decode_constant", "fixed_point", "significant"]

Array = NDArray[Any]

SIGNIFICANT = 4  # bits that a number keeps when it is rounded
NARROW = 8  # bits of a stored number that are not too many

# The number types that may be stored, and the bits of one element.
BITS: dict[int, int] = {
    TensorProto.FLOAT: 32,
    TensorProto.FLOAT16: 16,
    TensorProto.BFLOAT16: 16,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.BOOL: 1,
}
FLOATS: frozenset[int] = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16})

_NUMPY: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype("<f4"),
    TensorProto.FLOAT16: np.dtype("<f2"),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    TensorProto.INT8: np.dtype("i1"),
    TensorProto.UINT8: np.dtype("u1"),
    TensorProto.INT32: np.dtype("<i4"),
    TensorProto.INT64: np.dtype("<i8"),
    TensorProto.BOOL: np.dtype("?"),
}
_TYPED_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data")
_FIELD_OF: dict[int, str] = {TensorProto.FLOAT: "float_data", TensorProto.INT64: "int64_data"}
_STORED_AS: dict[int, np.dtype[Any]] = {
    TensorProto.BOOL: np.dtype("u1"),
    TensorProto.FLOAT16: np.dtype("<u2"),
    TensorProto.BFLOAT16: np.dtype("<u2"),
}


def decode(tensor: TensorProto) -> tuple[int, Array]:
    """A tensor's type and elements. Raises Refused unless they are all there, once, and finite."""
    say = f"tensor {quoted(tensor.name)}"
    kind = int(tensor.data_type)
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise Refused(f"{say} keeps its data outside the file; export it with external_data=False")
    if tensor.HasField("segment"):
        raise Refused(f"{say} is stored in segments")
    if kind not in BITS:
        names = {number: name.lower() for name, number in TensorProto.DataType.items()}
        allowed = ", ".join(names[k] for k in BITS)
        raise Refused(f"{say} is of type {names.get(kind, kind)}; allowed: {allowed}")
    if any(d < 0 for d in tensor.dims):
        raise Refused(f"{say} has a negative dimension")
    size = math.prod(tensor.dims)
    fields = [f for f in _TYPED_FIELDS if len(getattr(tensor, f))]
    if tensor.raw_data and fields:
        raise Refused(f"{say} stores its data twice")
    array = _typed(tensor, kind, size, say, fields) if fields else _raw(tensor, kind, size, say)
    if kind in FLOATS and not np.isfinite(array.astype(np.float32)).all():
        raise Refused(f"{say} holds NaN or infinity")
    try:
        return kind, array.reshape(tuple(tensor.dims))
    except ValueError as error:  # a zero dimension beside a huge one, or more than 64 dimensions
        raise Refused(f"{say} has a shape that cannot be") from error


def _raw(tensor: TensorProto, kind: int, size: int, say: str) -> Array:
    dtype = _NUMPY[kind]
    if len(tensor.raw_data) != size * dtype.itemsize:
        raise Refused(f"{say} declares {size} elements and stores {len(tensor.raw_data)} bytes")
    raw = np.frombuffer(tensor.raw_data, np.uint8)
    if kind == TensorProto.BOOL and (raw > 1).any():
        raise Refused(f"{say} holds a bool that is neither 0 nor 1")
    return raw.view(dtype)


def _typed(tensor: TensorProto, kind: int, size: int, say: str, fields: list[str]) -> Array:
    """Elements from float_data, int32_data or int64_data; halves are stored there as their bits."""
    if fields != [_FIELD_OF.get(kind, "int32_data")]:
        raise Refused(f"{say} stores its data in a field of another type")
    values = getattr(tensor, fields[0])
    if len(values) != size:
        raise Refused(f"{say} declares {size} elements and stores {len(values)}")
    dtype = _NUMPY[kind]
    if kind == TensorProto.FLOAT:
        return np.asarray(values, dtype)
    bits = _STORED_AS.get(kind, dtype)
    high = 1 if kind == TensorProto.BOOL else np.iinfo(bits).max
    array = np.asarray(values, np.int64)
    if ((array < np.iinfo(bits).min) | (array > high)).any():
        raise Refused(f"{say} holds a number that its type cannot")
    return array.astype(bits).view(dtype)


def decode_constant(node: onnx.NodeProto) -> tuple[int, Array]:
    """The type and elements of a Constant node. Raises Refused unless it holds numbers, once."""
    if len(node.attribute) != 1:
        raise Refused(f"{describe(node)} must have exactly one value")
    attribute = node.attribute[0]
    match attribute.name:
        case "value":
            return decode(attribute.t)
        case "value_float":
            return TensorProto.FLOAT, np.array(attribute.f, "<f4")
        case "value_floats":
            return TensorProto.FLOAT, np.array(attribute.floats, "<f4")
        case "value_int":
            return TensorProto.INT64, np.array(attribute.i, "<i8")
        case "value_ints":
            return TensorProto.INT64, np.array(attribute.ints, "<i8")
    raise Refused(f"{describe(node)} holds {quoted(attribute.name)}; only numbers are scored")


def significant(values: Array) -> Array:
    """Rounded to 4 significant bits."""
    mantissa, exponent = np.frexp(values)
    found: Array = np.ldexp(np.rint(np.ldexp(mantissa, SIGNIFICANT)), exponent - SIGNIFICANT)
    return found


def fixed_point(values: Array) -> Array:
    """A tensor [...] rounded to 8 bits, a sign among them, of its largest element."""
    step = np.abs(values).max(initial=0) * 2.0 ** (1 - NARROW)
    found: Array = np.rint(values / step) * step if step > 0 else values
    return found
