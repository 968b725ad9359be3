# SPDX-License-Identifier: Apache-2.0
"""What streams and tensors share: a participant in a segment with one array, and its write lock (SPEC 11.1, 11.2)."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import Closed, Removed, Unlocked
from . import wire
from .array_header import ArrayFacts, read_array_header, write_array_header
from .attachment import AttachOptions
from .bell import BELLS, Bell, ring_bells
from .core import Core, Use
from .creation_lock import under_creation_lock
from .making import require_removable, retire
from .participants import NOBODY
from .segment import Segment, file_name_of, kind_name
from .wire import Kind, SegmentHeader, SegmentState
from .write_lock import WriteLock

_STATE = SegmentHeader.state >> 2


class ArrayCore(Core):
    """Thread-safe. The participant leaves when its handle is closed and nobody holds a lock by it any more."""

    array: ArrayFacts

    def __init__(
        self,
        name: str,
        kind: Kind,
        array: ArrayFacts | None,
        mode: int,
        owned: bool,
        write_body: bool = True,
        items: NDArray[np.uint8] | None = None,
    ) -> None:
        """Creates the segment if an array is given, of zeros or these items, else opens it."""
        self.created = array is not None
        self.title = f"{kind_name(kind)} '{name}'"
        options = AttachOptions(
            kind,
            body_size=array.body_size if array else None,
            stale="keep",
            mode=mode,
            create=self.created,
            exclusive=self.created,
            owned=self.created and owned,
            write_body=write_body,
            check_body=self._found,
        )
        if array is not None:
            options.describe_body = lambda segment: _describe(array, items, segment)
        super().__init__(name, options)
        body = self.segment.body
        assert body is not None  # or check_body would not have been called
        self.body = body
        self._halves = self.segment.head.halves
        lock_bell = Bell(self.segment.head, BELLS[kind][-1])
        self.write_lock = WriteLock(self.segment.head, lock_bell, self.participants, self.title)

    def _found(self, segment: Segment) -> None:
        self.array = read_array_header(segment)

    @property
    def segment(self) -> Segment:
        return self.attachment.segment

    # ---- Whether it can be used --------------------------------------------------------------------------------------

    def require_usable(self) -> None:
        """Raises Closed or Removed."""
        if self.closed:
            self.throw_closed()
        if self._halves[_STATE] == SegmentState.REMOVED:
            raise Removed(f"the {self.title} was removed; create it anew, then open it again")

    def check_wait(self) -> None:
        """Before each sleep: nobody else ends what an exception of a signal's handler kept from ending."""
        self.require_usable()
        self.sweep()

    def throw_closed(self) -> NoReturn:
        how = "open" if self.segment.kind == Kind.STREAM else "attach"
        raise Closed(f'the handle of {self.title} is closed; open it again with {how}("{self.name}")')

    def throw_unlocked(self) -> NoReturn:
        raise Unlocked(f"the {self.title} is unlocked: this thread does not hold its lock; call acquire() first")

    def cancellations(self) -> int:
        """Who waits ends when this is no more what it was."""
        return self._cancellations

    # ---- The write lock ----------------------------------------------------------------------------------------------

    def lock(self, deadline: int) -> int:
        """Take it, again if this thread has it: the participant that has it, for unlock(); NOBODY if the deadline
        passed. Raises Closed, Removed, Evicted.
        """
        with Use(self) as use:
            return use.me if self.write_lock.lock(use.me, deadline, self.check_wait) else NOBODY

    def unlock(self, me: int) -> None:
        """What the participant ``me`` took; after a fork that is the parent's."""
        if self.owns(me):
            self.write_lock.unlock(me)
            self._leave_if_unused()

    def unlock_to(self, me: int, depth: int) -> None:
        """What this thread took beyond ``depth``."""
        if self.owns(me):
            self.write_lock.unlock_to(me, depth)
            self._leave_if_unused()

    def locked_here(self) -> bool:
        """Whether this thread holds it."""
        return not self.attachment.inherited and self.write_lock.depth_here() > 0

    def release(self) -> None:
        """Raises Unlocked."""
        if not self.locked_here():
            self.throw_unlocked()
        self.unlock(self._counted_for)

    # ---- The handle --------------------------------------------------------------------------------------------------

    def _in_use(self) -> bool:
        return super()._in_use() or self.write_lock.taken

    def _renewed(self, me: int) -> None:
        super()._renewed(me)
        self.write_lock.forget()
        self.created = False

    def _wake_waiters(self) -> None:
        ring_bells(self.segment)

    def _give_up(self) -> None:
        # What this thread took it will not give back any more.
        self.write_lock.unlock_to(self._counted_for, 0)

    def _settle(self) -> bool:
        return False

    def unlink(self) -> None:
        """Remove this very segment: another one may have its name by now. Raises Closed, PermissionDenied."""
        if self.closed:
            self.throw_closed()
        file = self.segment.file

        def work() -> None:
            if self.segment.state != SegmentState.REMOVED and file.has_name(file_name_of(self.name)):
                require_removable(file, self.name)
                retire(self.segment)

        under_creation_lock(file.fd, self.name, work)


def _describe(array: ArrayFacts, items: NDArray[np.uint8] | None, segment: Segment) -> None:
    """Before the body is published: nobody finds an array that is half filled."""
    write_array_header(array, segment)
    if items is not None:
        np.copyto(segment.file.map(wire.BODY_OFFSET, array.body_size).array[: array.nbytes], items)


def control_word(field: int) -> int:
    """The index of a word of the kind's control."""
    return wire.CONTROL_OFFSET + field >> 3
