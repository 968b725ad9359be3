# SPDX-License-Identifier: Apache-2.0
"""Producer and Consumer for asyncio: the event loop is never blocked, and a cancelled operation has done nothing.

Taking and putting happen on the loop, without waiting, so an object is either still in the ring or in the coroutine's
hands. Copies do, too: for objects of many MB take leases (``acquire``), whose views cost nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, SupportsIndex, TypeVar

from ._ready import Readiness
from .errors import Empty, Full, NoConsumers
from .queue import END, Consumer, Deadline, Producer

if TYPE_CHECKING:
    from typing_extensions import Self

    from .lease import Lease

_PAUSE = 0.001  # seconds

H = TypeVar("H", Producer, Consumer)


class _AsyncHandle(Generic[H]):
    """``handle`` is the ordinary handle, for everything that does not wait."""

    def __init__(self, handle: H) -> None:
        self.handle: H = handle
        self._readiness = Readiness(handle._native)

    @property
    def name(self) -> str:
        return self.handle.name

    @property
    def closed(self) -> bool:
        return self.handle.closed

    def close(self) -> None:
        """End the handle; coroutines that wait on it get Closed. Idempotent."""
        self.handle.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.handle!r}>"


class AsyncProducer(_AsyncHandle[Producer]):
    """A Producer for coroutines: ``AsyncProducer(name, capacity, **options)`` as Producer, or of an open Producer."""

    def __init__(self, name: str | Producer, capacity: str | SupportsIndex | None = None, /, **options: Any) -> None:
        super().__init__(name if isinstance(name, Producer) else Producer(name, capacity, **options))
        self._patience: float | None = self.handle._options["wait_for_consumer"]

    async def push(self, obj: Any, timeout: float | None = None) -> None:
        """As ``Producer.push``. Cancelled, it has pushed nothing."""
        send = self.handle.sender(obj)
        deadline, patience = Deadline(timeout), Deadline(self._patience)
        await self._readiness.give_way()
        while True:
            left = deadline.left()
            pause = 0.0
            try:
                send(0)
            except Full as error:
                if left == 0:
                    raise
                pause = _PAUSE if error.arena else 0.0
            except NoConsumers:
                waiting = patience.left()
                left = waiting if left is None else min(left, waiting or 0)
                if left == 0:
                    raise
            else:
                return
            if pause:  # the ring has room: nothing there tells when the arena has
                await asyncio.sleep(pause)
            else:
                await self._readiness.wait(left)

    async def push_many(self, objs: Any, timeout: float | None = None) -> int:
        """As ``Producer.push_many``. Cancelled, a leading part may have been pushed."""
        deadline = Deadline(timeout)
        pushed = 0
        for obj in objs:
            try:
                await self.push(obj, deadline.left())
            except (Full, NoConsumers) as error:
                error.pushed = pushed
                raise
            pushed += 1
        return pushed


class AsyncConsumer(_AsyncHandle[Consumer]):
    """A Consumer for coroutines, also for ``async for``: ``AsyncConsumer(name, **options)``, or of an open Consumer."""

    def __init__(self, name: str | Consumer, capacity: str | SupportsIndex | None = None, /, **options: Any) -> None:
        super().__init__(name if isinstance(name, Consumer) else Consumer(name, capacity, **options))

    async def _take(self, operation: Callable[..., Any], timeout: float | None) -> Any:
        deadline = Deadline(timeout)
        await self._readiness.give_way()
        while True:
            left = deadline.left()
            try:
                return operation(timeout=0)
            except Empty:
                if left == 0:
                    raise
            await self._readiness.wait(left)

    async def pop(self, timeout: float | None = None) -> Any:
        """As ``Consumer.pop``. Cancelled, it has taken nothing."""
        return await self._take(self.handle.pop, timeout)

    async def pop_many(self, max: int, timeout: float | None = None) -> list[Any]:  # noqa: A002
        """As ``Consumer.pop_many``. Cancelled, it has taken nothing."""
        objs: list[Any] = await self._take(lambda timeout: self.handle.pop_many(max, timeout), timeout)
        return objs

    async def acquire(self, timeout: float | None = None) -> Lease | None:
        """As ``Consumer.acquire``. Cancelled, it has taken nothing."""
        lease: Lease | None = await self._take(self.handle.acquire, timeout)
        return lease

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        obj = await self._take(self.handle.take, None)
        if obj is END:
            raise StopAsyncIteration
        return obj
