# SPDX-License-Identifier: Apache-2.0
"""Settling what the dead left in a ring (SPEC 5.7), and looking at a ring without changing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import Corrupt
from .participants import NOBODY
from .ring_cursor import Cursors
from .ring_frames import ABANDONED, FREE, HEAD, LEASED, READ, READY, RESERVED, SCAN, TAIL, Step
from .wire import ALIGNMENT, OnDeath, ParticipantEntry

_LOOKS = 8


class Contents(NamedTuple):
    """What is in a ring: exact when nobody works on it, else what one pass met."""

    waiting: int = 0
    """RESERVED and READY frames."""
    used: int = 0
    """Bytes of these and the LEASED ones."""


class Recovery(Cursors):
    def reap(self, me: int, dead: int, deadline: int) -> bool:
        """Settle what a dead participant held and free its entry. Idempotent, and may itself die at any step.

        False if somebody else was faster or the participant is alive.
        """

        def settle() -> bool:
            # What was seen before the locks may be over: somebody else reaped it and a newcomer took the entry (W-42).
            if not self.participants.owns_entry(dead) or self.participants.alive(dead, me):
                return False
            self._settle_all(dead)
            self.participants.free_entry(dead)
            return True

        return self._under_both(me, deadline, settle)

    def give_back_all(self, me: int, deadline: int) -> bool:
        """Settle what a living participant holds, at its own end. False if a lock was not to be had."""

        def settle() -> bool:
            self._settle_all(me)
            return True

        return self._under_both(me, deadline, settle)

    def _under_both(self, me: int, deadline: int, work: Callable[[], bool]) -> bool:
        return bool(self._producers.hold(me, deadline, lambda: self._consumers.hold(me, deadline, work)))

    def _settle_all(self, owner: int) -> None:
        for step in self.walk_all():
            if step.owner == owner:
                self._settle(step, owner)

    def _settle(self, step: Step, owner: int) -> None:
        """Under both locks (W-43). Counters are the owner's own."""
        if step.state == RESERVED:
            self.participants.count(owner, ParticipantEntry.aborted)
            self.set_control(step.at, ABANDONED)
        elif step.state == LEASED:
            policy = self.participants.policy_of(owner)
            if policy.on_death is OnDeath.DROP or step.attempt + 1 >= policy.max_attempts:
                self.participants.count(owner, ParticipantEntry.dropped)
                self.set_control(step.at, FREE)
            else:
                self.participants.count(owner, ParticipantEntry.redelivered)
                self.put_back(step.position, step.at, step.attempt + 1)

    def put_back(self, position: int, at: int, attempt: int) -> None:
        """Under ``consumers_lock``: first back with the cursors, then READY. The other order loses the frame to a death
        in between.
        """
        if self._control[SCAN] > position:
            self.reset_cursor(min(self._control[READ], position))
        self.set_control(at, READY, attempt)

    # ---- Looking -----------------------------------------------------------------------------------------------------

    def drained(self, me: int, deadline: int) -> bool:
        """Whether no frame is RESERVED or READY; False if the lock was not to be had.

        Under it nobody overwrites what lies behind ``read``, whoever attaches meanwhile.
        """
        return bool(self._consumers.hold(me, deadline, lambda: self.count_waiting(1) == 0))

    def empty(self) -> bool:
        """Whether no object waits and none is held. Without a lock: for when nobody else lives."""
        return not any(step.owner for step in self.walk_all()) and self.count_waiting(1) == 0

    def contents(self) -> Contents:
        """Without a lock."""
        for _ in range(_LOOKS):
            waiting = used = 0
            try:
                for step in self.walk_all():
                    waits = step.state in (RESERVED, READY)
                    waiting += waits
                    used += step.extent if waits or step.state == LEASED else 0
            except Corrupt:  # a producer has written over what this pass stood on: look again
                continue
            return Contents(waiting, used)
        return Contents(waiting, used)

    def obstacle(self) -> str:
        """Who stands in the way of producers, for a message; "" if nobody."""
        for lock in (self._producers, self._consumers):
            if (holder := lock.holder()) != NOBODY:
                return f"{self.participants.describe(holder)} holds a lock of the ring; is it stopped?"
        tail = self._control[TAIL]
        if tail % ALIGNMENT or tail == self._control[HEAD]:
            return ""
        control = self._words[self.at(tail)]
        state = control & 0xFF
        if state not in (RESERVED, LEASED):
            return ""
        hold = "reservation" if state == RESERVED else "lease"
        return f"{self.participants.describe(control >> 16)} holds a {hold} on the oldest frame"
