# SPDX-License-Identifier: Apache-2.0
"""Stream: values of arrays into shared memory and back, and waiting for several of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NoReturn, final

import numpy as np

from ..errors import InvalidArgument, TimedOut
from . import wire
from .arguments import describe_wait, to_mode, to_timeout, to_unsigned
from .array_header import ArrayFacts, describe_array
from .copying import to_part
from .handle import ArrayHandle
from .hold import Place
from .os import clock, futex
from .participants import NOBODY
from .stream_core import StreamCore
from .waiting import SLICE_NS

_LARGE = 16 << 20
_HOUR_NS = 3600 * 1_000_000_000


@final
class WriteView(Place):
    """A stream's next value, to be filled in place; its buffer is writable and 64-byte aligned. It holds the lock."""

    _WHAT = "write view"

    def commit(self) -> int:
        """Publish; returns the value's count. Raises Closed, Removed, Evicted."""
        core = self._open_core()
        self._require_own()
        try:
            count: int = core.publish(self._participant)
        finally:
            self._end()
        return count


def _slots_for(dtype: bytes, shape: Sequence[int], asked: int) -> int:
    """One more than the fewest, so that a reader that is as quick as the writer is hardly ever outrun."""
    if not asked:
        return wire.MIN_SLOTS + (describe_array(dtype, shape, 1).nbytes < _LARGE)
    if not wire.MIN_SLOTS <= asked <= wire.MAX_SLOTS:
        raise InvalidArgument(f"a stream has {wire.MIN_SLOTS} to {wire.MAX_SLOTS} slots, not {asked}")
    return asked


@final
class Stream(ArrayHandle):
    """The latest value of one array."""

    _core: StreamCore
    _dtype: np.dtype[Any] | None = None

    def __init__(
        self,
        name: str,
        *,
        dtype: bytes | None = None,
        shape: Sequence[int] | None = None,
        slots: int = 0,
        mode: int = 0o600,
        auto_unlink: bool = False,
        spin: float | None = None,
    ) -> None:
        array: ArrayFacts | None = None
        asked = to_unsigned(slots, "slots")
        if dtype is not None:
            lengths = [to_unsigned(length, "a length in the shape") for length in shape or ()]
            array = describe_array(dtype, lengths, _slots_for(dtype, lengths, asked))
        # For ever is for as long as anybody spins.
        spin_ns = None if spin is None else min(_HOUR_NS, to_timeout(spin) or 0)
        self._core = StreamCore(name, array, to_mode(mode), bool(auto_unlink), spin_ns)

    def set_dtype(self, dtype: np.dtype[Any]) -> None:
        """What NumPy calls the dtype; once, before anything is read or written."""
        self._dtype = dtype

    @property
    def slots(self) -> int:
        return self._core.array.slots

    @property
    def count(self) -> int:
        self._core.require_usable()
        return self._core.newest_count()

    @property
    def missed(self) -> int:
        return self._core.missed

    @property
    def last_read(self) -> int:
        return self._core.last_read

    def stat(self) -> dict[str, Any]:
        """Keys: count, write_sequence, write_time (UNIX seconds), age (seconds), writer_pid, writer_alive."""
        return self._core.stat()

    def _is_plain(self, value: Any) -> bool:
        """Whether it is an array of exactly this dtype, shape and layout, so that bytes may be copied."""
        return (
            type(value) is np.ndarray
            and value.flags.c_contiguous
            and value.shape == self._core.array.shape
            and value.dtype == self._dtype
        )

    # ---- Reading -----------------------------------------------------------------------------------------------------

    def read(self, out: Any = None) -> Any:
        """The newest value in a new array, or in ``out``; False if that is no plain array of this kind."""
        if out is None:
            out = np.empty(self._core.array.shape, self._dtype)
        elif not self._is_plain(out):
            return False
        if not out.flags.writeable:
            raise InvalidArgument("the array to read into is read-only")
        self._core.read(to_part(out))
        return out

    def live(self) -> memoryview:
        """The newest value in place, read-only. Raises Unlocked unless this thread holds the lock."""
        core = self._core
        core.require_usable()
        if not core.locked_here():
            core.throw_unlocked()
        start = core.published()[1] * core.array.slot_size
        return core.body.readonly[start : start + core.array.nbytes]

    def wait_after(self, count: int, timeout: float | None = None) -> bool:
        """Wait for a value after the one with that count; False on time-out or cancel_wait."""
        patience = to_timeout(timeout)
        return self._core.wait_after(to_unsigned(count, "count"), clock.deadline_after(patience))

    def cancel_wait(self) -> None:
        """Make every present wait of this handle in another thread return soon."""
        self._core.cancel_waits()

    # ---- Writing -----------------------------------------------------------------------------------------------------

    def write(self, value: Any, timeout: float | None = None) -> bool:
        """Replace the value; False, and nothing done, if it is no plain array of this kind."""
        patience = to_timeout(timeout)
        if not self._is_plain(value):
            return False
        part = to_part(value)
        if not self._core.replace(clock.deadline_after(patience), lambda place: np.copyto(place, part)):
            self._throw_locked_out(patience)
        return True

    def clear(self, timeout: float | None = None) -> None:
        """All zeros. Raises TimedOut."""
        patience = to_timeout(timeout)
        if not self._core.replace(clock.deadline_after(patience), lambda place: place.fill(0)):
            self._throw_locked_out(patience)

    def write_view(self, keep: bool = False, timeout: float | None = None) -> WriteView:
        """A place for the next value. Raises TimedOut."""
        core, patience = self._core, to_timeout(timeout)
        depth = core.write_lock.depth_here()
        me, begun, write = NOBODY, False, None
        try:
            me = core.lock(clock.deadline_after(patience))
            if not me:
                self._throw_locked_out(patience)
            core.require_no_view()
            begun = True
            place = core.begin_write()
            write = _OpenWrite(core, me)
            if keep:
                np.copyto(place, core.newest())
            return write.view()
        except BaseException:
            if write is not None:
                write.end()
            elif begun:
                core.cancel_write()
            core.unlock_to(me, depth)
            raise

    def _throw_locked_out(self, patience: int | None) -> NoReturn:
        wait = describe_wait(patience)
        raise TimedOut(f"stream '{self.name}': its lock was not to be had{wait}; somebody else holds it")

    # ---- The lock ----------------------------------------------------------------------------------------------------

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the write lock; False on time-out."""
        return self._core.lock(clock.deadline_after(to_timeout(timeout))) != 0

    def release(self) -> None:
        """Raises Unlocked."""
        self._core.release()

    @property
    def locked_here(self) -> bool:
        """Whether this thread holds the lock by this handle."""
        return self._core.locked_here()


class _OpenWrite:
    """Holds the lock until its end, which is once."""

    def __init__(self, core: StreamCore, me: int) -> None:
        self._core, self._me = core, me
        self._open = True

    def view(self) -> WriteView:
        core = self._core
        view: WriteView = WriteView._make(core.body.bytes, core.next_slot() * core.array.slot_size, core.array.nbytes)
        view._begin(core, self._me, self.end)
        return view

    def end(self) -> None:
        if self._open:
            core = self._core
            # No call between these: else the write would be open for ever, or ended twice.
            unfinished, core.write_lock.write_open, self._open = core.write_lock.write_open, False, False
            try:
                if unfinished:
                    core.take_back()
            finally:
                core.unlock(self._me)


def wait_any(streams: Sequence[Stream], timeout: float | None = None) -> list[int]:
    """Wait until a stream has a value that its handle has not read; the places of all that have, [] on time-out."""
    if len(streams) > futex.MOST:
        raise InvalidArgument(f"wait_any takes up to {futex.MOST} streams, not {len(streams)}")
    deadline = clock.deadline_after(to_timeout(timeout))
    cores = [stream._core for stream in streams]
    cancellations = [core.cancellations() for core in cores]

    def fresh() -> list[int]:
        return [index for index, stream in enumerate(streams) if stream.count > stream.last_read]

    while True:
        if (found := fresh()) or not streams:
            return found
        if clock.passed(deadline):
            return []
        heard = [core.value_bell.listen() for core in cores]
        if found := fresh():
            return found
        if [core.cancellations() for core in cores] != cancellations:
            return []
        futex.wait_any(heard, min(time.monotonic_ns() + SLICE_NS, deadline))
