# SPDX-License-Identifier: Apache-2.0
"""One named shared-memory file with a header: opened, checked, mapped (SPEC sections 2 and 7)."""

from __future__ import annotations

import threading

from ..errors import Corrupt, Evicted, Foreign, InvalidName, WrongKind, WrongLayout, WrongVersion
from . import wire
from .os.shm import Memory, ShmFile
from .wire import Kind, SegmentHeader, SegmentState

PREFIX = "shmlane."
_KINDS = {Kind.QUEUE: "queue", Kind.STREAM: "stream", Kind.TENSOR: "tensor"}


def file_name_of(name: str) -> str:
    """Raises InvalidName."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise InvalidName(f"the name {name!r} has lone surrogates: it is not UTF-8") from None
    why = None
    if not encoded:
        why = "is empty"
    elif len(encoded) > wire.MAX_NAME_BYTES:
        why = "is too long"
    elif "/" in name:
        why = "contains '/'"
    elif "\0" in name:
        why = "contains NUL"
    if why:
        shown = encoded[: wire.MAX_NAME_BYTES].decode(errors="backslashreplace")
        raise InvalidName(f"the name '{shown}' {why}; a name is 1 to 200 bytes of UTF-8 without '/' and NUL")
    return PREFIX + name


def semaphore_name(name: str, segment_id: int, which: str) -> str:
    """What producers ("space") or consumers ("items") of a segment sleep on."""
    return f"/{file_name_of(name)}.{segment_id:016x}.{which}"


def kind_name(kind: int) -> str:
    return _KINDS.get(kind, "unknown")  # type: ignore[call-overload, no-any-return]


class Segment:
    """A mapping of one segment's file. Raises Foreign if that is too short for a header."""

    def __init__(self, name: str, file: ShmFile, writable: bool = True) -> None:
        self.name, self.file = name, file
        self.body_writable = writable
        if file.size < wire.BODY_OFFSET:
            raise Foreign(
                f"/dev/shm/{file_name_of(name)} is too short for a segment of shmlane; another program made it"
            )
        self.head = file.map(0, wire.BODY_OFFSET, writable)
        self.body: Memory | None = None
        self.capacity = 0
        """Bytes of the mapped body, a private copy; 0 while it is not mapped."""
        self.mutex = threading.RLock()
        """For what is made once and late."""

    def get(self, field: int) -> int:
        """A field of the header of 64 bits."""
        return self.head.words[field >> 3]

    def get_half(self, field: int) -> int:
        return self.head.halves[field >> 2]

    @property
    def kind(self) -> int:
        return self.get_half(SegmentHeader.kind)

    @property
    def segment_id(self) -> int:
        return self.get(SegmentHeader.segment_id)

    @property
    def state(self) -> int:
        return self.get_half(SegmentHeader.state)

    def set_state(self, state: SegmentState) -> None:
        self.head.halves[SegmentHeader.state >> 2] = state

    def check(self, kind: int) -> None:
        """Raises Foreign, WrongVersion, WrongLayout or WrongKind (``kind`` 0: any) if this program cannot use it."""
        if self.get(SegmentHeader.magic) != wire.MAGIC:
            raise Foreign(f"/dev/shm/{file_name_of(self.name)} is not a segment of shmlane; another program made it")
        version = self.get_half(SegmentHeader.version)
        if version != wire.VERSION:
            raise WrongVersion(
                f"the segment '{self.name}' has wire format version {version}, this program speaks version "
                f"{wire.VERSION}; use the same release of shmlane on both sides"
            )
        if self.get(SegmentHeader.layout) != wire.LAYOUT:
            raise WrongLayout(
                f"the segment '{self.name}' was made by a build of shmlane with another layout; use the same "
                "release on both sides"
            )
        found = self.kind
        if kind and found != kind:
            raise WrongKind(f"'{self.name}' is a {kind_name(found)}, not a {kind_name(kind)}; choose another name")

    def map_body(self) -> bool:
        """Map the body, if it is laid out and not mapped yet. True if it is mapped now. Raises Corrupt."""
        with self.mutex:
            if self.body is not None:
                return True
            if not self.file.intact():
                raise Evicted(f"the descriptor of '{self.name}' was closed by this program; open a new handle")
            state = self.state
            offset, size = self.get(SegmentHeader.body_offset), self.get(SegmentHeader.body_size)
            # Who lives in a segment that was removed by force goes on in it, also if it had not needed the body until
            # then.
            if state != SegmentState.READY and not (state == SegmentState.REMOVED and size):
                return False
            fits = offset == wire.BODY_OFFSET and size and offset + size <= self.file.size
            if not fits or size % wire.PAGE_SIZE:
                raise Corrupt(
                    f"the header of the segment '{self.name}' names a body outside of its file; "
                    f"remove it with: shmlane rm --force {self.name}"
                )
            self.body, self.capacity = self.file.map(offset, size, self.body_writable), size
            return True
