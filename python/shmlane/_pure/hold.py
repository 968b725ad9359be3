# SPDX-License-Identifier: Apache-2.0
"""Hold: something of a segment that an object of Python holds, as an array of bytes that lie there.

That is how Python gives a class the buffer protocol before 3.12; views of it keep it alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import Closed
from .core import Core


class Hold(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """``_core`` is None in views of this type, which hold nothing."""

    _core: Any = None
    _key: int
    _participant: int

    @classmethod
    def _make(cls, memory: memoryview, start: int, size: int) -> Any:
        return cls.__new__(cls, (size,), np.uint8, memory, start)

    def _begin(self, core: Core, me: int, end: Callable[[], None]) -> None:
        self._participant = me
        self._key = core.hold(self, me, end)
        self._core = core

    def __del__(self) -> None:
        if self._core is not None:
            self._core.end_hold(self._key)


class Place(Hold):
    """One that is to be filled, then committed or aborted."""

    _WHAT: str

    @property
    def open(self) -> bool:
        """False after commit or abort."""
        return self._core is not None

    def _open_core(self) -> Any:
        """Raises Closed."""
        if self._core is None:
            raise Closed(f"this {self._WHAT} was committed or aborted already")
        return self._core

    def _require_own(self) -> None:
        """Raises Closed in a forked child."""
        if not self._core.owns(self._participant):
            raise Closed(f"this {self._WHAT} belongs to the parent process; make one after the fork")

    def _end(self) -> None:
        self._core.end_hold(self._key)
        self._core = None

    def abort(self) -> None:
        """Give the place back. Does nothing after commit or abort."""
        if self._core is not None:
            self._end()

    def __buffer__(self, flags: int, /) -> memoryview:
        """Of Python 3.12 and newer. Raises Closed after commit or abort."""
        self._open_core()
        buffer: memoryview = super().__buffer__(flags)  # type: ignore[misc]
        return buffer
