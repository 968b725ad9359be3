# SPDX-License-Identifier: Apache-2.0
"""One participant in one segment: attaching, leaving, and starting anew in a forked child (SPEC section 7).

Attaching is a list of steps, all under the creation lock of the file itself, which the kernel lets go when its holder
dies; making and laying out are told in making.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .._log import logger
from ..errors import Closed, Corrupt, Exists, NotFound
from . import making, wire
from .creation_lock import under_creation_lock
from .os import fork
from .os.barrier import register_barrier
from .os.semaphore import NamedSemaphore
from .os.shm import ShmFile, open_file, open_or_create_file
from .participants import NOBODY, ParticipantPolicy, Participants
from .segment import Segment, file_name_of, kind_name, semaphore_name
from .waiting import WaitPlace
from .wire import Kind, RingControl, SegmentHeader, SegmentState

_FLAGS = SegmentHeader.flags >> 2


@dataclass
class AttachOptions:
    kind: int
    role: int = 0
    count_objects: Callable[[Segment], int] = lambda _: 0
    """How many objects wait in a segment whose body is mapped and in which nobody lives."""
    body_size: int | None = None
    """Asked for; None: take what is there."""
    default_body_size: int = 0
    """Laid out if nobody has asked; 0: leave that to others."""
    stale: str = "auto"
    mode: int = 0o600
    create: bool = True
    """False: raise NotFound if there is no segment yet."""
    exclusive: bool = False
    """Raise Exists if there is one that is laid out."""
    unlink: bool = True
    owned: bool = False
    """Remove the segment at leaving, whoever else lives in it."""
    write_body: bool = True
    describe_body: Callable[[Segment], None] = lambda _: None
    """Called when the body is laid out, before it is published."""
    check_body: Callable[[Segment], None] | None = None
    """Called of a body that is there, or is laid out; None: there need not be one."""
    policy: ParticipantPolicy = field(default_factory=ParticipantPolicy)


class Attachment:
    """Raises what the constructor of a Producer says."""

    items: WaitPlace
    """Of a queue alone, as ``space``."""
    space: WaitPlace

    def __init__(self, name: str, options: AttachOptions, renewed: Callable[[int], None]) -> None:
        """``renewed`` is called in a forked child with its own new id, before any thread there sees that."""
        self.name, self._options, self._renewed = name, options, renewed
        self._mutex = threading.RLock()
        self._left = False
        self._me = NOBODY
        self._generation = fork.generation
        self._notes: list[tuple[int, str]] = []
        self._places: tuple[WaitPlace, ...] = ()
        if options.body_size is not None:
            options.body_size = making.whole_pages(options.body_size)
        file_name = file_name_of(name)
        try:
            while not self._try_attach(file_name):
                pass
        finally:
            self._say_notes()
        fork.watch_forks(self)

    @property
    def inherited(self) -> bool:
        """True in a forked child that has not used the handle yet: everything still belongs to the parent."""
        return self._generation != fork.generation

    @property
    def me(self) -> int:
        """This participant's id; a new one in a forked child, where what was held stays the parent's."""
        if self._generation != fork.generation:
            self._renew()
        return self._me

    # ---- Attaching ---------------------------------------------------------------------------------------------------

    def _try_attach(self, file_name: str) -> bool:
        """False means: start again (W-73)."""
        file = self._open_file(file_name)
        return under_creation_lock(file.fd, self.name, lambda: self._attach(file, file_name))

    def _attach(self, file: ShmFile, file_name: str) -> bool:
        if not file.has_name(file_name):
            return False
        just_made = making.half_made(file)
        if just_made:
            if not self._options.create:
                raise NotFound(f"'{self.name}' is only half made")
            making.make(file, self.name, self._options.kind, self._options.mode)
        self.segment = Segment(self.name, file)
        self.segment.check(self._options.kind)
        self.segment.body_writable = self._options.write_body
        self.participants = Participants(self.segment.head, file)
        if self.segment.state == SegmentState.REMOVED or not self._worth_keeping(just_made):
            making.require_removable(file, self.name)
            making.retire(self.segment)
            return False
        if self._options.exclusive and self.segment.state == SegmentState.READY:
            raise Exists(
                f"there is a segment named '{self.name}' already; open it, choose another name, or remove it first"
            )
        self._lay_out(just_made)
        self._join()
        return True

    def _open_file(self, file_name: str) -> ShmFile:
        if self._options.create:
            return open_or_create_file(file_name, self._options.mode)
        file = open_file(file_name)
        if file is None:
            what = kind_name(self._options.kind)
            raise NotFound(f"there is no {what} named '{self.name}': create it first; shmlane ls lists what there is")
        return file

    def _worth_keeping(self, just_made: bool) -> bool:
        """What to do with a segment in which nobody lives (W-76)."""
        stale = self._options.stale
        if just_made or stale == "keep" or self.participants.anyone_alive_but(NOBODY):
            return True
        if stale == "auto" and self.participants.find_dead(NOBODY) is None:
            return True
        drain = stale == "auto" and self._options.role == wire.ROLE_CONSUMER
        objects = 0
        try:
            if self.segment.map_body():
                objects = self._options.count_objects(self.segment)
        except Corrupt as error:
            if drain:
                raise
            self._note(logging.WARNING, str(error))
        if drain and objects:
            self._note(logging.INFO, f"queue '{self.name}': a crash left {objects} objects; they are read")
            return True
        self._note(
            logging.WARNING if objects else logging.INFO,
            f"queue '{self.name}': a segment that nobody uses is replaced; {objects} objects in it are discarded",
        )
        return False

    def _lay_out(self, just_made: bool) -> None:
        options = self._options
        making.lay_out(self.segment, just_made, options.body_size, options.default_body_size, options.describe_body)
        if options.check_body is None:
            return
        if self.segment.body is None:
            raise NotFound(f"'{self.name}' is only half made: its maker died")
        options.check_body(self.segment)

    def _join(self) -> None:
        """Claim an entry, with what a participant needs to sleep and be woken."""
        head = self.segment.head
        if not register_barrier():
            head.add_bits(_FLAGS, wire.FLAG_FULL_FENCE)
        if self._options.kind != Kind.QUEUE:
            self.participants.reap_dead()
        elif not self._places:
            self.items = self._place("items", RingControl.items_waiters)
            self.space = self._place("space", RingControl.space_waiters)
            self._places = (self.items, self.space)
        self._me = self.participants.claim(self._options.role, self._options.policy)
        self.wake_everybody()

    def _place(self, which: str, waiters: int) -> WaitPlace:
        segment = self.segment
        name = semaphore_name(self.name, segment.segment_id, which)
        semaphore = NamedSemaphore(name, segment.get_half(SegmentHeader.mode))
        return WaitPlace(segment.head, wire.CONTROL_OFFSET + waiters, semaphore)

    def wake_everybody(self) -> None:
        """Who comes and goes tells nobody anything in a stream or a tensor: there is no place there."""
        for place in self._places:
            place.wake_all()

    # ---- Leaving -----------------------------------------------------------------------------------------------------

    def drop_role(self) -> None:
        """Give up the role, keep the entry: whoever waits for the last producer or consumer sees that at once."""
        if self._left or self.inherited or not self.participants.owns_entry(self._me):
            return
        self.participants.set_role(self._me, 0)
        self.wake_everybody()

    def leave(self, settle: Callable[[], bool]) -> None:
        """Give back by ``settle`` what this participant holds, then free the entry. ``settle`` says whether nothing is
        left for others: then the last living participant removes the segment. If it raises, that is logged, and this
        participant left to be reaped (W-45).
        """
        with self._mutex:  # held to the end: who closes waits for a thread that leaves already
            if not self.inherited and not self._left:
                self._left = True
                self._leave(settle)
        self._say_notes()

    def _leave(self, settle: Callable[[], bool]) -> None:
        # Evicted, so that the entry may be somebody else's by now, or without the file, and for the others to reap.
        if not self.participants.owns_entry(self._me) or not self.participants.can_ask():
            return
        try:
            under_creation_lock(self.segment.file.fd, self.name, lambda: self._leave_locked(settle))
        except Exception as error:
            # Some frames may still be ours: with the entry's word as it is, the others settle them as after a death.
            self._note(logging.WARNING, f"'{self.name}': left without tidying up: {error}")
        self.participants.unlock_own_byte(self._me)
        self.wake_everybody()

    def _leave_locked(self, settle: Callable[[], bool]) -> None:
        segment = self.segment
        last = not self.participants.anyone_alive_but(self._me)
        served = self._options.role == wire.ROLE_CONSUMER or self.participants.seen(wire.ROLE_CONSUMER)
        finished = settle()
        # Another user's segment stays for its owner: as removed, with its name still there, it would be in the way.
        may_remove = self._options.unlink and segment.file.removable()
        unwanted = self._options.owned or (last and served and finished)
        if unwanted and may_remove and segment.state != SegmentState.REMOVED:
            making.retire(segment)
        self.participants.free_entry(self._me)

    # ---- Forks -------------------------------------------------------------------------------------------------------

    def in_forked_child(self) -> None:
        # The child shares its parent's open file description, and with it the lock that says who is alive.
        self._mutex = threading.RLock()
        self.segment.mutex = threading.RLock()
        if not self._left:
            self.segment.file.reopen()

    def _renew(self) -> None:
        with self._mutex:
            if not self.inherited:
                return
            if self._left:
                raise Closed(f"'{self.name}' was closed before the fork; open a new handle")
            if not self.participants.can_ask():
                raise Closed(
                    f"'{self.name}' cannot be used in this forked child, whose descriptors were closed or which has "
                    "no /proc; open a new handle"
                )
            for place in self._places:
                place.forget()
            self._options.owned = False  # that is the parent
            under_creation_lock(self.segment.file.fd, self.name, self._join)
            self._renewed(self._me)
            self._generation = fork.generation

    # ---- Notes: said when no lock is held, since whoever listens may use a queue itself ------------------------------

    def _note(self, level: int, text: str) -> None:
        self._notes.append((level, text))

    def _say_notes(self) -> None:
        notes, self._notes = self._notes, []
        for level, text in notes:
            logger.log(level, "%s", text)
