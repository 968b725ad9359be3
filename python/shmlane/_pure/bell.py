# SPDX-License-Identifier: Apache-2.0
"""Bells: words on which any number sleep by futex, and that wake all of them at once (SPEC 11.2)."""

from __future__ import annotations

from . import wire
from .os import futex
from .os.atomic import full_fence
from .os.barrier import impose_barrier
from .os.futex import FutexWord
from .os.shm import Memory
from .segment import Segment
from .wire import Kind, StreamControl, TensorControl

_FLAGS = wire.SegmentHeader.flags >> 2

BELLS = {
    Kind.STREAM: (StreamControl.value_bell, StreamControl.lock_bell),
    Kind.TENSOR: (TensorControl.lock_bell,),
}
"""Of each kind; the one for who waits for the lock comes last."""


class Bell:
    """One bell of a segment, seen from one handle. Thread-safe."""

    def __init__(self, memory: Memory, at: int) -> None:
        """``at``: of the word, in the page of the kind's control."""
        self._memory, self._words = memory, memory.words
        self._word = wire.CONTROL_OFFSET + at >> 3

    @property
    def must_fence(self) -> bool:
        return self._memory.halves[_FLAGS] & wire.FLAG_FULL_FENCE != 0

    def listen(self) -> FutexWord:
        """From here on it wakes who sleeps on what this gives. To be followed by one more look (W-121)."""
        heard = self._memory.add_word_bits(self._word, 1) | 1
        if self.must_fence:
            full_fence()
        else:
            impose_barrier()
        return FutexWord(self._memory.address + 8 * self._word, heard)

    def ring(self) -> None:
        """After a release store of what others may wait for (W-122)."""
        if self.must_fence:
            full_fence()
        self._wake()

    def ring_for_sure(self) -> None:
        """Also after what was no such store."""
        full_fence()
        self._wake()

    def _wake(self) -> None:
        while (heard := self._words[self._word]) & 1:
            if self._memory.compare_exchange(self._word, heard, heard + 1 & wire.MASK):
                futex.wake_all(self._memory.address + 8 * self._word)
                return


def ring_bells(segment: Segment) -> None:
    """Wake everybody who sleeps in a stream or a tensor."""
    for bell in BELLS.get(segment.kind, ()):  # type: ignore[call-overload]
        Bell(segment.head, bell).ring_for_sure()
