# SPDX-License-Identifier: Apache-2.0
"""A frame in memory that others may write: made and checked (SPEC section 4).

Each length is read once, compared with the sentinels and the bounds, and then used.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import Corrupt, TooLarge
from . import wire
from .os.atomic import Words, words_of
from .wire import ALIGNMENT, METADATA_OFFSET, FrameState

_MIN_EXTENT = wire.payload_offset_for(0)
# No address space holds more.
_MAX_EXTENT = (1 << 63) - 1
_BRACE = ord("{")


class FrameExtents(NamedTuple):
    """Where a frame's parts lie and how long they are: a private copy of what a header says."""

    extent: int
    payload_size: int
    metadata_size: int
    payload_offset: int


def frame_extents(metadata_size: int, payload_size: int) -> FrameExtents:
    """Of a frame that is to hold so much. Raises TooLarge where a length does not fit the header's fields."""
    if metadata_size > wire.MAX_METADATA_BYTES:
        raise TooLarge(f"metadata of {metadata_size} bytes; at most {wire.MAX_METADATA_BYTES} fit a frame")
    payload_offset = wire.payload_offset_for(metadata_size)
    if payload_size > _MAX_EXTENT - payload_offset - ALIGNMENT:
        raise TooLarge(f"a payload of {payload_size} bytes is more than any memory holds")
    return FrameExtents(wire.frame_extent(metadata_size, payload_size), payload_size, metadata_size, payload_offset)


def load_extents(words: Words, at: int) -> FrameExtents:
    """Of the frame whose first word has the index ``at``."""
    parts = words[at + 4]
    return FrameExtents(words[at + 2], words[at + 3], parts & 0xFFFFFFFF, parts >> 32)


def open_frame(words: Words, at: int, segment_id: int, position: int, extent: int) -> None:
    """Write extent and open sentinel, by which every scan steps from frame to frame."""
    words[at + 2] = extent
    words[at + 1] = wire.open_sentinel(segment_id, position, extent)


def write_frame(memory: memoryview, words: Words, at: int, extents: FrameExtents, metadata: bytes) -> None:
    """Write lengths, metadata and close sentinel of a frame whose opening stands; the payload is not touched."""
    _, payload_size, metadata_size, payload_offset = extents
    words[at + 3] = payload_size
    words[at + 4] = payload_offset << 32 | metadata_size
    start = (at << 3) + METADATA_OFFSET
    memory[start : start + metadata_size] = metadata
    close = wire.close_sentinel(words[at + 1], payload_size, metadata_size, payload_offset)
    words[at + (payload_offset >> 3) - 1] = close


def opening_is_right(words: Words, at: int, extent: int, available: int, segment_id: int, position: int) -> bool:
    """W-21 and W-24, of an extent that was loaded before."""
    return (
        _MIN_EXTENT <= extent <= available
        and not extent % ALIGNMENT
        and words[at + 1] == wire.open_sentinel(segment_id, position, extent)
    )


def check_frame(
    memory: memoryview, words: Words, at: int, available: int, segment_id: int, position: int
) -> FrameExtents:
    """The lengths of a sound frame. Raises Corrupt that says which rule is broken (W-21 to W-26).

    The metadata is only seen to begin with ``{``.
    """

    def corrupt(rule: str, why: str) -> Corrupt:
        return Corrupt(f"corrupt frame at position {position} ({rule}): {why}")

    if available < _MIN_EXTENT:
        raise corrupt("W-25", f"only {available} bytes are there")
    found = load_extents(words, at)
    extent, payload_size, metadata_size, payload_offset = found
    opening = wire.open_sentinel(segment_id, position, extent)
    if words[at + 1] != opening:
        raise corrupt("W-21", "no frame begins there: the open sentinel is wrong")
    if wrong := _wrong_extent(extent, available):
        raise corrupt("W-24", f"its extent, {extent}{wrong}")
    if wrong := _wrong_payload(found):
        raise corrupt("W-25", f"its payload, {payload_size} bytes at {payload_offset}, {wrong}")
    close = words[at + (payload_offset >> 3) - 1]
    if close != wire.close_sentinel(opening, payload_size, metadata_size, payload_offset):
        raise corrupt("W-22", "the close sentinel does not fit the lengths")
    if not metadata_size or memory[(at << 3) + METADATA_OFFSET] != _BRACE:
        raise corrupt("W-26", "the metadata is not a JSON object: it does not begin with '{'")
    return found


def _wrong_extent(extent: int, available: int) -> str:
    if extent < _MIN_EXTENT:
        return ", is less than 64"
    if extent % ALIGNMENT:
        return ", is not a multiple of 64"
    return f", reaches beyond the {available} bytes there are" if extent > available else ""


def _wrong_payload(found: FrameExtents) -> str:
    extent, payload_size, metadata_size, payload_offset = found
    if payload_offset % ALIGNMENT:
        return "does not begin at a multiple of 64"
    if payload_offset < wire.payload_offset_for(metadata_size):
        return f"begins before the end of the metadata, {metadata_size} bytes"
    if payload_offset > extent:
        return "begins after the frame's end"
    return "ends after the frame's end" if payload_size > extent - payload_offset else ""


# ---- Single frames as bytes ------------------------------------------------------------------------------------------


def aligned_memory(size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Uninitialised memory of one's own, as aligned as the ring's."""
    room: np.ndarray[tuple[int], np.dtype[np.uint8]] = np.empty(size + ALIGNMENT, np.uint8)
    start = -room.__array_interface__["data"][0] % ALIGNMENT
    return room[start : start + size]


def _words_of(array: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> Words:
    return words_of(array.data, array.__array_interface__["data"][0], 8)


def parse_frame(frame: object, segment_id: int, position: int) -> tuple[bytes, bytes]:
    """Metadata and payload of one ring frame given as bytes, checked as a consumer checks it. Raises Corrupt."""
    given = memoryview(frame).cast("B")  # type: ignore[arg-type]
    size = given.nbytes
    copy = aligned_memory(-(-size // ALIGNMENT) * ALIGNMENT)
    copy[:size] = np.frombuffer(given, np.uint8)
    memory = copy.data
    found = check_frame(memory, _words_of(copy), 0, size, segment_id, position)
    metadata = memory[METADATA_OFFSET : METADATA_OFFSET + found.metadata_size]
    return bytes(metadata), bytes(memory[found.payload_offset : found.payload_offset + found.payload_size])


def make_frame(metadata: bytes, payload: object, segment_id: int, position: int) -> bytes:
    """The bytes of a READY ring frame, owner 0, as a producer leaves it at ``position``."""
    contents = memoryview(payload).cast("B")  # type: ignore[arg-type]
    extents = frame_extents(len(metadata), contents.nbytes)
    frame = aligned_memory(extents.extent)
    frame[:] = 0
    words = _words_of(frame)
    open_frame(words, 0, segment_id, position, extents.extent)
    write_frame(frame.data, words, 0, extents, metadata)
    frame[extents.payload_offset : extents.payload_offset + contents.nbytes] = np.frombuffer(contents, np.uint8)
    words[0] = FrameState.READY
    return bytes(frame)
