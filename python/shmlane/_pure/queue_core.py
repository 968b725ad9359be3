# SPDX-License-Identifier: Apache-2.0
"""What Producer and Consumer share: a participant in a queue, its ring, reaping and waiting."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from typing import Any, NoReturn

from .._log import logger
from ..errors import Closed, Evicted, TimedOut
from . import wire
from .attachment import AttachOptions
from .core import Core
from .os import clock
from .os.process import ONLINE_CORES
from .os.semaphore import Wait
from .participants import Participants, id_index
from .ring import Ring
from .ring_frames import LEASED, READY
from .ring_recovery import Contents
from .segment import Segment
from .waiting import SLICE_NS, Sleeper, WaitPlace
from .wire import Kind, ParticipantEntry

_SPIN_NS = 30_000  # about what it costs to be woken
_LONGEST_SPIN_NS = 2_000_000
_LOCK_PATIENCE_NS = 1_000_000_000

COUNTERS = (
    "pushed", "pushed_bytes", "aborted", "popped", "popped_bytes", "dropped", "redelivered", "waits", "recovered",
)  # fmt: skip


class Waited(enum.Enum):
    DONE = 0
    TIMED_OUT = 1
    CANCELLED = 2


class QueueCore(Core):
    """Thread-safe. The participant leaves when its handle is closed and the last call, lease, reservation is over."""

    def __init__(self, name: str, role: int, options: AttachOptions) -> None:
        self._reaped_at = 0
        self._ring: Ring | None = None
        options.kind, options.role = Kind.QUEUE, role
        super().__init__(name, options)
        if self.ring is not None:
            self.reap_all(self._counted_for)

    # ---- Who uses it -------------------------------------------------------------------------------------------------

    def alone(self) -> bool:
        """Whether the caller's call is the only one, and nothing is held. To be asked under consumers_lock."""
        # First the calls: what is held by then by one that ended was noted before it did.
        return len(self.calls) == 1 and not self.holds

    def _renewed(self, me: int) -> None:
        super()._renewed(me)
        if self._ring is not None:
            self._ring.forget_holds()

    def _give_up(self) -> None:
        self.attachment.drop_role()

    def _wake_waiters(self) -> None:
        self.attachment.wake_everybody()

    def _settle(self) -> bool:
        """Give back what this participant holds; whether nothing is left in the ring for others."""
        ring = self.ring
        if ring is None:
            return True
        me = self._counted_for
        self.reap_all(me)
        if not ring.give_back_all(me, clock.deadline_after(_LOCK_PATIENCE_NS)):
            raise TimedOut(f"a lock of the ring was not to be had: {ring.obstacle()}")
        # Looked at without a lock: others would move the frames meanwhile. It matters only if there are none.
        return not self.participants.anyone_alive_but(me) and ring.empty()

    def throw_closed(self) -> NoReturn:
        raise Closed(f"the handle of queue '{self.name}' is closed; open a new Producer or Consumer")

    # ---- The ring ----------------------------------------------------------------------------------------------------

    @property
    def ring(self) -> Ring | None:
        """Once somebody has laid it out."""
        return self._ring or self._find_ring()

    def _find_ring(self) -> Ring | None:
        segment = self.attachment.segment
        if segment.state == wire.SegmentState.HEADER:
            return None
        with segment.mutex:
            if self._ring is None and segment.map_body():
                self._ring = Ring(segment, self.participants)
            return self._ring

    # ---- The dead ----------------------------------------------------------------------------------------------------

    def reap_now_and_then(self, me: int) -> None:
        """Reap whoever died, if the last look is more than a slice ago."""
        if time.monotonic_ns() - self._reaped_at < SLICE_NS:
            return
        self.sweep()
        if not self.participants.can_ask():
            raise Evicted(
                f"queue '{self.name}': this handle's file descriptors were closed, so the others take it for dead; "
                "open a new handle"
            )
        self.reap_all(me)

    def reap_all(self, me: int) -> None:
        self._reaped_at = time.monotonic_ns()
        ring = self.ring
        start = 0
        while ring is not None and (dead := self.participants.find_dead(me, start)) is not None:
            who = self.participants.describe(dead)
            if ring.reap(me, dead, clock.deadline_after(_LOCK_PATIENCE_NS)):
                self.attachment.wake_everybody()
                logger.log(logging.INFO, "queue '%s': %s died; what it held was settled", self.name, who)
            start = id_index(dead) + 1

    # ---- Waiting -----------------------------------------------------------------------------------------------------

    def wait_until(
        self,
        place: WaitPlace,
        deadline: int,
        hint: Callable[[], bool],
        attempt: Callable[[], bool],
        in_work: Callable[[], int] = lambda: 0,
    ) -> Waited:
        """Call ``attempt`` until it is true: while spinning whenever ``hint`` is, then after each sleep at ``place``.

        It is woken there, or a slice is over. It spins the longer, the more bytes are ``in_work`` at what it waits for.
        Reaps the dead on the way. Raises Closed, and what they raise.
        """
        cancellations = self._cancellations
        # With fewer cores than participants a spinner keeps off the very one it waits for.
        if 1 < ONLINE_CORES >= self.participants.used():
            begin = time.monotonic_ns()
            while time.monotonic_ns() - begin < _SPIN_NS + min(in_work() // 4, _LONGEST_SPIN_NS):
                if hint() and attempt():
                    return Waited.DONE
                if clock.passed(deadline):
                    return Waited.TIMED_OUT
                time.sleep(0)  # lets other threads run
        with Sleeper(place) as sleeper:
            self.count(self.attachment.me, ParticipantEntry.waits)
            while True:
                sleeper.announce()
                if attempt():
                    return Waited.DONE
                if self._cancellations != cancellations and not self.closed:
                    return Waited.CANCELLED
                if self.closed:
                    self.throw_closed()
                if clock.passed(deadline):
                    return Waited.TIMED_OUT
                if sleeper.sleep(min(time.monotonic_ns() + SLICE_NS, deadline)) is Wait.TIMED_OUT:
                    self.reap_now_and_then(self.attachment.me)

    # ---- Looking -----------------------------------------------------------------------------------------------------

    def stat(self) -> dict[str, int]:
        return queue_stat(self.participants, self.ring)


def entry_counters(participants: Participants, index: int) -> dict[str, int]:
    """Of one entry, of its owners before the present one, too (W-15)."""
    # Aborted first: what is aborted later was pushed before, so that the difference is never negative.
    aborted = participants.get(index, ParticipantEntry.aborted)
    counters = {name: participants.get(index, getattr(ParticipantEntry, name)) for name in COUNTERS}
    return counters | {"pushed": counters["pushed"] - aborted & wire.MASK, "aborted": aborted}


def queue_stat(participants: Participants, ring: Ring | None) -> dict[str, int]:
    """Counters of the table and fill of the ring, without a lock."""
    entries = [entry_counters(participants, index) for index in range(participants.used())]
    stat: dict[str, int] = {name: sum(entry[name] for entry in entries) & wire.MASK for name in COUNTERS}
    stat["capacity"] = ring.capacity if ring else 0
    stat["used"] = (ring.contents() if ring else Contents()).used
    stat["producers"] = participants.in_role(wire.ROLE_PRODUCER)
    stat["consumers"] = participants.in_role(wire.ROLE_CONSUMER)
    return stat


def count_objects(segment: Segment) -> int:
    """READY and LEASED frames in a segment whose body is mapped and in which nobody lives. Raises Corrupt."""
    ring = Ring(segment, Participants(segment.head, segment.file))
    return sum(step.state in (READY, LEASED) for step in ring.walk_all())


def attach_options(**options: Any) -> AttachOptions:
    return AttachOptions(kind=Kind.QUEUE, role=0, count_objects=count_objects, **options)
