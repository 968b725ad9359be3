# SPDX-License-Identifier: Apache-2.0
"""Codec of ndarray: NumPy arrays, and whatever shares its memory as one (SPEC section 8)."""

import functools
import json
import math
import re
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shmlane.codec import Codec, Context, Encoded, Metadata, Take, Undecodable, is_count, piece_of
from shmlane.errors import Corrupt, UnsupportedType

_PLAIN_KINDS = "biufcmMSUV"
_PLAIN_TEXT = re.compile(r"[<>|][biufcmMSUV][0-9]{1,10}(\[[0-9]{0,10}[A-Za-z]{1,2}\])?")
_ML_DTYPES = ("bfloat16", "float8_e4m3fn", "float8_e5m2")
_USER_DEFINED = 2  # numpy.dtype.isbuiltin of dtypes that other packages register
_CPU = 1  # DLPack's kDLCPU
_MAX_FIELD_LEVELS = 16


def describe_dtype(dtype: np.dtype[Any]) -> str | list[Any]:
    """The dtype as metadata holds it. Raises UnsupportedType for what is not plain data."""
    if dtype.hasobject:
        raise UnsupportedType(f"the dtype {dtype} holds references to Python objects, not data: convert it")
    if dtype.isbuiltin == _USER_DEFINED:
        if dtype.name not in _ML_DTYPES:
            raise UnsupportedType(f"the dtype {dtype} is none of NumPy's own and none of {', '.join(_ML_DTYPES)}")
        return dtype.name
    if dtype.kind not in _PLAIN_KINDS or not dtype.itemsize:
        raise UnsupportedType(f"the dtype {dtype!r} is not plain data, or its items have no bytes")
    return dtype.str if dtype.names is None else _describe_fields(dtype)


def _describe_fields(dtype: np.dtype[Any]) -> list[Any]:
    for name in dtype.names or ():
        if isinstance(describe_dtype(dtype[name].base), str) and dtype[name].base.isbuiltin == _USER_DEFINED:
            raise UnsupportedType(f"the field {name!r} is of {dtype[name].base}: NumPy cannot describe that")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of metadata that programs attach to dtypes: not data
            return list(np.lib.format.dtype_to_descr(dtype))
    except ValueError as error:
        raise UnsupportedType(f"the dtype {dtype} cannot be described: {error}") from None


def parse_dtype(description: Any) -> np.dtype[Any]:
    """The dtype of metadata. Raises Corrupt; Undecodable for one that is unknown here, or not installed."""
    try:
        dtype = _parse_text(description) if isinstance(description, str) else _parse_fields(json.dumps(description))
    except Corrupt:
        raise
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise Corrupt(f"{str(description)[:200]!r} describes no dtype of plain data: {error}") from None
    if dtype.hasobject or not dtype.itemsize:
        raise Corrupt(f"the dtype {str(description)[:200]!r} is not plain data, or its items have no bytes")
    return dtype


@functools.lru_cache(maxsize=256)
def _parse_text(text: str) -> np.dtype[Any]:
    if text in _ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            raise Undecodable(f"arrays of {text} need the package ml_dtypes") from None
        user_defined: np.dtype[Any] = np.dtype(getattr(ml_dtypes, text))
        return user_defined
    try:
        return np.dtype(_checked(text))
    except TypeError:
        raise Undecodable(f"the dtype {text!r} is unknown here") from None


def _checked(text: str) -> str:
    """The name of a plain dtype as numpy.dtype.str writes it: NumPy's own parser takes far more than that."""
    if text[1:2] == "O":
        raise Corrupt("an array's items are references to objects of another process")
    if not _PLAIN_TEXT.fullmatch(text):
        raise Undecodable(f"the dtype {text[:40]!r} is unknown here")
    return text


@functools.lru_cache(maxsize=64)
def _parse_fields(text: str) -> np.dtype[Any]:
    fields: Any = _fields(json.loads(text), 0)
    return np.dtype(np.lib.format.descr_to_dtype(fields))


def _fields(description: Any, level: int) -> str | list[tuple[Any, ...]]:
    """A description with lists where JSON has them and tuples where NumPy wants them, and nothing else in it."""
    if isinstance(description, str):
        return _checked(description)
    if not isinstance(description, list) or not description or level > _MAX_FIELD_LEVELS:
        raise ValueError("fields are a list of [name, dtype] or [name, dtype, shape]")
    return [_field(field, level) for field in description]


def _field(field: Any, level: int) -> tuple[Any, ...]:
    if not isinstance(field, list) or len(field) not in (2, 3):
        raise ValueError("a field is [name, dtype] or [name, dtype, shape]")
    name = field[0]
    if isinstance(name, list) and len(name) == 2 and all(isinstance(part, str) for part in name):
        name = tuple(name)  # title and name
    elif not isinstance(name, str):
        raise ValueError("a field's name is no text")
    dtype = _fields(field[1], level + 1)
    return (name, dtype) if len(field) == 2 else (name, dtype, parse_shape(field[2]))


def parse_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(map(is_count, shape)):
        raise Corrupt(f"{str(shape)[:200]} is no shape: a list of integers from 0 on")
    return tuple(shape)


def _encode(obj: Any, context: Context) -> Encoded:
    array = as_array(obj)
    metadata = {"type": "ndarray", "dtype": describe_dtype(array.dtype), "shape": list(array.shape)}
    return Encoded(metadata, (piece_of(array),), array.nbytes)


def as_array(obj: Any) -> NDArray[Any]:
    """An array over the memory of ``obj``. Raises UnsupportedType."""
    if isinstance(obj, np.ma.MaskedArray):
        raise UnsupportedType("a masked array would lose its mask: push .data and .mask, or .filled()")
    if isinstance(obj, (np.ndarray, np.generic)):
        return np.asarray(obj)
    if hasattr(obj, "__cuda_array_interface__"):
        raise UnsupportedType(f"this {type(obj).__name__} is not in the CPU's memory: copy it there first")
    try:
        if hasattr(obj, "__dlpack_device__"):
            return _from_dlpack(obj)
        return np.asarray(memoryview(obj))
    except (TypeError, ValueError, RuntimeError, BufferError, AttributeError) as error:
        if isinstance(error, UnsupportedType):
            raise
        raise UnsupportedType(f"this {type(obj).__name__} does not share its memory as an array: {error}") from None


def _from_dlpack(obj: Any) -> NDArray[Any]:
    device, _ = obj.__dlpack_device__()
    if int(device) != _CPU:
        raise UnsupportedType(f"this {type(obj).__name__} is not in the CPU's memory: copy it there first")
    array: NDArray[Any] = np.from_dlpack(obj)
    return array


def view_array(metadata: Metadata, payload: memoryview) -> NDArray[Any]:
    """The payload as the array that the metadata says. Raises Corrupt where they do not fit."""
    dtype = parse_dtype(metadata.get("dtype"))
    shape = parse_shape(metadata.get("shape"))
    if math.prod(shape) * dtype.itemsize != payload.nbytes:
        raise Corrupt(
            f"an ndarray's payload of {payload.nbytes} bytes is not what its metadata says: "
            f"shape {str(shape)[:200]}, {dtype.itemsize} bytes an item"
        )
    try:
        return np.ndarray(shape, dtype, payload)
    except (ValueError, OverflowError) as error:
        raise Corrupt(f"{str(shape)[:200]} is no shape of an array: {error}") from None


def _decode(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> NDArray[Any]:
    array = view_array(metadata, payload)
    if take is Take.COPY:
        return array.copy()
    return array


NDARRAY = Codec("ndarray", _encode, _decode)
