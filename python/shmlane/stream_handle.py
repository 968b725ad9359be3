# SPDX-License-Identifier: Apache-2.0
"""Stream: a handle of the latest value of one named array."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _backend, _exit
from ._ready import Readiness
from .array_kind import Shape, matching, understand
from .errors import InvalidArgument, TimedOut, Unlocked
from .stream_facts import StreamFacts
from .stream_view import WriteView

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray
    from typing_extensions import Self


class Stream(StreamFacts):
    """A handle of a stream; ``shmlane.stream.create`` and ``open`` make them. May be shared by threads, and pickled:
    whoever unpickles it opens the stream by its name.

    After ``close`` every use raises Closed; after the stream was unlinked, by whomever, Removed.
    """

    _before = 0
    """Values of the native stream before the first that users see."""

    def __init__(self, native: Any, options: dict[str, Any]) -> None:
        self._native = native
        self._options = options
        self._dtype = understand(native.dtype)
        self._shape: Shape = native.shape
        self._title = f"stream {native.name!r}"
        native.set_dtype(self._dtype)
        self._changes = _Changes(native)
        self._readiness = Readiness(self._changes)
        _exit.close_at_exit(self)

    # ---- Reading

    def read(self, out: NDArray[Any] | None = None, *, safe: bool = True) -> NDArray[Any]:
        """A consistent copy of the newest value, in a new array or in ``out``. Takes no lock and makes no system call.

        ``safe=False``, while this thread holds the lock: a read-only view of the live memory, without a copy.
        Raises InvalidArgument if ``out`` has another shape or dtype, Unlocked, Removed, Closed.
        """
        if not safe:
            return self._live()
        value: Any = self._native.read(out)
        if value is False:
            value = self._read_into(out)
        return value  # type: ignore[no-any-return]

    def _read_into(self, out: Any) -> Any:
        if not isinstance(out, np.ndarray):
            raise InvalidArgument(f"{self._title}: out must be an array of shape {self._shape} and {self._dtype}")
        if out.shape != self._shape or out.dtype != self._dtype:
            raise InvalidArgument(
                f"{self._title}: expected shape {self._shape} of {self._dtype}, got {out.shape} of {out.dtype}"
            )
        if not out.flags.writeable:
            raise InvalidArgument(f"{self._title}: the array to read into is read-only")
        np.copyto(out, self._native.read())
        return out

    def _live(self) -> NDArray[Any]:
        if not self._native.locked_here:
            self._check()
            raise Unlocked(f"{self._title}: read(safe=False) shows the live memory: hold the lock, with locked()")
        return np.ndarray(self._shape, self._dtype, memoryview(self._native.live()))

    def read_new(self, timeout: float | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The first value written after this call, or a newer one. Raises TimedOut."""
        return self.read_after(self.count, timeout, out)

    def read_after(self, count: int, timeout: float | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The newest value, as soon as there is one after the one with that count: at once if there is one already.

        So none is lost between two calls, as it may be with ``read_new``. Raises TimedOut.
        """
        self.wait_after(count, timeout)
        return self.read(out)

    def wait_after(self, count: int, timeout: float | None = None) -> None:
        """As ``read_after``, without reading. Raises TimedOut."""
        if not self._native.wait_after(count, timeout):
            raise self._too_late(timeout)

    async def read_new_async(self, timeout: float | None = None, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """As ``read_new``, for coroutines; cancelled, it has done nothing."""
        return await self.read_after_async(self.count, timeout, out)

    async def read_after_async(
        self, count: int, timeout: float | None = None, out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """As ``read_after``, for coroutines; cancelled, it has done nothing."""
        end = None if timeout is None else time.monotonic() + timeout
        await self._readiness.give_way()
        with self._changes.wanted(count + self._before):
            while self.count <= count:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise self._too_late(timeout)
                await self._readiness.wait(left)
        return self.read(out)

    def _too_late(self, timeout: float | None) -> TimedOut:
        return TimedOut(f"{self._title}: nothing was written within {timeout} s")

    # ---- Writing

    def write(self, value: Any, timeout: float | None = None) -> None:
        """Replace the value; wait for the lock up to ``timeout`` seconds. Readers see all of it, or nothing.

        Arrays must have the stream's shape and dtype, lists are converted. Raises InvalidArgument, UnsupportedType,
        TimedOut, Removed, Closed, Evicted.
        """
        if not self._native.write(value, timeout):
            self._write_strange(value, timeout)

    def _write_strange(self, value: Any, timeout: float | None) -> None:
        array = matching(value, self._shape, self._dtype, self._title)
        with self.write_view(timeout=timeout) as place:
            np.copyto(place, array)

    def write_locked(self, value: Any) -> None:
        """As ``write``, while this thread holds the lock. Raises Unlocked."""
        if not self._native.locked_here:
            self._check()
            raise Unlocked(f"{self._title} is unlocked: call acquire() first, or write(), which does that itself")
        self.write(value)

    def write_view(self, keep: bool = False, timeout: float | None = None) -> WriteView:
        """A place for the next value, to be filled in a ``with``, whose end publishes it.

        It holds the lock meanwhile. Its contents mean nothing at first, unless ``keep``: then they are the newest
        value. Left by an exception, the old value stays. Raises TimedOut.
        """
        return WriteView(self._native.write_view(keep, timeout), self._shape, self._dtype, self._title)

    def clear(self, timeout: float | None = None) -> None:
        """All zeros; counts as a write. Raises TimedOut."""
        self._native.clear(timeout)

    # ---- The lock

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the write lock, one for all processes; False on time-out. The thread that holds it may take it again.

        The death of its holder gives it back.
        """
        return bool(self._native.acquire(timeout))

    def release(self) -> None:
        """Give the lock back. Raises Unlocked unless this thread holds it."""
        self._native.release()

    @contextmanager
    def locked(self, timeout: float | None = None) -> Iterator[Self]:
        """Hold the lock in a ``with``. Raises TimedOut."""
        if not self.acquire(timeout):
            raise TimedOut(f"{self._title}: its lock was not to be had within {timeout} s")
        try:
            yield self
        finally:
            if self._native.locked_here:  # else the handle was closed meanwhile
                self.release()

    # ---- The handle

    def close(self) -> None:
        """End this handle; who waits on it in another thread gets Closed. The stream stays. Idempotent."""
        self._native.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return open_stream, (self.name, self._options.get("spin"))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        value = self.read()
        return value if dtype is None else value.astype(dtype, copy=False)

    def __buffer__(self, flags: int, /) -> memoryview:
        return self.read().data

    def __dlpack__(self, **options: Any) -> Any:
        return self.read().__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return np.empty(0).__dlpack_device__()


class _Changes:
    """What coroutines wait for, as Readiness wants it: any value after the oldest that one of them has."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._counts: list[int] = []

    @contextmanager
    def wanted(self, count: int) -> Iterator[None]:
        self._counts.append(count)
        try:
            yield
        finally:
            self._counts.remove(count)

    def wait(self, timeout: float | None = None) -> bool:
        """A write after a coroutine's last look has ended this, or ends it: its count stands here before it waits."""
        return bool(self._native.wait_after(min([self._native.count, *self._counts]), timeout))

    def cancel_wait(self) -> None:
        self._native.cancel_wait()


def open_stream(name: str, spin: float | None = None) -> Stream:
    """A handle of a stream that exists, in whatever memory."""
    from .stream_gpu import GpuStream
    from .stream_gpu_memory import is_gpu

    native = _backend.active.Stream(name, spin=spin)
    if not is_gpu(understand(native.dtype), native.shape):
        return Stream(native, {"spin": spin})
    handle = GpuStream(native, {"spin": spin})
    try:
        handle.find_memory()
    except BaseException:
        handle.close()
        raise
    return handle
