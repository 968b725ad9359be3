# SPDX-License-Identifier: Apache-2.0
"""Making room for a reservation: moving the tail, helping the consumers' cursor along, dropping, starting again."""

from __future__ import annotations

from .os import clock
from .ring_cursor import Cursors
from .ring_frames import FINISHED, FREE, HEAD, PAD, READ, READY, TAIL, Limits
from .wire import ALIGNMENT, ParticipantEntry

_LEASE = ParticipantEntry.oldest_lease


class Room(Cursors):
    """All of this under ``producers_lock``."""

    def needed(self, head: int, extent: int) -> int:
        """Bytes that a frame needs at ``head``, its PAD included (W-50)."""
        rest = self.capacity - head % self.capacity
        return rest + extent if rest < extent else extent

    def fits(self, head: int, extent: int) -> bool:
        return head + self.needed(head, extent) - self._control[TAIL] <= self.capacity

    def make_room(
        self, me: int, head: int, extent: int, limits: Limits, deadline: int, batch: bool = False
    ) -> int | None:
        """``head``, which may have moved, if there is room now; else None."""
        self.reclaim()
        if not self.fits(head, extent) and not batch:
            self._help(me, extent, limits, deadline)
            head = self._control[HEAD]
        return head if self.fits(head, extent) else None

    def slots(self, me: int, extent: int, limits: Limits, deadline: int) -> int:
        """How many more objects may wait. If there is none, but room for one in exchange, the oldest makes way."""

        def left() -> int:
            return limits.max_objects - self.count_waiting(limits.max_objects)

        def exchange() -> int:
            if not left():
                cursor = self.load_cursor()
                oldest = self.find_ready(cursor, self.load_head(cursor.scan))
                if oldest is not None:
                    self._drop(me, oldest)
                self.store_cursor(cursor)
            return left()

        now = left()
        if now or not limits.drop_oldest:
            return now
        head = self._control[HEAD]
        if not self.fits(head, extent) and self.make_room(me, head, extent, limits, deadline) is None:
            return 0
        slots = self._consumers.hold(me, deadline, exchange)
        return left() if slots is None else slots

    def reclaim(self) -> None:
        """Move the tail over finished frames, but never past ``read``, where consumers may still stand (W-51).

        What lies before ``read`` and before every lease is finished for sure, without a look at it.
        """
        old = self._control[TAIL]
        read = self._control[READ]
        if not 0 <= read - old <= self.capacity or (old | read) % ALIGNMENT:
            self.corrupt("read is not between tail and head")
        tail = max(old, self._oldest_lease(read))
        while tail != read and self.state_at(tail) in FINISHED:
            tail += self.extent_at(tail, read)
        if tail != old:
            self._control[TAIL] = tail

    def _oldest_lease(self, read: int) -> int:
        """The lowest position before ``read`` that anybody's lease may have, or ``read``."""
        oldest = read
        for index in range(self.participants.used()):
            lease = self.participants.get(index, _LEASE)
            if lease < oldest and self.participants.word(index).live and not lease % ALIGNMENT:
                oldest = lease
        return oldest

    def _help(self, me: int, extent: int, limits: Limits, deadline: int) -> None:
        """Move ``read`` over finished frames (W-52): were producers to wait for a consumer to do so, all could sleep.

        It only tries the consumers' lock, because it holds the producers' one; but who does not wait for room must not
        take a busy consumer for a full ring.
        """

        def work() -> None:
            self.move_cursor()
            self.reclaim()
            if not self.fits(self._control[HEAD], extent) and limits.drop_oldest:
                self._drop_oldest(me, self._control[HEAD], extent)
            head = self._control[HEAD]
            if not self.fits(head, extent) and self._control[TAIL] == head:
                self._start_again(head)

        if not limits.drop_oldest:
            read = self._control[READ]
            if read != self._control[HEAD] and (read % ALIGNMENT or self.state_at(read) not in FINISHED):
                return
        self._consumers.hold(me, deadline if limits.drop_oldest else clock.PAST, work)

    def _drop_oldest(self, me: int, head: int, extent: int) -> None:
        """Nothing is dropped unless that makes room: what somebody holds at the tail is in the way anyhow (W-47)."""
        wanted = self.needed(head, extent)
        tail = end = self._control[TAIL]
        if tail % ALIGNMENT or not 0 <= head - tail <= self.capacity:
            self.corrupt("its tail makes no sense")
        while end != head and head + wanted - end > self.capacity:
            state = self.state_at(end)
            if state not in FINISHED and state != READY:
                return
            end += self.extent_at(end, head)
        for step in self.walk(tail, end):
            if step.state == READY:
                self._drop(me, step.position)
        self.move_cursor()
        self.reclaim()

    def _drop(self, me: int, position: int) -> None:
        self.participants.count(me, ParticipantEntry.dropped)
        self.set_control(self.at(position), FREE)

    def _start_again(self, head: int) -> None:
        """At the beginning of the body, by an ordinary PAD frame and the ordinary moves of read and tail (W-53)."""
        rest = self.capacity - head % self.capacity
        if rest == self.capacity:
            return
        self.open_frame(head, rest, PAD)
        self._control[HEAD] = head + rest
        self.move_cursor()
        self.reclaim()
