# SPDX-License-Identifier: Apache-2.0
"""Segments as bytes (SPEC sections 2, 3 and 5): header, table of participants, control page, frames of a ring."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .wire import NO_LEASE, STATES, Frame, open_sentinel

MAGIC = 0x00656E616C6D6873
LAYOUT = 0x2026112100000002
TABLE, CONTROL, BODY = 4096, 69632, 73728
ENTRIES = 512
PRODUCER, CONSUMER = 1, 2
QUEUE = 1
EMPTY, HEADER, READY, REMOVED = range(4)
REDELIVER, DROP = 0, 1
FULL_FENCE = 1
LEFT = 1 << 63

_COUNTERS = ("aborted", "pushed", "pushed_bytes", "popped", "popped_bytes", "dropped", "redelivered", "waits")


def id_of(index: int, generation: int = 1) -> int:
    """W-12."""
    return generation << 16 | (index + 1)


@dataclass(frozen=True)
class Entry:
    """One entry of the table; whether its owner lives is a matter of the lock on its byte, not of these bytes."""

    role: int = 0
    live: bool = True
    generation: int = 1
    on_death: int = REDELIVER
    max_attempts: int = 3
    oldest_lease: int = NO_LEASE
    producers_busy: int = 0
    consumers_busy: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        word = int(self.live) | (self.role if self.live else 0) << 8 | self.generation << 32
        opening = struct.pack("<QIBBHQ", word, 4711, self.on_death, self.max_attempts, 0, 10**18)
        hold = struct.pack("<QII", self.oldest_lease, self.producers_busy, self.consumers_busy)
        counters = [self.counters.get(name, 0) for name in (*_COUNTERS, "recovered")]
        return opening + b"elsewhere".ljust(16, b"\0") + hold + struct.pack("<9Q", *counters)


def free(generation: int = 1, **counters: int) -> Entry:
    return Entry(live=False, generation=generation, counters=counters)


@dataclass(frozen=True)
class Segment:
    """A queue's segment. The frames lie one behind the other from ``tail`` on, with PADs where W-50 wants them.

    What is None is as the rules want it for these frames; what is given is written as it is, true or not.
    """

    frames: Sequence[Frame] = ()
    capacity: int = 4096
    tail: int = 0
    entries: Mapping[int, Entry] = field(default_factory=dict)
    head: int | None = None
    read: int | None = None
    scan: int | None = None
    skipped: Sequence[int] = ()
    skipped_count: int | None = None
    producers_lock: int = 0
    consumers_lock: int = 0
    items_waiters: int = 0
    space_waiters: int = 0
    magic: int = MAGIC
    version: int = 1
    kind: int = QUEUE
    layout: int = LAYOUT
    segment_id: int = 0x0123456789ABCDEF
    state: int = READY
    flags: int = 0
    body_offset: int = BODY
    body_size: int | None = None
    used_entries: int | None = None
    seen_roles: int = PRODUCER | CONSUMER
    epoch: int = 2
    reserved: int = 0
    filler: int = 0
    """The byte that fills what means nothing."""
    beyond: int = 0
    """Bytes of the file behind the body, or missing there if negative."""

    def placed(self) -> list[Frame]:
        """The frames with their positions, PADs included."""
        placed: list[Frame] = []
        at = self.tail
        for frame in self.frames:
            extent = frame.header()[0]
            rest = self.capacity - at % self.capacity
            if rest < extent or frame.state == "pad":
                placed.append(Frame(b"", state="pad", position=at, segment_id=self.segment_id, extent=rest))
                at += rest
            if frame.state != "pad":
                placed.append(replace(frame, position=at, segment_id=self.segment_id))
                at += extent
        return placed

    def position(self, index: int) -> int:
        """Of the frame at that place in ``frames``."""
        return [frame for frame in self.placed() if frame.state != "pad"][index].position

    def end(self) -> int:
        if self.head is not None:
            return self.head
        return max([self.tail, *(frame.position + frame.header()[0] for frame in self.placed())])

    def cursors(self) -> tuple[int, int]:
        """``read`` and ``scan``: by default both stand at the first frame that is RESERVED or READY."""
        waiting = [frame.position for frame in self.placed() if frame.state in ("reserved", "ready")]
        scan = min([*waiting, self.end()]) if self.scan is None else self.scan
        read = (self.skipped[0] if self.skipped else scan) if self.read is None else self.read
        return read, scan

    def _header(self) -> bytes:
        used = max(self.entries, default=-1) + 1 if self.used_entries is None else self.used_entries
        body_size = (self.capacity if self.state >= READY else 0) if self.body_size is None else self.body_size
        opening = struct.pack("<QIIQQII", self.magic, self.version, self.kind, self.layout, self.segment_id, self.state,
                              self.flags)  # fmt: skip
        rest = struct.pack("<QQQIIIIQ", self.body_offset, body_size, 10**18, 4711, 0o600, used, self.seen_roles,
                           self.epoch)  # fmt: skip
        return opening + rest + bytes([self.reserved]) * 40

    def _control(self) -> bytes:
        read, scan = self.cursors()
        count = len(self.skipped) if self.skipped_count is None else self.skipped_count
        consumers = struct.pack("<QQQ", self.consumers_lock, scan, count)
        lines = [
            struct.pack("<QQ", self.producers_lock, self.tail),
            struct.pack("<Q", self.end()),
            consumers,
            struct.pack("<Q", read),
            struct.pack("<Q", self.items_waiters),
            struct.pack("<Q", self.space_waiters),
        ]
        skipped = struct.pack(f"<{len(self.skipped)}Q", *self.skipped).ljust(256, b"\0")
        return b"".join(line.ljust(64, bytes([self.reserved])) for line in lines) + skipped

    def _body(self) -> bytes:
        body = bytearray([self.filler]) * self.capacity
        for frame in self.placed():
            at = frame.position % self.capacity
            data = frame.to_bytes() if frame.state != "pad" else pad_header(frame)
            body[at : at + len(data)] = data
        return bytes(body)

    def to_bytes(self) -> bytes:
        file = bytearray(BODY)
        file[: len(self._header())] = self._header()
        for index, entry in self.entries.items():
            at = TABLE + 128 * index
            file[at : at + 128] = entry.to_bytes()
        file[CONTROL : CONTROL + len(self._control())] = self._control()
        if self.state >= READY:
            file += self._body() + bytes(max(self.beyond, 0))
            del file[len(file) + min(self.beyond, 0) :]
        return bytes(file)

    def at(self, position: int) -> int:
        """Where in the file a position of the ring lies."""
        return BODY + position % self.capacity


def pad_header(frame: Frame) -> bytes:
    """Of a PAD, control, open sentinel and extent alone mean anything (W-27)."""
    extent = frame.header()[0]
    return struct.pack("<QQQ", STATES["pad"], open_sentinel(frame.segment_id, frame.position, extent), extent)


def hexdump(data: bytes) -> bytes:
    """``data`` as text for people and diffs: its size, then rows of 16 bytes; rows of zeros are left out."""
    rows = [f"size {len(data)}"]
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        if any(row):
            rows.append(f"{at:06x}: {row.hex()}")
    return ("\n".join(rows) + "\n").encode()
