# SPDX-License-Identifier: Apache-2.0
"""What a handle may hold in a ring: a Reservation of a producer, a Lease of a consumer."""

from __future__ import annotations

from typing import Any, final

from ..errors import TooLarge
from . import wire
from .arguments import to_bytes, to_unsigned
from .frame import FrameExtents
from .hold import Hold
from .hold import Place as HeldPlace
from .queue_core import QueueCore
from .ring import Place, Ring


@final
class Lease(Hold):
    """A frame held by a consumer; its buffer is the read-only, 64-byte aligned payload."""

    _attempt: int
    _metadata: bytes

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

    array = plain_array


class LeaseHandle:
    """The fields of ``shmlane.Lease``, whose first base this is."""

    __slots__ = ("__weakref__", "_context", "_native", "_object")

    def __init__(self, native: Lease, context: Any) -> None:
        self._native: Lease | None = native
        self._context = context
        self._object: Any = None


def make_lease(core: QueueCore, ring: Ring, me: int, place: Place, extents: FrameExtents, metadata: bytes) -> Lease:
    """The frame is given back at its end."""
    start = (place.at << 3) + extents.payload_offset
    lease: Lease = Lease._make(ring.readonly_memory, start, extents.payload_size)
    lease._metadata, lease._attempt = metadata, ring.attempt_of(place)

    def end() -> None:
        ring.release(me, place)
        core.attachment.space.wake_one()

    lease._begin(core, me, end)
    return lease


@final
class Reservation(HeldPlace):
    """A place in the ring; its buffer is the writable, 64-byte aligned payload."""

    _WHAT = "reservation"
    _ring: Ring
    _place: Place
    _extents: FrameExtents
    _metadata: bytes

    def commit(self, metadata: bytes | None = None, nbytes: int | None = None) -> None:
        """Publish; with arguments other metadata and/or only the first ``nbytes``. Raises TooLarge."""
        text = self._metadata if metadata is None else to_bytes(metadata)
        size = self.nbytes if nbytes is None else to_unsigned(nbytes, "nbytes")
        core = self._open_core()
        self._check(len(text), size)
        self._require_own()
        self._ring.write(self._place, self._extents._replace(payload_size=size, metadata_size=len(text)), text)
        try:
            self._ring.commit(self._participant, self._place)
            core.attachment.items.wake_one()
        finally:
            self._end()  # which aborts nothing that is published

    def _check(self, metadata_size: int, payload_size: int) -> None:
        if payload_size > self.nbytes:
            raise TooLarge(f"cannot commit {payload_size} bytes into a reservation of {self.nbytes}")
        room = self._extents.payload_offset - wire.METADATA_OFFSET - wire.SENTINEL_SIZE
        if metadata_size > room:
            raise TooLarge(f"cannot commit {metadata_size} bytes of metadata into a reservation with room for {room}")


def make_reservation(
    core: QueueCore, ring: Ring, me: int, place: Place, extents: FrameExtents, metadata: bytes
) -> Reservation:
    """The frame is given back at its end, unless it was committed."""
    start = (place.at << 3) + extents.payload_offset
    reservation: Reservation = Reservation._make(ring.memory, start, extents.payload_size)
    reservation._ring, reservation._place, reservation._extents = ring, place, extents
    reservation._metadata = metadata

    def end() -> None:
        if ring.abort(me, place):
            core.attachment.space.wake_one()
            core.attachment.items.wake_one()  # the end of stream may be near

    reservation._begin(core, me, end)
    return reservation
