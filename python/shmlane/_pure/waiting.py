# SPDX-License-Identifier: Apache-2.0
"""Sleeping on a named semaphore and being woken, without a fence on the publisher's side (SPEC 5.8).

One token is posted for each announcement that is taken back, so tokens never pile up. Who dies on either side costs
others at most two slices or one needless look.
"""

from __future__ import annotations

import threading
from types import TracebackType

from . import wire
from .os.atomic import full_fence
from .os.barrier import impose_barrier
from .os.semaphore import NamedSemaphore, Wait
from .os.shm import Memory

SLICE_NS = 100_000_000
_FLAGS = wire.SegmentHeader.flags >> 2
_MOST_TOKENS = 65536


class WaitPlace:
    """Where the participants of one side sleep, seen from one handle. Thread-safe."""

    def __init__(self, memory: Memory, waiters: int, semaphore: NamedSemaphore) -> None:
        """``waiters``: the count of announced sleepers, in bytes from the segment's beginning."""
        self._memory, self._words, self._waiters = memory, memory.words, waiters >> 3
        self._semaphore = semaphore
        self.forget()

    def forget(self) -> None:
        """In a forked child: what the parent's threads had under way is not under way here."""
        self._mutex = threading.RLock()
        self._owed = 0  # tokens that are on their way to this handle

    @property
    def must_fence(self) -> bool:
        return self._memory.halves[_FLAGS] & wire.FLAG_FULL_FENCE != 0

    def wake_one(self) -> None:
        """After a publication: wake one sleeper if there is one."""
        if self.must_fence:
            full_fence()
        if self._words[self._waiters]:
            self._post_one()

    def wake_all(self) -> None:
        full_fence()
        # As many as there are now: somebody who announces itself anew meanwhile has looked after our publication.
        count = self._words[self._waiters]
        if count <= _MOST_TOKENS:
            for _ in range(count):
                self._post_one()

    def _post_one(self) -> None:
        if self.take_back():
            self._semaphore.post()

    def announce(self) -> None:
        self._memory.add(self._waiters, 1)

    def take_back(self) -> bool:
        """One announcement, if there is one."""
        while count := self._words[self._waiters]:
            if self._memory.compare_exchange(self._waiters, count, count - 1):
                return True
        return False

    def take_token(self) -> bool:
        return self._semaphore.try_wait()

    def sleep(self, until: int) -> Wait:
        return self._semaphore.wait_until(until)

    def owe(self, tokens: int) -> bool:
        """Remember a token that is on its way, or settle such a debt; False if there is none."""
        with self._mutex:
            if self._owed + tokens < 0:
                return False
            self._owed += tokens
            return True


class Sleeper:
    """One that sleeps at a place: announce(), look again, sleep(), and so on; leaving withdraws what is announced."""

    def __init__(self, place: WaitPlace) -> None:
        self._place = place
        self._announced = False
        self._indebted = False  # announced by a debt: the token is on its way, unless its sender died

    def announce(self) -> None:
        """From here on publications wake it; nothing new if it is announced already."""
        if self._announced:
            return
        self._indebted = self._place.owe(-1)
        if not self._indebted:
            self._place.announce()
        self._announced = True
        if self._place.must_fence:
            full_fence()
        else:
            impose_barrier()

    def sleep(self, until: int) -> Wait:
        """Until woken, at most until that moment of the monotonic clock."""
        result = self._place.sleep(until)
        # A debt that is not paid within a slice never will be: its sender died between taking back and posting.
        if result is Wait.TAKEN or (self._indebted and result is Wait.TIMED_OUT):
            self._announced = False
        return result

    def __enter__(self) -> Sleeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._announced and not self._place.take_back() and not self._place.take_token():
            self._place.owe(1)
