# SPDX-License-Identifier: Apache-2.0
"""A lock that outlives its holder: one word that names its owner, taken over when that one is dead (SPEC 5.1).

Nobody steals from the living. This participant never has a lock left to itself (W-39), but takes one back from another
to whom it was left.

Python runs the handlers of signals between any two of its instructions, and they may raise. What was begun under the
lock is then undone as after a death, and the lock given back by one store that nothing can come before.
"""

from __future__ import annotations

import enum
import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import Evicted
from . import wire
from .os import clock
from .os.barrier import impose_barrier
from .os.shm import Memory
from .participants import NOBODY, Participants, id_index, make_id
from .wire import ParticipantEntry

_YIELDS = 20
_FIRST_SLICE = 0.00005  # seconds
_LONGEST_SLICE = 0.1
_STORES_ARRIVE = 0.02  # far longer than a store stays in a processor's buffer
_LOOKS = 200

Result = TypeVar("Result")


class _Taken(enum.Enum):
    NO = 0
    YES = 1
    FROM_DEAD = 2  # what the dead may have left half-done must be repaired


class _Inside(enum.Enum):
    NOBODY = 0
    LIVING = 1
    DEAD = 2


class OwnerLock:
    """One of the ring's locks, seen from one handle. Thread-safe."""

    def __init__(self, memory: Memory, at: int, busy: int, participants: Participants, name: str) -> None:
        """``at``: of the word; ``busy``: of the flag in each entry; both in bytes."""
        self._memory, self._words, self._at = memory, memory.words, at >> 3
        self._busy = busy
        self._participants = participants
        self._name = name
        self.repair: Callable[[], None] = lambda: None
        self.forget()

    def forget(self) -> None:
        """In a forked child, where the parent's threads and their holds are not."""
        self._mutex = threading.RLock()  # among the threads of this handle, who have the same id
        self._instead = NOBODY  # what the word becomes when it is given back

    def hold(self, me: int, deadline: int, work: Callable[[], Result]) -> Result | None:
        """Call ``work`` under the lock; None, and nothing done, if a living holder keeps it past the deadline.

        Raises Evicted, and what ``work`` raises.
        """
        words, at = self._words, self._at
        with self._mutex:
            if words[at] == me:
                raise RuntimeError(f"queue '{self._name}': a signal handler used the handle that it interrupted")
            try:
                taken = self._take(me, deadline)
                if taken is _Taken.NO:
                    return None
                if taken is _Taken.FROM_DEAD:
                    self._participants.count(me, ParticipantEntry.recovered)
                    self.repair()
                self._instead = NOBODY
                self._check_own_entry(me)
                return work()
            except BaseException:
                if words[at] == me and self._instead == NOBODY:
                    self.repair()
                raise
            finally:
                # No call before the store: the interpreter looks for signals at calls only.
                if words[at] == me:
                    words[at] = self._instead

    def _check_own_entry(self, me: int) -> None:
        if not self._participants.owns_entry(me):
            raise Evicted(
                f"queue '{self._name}': the other participants took this handle for dead, because its file "
                "descriptors were closed; open a new handle"
            )

    def _take(self, me: int, deadline: int) -> _Taken:
        self._instead = NOBODY
        if self._words[self._at] == NOBODY and self._exchange(NOBODY, me):
            return _Taken.YES
        if deadline == clock.PAST:
            return self._try(me)
        for _ in range(_YIELDS):
            if self._words[self._at] & wire.BIASED:
                break
            os.sched_yield()
            if self._words[self._at] == NOBODY and self._exchange(NOBODY, me):
                return _Taken.YES
        pause = _FIRST_SLICE
        while (taken := self._try(me)) is _Taken.NO and not clock.passed(deadline):
            time.sleep(max(0.0, min(pause, (deadline - time.monotonic_ns()) / 1e9)))
            pause = min(2 * pause, _LONGEST_SLICE)
        return taken

    def _try(self, me: int) -> _Taken:
        """Without waiting: also from a dead holder, and from a living one to whom it is left and who is not inside."""
        seen = self._words[self._at]
        if seen == NOBODY:
            return _Taken.YES if self._exchange(NOBODY, me) else _Taken.NO
        left = seen & wire.BIASED != 0
        if not left and self._participants.alive(seen, me):
            return _Taken.NO
        # Until it is certain that we are inside, and all is repaired, whoever comes next must find what we found.
        self._instead = seen
        # An id is never used twice, so whoever finds the same dead id there takes it from nobody else.
        if not self._exchange(seen, me):
            return _Taken.NO
        if not impose_barrier():
            time.sleep(_STORES_ARRIVE)
        inside = self._who_is_inside(me)
        for _ in range(_LOOKS):
            if inside is not _Inside.LIVING:
                break
            os.sched_yield()
            inside = self._who_is_inside(me)
        if inside is _Inside.LIVING:
            self._words[self._at] = seen  # stopped in there, or put off its core: as if we had not come
            return _Taken.NO
        if inside is _Inside.DEAD:
            self._clear_busy_of_the_dead(me)
        return _Taken.YES if left and inside is _Inside.NOBODY else _Taken.FROM_DEAD

    def _exchange(self, expected: int, desired: int) -> bool:
        return self._memory.compare_exchange(self._at, expected, desired)

    def _who_is_inside(self, me: int) -> _Inside:
        found = _Inside.NOBODY
        for index in self._busy_entries():
            if self._alive(index, me):
                return _Inside.LIVING
            found = _Inside.DEAD
        return found

    def _clear_busy_of_the_dead(self, me: int) -> None:
        """Only once it is certain that we are inside: whoever comes after us must find what the dead left."""
        for index in self._busy_entries():
            if not self._alive(index, me):
                self._memory.halves[Participants.at(index, self._busy) >> 2] = 0

    def _busy_entries(self) -> list[int]:
        halves, first = self._memory.halves, Participants.at(0, self._busy) >> 2
        step = ParticipantEntry.SIZE >> 2
        return [index for index in range(self._participants.used()) if halves[first + index * step]]

    def _alive(self, index: int, me: int) -> bool:
        return self._participants.alive(make_id(index, self._participants.word(index).generation), me)

    def holder(self) -> int:
        """Who keeps others from the lock at this moment; 0: nobody."""
        word = self._words[self._at]
        if not word & wire.BIASED:
            return word
        owner = word & ~wire.BIASED
        index = id_index(owner)
        inside = 0 <= index < wire.MAX_PARTICIPANTS and self._memory.halves[Participants.at(index, self._busy) >> 2]
        return owner if inside else NOBODY
