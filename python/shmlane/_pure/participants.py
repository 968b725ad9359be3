# SPDX-License-Identifier: Apache-2.0
"""The table of participants: who is attached, in which role, and who of them is still alive (SPEC section 3).

Each entry is written by its owner while that lives, and by whoever reaps it after its death; everybody scans. A stale
look is harmless: every decision that takes something from the dead is made again under the locks.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from ..errors import TooManyParticipants
from . import wire
from .os import filelock
from .os.process import process_name, unix_time_ns
from .os.shm import Memory
from .wire import EntryState, OnDeath, ParticipantEntry, SegmentHeader

_TABLE = wire.TABLE_OFFSET >> 3
_ENTRY_WORDS = ParticipantEntry.SIZE >> 3
_USED = SegmentHeader.used_entries >> 2
_SEEN = SegmentHeader.seen_roles >> 2
_EPOCH = SegmentHeader.epoch >> 3
_LIVE = EntryState.LIVE
# pid, on_death, max_attempts, reserved, attached_ns, process_name
_FACTS = struct.Struct("<IBBHQ16s")

NOBODY = 0


def make_id(index: int, generation: int) -> int:
    """Never 0."""
    return generation << 16 | (index + 1)


def id_index(participant: int) -> int:
    return (participant & 0xFFFF) - 1


class ParticipantPolicy(NamedTuple):
    """What others do with the frames of a participant that died."""

    on_death: OnDeath = OnDeath.REDELIVER
    max_attempts: int = 3


class EntryWord(NamedTuple):
    state: int
    role: int
    generation: int

    @property
    def live(self) -> bool:
        return self.state == _LIVE


def _pack(state: int, role: int, participant: int) -> int:
    return state | role << 8 | (participant >> 16) << 32


class Participants:
    """A view of one segment's table through one open file description."""

    __slots__ = ("_file", "_memory", "_words")

    def __init__(self, memory: Memory, file: filelock.KnownFile) -> None:
        self._memory, self._file = memory, file
        self._words = memory.words

    @staticmethod
    def at(index: int, field: int) -> int:
        """Where the field of an entry is, in bytes from the segment's beginning."""
        return wire.TABLE_OFFSET + index * ParticipantEntry.SIZE + field

    def word(self, index: int) -> EntryWord:
        word = self._words[_TABLE + index * _ENTRY_WORDS]
        return EntryWord(word & 0xFF, word >> 8 & 0xFF, word >> 32)

    def used(self) -> int:
        return min(self._memory.halves[_USED], wire.MAX_PARTICIPANTS)

    def get(self, index: int, field: int) -> int:
        """A field of 64 bits."""
        return self._words[self.at(index, field) >> 3]

    def count(self, participant: int, counter: int, amount: int = 1) -> None:
        """Add to a counter, which others may add to at the same moment."""
        self._memory.add(self.at(id_index(participant), counter) >> 3, amount)

    # ---- One's own entry ---------------------------------------------------------------------------------------------

    def claim(self, role: int, policy: ParticipantPolicy) -> int:
        """Take a free entry, under the creation lock: its byte first, its word last. Raises TooManyParticipants."""
        for index in range(wire.MAX_PARTICIPANTS):
            # A free byte alone is not enough: what its last holder left must have been reaped first (W-13).
            old = self.word(index)
            if not old.live and filelock.try_lock_byte(self._file.fd, wire.ENTRY_LOCK_BYTE + index):
                self._fill(index, policy)
                if index >= self.used():
                    self._memory.halves[_USED] = index + 1
                me = make_id(index, (old.generation + 1) & 0xFFFFFFFF)
                self._words[_TABLE + index * _ENTRY_WORDS] = _pack(_LIVE, role, me)
                self._memory.add_bits(_SEEN, role)
                self._changed()
                return me
        raise TooManyParticipants(
            f"all {wire.MAX_PARTICIPANTS} places for participants are taken; close handles that are no longer needed"
        )

    def _fill(self, index: int, policy: ParticipantPolicy) -> None:
        halves = self._memory.halves
        halves[self.at(index, ParticipantEntry.producers_busy) >> 2] = 0
        halves[self.at(index, ParticipantEntry.consumers_busy) >> 2] = 0
        self._words[self.at(index, ParticipantEntry.oldest_lease) >> 3] = wire.MASK
        facts = (os.getpid(), policy.on_death, policy.max_attempts, 0, unix_time_ns(), process_name()[:15])
        _FACTS.pack_into(self._memory.bytes, self.at(index, ParticipantEntry.pid), *facts)

    def set_role(self, me: int, role: int) -> None:
        self._words[_TABLE + id_index(me) * _ENTRY_WORDS] = _pack(_LIVE, role, me)
        self._changed()

    def free_entry(self, participant: int) -> None:
        """One's own, or, under both locks of the ring, a dead one's. The byte is let go by its owner only."""
        self._words[_TABLE + id_index(participant) * _ENTRY_WORDS] = _pack(EntryState.FREE, 0, participant)
        self._changed()

    def unlock_own_byte(self, me: int) -> None:
        if self._file.intact():
            filelock.unlock_byte(self._file.fd, wire.ENTRY_LOCK_BYTE + id_index(me))

    def _changed(self) -> None:
        self._memory.add(_EPOCH, 1)

    # ---- Looking -----------------------------------------------------------------------------------------------------

    def owns_entry(self, participant: int) -> bool:
        """Whether the entry still is this id's: False once it was evicted."""
        word = self._words[_TABLE + id_index(participant) * _ENTRY_WORDS]
        return word & 0xFF == _LIVE and word >> 32 == participant >> 16

    def can_ask(self) -> bool:
        """Whether this process can ask who lives: False once its descriptors were closed behind our back."""
        return self._file.intact()

    def _byte_held(self, index: int) -> bool:
        # Who cannot ask takes everybody for alive.
        if not self._file.intact():
            return True
        return filelock.byte_locked_elsewhere(self._file.fd, wire.ENTRY_LOCK_BYTE + index)

    def alive(self, participant: int, me: int) -> bool:
        """By W-12. One's own id, ``me``, is alive as long as the entry says so."""
        if not 0 <= id_index(participant) < wire.MAX_PARTICIPANTS or not self.owns_entry(participant):
            return False
        return participant == me or self._byte_held(id_index(participant))

    def in_role(self, role: int) -> int:
        """How many live entries have the role, dead ones that nobody has reaped yet included."""
        words = (self.word(index) for index in range(self.used()))
        return sum(word.live and word.role & role != 0 for word in words)

    def find_dead(self, me: int, start: int = 0) -> int | None:
        """The first from that index on whose entry is live and whose owner is gone."""
        for index in range(start, self.used()):
            word = self.word(index)
            participant = make_id(index, word.generation)
            if word.live and participant != me and not self._byte_held(index):
                return participant
        return None

    def reap_dead(self) -> int:
        """Free the entries of the dead, under the creation lock, in a segment whose participants leave nothing behind
        that must be settled (W-125). How many.
        """
        reaped = 0
        while (dead := self.find_dead(NOBODY)) is not None:
            self.free_entry(dead)
            reaped += 1
        return reaped

    def anyone_alive_but(self, me: int) -> bool:
        for index in range(self.used()):
            word = self.word(index)
            if word.live and make_id(index, word.generation) != me and self._byte_held(index):
                return True
        return False

    def seen(self, role: int) -> bool:
        return self._memory.halves[_SEEN] & role != 0

    def epoch(self) -> int:
        """Grows with every change: a scan that began and ended with the same number saw the table of one moment."""
        return self._words[_EPOCH]

    def policy_of(self, participant: int) -> ParticipantPolicy:
        _, on_death, max_attempts, *_ = self._facts(id_index(participant))
        return ParticipantPolicy(OnDeath.DROP if on_death == OnDeath.DROP else OnDeath.REDELIVER, max_attempts)

    def facts(self, index: int) -> tuple[int, int, str]:
        """Process, when it attached (nanoseconds since the UNIX epoch), and its name: for people only."""
        pid, _, _, _, attached_ns, name = self._facts(index)
        return pid, attached_ns, name.split(b"\0", 1)[0].decode(errors="replace")

    def _facts(self, index: int) -> tuple[int, int, int, int, int, bytes]:
        return _FACTS.unpack_from(self._memory.bytes, self.at(index, ParticipantEntry.pid))

    def describe(self, participant: int) -> str:
        """For a message."""
        if not 0 <= id_index(participant) < wire.MAX_PARTICIPANTS or not self.owns_entry(participant):
            return "a process that is gone"
        pid, _, name = self.facts(id_index(participant))
        return f"process {pid} ({name})"
