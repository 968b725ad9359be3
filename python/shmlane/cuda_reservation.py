# SPDX-License-Identifier: Apache-2.0
"""Sending what lies in a GPU's arena: reservations to be filled in place, and frames that carry slots."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._scope import AbortedAtExit
from .codec import Encoded, metadata_bytes, write_pieces
from .codecs.cuda import CudaEnd
from .cuda import DeviceArray, backend, device_number, dtype_text, stream_number
from .errors import Closed, Full, InvalidArgument


class CudaReservation(AbortedAtExit):
    """A place in a GPU's arena for one array. Fill ``array`` by any library, then ``commit``; leaving the ``with``
    without it aborts. Not thread-safe. If the producer's policy dropped the object, ``dropped`` is true.
    """

    __slots__ = ("__weakref__", "_array", "_dtype", "_frame", "_slot", "dropped")

    def __init__(self, slot: Any, frame: Any, dtype: bytes, shape: tuple[int, ...]) -> None:
        self.dropped = frame is None
        self._slot = slot
        self._frame = frame
        self._dtype = dtype
        native = backend().CudaArray.view(slot.data, dtype, shape, None, slot.device, slot)
        self._array: DeviceArray | None = DeviceArray(native)

    @property
    def array(self) -> DeviceArray:
        """Writable, uninitialised. Not to be written to after commit or abort. Raises Closed after them."""
        if self._array is None:
            raise Closed("this reservation was committed or aborted")
        return self._array

    @property
    def closed(self) -> bool:
        return self._array is None

    def commit(self, length: int | None = None, *, stream: Any = None) -> None:
        """Publish; with ``length``, only so much along the first axis. Consumers wait for what the CUDA stream
        ``stream`` (by default the default stream) was given by now. Raises Closed, InvalidArgument.
        """
        shape = self.array.shape
        if length is not None:
            if not shape or not 0 <= length <= shape[0]:
                raise InvalidArgument(f"of an array of shape {shape} the first {length!r} cannot be committed")
            shape = (length, *shape[1:])
        if self._frame is not None:
            self._slot.ready(stream_number(stream))
            text = self._slot.metadata(self._dtype, shape)
            payload = self._slot.payload()
            memoryview(self._frame)[: len(payload)] = payload
            self._slot.send(self._frame)
            self._frame.commit(text, len(payload))
        self._close()

    def abort(self) -> None:
        """Give the place back. Does nothing after commit or abort."""
        if self._frame is not None:
            self._frame.abort()
        self._close()

    def _close(self) -> None:
        self._array = self._frame = self._slot = None

    def __repr__(self) -> str:
        return "<CudaReservation closed>" if self._array is None else f"<CudaReservation of {self._array!r}>"


def reserve(
    native: Any, end: CudaEnd, shape: int | tuple[int, ...], dtype: Any, device: Any, left: Any
) -> CudaReservation:
    """``left()``: seconds until the time-out, or None."""
    lengths = shape if isinstance(shape, tuple) else (int(shape),)
    if any(length < 0 for length in lengths):
        raise InvalidArgument(f"{shape} is no shape: lengths are 0 or more")
    nbytes = int(np.prod(lengths, dtype=object)) * np.dtype(dtype).itemsize
    slot = end.reserve(device_number(device), nbytes, left())
    text = dtype_text(dtype)
    frame = native.reserve(slot.metadata(text, lengths), len(slot.payload()), left())
    return CudaReservation(slot, frame, text, lengths)


def push_slots(native: Any, frame: Encoded, drops: bool, left: Any) -> None:
    """Push a frame that carries slots of an arena; each is the frame's from then on. Raises what push raises.

    With ``drops``, a policy that drops what finds no room: then nothing waits for the arena either.
    """
    try:
        slots = [pending.place(0 if drops else left()) for pending in frame.slots]
    except Full:
        if drops:
            return
        raise
    place = native.reserve(metadata_bytes(frame.metadata), frame.nbytes, left())
    if place is None:
        return
    try:
        write_pieces(frame.pieces, memoryview(place))
        for slot in slots:
            slot.send(place)
    except BaseException:
        place.abort()
        raise
    place.commit()
