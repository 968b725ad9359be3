# SPDX-License-Identifier: Apache-2.0
"""Frames as bytes, in the ring (SPEC section 4) and in a stream (SPEC section 6), sound ones and, on request, liars."""

from __future__ import annotations

import struct
from dataclasses import dataclass

ALIGNMENT = 64
HEADER_SIZE = 40
SENTINEL_SIZE = 8
PRIME = 0x9E3779B97F4A7C15
STDIO_MAGIC = 0x6F696474736D6873
STATES = {"reserved": 1, "ready": 2, "leased": 3, "free": 4, "abandoned": 5, "pad": 6}
DATA, END = 1, 2

_U64 = 2**64 - 1
NO_LEASE = _U64
"""`oldest_lease` of a participant that never leased anything."""


def align_up(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def payload_offset(metadata_size: int) -> int:
    """W-23."""
    return align_up(HEADER_SIZE + metadata_size + SENTINEL_SIZE)


def open_sentinel(segment_id: int, position: int, extent: int) -> int:
    """W-21."""
    return ((segment_id ^ position) * PRIME + extent) & _U64


def close_sentinel(open_: int, payload_size: int, metadata_size: int, offset: int) -> int:
    """W-22."""
    return ((open_ ^ payload_size) * PRIME + (metadata_size << 32 | offset)) & _U64


def stdio_sentinel(kind: int, metadata_size: int, payload_size: int) -> int:
    """W-61."""
    return ((STDIO_MAGIC ^ payload_size) * PRIME + (metadata_size << 32 | kind)) & _U64


@dataclass(frozen=True)
class Frame:
    """A frame in a ring. What is None is as the rules want it; what is given is written as it is, true or not."""

    metadata: bytes
    payload: bytes = b""
    segment_id: int = 0x0123456789ABCDEF
    position: int = 0
    state: str = "ready"
    attempt: int = 0
    owner: int = 0
    extent: int | None = None
    offset: int | None = None
    payload_size: int | None = None
    metadata_size: int | None = None
    filler: int = 0
    room: int = 0
    """Bytes to write at least, if the extent is not to be believed."""

    def header(self) -> tuple[int, int, int, int]:
        """Extent, payload size, metadata size and payload offset as the header says them."""
        metadata_size = len(self.metadata) if self.metadata_size is None else self.metadata_size
        payload_size = len(self.payload) if self.payload_size is None else self.payload_size
        offset = payload_offset(len(self.metadata)) if self.offset is None else self.offset
        extent = offset + align_up(len(self.payload)) if self.extent is None else self.extent
        return extent, payload_size, metadata_size, offset

    def to_bytes(self) -> bytes:
        extent, payload_size, metadata_size, offset = self.header()
        open_ = open_sentinel(self.segment_id, self.position, extent)
        close = close_sentinel(open_, payload_size, metadata_size, offset)
        control = STATES[self.state] | self.attempt << 8 | self.owner << 16
        frame = bytearray([self.filler]) * (self.room or extent)
        frame[:HEADER_SIZE] = struct.pack("<QQQQII", control, open_, extent, payload_size, metadata_size, offset)
        frame[HEADER_SIZE : HEADER_SIZE + len(self.metadata)] = self.metadata
        if offset >= HEADER_SIZE + SENTINEL_SIZE:
            frame[offset - SENTINEL_SIZE : offset] = struct.pack("<Q", close)
        if self.payload:
            frame[offset : offset + len(self.payload)] = self.payload
        return bytes(frame)


def stdio_header(
    metadata_size: int,
    payload_size: int,
    kind: int = DATA,
    magic: int = STDIO_MAGIC,
) -> bytes:
    """The header of a frame in a stream, with the sentinel that belongs to these fields (W-60)."""
    sentinel = stdio_sentinel(kind, metadata_size, payload_size)
    return struct.pack("<QIIQQ", magic, kind, metadata_size, payload_size, sentinel)


def stdio_end(header: bytes) -> bytes:
    """W-62: the header's sentinel with all bits inverted."""
    return bytes(byte ^ 0xFF for byte in header[-SENTINEL_SIZE:])


def stdio_frame(metadata: bytes, payload: bytes = b"", kind: int = DATA) -> bytes:
    header = stdio_header(len(metadata), len(payload), kind)
    return header + metadata + payload + stdio_end(header)


END_FRAME = stdio_frame(b"", b"", END)


def flip(data: bytes, byte: int, bit: int = 0) -> bytes:
    """``data`` with one bit inverted; a negative ``byte`` counts from the end."""
    changed = bytearray(data)
    changed[byte] ^= 1 << bit
    return bytes(changed)
