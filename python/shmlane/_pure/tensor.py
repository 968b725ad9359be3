# SPDX-License-Identifier: Apache-2.0
"""Tensor: an array in shared memory that is used in place, with a readers-writer lock that outlives its holders.

A reader raises the count of read locks in its own entry of the table, then looks at the write lock's word; a writer
takes that word, imposes a barrier on everybody, then waits until nobody alive has a count (SPEC 11.4).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArgument
from . import wire
from .arguments import to_mode, to_timeout, to_unsigned
from .array_core import ArrayCore
from .array_header import ArrayFacts, describe_array
from .copying import to_part
from .core import Use
from .handle import ArrayHandle
from .os import clock, futex
from .os.atomic import full_fence
from .os.barrier import impose_barrier
from .participants import NOBODY, Participants, id_index, make_id
from .waiting import SLICE_NS
from .wire import Kind, ParticipantEntry

_YIELDS = 20
_STORES_ARRIVE = 0.02  # far longer than a store stays in a processor's buffer
_FLAGS = wire.SegmentHeader.flags >> 2


class TensorCore(ArrayCore):
    """Thread-safe."""

    def __init__(
        self,
        name: str,
        array: ArrayFacts | None,
        mode: int,
        owned: bool,
        writable: bool,
        items: NDArray[np.uint8] | None,
    ) -> None:
        self._begin_anew()
        super().__init__(name, Kind.TENSOR, array, mode, owned, writable, items)
        self.writable = writable

    def _begin_anew(self) -> None:
        self._counting = threading.RLock()
        self._reading = 0  # read locks held by this handle

    def _renewed(self, me: int) -> None:
        super()._renewed(me)
        self._begin_anew()

    def _in_use(self) -> bool:
        return super()._in_use() or self._reading != 0

    # ---- Reading -----------------------------------------------------------------------------------------------------

    def lock_shared(self, deadline: int) -> bool:
        if self.locked_here():
            raise InvalidArgument(f"{self.title}: this thread holds the write lock, and needs no other")
        self.require_usable()
        with Use(self) as use:
            return self._enter(use.me) or self._wait_to_read(use.me, deadline)

    def unlock_shared(self) -> None:
        with self._counting:
            if self.attachment.inherited or not self._reading:
                self.throw_unlocked()
            self._set_reading(self._counted_for, self._reading - 1)
        self.write_lock.bell.ring()
        self._leave_if_unused()

    def _set_reading(self, me: int, count: int) -> None:
        """Nobody else stores there while this participant lives, so under _counting a store is an addition."""
        halves, at = self._halves, Participants.at(id_index(me), ParticipantEntry.consumers_busy) >> 2
        self._reading = count
        halves[at] = count

    def _enter(self, me: int) -> bool:
        """False if there is a writer, or one that waits (W-132)."""
        with self._counting:
            before = self._reading
            inside = False
            try:
                self._set_reading(me, before + 1)
                if self._halves[_FLAGS] & wire.FLAG_FULL_FENCE:
                    full_fence()  # else the writer's membarrier is the processor's part of it
                inside = self.write_lock.holder() == NOBODY
            finally:
                if not inside:
                    self._set_reading(me, before)
        if not inside:
            self.write_lock.bell.ring()
        return inside

    def _wait_to_read(self, me: int, deadline: int) -> bool:
        while True:
            heard = self.write_lock.bell.listen()
            holder = self.write_lock.holder()
            if holder == NOBODY:  # looked at first: who tries in vain rings the bell that it is about to sleep on
                if self._enter(me):
                    return True
                continue
            if not self.participants.alive(holder, me):
                # Takes the dead one's lock and gives it back.
                self.write_lock.hold(me, clock.PAST, self.check_wait, lambda: True)
                continue
            self.check_wait()
            if clock.passed(deadline):
                return False
            futex.wait(heard, min(time.monotonic_ns() + SLICE_NS, deadline))

    # ---- Writing -----------------------------------------------------------------------------------------------------

    def lock_all(self, deadline: int) -> bool:
        again = self.locked_here()
        me = self.lock(deadline)
        if not me or again:
            return me != NOBODY
        alone = False
        try:
            alone = self._wait_for_readers(me, deadline)
        finally:
            if not alone:
                self.unlock(me)
        return alone

    def _wait_for_readers(self, me: int, deadline: int) -> bool:
        """W-133"""
        if not impose_barrier():
            time.sleep(_STORES_ARRIVE)
        for _ in range(_YIELDS):
            if not self._anybody_reads(me):
                return True
            os.sched_yield()
        while True:
            heard = self.write_lock.bell.listen()
            if not self._anybody_reads(me):
                return True
            self.check_wait()
            if clock.passed(deadline):
                return False
            futex.wait(heard, min(time.monotonic_ns() + SLICE_NS, deadline))

    def _anybody_reads(self, me: int) -> bool:
        halves, table = self._halves, self.participants
        return any(
            halves[Participants.at(index, ParticipantEntry.consumers_busy) >> 2]
            and table.alive(make_id(index, table.word(index).generation), me)
            for index in range(table.used())
        )


@final
class Tensor(ArrayHandle):
    """A named array in shared memory."""

    _core: TensorCore

    def __init__(
        self,
        name: str,
        *,
        dtype: bytes | None = None,
        shape: Sequence[int] | None = None,
        data: NDArray[Any] | None = None,
        mode: int = 0o600,
        writable: bool = True,
        auto_unlink: bool = False,
    ) -> None:
        array: ArrayFacts | None = None
        if dtype is not None:
            lengths = [to_unsigned(length, "a length in the shape") for length in shape or ()]
            array = describe_array(dtype, lengths, 1)
        items = None if array is None or data is None else to_part(data)
        if array is not None and items is not None and items.nbytes != array.nbytes:
            raise InvalidArgument("the data is no array in C order of the tensor's shape and dtype")
        self._core = TensorCore(name, array, to_mode(mode), bool(auto_unlink), bool(writable), items)

    @property
    def writable(self) -> bool:
        return self._core.writable

    def memory(self) -> memoryview:
        """Stays mapped as long as a view of it lives."""
        body = self._core.body
        return (body.bytes if self._core.writable else body.readonly)[: self.nbytes]

    def lock(self, timeout: float | None = None) -> bool:
        """Nobody else holds a lock meanwhile. False on time-out."""
        return self._core.lock_all(clock.deadline_after(to_timeout(timeout)))

    def lock_shared(self, timeout: float | None = None) -> bool:
        """Others may hold this one, too. False on time-out."""
        return self._core.lock_shared(clock.deadline_after(to_timeout(timeout)))

    def unlock(self) -> None:
        """Raises Unlocked."""
        self._core.release()

    def unlock_shared(self) -> None:
        """Raises Unlocked."""
        self._core.unlock_shared()
