# SPDX-License-Identifier: Apache-2.0
"""Layout constants of the wire format, version 1 (SPEC.md, sections 2 to 6, and 11). No other module spells an offset.

The classes are structs of the format: their fields are offsets in bytes. A test holds all of it to layout.json.
"""

from __future__ import annotations

import enum

MAGIC = 0x00656E616C6D6873
VERSION = 1
LAYOUT = 0x2026112100000002
ALIGNMENT = 64
PAGE_SIZE = 4096
MAX_PARTICIPANTS = 512
MAX_SKIPPED = 32
MAX_NAME_BYTES = 200
MIN_SLOTS = 3
MAX_SLOTS = 255
FLAG_FULL_FENCE = 1
BIASED = 1 << 63
ROLE_PRODUCER = 1
ROLE_CONSUMER = 2
METADATA_OFFSET = 40
SENTINEL_SIZE = 8
MAX_METADATA_BYTES = 4294967184
SENTINEL_PRIME = 0x9E3779B97F4A7C15
TABLE_OFFSET = 4096
CONTROL_OFFSET = 69632
ARRAY_OFFSET = 70656
BODY_OFFSET = 73728
CREATION_LOCK_BYTE = 1 << 62
ENTRY_LOCK_BYTE = CREATION_LOCK_BYTE + 1
STDIO_MAGIC = 0x6F696474736D6873

MASK = (1 << 64) - 1


class Kind(enum.IntEnum):
    QUEUE = 1
    STREAM = 2
    TENSOR = 3


class SegmentState(enum.IntEnum):
    EMPTY = 0
    HEADER = 1
    READY = 2
    REMOVED = 3


class EntryState(enum.IntEnum):
    FREE = 0
    LIVE = 1


class OnDeath(enum.IntEnum):
    REDELIVER = 0
    DROP = 1


class FrameState(enum.IntEnum):
    RESERVED = 1
    READY = 2
    LEASED = 3
    FREE = 4
    ABANDONED = 5
    PAD = 6


class StdioKind(enum.IntEnum):
    DATA = 1
    END = 2


class SegmentHeader:
    magic = 0
    version = 8
    kind = 12
    layout = 16
    segment_id = 24
    state = 32
    flags = 36
    body_offset = 40
    body_size = 48
    created_ns = 56
    creator_pid = 64
    mode = 68
    used_entries = 72
    seen_roles = 76
    epoch = 80
    SIZE = 128


class ParticipantEntry:
    word = 0
    pid = 8
    on_death = 12
    max_attempts = 13
    attached_ns = 16
    process_name = 24
    oldest_lease = 40
    producers_busy = 48
    consumers_busy = 52
    aborted = 56
    pushed = 64
    pushed_bytes = 72
    popped = 80
    popped_bytes = 88
    dropped = 96
    redelivered = 104
    waits = 112
    recovered = 120
    SIZE = 128


class RingControl:
    producers_lock = 0
    tail = 8
    head = 64
    consumers_lock = 128
    scan = 136
    skipped_count = 144
    read = 192
    items_waiters = 256
    space_waiters = 320
    skipped = 384
    SIZE = 640


class StreamControl:
    write_lock = 0
    writing = 8
    writer = 16
    written_ns = 24
    published = 64
    value_bell = 128
    lock_bell = 192
    SIZE = 256


class TensorControl:
    write_lock = 0
    lock_bell = 64
    SIZE = 128


class ArrayHeader:
    nbytes = 0
    slot_size = 8
    slots = 16
    dimensions = 20
    itemsize = 24
    dtype_size = 28
    shape = 32
    dtype = 544
    SIZE = 2592


class FrameHeader:
    control = 0
    open_sentinel = 8
    extent = 16
    payload_size = 24
    metadata_size = 32
    payload_offset = 36
    SIZE = 40


class StdioHeader:
    magic = 0
    kind = 8
    metadata_size = 12
    payload_size = 16
    sentinel = 24
    SIZE = 32


def open_sentinel(segment_id: int, position: int, extent: int) -> int:
    """W-21"""
    return ((segment_id ^ position) * SENTINEL_PRIME + extent) & MASK


def close_sentinel(opening: int, payload_size: int, metadata_size: int, payload_offset: int) -> int:
    """W-22"""
    return ((opening ^ payload_size) * SENTINEL_PRIME + (metadata_size << 32 | payload_offset)) & MASK


def stdio_sentinel(kind: int, metadata_size: int, payload_size: int) -> int:
    """W-61"""
    return ((STDIO_MAGIC ^ payload_size) * SENTINEL_PRIME + (metadata_size << 32 | kind)) & MASK


def payload_offset_for(metadata_size: int) -> int:
    """W-23"""
    return (METADATA_OFFSET + metadata_size + SENTINEL_SIZE + ALIGNMENT - 1) & -ALIGNMENT


def frame_extent(metadata_size: int, payload_size: int) -> int:
    """W-24"""
    return payload_offset_for(metadata_size) + ((payload_size + ALIGNMENT - 1) & -ALIGNMENT)
