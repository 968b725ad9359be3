# SPDX-License-Identifier: Apache-2.0
"""What handles have in common, those of queues and those of arrays."""

from __future__ import annotations

from typing import Any

from ..errors import Closed
from .array_core import ArrayCore
from .queue_core import QueueCore


class _NeverInitialised:
    def __getattr__(self, name: str) -> Any:
        raise Closed("this handle was never initialised")


class Handle:
    """Thread-safe. Closed at the end of its life; what it gave out may outlive it."""

    _core: Any = _NeverInitialised()

    @property
    def name(self) -> str:
        return str(self._core.name)

    @property
    def closed(self) -> bool:
        return bool(self._core.closed)

    def close(self) -> None:
        """End this handle; who waits on it in another thread gets Closed. Idempotent."""
        self._core.close()

    def __del__(self) -> None:
        if "_core" in self.__dict__:
            self._core.close()


class QueueHandle(Handle):
    """What Producer and Consumer have in common."""

    _core: QueueCore

    @property
    def capacity(self) -> int:
        """Bytes of the ring; 0 as long as nobody has named one."""
        ring = self._core.ring
        return ring.capacity if ring else 0

    def size(self) -> int:
        """Objects that wait in the ring."""
        ring = self._core.ring
        return ring.contents().waiting if ring else 0

    def stat(self) -> dict[str, int]:
        """Counters and sizes, each right, together perhaps of different moments."""
        return self._core.stat()

    def cancel_wait(self) -> None:
        """Make every present wait() of this handle in another thread return False soon."""
        self._core.cancel_waits()


class ArrayHandle(Handle):
    """What Stream and Tensor have in common."""

    _core: ArrayCore

    @property
    def dtype(self) -> bytes:
        """JSON, as metadata has it."""
        return self._core.array.dtype_text

    @property
    def shape(self) -> tuple[int, ...]:
        return self._core.array.shape

    @property
    def nbytes(self) -> int:
        return self._core.array.nbytes

    @property
    def owner(self) -> bool:
        """Whether this handle created it."""
        return self._core.created

    def unlink(self) -> None:
        """Remove it. Raises Closed, PermissionDenied."""
        self._core.unlink()
