# SPDX-License-Identifier: Apache-2.0
"""The consumers' cursors: where to look for the next READY frame (W-55, W-56)."""

from __future__ import annotations

from typing import NamedTuple

from . import wire
from .ring_frames import FINISHED, LEASED, READ, READY, RESERVED, SCAN, SKIPPED, SKIPPED_COUNT, Frames
from .wire import ALIGNMENT


class Cursor:
    """In private memory.

    Positions of RESERVED frames that were passed are remembered, so that one reservation that is held for long does not
    make every acquire walk all that came after it. When there are too many, the walk goes on without moving ``scan``.
    """

    __slots__ = ("scan", "skipped")

    def __init__(self, scan: int, skipped: list[int]) -> None:
        self.scan, self.skipped = scan, skipped

    def forget(self, position: int) -> None:
        if position in self.skipped:
            self.skipped.remove(position)


class _Look(NamedTuple):
    ready: int | None
    passed_reserved: bool


class Cursors(Frames):
    """All of this under ``consumers_lock``."""

    def load_cursor(self) -> Cursor:
        words = self._control
        scan, count = words[SCAN], words[SKIPPED_COUNT]
        if count > wire.MAX_SKIPPED or scan % ALIGNMENT:
            self.corrupt("the consumers' cursor makes no sense")
        skipped = [words[SKIPPED + i] for i in range(count)]
        if any(position % ALIGNMENT for position in skipped):
            self.corrupt("a skipped position is not aligned")
        return Cursor(scan, skipped)

    def store_cursor(self, cursor: Cursor) -> None:
        words = self._control
        for i, position in enumerate(cursor.skipped):
            words[SKIPPED + i] = position
        words[SKIPPED_COUNT] = len(cursor.skipped)
        words[SCAN] = cursor.scan
        words[READ] = cursor.skipped[0] if cursor.skipped else cursor.scan

    def move_cursor(self) -> bool:
        """Whether it found a READY frame."""
        cursor = self.load_cursor()
        found = self.find_ready(cursor, self.load_head(cursor.scan))
        self.store_cursor(cursor)
        return found is not None

    def reset_cursor(self, read: int) -> None:
        """Everything from ``read`` on is to be looked at again."""
        self._control[READ] = read
        self._control[SKIPPED_COUNT] = 0
        self._control[SCAN] = read

    def forget_cursor(self) -> None:
        """What is under the lock was left half-done: only ``read`` is to be trusted (W-38)."""
        self.reset_cursor(self._control[READ])

    def find_ready(self, cursor: Cursor, head: int) -> int | None:
        """The earliest READY frame.

        One that was found READY behind reserved ones may be its producer's second: whatever was committed before it is
        READY by now, so the earlier ones are looked at again, until a look finds none.
        """
        if not cursor.skipped and cursor.scan != head and self.state_at(cursor.scan) == READY:
            return cursor.scan
        look = self._first_ready(cursor, head)
        found = look.ready
        while look.ready is not None and look.passed_reserved:
            look = self._first_ready(cursor, look.ready)
            found = look.ready if look.ready is not None else found
        return found

    def _first_ready(self, cursor: Cursor, limit: int) -> _Look:
        """One look at the remembered reservations, then on from ``scan``, up to ``limit``."""
        passed_reserved = False
        for position in [position for position in cursor.skipped if position < limit]:
            state = self.state_at(position)
            if state == READY:
                return _Look(position, passed_reserved)
            if state == RESERVED:
                passed_reserved = True
            else:
                cursor.forget(position)
        position = cursor.scan
        while position < limit:
            state = self.state_at(position)
            if state == READY:
                return _Look(position, passed_reserved)
            following = position + self.extent_at(position, limit)
            passed_reserved = passed_reserved or state == RESERVED
            self._pass(cursor, position, following, state)
            position = following
        return _Look(None, passed_reserved)

    def _pass(self, cursor: Cursor, position: int, following: int, state: int) -> None:
        gapless = position == cursor.scan
        if state == RESERVED:
            if gapless and len(cursor.skipped) < wire.MAX_SKIPPED:
                cursor.skipped.append(position)
                cursor.scan = following
        elif state != LEASED and state not in FINISHED:
            self.corrupt(f"a frame has the unknown state {state}")
        elif gapless:
            cursor.scan = following
