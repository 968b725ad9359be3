# SPDX-License-Identifier: Apache-2.0
"""The consuming end: waiting for objects, the end of stream, copies and leases."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, final

from .._log import logger
from ..errors import Corrupt, Empty, InvalidArgument
from . import plain, wire
from .arguments import describe_wait, queue_options, to_choice, to_timeout, to_unsigned
from .core import Use
from .handle import QueueHandle
from .holds import Lease, LeaseHandle, make_lease
from .os import clock
from .participants import ParticipantPolicy
from .queue_core import QueueCore, Waited
from .ring import Place, Ring
from .waiting import SLICE_NS
from .wire import METADATA_OFFSET, OnDeath, ParticipantEntry

_BATCH = 64  # frames taken under one lock
_MOST = 4096  # frames that one call holds at most
_MOST_ATTEMPTS = 255

Look = Callable[[Ring, int], bool]
"""A way to look for something, waiting for locks until the deadline: an acquire, or a mere has_ready."""


class _Outcome(enum.Enum):
    NOTHING = 0
    FOUND = 1
    END = 2
    CANCELLED = 3


class _Frame(NamedTuple):
    """A leased frame that is sound."""

    place: Place
    extents: Any
    metadata: bytes


@final
class Consumer(QueueHandle):
    """The reading end of a queue of frames."""

    def __init__(
        self,
        name: str,
        *,
        capacity: int | None = None,
        on_death: str = "redeliver",
        max_attempts: int = 3,
        stale: str = "auto",
        mode: int = 0o600,
        unlink: bool = True,
    ) -> None:
        options = queue_options(capacity, stale, mode, unlink)
        policy = to_choice(on_death, "on_death", {"redeliver": OnDeath.REDELIVER, "drop": OnDeath.DROP})
        attempts = to_unsigned(max_attempts, "max_attempts")
        if not 1 <= attempts <= _MOST_ATTEMPTS:
            raise InvalidArgument("max_attempts must be between 1 and 255")
        options.policy = ParticipantPolicy(policy, attempts)
        self._core = QueueCore(name, wire.ROLE_CONSUMER, options)

    # ---- Taking ------------------------------------------------------------------------------------------------------

    def acquire(self, timeout: float | None = None) -> Lease | None:
        """The next frame in place; None at the end of stream. Raises Empty."""
        taken = self._take_each(1, to_timeout(timeout), self._give_lease)
        return taken[0] if taken else None

    def acquire_as(self, type: type[LeaseHandle], context: Any, timeout: float | None = None) -> Any:  # noqa: A002
        """As ``acquire``, within an instance of that class, with that context."""
        lease = self.acquire(timeout)
        return None if lease is None else type(lease, context)

    def pop_plain(self, timeout: float | None = None) -> Any:
        """The next object, copied out, if it is plain; else its Lease; None at the end of stream."""
        taken = self._take_each(1, to_timeout(timeout), self._give_object)
        return taken[0] if taken else None

    def pop_plain_many(self, max: int, timeout: float | None = None) -> list[Any]:  # noqa: A002
        """Up to ``max`` of what pop_plain gives, as soon as there is one; [] at the end of stream. Raises Empty."""
        patience = to_timeout(timeout)
        limit = min(to_unsigned(max, "max"), _MOST)
        if not limit:
            raise InvalidArgument("max is 0; give how many objects to take at most")
        return self._take_each(limit, patience, self._give_object_or_lease)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is an object, or the end, without taking anything; False on time-out or cancel_wait."""
        patience = to_timeout(timeout)
        core = self._core
        with Use(core) as use:

            def look(ring: Ring, deadline: int) -> bool:
                return ring.has_ready(use.me, deadline)

            ring = core.ring
            if ring is not None and look(ring, clock.PAST):
                return True
            return self._find(use.me, clock.deadline_after(patience), look) in (_Outcome.FOUND, _Outcome.END)

    # ---- What becomes of a frame -------------------------------------------------------------------------------------

    def _give_lease(self, use: Use, ring: Ring, frame: _Frame) -> Lease:
        return make_lease(self._core, ring, use.me, *frame)

    def _give_object(self, use: Use, ring: Ring, frame: _Frame) -> Any:
        start = (frame.place.at << 3) + frame.extents.payload_offset
        try:
            obj = plain.decode(frame.metadata, ring.memory, ring.address, start, frame.extents.payload_size)
        except Corrupt:
            self._release(use.me, ring, frame.place)
            raise
        if obj is plain.NOT_PLAIN:
            return self._give_lease(use, ring, frame)
        self._release(use.me, ring, frame.place)
        return obj

    def _give_object_or_lease(self, use: Use, ring: Ring, frame: _Frame) -> Any:
        """As _give_object, but a frame with bad contents comes as its lease: an error here would lose the others."""
        start = (frame.place.at << 3) + frame.extents.payload_offset
        try:
            obj = plain.decode(frame.metadata, ring.memory, ring.address, start, frame.extents.payload_size)
        except Corrupt:
            obj = plain.NOT_PLAIN
        if obj is plain.NOT_PLAIN:
            return self._give_lease(use, ring, frame)
        self._release(use.me, ring, frame.place)
        return obj

    def _release(self, me: int, ring: Ring, place: Place) -> None:
        ring.release(me, place)
        self._core.attachment.space.wake_one()

    def _check(self, me: int, ring: Ring, place: Place) -> _Frame:
        """One that is not sound is given back, counted as dropped, and the error goes on (W-58)."""
        try:
            extents = ring.check(place)
        except Corrupt:
            self._core.count(me, ParticipantEntry.dropped)
            self._release(me, ring, place)
            raise
        start = (place.at << 3) + METADATA_OFFSET
        return _Frame(place, extents, bytes(ring.memory[start : start + extents.metadata_size]))

    # ---- Looking for frames ------------------------------------------------------------------------------------------

    def _take_each(self, most: int, patience: int | None, give: Callable[[Use, Ring, _Frame], Any]) -> list[Any]:
        """What ``give`` makes of up to ``most`` frames, waiting for the first; [] at the end of stream. Raises Empty.

        Corrupt frames of several are logged, so that the sound ones beside them are not lost; if there is no sound one,
        the last error is raised.
        """
        results: list[Any] = []
        with Use(self._core) as use:
            taken = 0
            ended = False
            while taken < most and not ended:
                places: list[Place] = []
                try:
                    ended = self._take(use.me, min(most - taken, _BATCH), patience if not taken else 0, places)
                    count = len(places)
                    self._give_each(use, places, give, results)
                except BaseException:
                    self._take_back(use.me, places)
                    raise
                taken += count
                if not count:
                    break
        if not taken and not ended:
            raise Empty(f"nothing to take from the queue '{self.name}'{describe_wait(patience)}")
        return results

    def _give_each(
        self, use: Use, places: list[Place], give: Callable[[Use, Ring, _Frame], Any], results: list[Any]
    ) -> None:
        """What is given leaves ``places``."""
        ring = self._core.ring
        while places and ring is not None:
            try:
                frame = self._check(use.me, ring, places[0])
            except Corrupt as error:
                del places[0]
                if not results and not places:
                    raise
                logger.log(logging.ERROR, "%s", error)
                continue
            results.append(give(use, ring, frame))
            del places[0]

    def _take_back(self, me: int, places: list[Place]) -> None:
        if places and self._core.ring is not None:
            self._core.ring.take_back(me, places, clock.deadline_after(SLICE_NS))

    def _take(self, me: int, most: int, patience: int | None, places: list[Place]) -> bool:
        """Take up to ``most`` frames under one lock, waiting for the first. Whether the end of stream was seen."""
        core = self._core

        def look(ring: Ring, deadline: int) -> bool:
            return ring.acquire(me, most, core.alone, deadline, places) != 0

        ring = core.ring
        if ring is not None and look(ring, clock.PAST):
            return False
        deadline = clock.deadline_after(patience)
        outcome = _Outcome.CANCELLED
        while outcome is _Outcome.CANCELLED:
            outcome = self._find(me, deadline, look)
        return outcome is _Outcome.END

    def _find(self, me: int, deadline: int, look: Look) -> _Outcome:
        """The slow way, when the first look found nothing."""
        core = self._core
        outcome = _Outcome.NOTHING

        def attempt() -> bool:
            nonlocal outcome
            ring = core.ring
            found = ring is not None and look(ring, clock.deadline_after(SLICE_NS))
            outcome = _Outcome.FOUND if found else self._look_for_end(me, look)
            return outcome is not _Outcome.NOTHING

        if deadline == clock.PAST:
            core.reap_now_and_then(me)
            return self._look_for_end(me, look)

        def hint() -> bool:
            ring = core.ring
            return ring is not None and ring.maybe_ready()

        def in_work() -> int:
            ring = core.ring
            return ring.being_written() if ring is not None else 0

        waited = core.wait_until(core.attachment.items, deadline, hint, attempt, in_work)
        return _Outcome.CANCELLED if waited is Waited.CANCELLED else outcome

    def _look_for_end(self, me: int, look: Look) -> _Outcome:
        """First see that there is no producer and no dead participant whose leases may come back, then look once more:
        any other order loses the last frames (W-46).
        """
        core, table = self._core, self._core.participants
        epoch = table.epoch()
        if not table.seen(wire.ROLE_PRODUCER) or table.in_role(wire.ROLE_PRODUCER):
            return _Outcome.NOTHING
        if table.find_dead(me) is not None:
            core.reap_all(me)
            return _Outcome.NOTHING
        if table.epoch() != epoch:  # one producer may have taken over from another
            return _Outcome.NOTHING
        ring = core.ring
        if ring is None:
            return _Outcome.END
        if look(ring, clock.deadline_after(SLICE_NS)):
            return _Outcome.FOUND
        return _Outcome.END if ring.drained(me, clock.deadline_after(SLICE_NS)) else _Outcome.NOTHING
