# SPDX-License-Identifier: Apache-2.0
"""The short way for exact bytes, str and plain ndarray: no codec, no JSON, one copy (SPEC section 8)."""

from __future__ import annotations

import functools
import math
import re
from typing import Any, NamedTuple

import numpy as np

from ..errors import Corrupt, InvalidArgument
from .copying import copy_out, to_part

_BYTES = b'{"type":"bytes"}'
_TEXT = b'{"type":"text"}'
_KINDS = "biufcSUmM"
_BUILTIN_DTYPES = 24  # NumPy numbers its own below this; what others register comes far above
_MOST_WRITTEN, _MOST_READ = 256, 512  # bytes of metadata; what needs more goes the long way
_MAX_DIMENSIONS = 32
_NUMBER = rb"(?:0|[1-9][0-9]{0,18})"
_ARRAY = re.compile(
    rb'\{"type":"ndarray","dtype":"([<>|][biufcSUmM][0-9][^"]*)","shape":\[((?:%b(?:,%b)*)?)\]\}' % (_NUMBER, _NUMBER)
)
_LARGEST = (1 << 63) - 1


class PlainFrame(NamedTuple):
    """A plain object as a frame to be."""

    metadata: bytes
    payload: Any
    """A buffer of bytes."""


def describe(obj: Any) -> PlainFrame | None:
    """None if ``obj`` is not plain. Raises InvalidArgument for a str with lone surrogates."""
    kind = type(obj)
    if kind is bytes:
        return PlainFrame(_BYTES, obj)
    if kind is str:
        try:
            return PlainFrame(_TEXT, obj.encode())
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"this str has lone surrogates and is no UTF-8 text: {error}") from None
    if kind is not np.ndarray or not obj.flags.c_contiguous:
        return None
    metadata = _array_metadata(obj.dtype, obj.shape)
    return None if metadata is None else PlainFrame(metadata, to_part(obj))


@functools.lru_cache(maxsize=256)
def _array_metadata(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes | None:
    """The metadata of a C-contiguous array; None if its dtype is not plain data, or the text is too long."""
    if dtype.num >= _BUILTIN_DTYPES or dtype.kind not in _KINDS or not dtype.itemsize:
        return None
    extents = ",".join(map(str, shape))
    text = f'{{"type":"ndarray","dtype":"{dtype.str}","shape":[{extents}]}}'
    return text.encode() if len(text) <= _MOST_WRITTEN else None


class _Array(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int
    """Bytes; -1 if no memory holds so many."""


@functools.lru_cache(maxsize=256)
def _parse_array(metadata: bytes) -> _Array | None:
    """None if this is not what ``_array_metadata`` writes."""
    found = _ARRAY.fullmatch(metadata) if len(metadata) <= _MOST_READ else None
    if found is None:
        return None
    shape = tuple(map(int, found[2].split(b","))) if found[2] else ()
    dtype = _find_dtype(found[1].decode(errors="replace"))
    if dtype is None or len(shape) > _MAX_DIMENSIONS or any(extent > _LARGEST for extent in shape):
        return None
    # NumPy counts an empty array's other extents, too.
    whole = math.prod((extent or 1 for extent in shape), start=dtype.itemsize)
    return _Array(dtype, shape, -1 if whole > _LARGEST else 0 if 0 in shape else whole)


def _find_dtype(name: str) -> np.dtype[Any] | None:
    """Only from text that NumPy itself would write for a plain one: its parser takes far more than that."""
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, OverflowError):
        return None
    return dtype if dtype.str == name and dtype.itemsize else None


NOT_PLAIN = object()


def decode(metadata: bytes, memory: memoryview, address: int, start: int, size: int) -> Any:
    """The object in a frame whose payload is ``memory[start : start + size]``, copied once. Raises Corrupt.

    NOT_PLAIN if its metadata is not canonical metadata of a plain type.
    """
    if metadata == _BYTES:
        return copy_out(memory, address, start, size)
    if metadata == _TEXT:
        try:
            # The decoder looks at its input more than once, so it must not be memory that others may write.
            return copy_out(memory, address, start, size).decode()
        except UnicodeDecodeError as error:
            raise Corrupt(f"a text object of {size} bytes is not UTF-8: {error}") from None
    array = _parse_array(metadata)
    if array is None:
        return NOT_PLAIN
    if array.size != size:
        raise Corrupt(
            f"an ndarray's payload of {size} bytes is not what its metadata says: {metadata.decode(errors='replace')}"
        )
    return np.ndarray(array.shape, array.dtype, memory, start).copy()
