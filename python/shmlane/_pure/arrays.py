# SPDX-License-Identifier: Apache-2.0
"""What streams and tensors show from outside, which there are, and removing one (SPEC section 11)."""

from __future__ import annotations

from typing import Any

from ..errors import Error
from . import wire
from .array_header import read_array_header
from .bell import BELLS
from .creation_lock import under_creation_lock
from .making import require_removable, retire
from .os.shm import list_files, open_file, remove_file
from .segment import PREFIX, Segment, file_name_of
from .wire import Kind, SegmentState, StreamControl

_CONTROL = wire.CONTROL_OFFSET


# ---- Looking ---------------------------------------------------------------------------------------------------------


def array_facts(segment: Segment) -> dict[str, Any]:
    """Of a segment whose body is mapped. Raises Corrupt."""
    facts = read_array_header(segment)
    found = {"dtype": facts.dtype, "shape": facts.shape, "nbytes": facts.nbytes, "slots": facts.slots}
    return found | _newest(segment)


def _newest(segment: Segment) -> dict[str, Any]:
    if segment.kind != Kind.STREAM:
        return {"count": 0, "write_time": 0.0, "writer": 0}
    return {
        "count": segment.get(_CONTROL + StreamControl.published) >> 8,
        "write_time": segment.get(_CONTROL + StreamControl.written_ns) / 1e9,
        "writer": segment.get(_CONTROL + StreamControl.writer),
    }


def waiters(segment: Segment) -> dict[str, int]:
    """1 if somebody may sleep."""
    lock, *values = reversed(BELLS.get(segment.kind, (0,)))  # type: ignore[call-overload]
    shown = {"items_waiters": 0, "space_waiters": segment.get(_CONTROL + lock) & 1}
    return shown | ({"items_waiters": segment.get(_CONTROL + values[0]) & 1} if values else {})


def locks(segment: Segment, participant: int, busy: int) -> list[str]:
    """Those that the participant holds; ``busy``: its ``consumers_busy``."""
    held = ["write"] if segment.get(_CONTROL + StreamControl.write_lock) == participant else []
    return [*held, "read"] if busy and segment.kind == Kind.TENSOR else held


# ---- Names -----------------------------------------------------------------------------------------------------------


def list_streams() -> list[str]:
    """Names of all streams that may be read, sorted."""
    return _names_of_kind(Kind.STREAM)


def list_tensors() -> list[str]:
    """Names of all tensors that may be read, sorted."""
    return _names_of_kind(Kind.TENSOR)


def unlink_stream(name: str) -> bool:
    """Whether there was one. Raises WrongKind, PermissionDenied."""
    return _remove_of_kind(name, Kind.STREAM)


def unlink_tensor(name: str) -> bool:
    """Whether there was one. Raises WrongKind, PermissionDenied."""
    return _remove_of_kind(name, Kind.TENSOR)


def _names_of_kind(kind: int) -> list[str]:
    names = []
    for name in list_files(PREFIX):
        try:
            file = open_file(file_name_of(name), writable=False)
            if file is None or file.size == 0:
                continue
            segment = Segment(name, file, writable=False)
            segment.check(kind)
            if segment.state == SegmentState.READY:
                names.append(name)
        except Error:  # it may not be read, went away meanwhile or is of others
            continue
    return names


def _remove_of_kind(name: str, kind: int) -> bool:
    file_name = file_name_of(name)
    while (file := open_file(file_name)) is not None:

        def work() -> bool | None:
            if not file.has_name(file_name):
                return None
            require_removable(file, name)
            if file.size == 0:
                remove_file(file_name)
                return False
            segment = Segment(name, file)
            segment.check(kind)
            retire(segment)
            return True

        removed = under_creation_lock(file.fd, name, work)
        if removed is not None:
            return removed
    return False
