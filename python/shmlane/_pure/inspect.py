# SPDX-License-Identifier: Apache-2.0
"""Looking at segments through a read-only mapping, and removing what is left of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import Corrupt, Error, NotFound
from . import arrays, wire
from .bell import ring_bells
from .creation_lock import under_creation_lock
from .making import require_removable, retire
from .os.barrier import register_barrier
from .os.filelock import byte_locked_elsewhere
from .os.shm import ShmFile, list_files, open_file, remove_file
from .participants import NOBODY, Participants, make_id
from .queue_core import COUNTERS, QueueCore, attach_options, count_objects, entry_counters, queue_stat
from .ring import Ring
from .ring_frames import LEASED, READY
from .segment import PREFIX, Segment, file_name_of, kind_name
from .wire import Kind, ParticipantEntry, RingControl, SegmentHeader, SegmentState

_STATES = {state: state.name.lower() for state in SegmentState}
_SIDES = {
    "producers": (RingControl.producers_lock, ParticipantEntry.producers_busy),
    "consumers": (RingControl.consumers_lock, ParticipantEntry.consumers_busy),
}


def _open(name: str, writable: bool) -> ShmFile:
    file = open_file(file_name_of(name), writable)
    if file is None:
        raise NotFound(f"there is no segment named '{name}'; shmlane ls lists what there is")
    return file


# ---- Looking ---------------------------------------------------------------------------------------------------------


def list_segments() -> list[dict[str, Any]]:
    """One dict per segment in /dev/shm that may be read."""
    segments = []
    for name in list_files(PREFIX):
        try:
            segments.append(inspect_segment(name))
        except Error:  # it may not be read, went away meanwhile or is of others
            continue
    return segments


def inspect_segment(name: str) -> dict[str, Any]:
    """Facts about one segment, without attaching or locking."""
    file = _open(name, writable=False)
    info: dict[str, Any] = _nothing_known(name, file.size)
    if file.size == 0:
        return info  # being made
    segment = Segment(name, file, writable=False)
    info["state"] = _STATES.get(segment.state, "unknown")  # type: ignore[call-overload]
    if segment.state == SegmentState.EMPTY and segment.get(SegmentHeader.magic) == 0:
        return info
    segment.check(0)
    info |= _header_facts(segment)
    table = Participants(segment.head, file)
    participants = [_participant(table, i, segment) for i in range(table.used()) if table.word(i).live]
    look = _look_at_ring if segment.kind == Kind.QUEUE else _look_at_array
    return info | look(segment, table, participants) | {"participants": participants}


def _look_at_ring(segment: Segment, table: Participants, participants: list[dict[str, Any]]) -> dict[str, Any]:
    ring = Ring(segment, table) if segment.map_body() else None
    objects = 0
    if ring is not None:
        objects = ring.contents().waiting
        _collect_holds(ring, participants)
    control = wire.CONTROL_OFFSET
    return queue_stat(table, ring) | {
        "objects": objects,
        "items_waiters": segment.get(control + RingControl.items_waiters),
        "space_waiters": segment.get(control + RingControl.space_waiters),
    }


def _look_at_array(segment: Segment, table: Participants, _: list[dict[str, Any]]) -> dict[str, Any]:
    stat = queue_stat(table, None)
    if not segment.map_body():
        return stat
    facts = arrays.array_facts(segment)
    if segment.kind == Kind.STREAM:
        stat |= {"pushed": facts["count"], "pushed_bytes": facts["count"] * facts["nbytes"]}
    return stat | facts | arrays.waiters(segment) | {"capacity": segment.capacity, "used": segment.capacity}


def _nothing_known(name: str, size: int) -> dict[str, Any]:
    counts = dict.fromkeys((*COUNTERS, "capacity", "used", "producers", "consumers"), 0)
    return counts | {
        "name": name.encode(errors="surrogateescape").decode(errors="replace"),
        "kind": kind_name(0),
        "version": 0,
        "segment_id": 0,
        "state": "empty",
        "objects": 0,
        "created": 0.0,
        "mode": 0,
        "size": size,
        "full_fence": False,
        "locked": False,
        "items_waiters": 0,
        "space_waiters": 0,
        "participants": [],
    }


def _header_facts(segment: Segment) -> dict[str, Any]:
    return {
        "kind": kind_name(segment.get_half(SegmentHeader.kind)),
        "version": segment.get_half(SegmentHeader.version),
        "segment_id": segment.segment_id,
        "created": segment.get(SegmentHeader.created_ns) / 1e9,
        "mode": segment.get_half(SegmentHeader.mode),
        "full_fence": segment.get_half(SegmentHeader.flags) & wire.FLAG_FULL_FENCE != 0,
        "locked": byte_locked_elsewhere(segment.file.fd, wire.CREATION_LOCK_BYTE),
    }


def _participant(table: Participants, index: int, segment: Segment) -> dict[str, Any]:
    word = table.word(index)
    participant = make_id(index, word.generation)
    pid, attached_ns, process = table.facts(index)

    def holds(lock: int, busy: int) -> bool:
        inside = segment.get_half(Participants.at(index, busy)) != 0
        return segment.get(wire.CONTROL_OFFSET + lock) == participant or inside

    def locks() -> list[str]:
        if segment.kind != Kind.QUEUE:
            busy = segment.get_half(Participants.at(index, ParticipantEntry.consumers_busy))
            return arrays.locks(segment, participant, busy)
        return [side for side, words in _SIDES.items() if holds(*words)]

    roles = {"producer": wire.ROLE_PRODUCER, "consumer": wire.ROLE_CONSUMER}
    return {
        "id": participant,
        "index": index,
        "pid": pid,
        "process": process,
        "roles": [role for role, bit in roles.items() if word.role & bit],
        "alive": table.alive(participant, NOBODY),
        "locks": locks(),
        "at_tail": False,
        "counters": entry_counters(table, index),
        "attached": attached_ns / 1e9,
        "holds": [],
    }


def _collect_holds(ring: Ring, participants: list[dict[str, Any]]) -> None:
    """One pass without a lock; what is met after the ring moved on under our feet is left out."""
    by_id = {participant["id"]: participant for participant in participants}
    at_tail = True
    try:
        for step in ring.walk_all():
            oldest, at_tail = at_tail, at_tail and not step.owner and step.state != READY
            if (owner := by_id.get(step.owner)) is not None:
                owner["at_tail"] = owner["at_tail"] or oldest
                state = "leased" if step.state == LEASED else "reserved"
                nbytes = ring.payload_size_at(step.at)
                owner["holds"].append({"state": state, "position": step.position, "nbytes": nbytes})
    except Corrupt:
        return


# ---- Removing --------------------------------------------------------------------------------------------------------


def _remove_if(name: str, judge: Callable[[Segment, bool], bool]) -> bool:
    """``judge(segment, half_made)`` says under the creation lock whether it shall go; an empty file always goes."""
    file_name = file_name_of(name)
    file = _open(name, writable=True)

    def work() -> bool:
        if not file.has_name(file_name):
            raise NotFound(f"'{name}' was removed meanwhile")
        if file.size == 0:
            require_removable(file, name)
            remove_file(file_name)
            return True
        segment = Segment(name, file)
        half_made = segment.get(SegmentHeader.magic) == 0 and segment.state == SegmentState.EMPTY
        if not judge(segment, half_made):
            return False
        require_removable(file, name)
        retire(segment)
        return True

    return under_creation_lock(file.fd, name, work)


def remove_segment(name: str, force: bool = False) -> bool:
    """Remove a segment and its semaphores; False if somebody lives in it and not force."""

    def judge(segment: Segment, half_made: bool) -> bool:
        if segment.get(SegmentHeader.magic) != wire.MAGIC and not half_made:
            segment.check(0)
        # A segment of another version has its table elsewhere: nobody can say who lives in it.
        version, layout = segment.get_half(SegmentHeader.version), segment.get(SegmentHeader.layout)
        same = version == wire.VERSION and layout == wire.LAYOUT
        table = Participants(segment.head, segment.file)
        return force or half_made or (same and not table.anyone_alive_but(NOBODY))

    return _remove_if(name, judge)


def remove_remains(name: str, force: bool = False) -> bool:
    """Remove what is left of a segment in which nobody lives; False if it is none, or has objects and not force."""

    def judge(segment: Segment, half_made: bool) -> bool:
        if half_made:
            return True
        segment.check(0)
        table = Participants(segment.head, segment.file)
        if table.anyone_alive_but(NOBODY):
            return False
        if force or segment.state in (SegmentState.EMPTY, SegmentState.REMOVED):
            return True
        if segment.kind != Kind.QUEUE:  # the value of a stream outlives whoever wrote it
            return False
        return table.find_dead(NOBODY) is not None and (not segment.map_body() or count_objects(segment) == 0)

    return _remove_if(name, judge)


def reap_segment(name: str) -> int:
    """Settle what dead participants held; returns how many."""

    def dead() -> int:
        return sum(not participant["alive"] for participant in inspect_segment(name)["participants"])

    if inspect_segment(name)["kind"] in ("stream", "tensor"):
        return _reap_array(name)
    before = dead()
    reaper = QueueCore(name, 0, attach_options(stale="keep", create=False))  # it reaps when it attaches
    try:
        return max(0, before - dead())
    finally:
        reaper.close()


def _reap_array(name: str) -> int:
    file = _open(name, writable=True)

    def work() -> int:
        segment = Segment(name, file)
        segment.check(0)
        reaped = Participants(segment.head, file).reap_dead()
        ring_bells(segment)
        return reaped

    return under_creation_lock(file.fd, name, work)


def has_membarrier() -> bool:
    """Whether this kernel lets this process use membarrier(2)."""
    return register_barrier()
