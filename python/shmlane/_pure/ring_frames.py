# SPDX-License-Identifier: Apache-2.0
"""The ring's words and frames: checked reading of what others write, steps from frame to frame (SPEC section 5)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from ..errors import Corrupt
from . import wire
from .frame import open_frame, opening_is_right
from .lock import OwnerLock
from .participants import NOBODY, Participants
from .segment import Segment
from .wire import ALIGNMENT, FrameState, ParticipantEntry, RingControl

# As plain integers, which compare faster than members of an enumeration.
RESERVED = int(FrameState.RESERVED)
READY = int(FrameState.READY)
LEASED = int(FrameState.LEASED)
FREE = int(FrameState.FREE)
ABANDONED = int(FrameState.ABANDONED)
PAD = int(FrameState.PAD)
FINISHED = frozenset((FREE, ABANDONED, PAD))

TAIL = wire.CONTROL_OFFSET + RingControl.tail >> 3
HEAD = wire.CONTROL_OFFSET + RingControl.head >> 3
SCAN = wire.CONTROL_OFFSET + RingControl.scan >> 3
SKIPPED_COUNT = wire.CONTROL_OFFSET + RingControl.skipped_count >> 3
SKIPPED = wire.CONTROL_OFFSET + RingControl.skipped >> 3
READ = wire.CONTROL_OFFSET + RingControl.read >> 3

# No ring ever comes so far, so sums of positions and lengths below it fit a word.
_ENDLESS = 1 << 63


class Limits(NamedTuple):
    """What a producer asks for beyond room."""

    max_objects: int = 0
    """How many may wait in the ring; 0: no limit."""
    drop_oldest: bool = False
    """Make room by dropping what nobody has taken yet."""


class Step(NamedTuple):
    """A frame as a walk meets it."""

    position: int
    state: int
    attempt: int
    owner: int
    extent: int
    at: int
    """Index of its first word in the body."""


class Frames:
    """One handle's view of a ring whose body is mapped."""

    def __init__(self, segment: Segment, participants: Participants) -> None:
        assert segment.body is not None
        self.name = segment.name
        self.capacity = segment.capacity
        self.participants = participants
        self._segment_id = segment.segment_id
        self._control = segment.head.words
        self._body = segment.body
        self._words = segment.body.words
        lock_at, entry = wire.CONTROL_OFFSET, ParticipantEntry
        self._producers = OwnerLock(
            segment.head, lock_at + RingControl.producers_lock, entry.producers_busy, participants, self.name
        )
        self._consumers = OwnerLock(
            segment.head, lock_at + RingControl.consumers_lock, entry.consumers_busy, participants, self.name
        )

    def forget_holds(self) -> None:
        """In a forked child, before its first use there."""
        self._producers.forget()
        self._consumers.forget()

    def at(self, position: int) -> int:
        """Index of the frame's first word in the body."""
        return position % self.capacity >> 3

    def state_at(self, position: int) -> int:
        return self._words[position % self.capacity >> 3] & 0xFF

    def payload_size_at(self, at: int) -> int:
        return self._words[at + 3]

    def set_control(self, at: int, state: int, attempt: int = 0, owner: int = NOBODY) -> None:
        self._words[at] = state | attempt << 8 | owner << 16

    def open_frame(self, position: int, extent: int, state: int, owner: int = NOBODY) -> int:
        """Write the opening of a frame beyond ``head``; gives the index of its first word."""
        at = self.at(position)
        open_frame(self._words, at, self._segment_id, position, extent)
        self._words[at] = state | owner << 16
        return at

    def extent_at(self, position: int, limit: int) -> int:
        """The frame's length. Raises Corrupt unless its opening is right and it ends at or before ``limit``."""
        offset = position % self.capacity
        extent = self._words[(offset >> 3) + 2]
        available = min(self.capacity - offset, limit - position)
        if not opening_is_right(self._words, offset >> 3, extent, available, self._segment_id, position):
            self.corrupt(f"no frame stands at position {position}")
        return extent

    def load_head(self, not_before: int) -> int:
        """Raises Corrupt unless it is aligned and at most one capacity after ``not_before``."""
        head = self._control[HEAD]
        if not 0 <= head - not_before <= self.capacity or (head | not_before) % ALIGNMENT or head >= _ENDLESS:
            self.corrupt("its cursors make no sense")
        return head

    def walk(self, start: int, end: int) -> Iterator[Step]:
        """Raises Corrupt at a frame that is none; without a lock that keeps the frames in place, expect that."""
        position = start
        while position != end:
            at = position % self.capacity >> 3
            control = self._words[at]
            extent = self.extent_at(position, end)
            yield Step(position, control & 0xFF, control >> 8 & 0xFF, control >> 16, extent, at)
            position += extent

    def walk_all(self) -> Iterator[Step]:
        tail = self._control[TAIL]
        return self.walk(tail, self.load_head(tail))

    def count_waiting(self, limit: int) -> int:
        """RESERVED and READY frames from ``read`` on, up to ``limit``."""
        read = self._control[READ]
        count = 0
        for step in self.walk(read, self.load_head(read)):
            count += step.state in (RESERVED, READY)
            if count >= limit:
                break
        return count

    def corrupt(self, what: str) -> NoReturn:
        raise Corrupt(f"queue '{self.name}' is corrupt: {what}; remove it with: shmlane rm --force {self.name}")
