# SPDX-License-Identifier: Apache-2.0
"""The ring: a bounded many-to-many queue of frames in shared memory that survives anybody's death (SPEC section 5).

Producing: reserve (under ``producers_lock``, published by one store of ``head``), write, commit (one store).
Consuming: acquire (under ``consumers_lock``), read in place, release (one store).
A death before such a store is nothing; one after it leaves a frame with a dead owner, which ``reap`` settles.
Who needs both locks takes ``producers_lock`` first.

Nothing in this process may come between either: what is reserved or leased stands in the caller's list before it is
published, so that an exception at any moment leaves no frame that nobody knows of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..errors import Evicted
from . import wire
from .frame import FrameExtents, check_frame, write_frame
from .participants import Participants, id_index
from .ring_frames import (
    ABANDONED,
    FREE,
    HEAD,
    LEASED,
    PAD,
    READ,
    READY,
    RESERVED,
    SCAN,
    SKIPPED,
    SKIPPED_COUNT,
    TAIL,
    Limits,
)
from .ring_recovery import Recovery
from .ring_room import Room
from .segment import Segment
from .wire import ALIGNMENT, MASK, MAX_SKIPPED, ParticipantEntry

_PUSHED = ParticipantEntry.pushed
_PUSHED_BYTES = ParticipantEntry.pushed_bytes
_POPPED = ParticipantEntry.popped
_POPPED_BYTES = ParticipantEntry.popped_bytes
_LEASE = ParticipantEntry.oldest_lease
_WORTHWHILE = 32 * 1024  # bytes given back at once, for a producer that spins


class Place(NamedTuple):
    """A frame in the ring, as its present owner sees it."""

    position: int
    at: int
    """Index of its first word in the body."""


class Ring(Room, Recovery):
    """Thread-safe. What locks raises Corrupt or Evicted; if a living holder keeps a lock past the deadline (it is
    stopped, or was put off its core in the wrong moment), nothing is done and the answer is 0 or False.
    """

    def __init__(self, segment: Segment, participants: Participants) -> None:
        super().__init__(segment, participants)
        self._consumers.repair = self.forget_cursor  # under producers_lock each single store leaves a valid ring

    # ---- Producing ---------------------------------------------------------------------------------------------------

    def reserve(self, me: int, extents: Sequence[FrameExtents], limits: Limits, deadline: int, out: list[Place]) -> int:
        """Reserve room for the first n of ``extents`` under one lock, n as large as fits, 0 for a full ring; gives n.

        Their places are appended to ``out``.
        """
        return self._producers.hold(me, deadline, lambda: self._reserve(me, extents, limits, deadline, out)) or 0

    def _reserve(
        self, me: int, extents: Sequence[FrameExtents], limits: Limits, deadline: int, out: list[Place]
    ) -> int:
        self.load_head(self._control[TAIL])
        count = len(extents)
        if limits.max_objects:
            count = min(count, self.slots(me, extents[0].extent, limits, deadline))
        before = len(out)
        try:
            return self._reserve_some(me, extents[:count], limits, deadline, out)
        except BaseException:
            while len(out) > before and out[-1].position >= self._control[HEAD]:
                out.pop()  # never published
            raise

    def _reserve_some(
        self, me: int, extents: Sequence[FrameExtents], limits: Limits, deadline: int, out: list[Place]
    ) -> int:
        head = self._control[HEAD]
        done = payload_bytes = 0
        for extent, payload_size, _, _ in extents:
            if not self.fits(head, extent):
                moved = self.make_room(me, head, extent, limits, deadline, batch=done != 0)
                if moved is None:
                    break
                head = moved
            rest = self.capacity - head % self.capacity
            if rest < extent:
                self.open_frame(head, rest, PAD)
                head += rest
            at = self.open_frame(head, extent, RESERVED, me)
            self._words[at + 3] = payload_size
            out.append(Place(head, at))
            head += extent
            payload_bytes += payload_size
            done += 1
        if done:
            self._add(me, _PUSHED, done)
            self._add(me, _PUSHED_BYTES, payload_bytes)
            self._control[HEAD] = head
        return done

    def write(self, place: Place, extents: FrameExtents, metadata: bytes) -> None:
        """All of a reserved frame but its payload."""
        write_frame(self._body.bytes, self._words, place.at, extents, metadata)

    def commit(self, me: int, place: Place) -> None:
        """Publish a frame that has been written. Raises Evicted if it is no longer this participant's."""
        if self._words[place.at] != RESERVED | me << 16:
            raise Evicted(
                f"queue '{self.name}': the reservation is gone; the other participants took this handle for dead"
            )
        self._words[place.at] = READY

    def abort(self, me: int, place: Place) -> bool:
        """Give a reservation back. False, and nothing done, if it is no longer this participant's."""
        mine = self._words[place.at] == RESERVED | me << 16 and self._stands(place)
        if mine:
            self.participants.count(me, ParticipantEntry.aborted)
            self._words[place.at] = ABANDONED
        return mine

    # ---- Consuming ---------------------------------------------------------------------------------------------------

    def acquire(self, me: int, most: int, alone: Callable[[], bool], deadline: int, out: list[Place]) -> int:
        """Take the first n READY frames under one lock, n at most ``most``, 0 for an empty ring; gives n.

        Their places are appended to ``out``. alone(), called under the lock: whether the participant surely holds no
        other lease.
        """
        return self._consumers.hold(me, deadline, lambda: self._acquire(me, most, alone, out)) or 0

    def _acquire(self, me: int, most: int, alone: Callable[[], bool], out: list[Place]) -> int:
        only = alone()
        cursor = self.load_cursor()
        head = self.load_head(cursor.scan)
        before = len(out)
        payload_bytes = 0
        try:
            while len(out) - before < most and (found := self.find_ready(cursor, head)) is not None:
                extent = self.extent_at(found, head)
                at = self.at(found)
                out.append(Place(found, at))
                self._lease(me, found, at, only)
                only = False
                payload_bytes += self._words[at + 3]
                if found == cursor.scan:
                    cursor.scan += extent
                cursor.forget(found)
            self.store_cursor(cursor)
        except BaseException:
            for place in out[before:]:
                self._take_back(me, place)
            del out[before:]
            raise
        done = len(out) - before
        if done:
            self._add(me, _POPPED, done)
            self._add(me, _POPPED_BYTES, payload_bytes & MASK)
        return done

    def _lease(self, me: int, position: int, at: int, only: bool) -> None:
        """W-57"""
        oldest = Participants.at(id_index(me), _LEASE) >> 3
        if only or position < self._control[oldest]:
            self._control[oldest] = position
        self._words[at] = LEASED | self._words[at] & 0xFF00 | me << 16

    def take_back(self, me: int, places: Sequence[Place], deadline: int) -> None:
        """Make what is leased by the caller READY again, as if it had never been taken."""

        def work() -> None:
            for place in places:
                self._take_back(me, place)

        if places:
            self._consumers.hold(me, deadline, work)

    def _take_back(self, me: int, place: Place) -> None:
        control = self._words[place.at]
        if control & 0xFF == LEASED and control >> 16 == me and self._stands(place):
            self.put_back(place.position, place.at, control >> 8 & 0xFF)

    def check(self, place: Place) -> FrameExtents:
        """The lengths of a frame that is leased by the caller. Raises Corrupt."""
        available = self.capacity - (place.at << 3)
        return check_frame(self._body.bytes, self._words, place.at, available, self._segment_id, place.position)

    def attempt_of(self, place: Place) -> int:
        return self._words[place.at] >> 8 & 0xFF

    def release(self, me: int, place: Place) -> None:
        """Give a lease back. Nothing happens if it is no longer this participant's."""
        control = self._words[place.at]
        if control & 0xFF == LEASED and control >> 16 == me and self._stands(place):
            self._words[place.at] = FREE

    def _stands(self, place: Place) -> bool:
        """Whether the frame is that one still: what was given back before may be another one's of the same owner."""
        opening = wire.open_sentinel(self._segment_id, place.position, self._words[place.at + 2])
        return self._words[place.at + 1] == opening

    @property
    def memory(self) -> memoryview:
        """The body's bytes."""
        return self._body.bytes

    @property
    def readonly_memory(self) -> memoryview:
        return self._body.readonly

    @property
    def address(self) -> int:
        """Of the body."""
        return self._body.address

    # ---- Whether it is worth trying ----------------------------------------------------------------------------------

    def has_ready(self, me: int, deadline: int) -> bool:
        """Whether acquire would take something now."""
        return bool(self._consumers.hold(me, deadline, self.move_cursor))

    def has_room(self, me: int, extent: int, limits: Limits, deadline: int) -> bool:
        """Whether reserve would find room for ``extent`` bytes now."""

        def look() -> bool:
            if limits.drop_oldest:
                return True
            if limits.max_objects and self.count_waiting(limits.max_objects) == limits.max_objects:
                return False
            head = self.load_head(self._control[TAIL])
            return self.fits(head, extent) or self.make_room(me, head, extent, limits, deadline) is not None

        return bool(self._producers.hold(me, deadline, look))

    def maybe_ready(self) -> bool:
        """Without a lock, for who spins: False if surely nothing has come."""
        scan = self._control[SCAN]
        if scan % ALIGNMENT:
            return True
        if self._control[HEAD] != scan and self.state_at(scan) != RESERVED:
            return True
        positions = [self._control[SKIPPED + i] for i in range(min(self._control[SKIPPED_COUNT], MAX_SKIPPED))]
        return any(not position % ALIGNMENT and self.state_at(position) != RESERVED for position in positions)

    def maybe_room(self, extent: int) -> bool:
        """Without a lock, for who spins: False if too little was given back to be worth the disturbance."""
        tail, head, read = self._control[TAIL], self._control[HEAD], self._control[READ]
        if tail % ALIGNMENT or tail == head:
            return True
        return read - tail >= min(head - tail, max(extent, min(self.capacity // 4, _WORTHWHILE)))

    def being_written(self) -> int:
        """Bytes that somebody is writing at the very place that a consumer waits for.

        That is at ``read``, which does not pass a reservation, even if it was skipped; or behind a PAD there, which
        consumers step over only when they take the next frame.
        """
        head, first = self._control[HEAD], self._control[READ]
        if first == head or first % ALIGNMENT:
            return 0
        if self.state_at(first) == PAD:
            first = (first + self.capacity - first % self.capacity) & MASK
        return 0 if first == head else self._payload_in_state(first, RESERVED)

    def being_read(self) -> int:
        """Bytes that somebody is reading at the very place that a producer waits for: at the tail, or behind it."""
        return self._payload_in_state(self._oldest_lease(self._control[READ]), LEASED)

    def _payload_in_state(self, position: int, state: int) -> int:
        if position % ALIGNMENT or self.state_at(position) != state:
            return 0
        return min(self._words[self.at(position) + 3], self.capacity)

    def _add(self, me: int, counter: int, amount: int) -> None:
        """To a counter that is written under the lock of its side by the entry's owner alone."""
        at = Participants.at(id_index(me), counter) >> 3
        self._control[at] = (self._control[at] + amount) & MASK
