# SPDX-License-Identifier: Apache-2.0
"""The write lock of a stream or a tensor: a word that names its owner, which its thread may take again, and whose
waiters sleep on a bell (SPEC 11.2).

As in lock.py, exceptions of signals' handlers may come at any call: what was taken is given back by stores that nothing
can come before.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from threading import get_ident
from typing import TypeVar

from ..errors import Evicted
from . import wire
from .bell import Bell
from .os import clock, futex
from .os.shm import Memory
from .participants import NOBODY, Participants
from .waiting import SLICE_NS
from .wire import ParticipantEntry, StreamControl

_YIELDS = 20
_WORD = wire.CONTROL_OFFSET + StreamControl.write_lock >> 3  # in a tensor, too

Result = TypeVar("Result")


class WriteLock:
    """One handle's side of it. Thread-safe: it excludes the threads of this handle, too."""

    def __init__(self, memory: Memory, bell: Bell, participants: Participants, title: str) -> None:
        self._memory, self._words = memory, memory.words
        self.bell = bell
        self._participants = participants
        self._title = title
        self.forget()

    def forget(self) -> None:
        """In a forked child, where the parent's threads and their holds are not."""
        self._mutex = threading.RLock()  # among threads that try to take it, who have the same id
        self._thread = 0
        self._depth = 0
        self.write_open = False
        """Whether a write of the handle is open; it ends with the lock at the latest."""

    @property
    def taken(self) -> bool:
        """Whether a thread of this handle holds it."""
        return self._thread != 0

    def depth_here(self) -> int:
        """How often this thread took it by this handle."""
        return self._depth if self._thread == get_ident() else 0

    def holder(self) -> int:
        return self._words[_WORD]

    def lock(self, me: int, deadline: int, check: Callable[[], None]) -> bool:
        """False when the deadline passed. ``check`` is called before and between waits. Raises Evicted, and what that
        raises; then, and after an exception of a signal's handler, nothing was taken.
        """
        depth = self.depth_here()
        try:
            if depth:
                self._depth = depth + 1
                return True
            return self._try(me) or (deadline != clock.PAST and self._wait(me, deadline, check))
        except BaseException:
            self.unlock_to(me, depth)
            raise

    def hold(self, me: int, deadline: int, check: Callable[[], None], work: Callable[[], Result]) -> Result | None:
        """What ``work``, called under the lock, gives; None if the lock was not to be had."""
        depth = self.depth_here()
        try:
            return work() if self.lock(me, deadline, check) else None
        finally:
            self.unlock_to(me, depth)

    def unlock(self, me: int) -> None:
        """What was taken last, by whichever thread of this handle."""
        if self._depth > 1:
            self._depth -= 1
        else:
            self._free(me)

    def unlock_to(self, me: int, depth: int) -> None:
        """Give back what this thread took beyond that."""
        if self.depth_here() <= depth:
            return
        if depth:
            self._depth = depth
        else:
            self._free(me)

    def _free(self, me: int) -> None:
        # No call before the last of these stores: the interpreter looks for signals at calls only.
        words = self._words
        self._depth, self._thread, self.write_open = 0, 0, False
        if words[_WORD] == me:  # else one was evicted, and it is another's
            words[_WORD] = NOBODY
        self.bell.ring()

    def still(self, me: int) -> bool:
        """Whether the word still names this participant: not once it was evicted."""
        return self._words[_WORD] == me

    # ---- Taking ------------------------------------------------------------------------------------------------------

    def _try(self, me: int) -> bool:
        """Without waiting, also from the dead."""
        words = self._words
        with self._mutex:
            seen = words[_WORD]
            # A thread of this very handle may have it.
            if seen == me or (seen != NOBODY and self._participants.alive(seen, me)):
                return False
            try:
                if not self._memory.compare_exchange(_WORD, seen, me):
                    return False
                if not self._participants.owns_entry(me):
                    raise Evicted(
                        f"'{self._title}': the other participants took this handle for dead, because its file "
                        "descriptors were closed; open a new handle"
                    )
                if seen != NOBODY:
                    self._participants.count(me, ParticipantEntry.recovered)
                thread = get_ident()
                self._depth, self._thread = 1, thread
            except BaseException:
                self._depth = self._thread = 0
                if words[_WORD] == me:
                    words[_WORD] = NOBODY
                raise
            return True

    def _wait(self, me: int, deadline: int, check: Callable[[], None]) -> bool:
        slept = False
        while True:
            for _ in range(_YIELDS):
                if self._words[_WORD] == NOBODY and self._try(me):
                    return True
                os.sched_yield()
            heard = self.bell.listen()
            if self._try(me):
                return True
            check()
            if clock.passed(deadline):
                return False
            if not slept:
                self._participants.count(me, ParticipantEntry.waits)
                slept = True
            futex.wait(heard, min(time.monotonic_ns() + SLICE_NS, deadline))
