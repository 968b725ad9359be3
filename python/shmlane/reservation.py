# SPDX-License-Identifier: Apache-2.0
"""Reservation: a producer's hold on a place in the ring, as an array to fill in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._scope import AbortedAtExit
from .codec import Metadata, metadata_bytes
from .errors import Closed, InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from . import _native

Describe = Callable[[tuple[int, ...], "np.dtype[Any]"], Metadata]


class Reservation(AbortedAtExit):
    """A place in the ring for one object. Fill ``array``, then ``commit``; leaving the ``with`` without it aborts.

    While it is open, everybody else goes on until the ring has gone round once. Not thread-safe. If the producer's
    policy dropped the object, ``dropped`` is true, and what is written goes nowhere.
    """

    __slots__ = ("__weakref__", "_array", "_describe", "_native", "dropped")

    def __init__(
        self, native: _native.Reservation | None, shape: tuple[int, ...], dtype: np.dtype[Any], describe: Describe
    ) -> None:
        self.dropped = native is None
        self._native = native
        self._describe = describe
        self._array: NDArray[Any] | None = (
            np.empty(shape, dtype) if native is None else np.ndarray(shape, dtype, memoryview(native))
        )

    @property
    def array(self) -> NDArray[Any]:
        """The place as a writable, 64-byte aligned array, uninitialised.

        After commit or abort the array is read-only; slices that were made of it before are not, and must not be
        written to. Raises Closed after commit or abort.
        """
        if self._array is None:
            raise Closed("this reservation was committed or aborted")
        return self._array

    @property
    def nbytes(self) -> int:
        return self.array.nbytes

    @property
    def closed(self) -> bool:
        return self._array is None

    def commit(self, length: int | None = None) -> None:
        """Publish; with ``length``, only so much along the first axis. Raises Closed, InvalidArgument."""
        array = self.array
        shape = array.shape
        if length is not None:
            if not shape or not 0 <= length <= shape[0]:
                raise InvalidArgument(f"of an object of shape {shape} the first {length!r} cannot be committed")
            shape = (length, *shape[1:])
        if self._native is not None:
            metadata = metadata_bytes(self._describe(shape, array.dtype))
            self._native.commit(metadata, array[:length].nbytes if shape else array.nbytes)
        self._close()

    def abort(self) -> None:
        """Give the place back. Does nothing after commit or abort."""
        if self._native is not None:
            self._native.abort()
        self._close()

    def _close(self) -> None:
        if self._array is not None:
            self._array.flags.writeable = False
        self._array = self._native = None

    def __repr__(self) -> str:
        return "<Reservation closed>" if self._array is None else f"<Reservation of {self._array.nbytes} bytes>"
