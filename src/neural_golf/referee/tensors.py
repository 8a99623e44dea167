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

__all__ = [
    "BITS",
    "FLOATS",
    "NARROW",
    "SHIFTS",
    "Array",
    "coarse",
    "decode",
    "decode_constant",
    "fit",
    "unsigned_zero",
]

Array = NDArray[Any]

_WHOLE = 7  # what 4 bits hold beside a sign
SIGNIFICANT = 4  # bits that a number keeps when it is rounded
NARROW = 8  # bits of a stored number that are not too many
SHIFTS = (0.0, 0.4)  # of the grids to which numbers are rounded; no honest entry loses a point on either

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
_FLOAT_TYPES = tuple(_NUMPY[kind] for kind in sorted(FLOATS))
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


def unsigned_zero(values: Array) -> Array:
    """-0.0 becomes 0.0: the sign of a zero is no place to hide."""
    return values + values.dtype.type(0) if values.dtype in _FLOAT_TYPES else values


def coarse(values: Array, shift: float, largest: float | None = None) -> Array:
    """Numbers [...] rounded to 4 significant bits, and to 1/256 of `largest` if it is given.

    A number can hide in the exponents of others, hence the second. The grid is shifted by this part of a
    step, up and down in turn (dither): two numbers that are packed in one may lie on one grid, from which
    steps take them apart, but not on two. 0 stays 0. Numbers that `fit` into 4 bits are not shifted: two of
    them are in none, an exponent of 2 must stay 2, and equal numbers must stay equal.
    """
    _, exponent = np.frexp(values)
    step = np.ldexp(1.0, exponent - SIGNIFICANT)
    if largest is not None:
        step = np.maximum(step, largest * 2.0**-NARROW)
    if fit(values):
        shift = 0.0
    shifts = np.where(np.arange(values.size).reshape(values.shape) % 2, shift, -shift)
    found: Array = np.where(values == 0, 0, (np.rint(values / step + shifts) - shifts) * step)
    return found


def fit(values: Array) -> bool:
    """Whether numbers [...] fit into 4 bits each: they are whole multiples of one number, of at most 7.

    >>> fit(np.array([1.5, -3.5, 0, 2])), fit(np.array([1.0, 8]))
    (True, False)
    """
    sizes = np.unique(np.abs(values[values != 0]))
    if len(sizes) > _WHOLE:
        return False
    for k in range(1, _WHOLE + 1):
        multiples = sizes * k / sizes[0] if sizes.size else sizes
        if multiples.max(initial=0) < _WHOLE + 0.5 and np.allclose(
            multiples, np.rint(multiples), rtol=1e-6, atol=0
        ):
            return True
    return False
