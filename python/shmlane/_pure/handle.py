# SPDX-License-Identifier: Apache-2.0
"""What Producer and Consumer have in common."""

from __future__ import annotations

from typing import Any

from ..errors import Closed
from .queue_core import QueueCore


class _NeverInitialised:
    def __getattr__(self, name: str) -> Any:
        raise Closed("this handle was never initialised")


class Handle:
    """Thread-safe. Closed at the end of its life; leases and reservations may outlive it."""

    _core: QueueCore = _NeverInitialised()  # type: ignore[assignment]

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._core.name

    @property
    def capacity(self) -> int:
        """Bytes of the ring; 0 as long as nobody has named one."""
        ring = self._core.ring
        return ring.capacity if ring else 0

    @property
    def closed(self) -> bool:
        return self._core.closed

    def close(self) -> None:
        """End this handle; who waits on it in another thread gets Closed. Idempotent."""
        self._core.close()

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

    def __del__(self) -> None:
        if "_core" in self.__dict__:
            self._core.close()
