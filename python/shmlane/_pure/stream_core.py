# SPDX-License-Identifier: Apache-2.0
"""A stream seen from one handle: the newest value of one array, in slots that are used in turn (SPEC 11.3).

Reading takes no lock and stores nothing: copy the published slot, then look whether so much was published meanwhile
that the slot may have been used again (W-127). Its fences (W-128) are instructions only where the processor needs them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import Corrupt, Evicted, InvalidArgument
from . import wire
from .array_core import ArrayCore, control_word
from .array_header import ArrayFacts
from .bell import Bell
from .core import Use
from .os import clock, futex
from .os.atomic import acquire_fence, full_fence
from .os.process import ONLINE_CORES, unix_time_ns
from .participants import id_index
from .waiting import SLICE_NS
from .wire import Kind, ParticipantEntry, StreamControl

_WRITING = control_word(StreamControl.writing)
_WRITER = control_word(StreamControl.writer)
_WRITTEN = control_word(StreamControl.written_ns)
_PUBLISHED = control_word(StreamControl.published)
_TRIES = 16
_SPIN_NS = 30_000  # about what it costs to be woken
_READERS_PATIENCE_NS = 10_000_000
_COUNTS = (1 << 56) - 1


class StreamCore(ArrayCore):
    """Thread-safe."""

    def __init__(self, name: str, array: ArrayFacts | None, mode: int, owned: bool, spin_ns: int | None) -> None:
        self._spin_ns = spin_ns
        self._next = (0, 0)  # count and slot of that write; under the lock
        self.missed = 0
        super().__init__(name, Kind.STREAM, array, mode, owned)
        self._words = self.segment.head.words
        self.value_bell = Bell(self.segment.head, StreamControl.value_bell)
        self.last_read = self.newest_count()

    # ---- Reading -----------------------------------------------------------------------------------------------------

    def published(self) -> tuple[int, int]:
        """Count and slot of the newest value. Raises Corrupt."""
        word = self._words[_PUBLISHED]
        if word & 0xFF >= self.array.slots:
            raise Corrupt(
                f"the {self.title} names a slot that it does not have; remove it with: shmlane rm --force {self.name}"
            )
        return word >> 8, word & 0xFF

    def newest_count(self) -> int:
        return self.published()[0]

    def slot(self, index: int) -> NDArray[np.uint8]:
        start = index * self.array.slot_size
        return self.body.array[start : start + self.array.nbytes]

    def newest(self) -> NDArray[np.uint8]:
        """Where the newest value lies."""
        return self.slot(self.published()[1])

    def read(self, out: NDArray[np.uint8]) -> None:
        self.require_usable()
        for _ in range(_TRIES):
            if self._copy(out):
                return
        self._read_under_lock(out)

    def _copy(self, out: NDArray[np.uint8]) -> bool:
        """False if the slot may have been used again meanwhile."""
        count, slot = self.published()
        np.copyto(out, self.slot(slot))
        # Who copied a byte of the write that uses the slot again also sees, after this fence, the count that was
        # published before that write: it pairs with the release fence in begin_write().
        acquire_fence()
        if (self._words[_PUBLISHED] >> 8) - count & _COUNTS >= self.array.slots - 1:
            return False
        if count > self.last_read:
            self.missed += count - self.last_read - 1
            self.last_read = count
        return True

    def _read_under_lock(self, out: NDArray[np.uint8]) -> None:
        """So that no writer starves this reader. If the lock is not to be had, its holder writes slowly enough to be
        outrun, or is stopped (W-129).
        """
        whole = False
        while not whole:
            with Use(self) as use:
                deadline = clock.deadline_after(_READERS_PATIENCE_NS)
                held = self.write_lock.hold(use.me, deadline, self.check_wait, lambda: self._copy(out))
            whole = self._copy(out) if held is None else held
            self.require_usable()

    def wait_after(self, count: int, deadline: int) -> bool:
        """False on time-out or cancel_waits()."""
        self.require_usable()
        if self.newest_count() > count:
            return True
        if clock.passed(deadline):
            return False
        with Use(self) as use:
            cancellations = self.cancellations()
            if self._spin_until(count, deadline):
                return True
            self.count(use.me, ParticipantEntry.waits)
            while True:
                heard = self.value_bell.listen()
                if self.newest_count() > count:
                    return True
                self.check_wait()
                if self.cancellations() != cancellations or clock.passed(deadline):
                    return False
                futex.wait(heard, min(time.monotonic_ns() + SLICE_NS, deadline))

    def _spin_until(self, count: int, deadline: int) -> bool:
        spin = self._spin_ns
        if spin is None:
            # With fewer cores than participants a spinner keeps off the very one it waits for.
            spin = _SPIN_NS if 1 < ONLINE_CORES >= self.participants.used() else 0
        end = min(time.monotonic_ns() + spin, deadline)
        while time.monotonic_ns() < end:
            if self.newest_count() > count:
                return True
            time.sleep(0)  # lets other threads run
        return False

    def stat(self) -> dict[str, Any]:
        self.require_usable()
        words = self._words
        writing, count = words[_WRITING], self.newest_count()
        written, writer = words[_WRITTEN], words[_WRITER]
        known = 0 <= id_index(writer) < wire.MAX_PARTICIPANTS and self.participants.owns_entry(writer)
        return {
            "count": count,
            "write_sequence": 2 * writing - 1 if writing > count else 2 * count,
            "write_time": written / 1e9,
            "age": max(0, unix_time_ns() - written) / 1e9 if written else 0.0,
            "writer_pid": self.participants.facts(id_index(writer))[0] if known else 0,
            "writer_alive": known and self.participants.alive(writer, self._counted_for),
        }

    # ---- Writing, under the lock -------------------------------------------------------------------------------------

    def replace(self, deadline: int, fill: Callable[[NDArray[np.uint8]], None]) -> bool:
        """Have ``fill`` write the next value; False if the lock was not to be had."""
        with Use(self) as use:
            me = use.me

            def work() -> int:
                self.require_no_view()
                try:
                    fill(self.begin_write())
                    return self.publish(me)
                finally:
                    self.cancel_write()

            return self.write_lock.hold(me, deadline, self.check_wait, work) is not None

    def require_no_view(self) -> None:
        """Under the lock. Raises InvalidArgument."""
        if self.write_lock.write_open:
            raise InvalidArgument(f"{self.title}: this thread has a write view open; end that first")

    def begin_write(self) -> NDArray[np.uint8]:
        """The next value's slot. Raises Removed, or InvalidArgument while another write is open."""
        self.require_usable()
        self.require_no_view()
        count, slot = self.published()
        self._next = (count + 1, (slot + 1) % self.array.slots)
        place = self.slot(self._next[1])
        self.write_lock.write_open = True
        self._words[_WRITING] = self._next[0]
        # Whoever sees a byte of this write sees the count before it, too: pairs with the fence in _copy(). Full, for
        # large copies use stores that go past the cache.
        full_fence()
        return place

    def next_slot(self) -> int:
        """Of the write that is open."""
        return self._next[1]

    def publish(self, me: int) -> int:
        """Raises Removed or Evicted; then the old value stays."""
        self._require_lock(me)
        words, (count, slot) = self._words, self._next
        word = (count & _COUNTS) << 8 | slot
        words[_WRITER] = me
        words[_WRITTEN] = unix_time_ns()
        words[_PUBLISHED] = word
        self.write_lock.write_open = False
        self.value_bell.ring()
        return count

    def _require_lock(self, me: int) -> None:
        removed = self._halves[wire.SegmentHeader.state >> 2] == wire.SegmentState.REMOVED
        if not removed and self.write_lock.still(me):
            return
        self.cancel_write()
        self.require_usable()
        raise Evicted(f"{self.title}: the other participants took this handle for dead; open a new handle")

    def cancel_write(self) -> None:
        """Does nothing if none is open."""
        if self.write_lock.write_open:
            self.write_lock.write_open = False
            self.take_back()

    def take_back(self) -> None:
        """Nothing is being written any more."""
        self._words[_WRITING] = self._next[0] - 1

    def _give_up(self) -> None:
        if not self.write_lock.write_open:
            super()._give_up()
