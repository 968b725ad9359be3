# SPDX-License-Identifier: Apache-2.0
"""What streams and tensors say about their arrays: dtypes, shapes, and values that are to be checked against them."""

from __future__ import annotations

import abc
import json
import operator
from collections.abc import Iterable
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ._scope import ClosedAtExit
from .codec import Undecodable
from .codecs.ndarray import as_array, describe_dtype, parse_dtype
from .errors import InvalidArgument, UnsupportedType

Shape = tuple[int, ...]


class ArrayHandle(ClosedAtExit, abc.ABC):
    """What handles of streams and of tensors share."""

    _native: Any

    @property
    def name(self) -> str:
        return str(self._native.name)

    @property
    @abc.abstractmethod
    def closed(self) -> bool: ...

    @abc.abstractmethod
    def close(self) -> None: ...

    def unlink(self) -> None:
        """Remove it; silent if it is gone already. Every handle of a stream raises Removed from then on; who has a
        tensor goes on with it.
        """
        self._native.unlink()

    def delete(self) -> None:
        """Remove it and close this handle."""
        if not self.closed:
            self.unlink()
        self.close()


def describe(dtype: DTypeLike) -> bytes:
    """A dtype as a segment's header has it. Raises UnsupportedType."""
    return json.dumps(describe_dtype(np.dtype(dtype)), separators=(",", ":")).encode()


def understand(description: bytes) -> np.dtype[Any]:
    """The dtype of a segment's header. Raises UnsupportedType for one that is unknown here, Corrupt for none."""
    try:
        return parse_dtype(json.loads(description))
    except Undecodable as error:
        raise UnsupportedType(str(error)) from None


def check_shape(shape: SupportsIndex | Iterable[SupportsIndex]) -> Shape:
    """Raises InvalidArgument."""
    try:
        lengths = (operator.index(shape),) if isinstance(shape, SupportsIndex) else tuple(map(operator.index, shape))
    except TypeError:
        raise InvalidArgument(f"{shape!r} is no shape: give a length, or a tuple of lengths") from None
    if any(length < 0 for length in lengths):
        raise InvalidArgument(f"{lengths} is no shape: lengths are 0 or more")
    return lengths


def matching(value: Any, shape: Shape, dtype: np.dtype[Any], title: str) -> NDArray[Any]:
    """``value`` as an array of this shape and dtype, of any layout.

    Arrays, and what shares its memory as one, must have both; lists and numbers are converted.
    Raises InvalidArgument, UnsupportedType.
    """
    if isinstance(value, (list, tuple, int, float, complex, bool)):
        try:
            array = np.asarray(value, dtype)
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidArgument(f"{title}: expected shape {shape} of {dtype}: {error}") from None
    else:
        array = as_array(value)
    if array.shape != shape:
        raise InvalidArgument(f"{title}: expected shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise InvalidArgument(f"{title}: expected dtype {dtype}, got {array.dtype}; convert it with .astype")
    return array


def refuse_gpu(gpu_device: Any) -> None:
    """Raises UnsupportedType if somebody asks for a GPU."""
    if gpu_device is not None:
        raise UnsupportedType(f"gpu_device={gpu_device!r}: this version keeps arrays in the CPU's memory only")
