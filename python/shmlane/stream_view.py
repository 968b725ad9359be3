# SPDX-License-Identifier: Apache-2.0
"""WriteView: a stream's next value, filled in place."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import Closed

if TYPE_CHECKING:
    from numpy.typing import NDArray


class WriteView:
    """A place for a stream's next value. In a ``with`` it is an array, and the end of that publishes it; an exception,
    or ``abort``, leaves the old value. It holds the stream's lock and belongs to the thread that made it.
    """

    __slots__ = ("__weakref__", "_array", "_native", "_title")

    def __init__(self, native: Any, shape: tuple[int, ...], dtype: np.dtype[Any], title: str) -> None:
        self._native = native
        self._title = title
        self._array: NDArray[Any] | None = np.ndarray(shape, dtype, memoryview(native))

    @property
    def array(self) -> NDArray[Any]:
        """Writable and 64-byte aligned. After commit or abort it is read-only; slices of it are not, and must not be
        written to.
        """
        if self._array is None:
            raise Closed(f"{self._title}: this write view was committed or aborted")
        return self._array

    def commit(self) -> int:
        """Make it the stream's value; returns its count. Raises Closed, Removed, Evicted."""
        self.array.flags.writeable = False
        self._array = None
        return int(self._native.commit())

    def abort(self) -> None:
        """Leave the old value. Does nothing after commit or abort."""
        if self._array is not None:
            self._array.flags.writeable = False
            self._array = None
            self._native.abort()

    def __enter__(self) -> NDArray[Any]:
        return self.array

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._array is not None:
            self.commit()
        self.abort()

    def __repr__(self) -> str:
        return f"<WriteView of {self._title}{'' if self._array is not None else ', closed'}>"
