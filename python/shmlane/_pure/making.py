# SPDX-License-Identifier: Apache-2.0
"""Making a segment, laying out its body, and removing it; all under the creation lock (SPEC section 7)."""

from __future__ import annotations

import os as system
from collections.abc import Callable

from ..errors import CapacityMismatch, InvalidArgument, PermissionDenied
from . import wire
from .bell import ring_bells
from .os.process import random_u64, unix_time_ns
from .os.semaphore import NamedSemaphore, remove_semaphore
from .os.shm import Memory, ShmFile, remove_file
from .segment import Segment, file_name_of, semaphore_name
from .wire import Kind, SegmentHeader, SegmentState

_LARGEST_BODY = 1 << 46
_MAGIC = SegmentHeader.magic >> 3
_STATE = SegmentHeader.state >> 2


def whole_pages(size: int) -> int:
    """Raises InvalidArgument."""
    if not 0 < size <= _LARGEST_BODY:
        raise InvalidArgument(f"a capacity of {size} bytes is impossible; choose 1 byte to 64 TiB")
    return -(-size // wire.PAGE_SIZE) * wire.PAGE_SIZE


def half_made(file: ShmFile) -> bool:
    size = file.size
    if size < wire.BODY_OFFSET:
        return size == 0
    head = file.map(0, SegmentHeader.SIZE)
    return head.words[_MAGIC] in (0, wire.MAGIC) and head.halves[_STATE] == SegmentState.EMPTY


def make(file: ShmFile, name: str, kind: int, mode: int) -> None:
    """The state is stored last: until then the file counts as half-made, and who finds it so makes it anew (W-74)."""
    segment_id = 0
    try:
        file.allocate(wire.BODY_OFFSET)
        head = file.map(0, wire.BODY_OFFSET)
        _remove_semaphores(name, head.words[SegmentHeader.segment_id >> 3])  # of a maker that died here
        head.words[_MAGIC] = 0  # whole: half a magic would make the file foreign to everybody
        head.array[:] = 0
        segment_id = random_u64()
        head.words[_MAGIC] = wire.MAGIC
        _write_header(head, segment_id, kind, mode)
        if kind == Kind.QUEUE:
            for which in ("items", "space"):
                NamedSemaphore(semaphore_name(name, segment_id, which), mode)
        head.halves[_STATE] = SegmentState.HEADER
    except BaseException:
        _remove_semaphores(name, segment_id)
        remove_file(file_name_of(name))
        raise


def _write_header(head: Memory, segment_id: int, kind: int, mode: int) -> None:
    head.halves[SegmentHeader.version >> 2] = wire.VERSION
    head.halves[SegmentHeader.kind >> 2] = kind
    head.words[SegmentHeader.layout >> 3] = wire.LAYOUT
    head.words[SegmentHeader.segment_id >> 3] = segment_id
    head.words[SegmentHeader.body_offset >> 3] = wire.BODY_OFFSET
    head.words[SegmentHeader.created_ns >> 3] = unix_time_ns()
    head.halves[SegmentHeader.creator_pid >> 2] = system.getpid()
    head.halves[SegmentHeader.mode >> 2] = mode


def lay_out(
    segment: Segment, just_made: bool, wanted: int | None, default: int, describe: Callable[[Segment], None]
) -> None:
    """``describe`` writes what must stand there before the body is published. The state is stored last, so that a death
    before it leaves a header that anybody can lay out (W-75).
    """
    if segment.map_body():
        if wanted is not None and wanted != segment.capacity:
            raise CapacityMismatch(
                f"'{segment.name}' has a capacity of {segment.capacity} bytes, not {wanted}; "
                "leave the capacity out to take what is there"
            )
        return
    size = default if wanted is None else wanted
    if not size:
        return
    try:
        segment.file.cut_off(wire.BODY_OFFSET)  # what one who died here had begun to fill
        segment.file.allocate(wire.BODY_OFFSET + size)
        describe(segment)
    except BaseException:
        if just_made:
            retire(segment)
        raise
    segment.head.words[SegmentHeader.body_size >> 3] = size
    segment.set_state(SegmentState.READY)
    segment.map_body()


def retire(segment: Segment) -> None:
    """Mark the segment as removed, then take away its semaphores and its name (W-77)."""
    segment.set_state(SegmentState.REMOVED)
    _remove_semaphores(segment.name, segment.segment_id)
    remove_file(file_name_of(segment.name))
    ring_bells(segment)


def require_removable(file: ShmFile, name: str) -> None:
    """Raises PermissionDenied if the name is not this user's to remove."""
    if not file.removable():
        raise PermissionDenied(f"'{name}' is a left-over of another user, who must remove it: shmlane rm {name}")


def _remove_semaphores(name: str, segment_id: int) -> None:
    for which in ("items", "space"):
        remove_semaphore(semaphore_name(name, segment_id, which))
