# SPDX-License-Identifier: Apache-2.0
"""What a handle may hold in a ring: a Reservation of a producer, a Lease of a consumer.

Both are arrays of bytes that lie in the ring, since that is how Python gives a class the buffer protocol before 3.12;
views of them keep them alive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np

from ..errors import Closed, TooLarge
from . import wire
from .arguments import to_bytes, to_unsigned
from .frame import FrameExtents
from .queue_core import QueueCore
from .ring import Place, Ring


class _Hold(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """``_core`` is None in views of this type, which hold nothing."""

    _core: QueueCore | None = None
    _key: int
    _participant: int
    _metadata: bytes

    @classmethod
    def _make(cls, memory: memoryview, place: Place, extents: FrameExtents) -> Any:
        start = (place.at << 3) + extents.payload_offset
        return cls.__new__(cls, (extents.payload_size,), np.uint8, memory, start)

    def _begin(self, core: QueueCore, me: int, metadata: bytes, end: Callable[[], None]) -> None:
        self._metadata, self._participant = metadata, me
        self._key = core.hold(self, me, end)
        self._core = core

    def __del__(self) -> None:
        if self._core is not None:
            self._core.end_hold(self._key)


@final
class Lease(_Hold):
    """A frame held by a consumer; its buffer is the read-only, 64-byte aligned payload."""

    _attempt: int

    @property
    def metadata(self) -> bytes:
        """The frame's metadata."""
        return self._metadata

    @property
    def attempt(self) -> int:
        """0 for the first delivery."""
        return self._attempt

    @property
    def plain_array(self) -> None:
        """There is no short way to an array here."""


def make_lease(core: QueueCore, ring: Ring, me: int, place: Place, extents: FrameExtents, metadata: bytes) -> Lease:
    """The frame is given back at its end."""
    lease: Lease = Lease._make(ring.readonly_memory, place, extents)
    lease._attempt = ring.attempt_of(place)

    def end() -> None:
        ring.release(me, place)
        core.attachment.space.wake_one()

    lease._begin(core, me, metadata, end)
    return lease


@final
class Reservation(_Hold):
    """A place in the ring; its buffer is the writable, 64-byte aligned payload."""

    _ring: Ring
    _place: Place
    _extents: FrameExtents

    @property
    def open(self) -> bool:
        """False after commit or abort."""
        return self._core is not None

    def commit(self, metadata: bytes | None = None, nbytes: int | None = None) -> None:
        """Publish; with arguments other metadata and/or only the first ``nbytes``. Raises TooLarge."""
        text = self._metadata if metadata is None else to_bytes(metadata)
        size = self.nbytes if nbytes is None else to_unsigned(nbytes, "nbytes")
        core = self._core
        if core is None:
            raise Closed("this reservation was committed or aborted already")
        self._check(len(text), size)
        if not core.owns(self._participant):
            raise Closed("this reservation belongs to the parent process; reserve anew after fork")
        self._ring.write(self._place, self._extents._replace(payload_size=size, metadata_size=len(text)), text)
        try:
            self._ring.commit(self._participant, self._place)
            core.attachment.items.wake_one()
        finally:
            core.end_hold(self._key)  # which aborts nothing that is published
            self._core = None

    def _check(self, metadata_size: int, payload_size: int) -> None:
        if payload_size > self.nbytes:
            raise TooLarge(f"cannot commit {payload_size} bytes into a reservation of {self.nbytes}")
        room = self._extents.payload_offset - wire.METADATA_OFFSET - wire.SENTINEL_SIZE
        if metadata_size > room:
            raise TooLarge(f"cannot commit {metadata_size} bytes of metadata into a reservation with room for {room}")

    def abort(self) -> None:
        """Give the place back. Does nothing after commit or abort."""
        if self._core is not None:
            self._core.end_hold(self._key)
            self._core = None

    def __buffer__(self, flags: int, /) -> memoryview:
        """Of Python 3.12 and newer. Raises Closed after commit or abort."""
        if self._core is None:
            raise Closed("this reservation was committed or aborted already")
        buffer: memoryview = super().__buffer__(flags)  # type: ignore[misc]
        return buffer


def make_reservation(
    core: QueueCore, ring: Ring, me: int, place: Place, extents: FrameExtents, metadata: bytes
) -> Reservation:
    """The frame is given back at its end, unless it was committed."""
    reservation: Reservation = Reservation._make(ring.memory, place, extents)
    reservation._ring, reservation._place, reservation._extents = ring, place, extents

    def end() -> None:
        if ring.abort(me, place):
            core.attachment.space.wake_one()
            core.attachment.items.wake_one()  # the end of stream may be near

    reservation._begin(core, me, metadata, end)
    return reservation
