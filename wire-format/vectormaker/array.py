# SPDX-License-Identifier: Apache-2.0
"""Segments of streams and tensors as bytes (SPEC section 11): control page with the array's header, and slots."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .segment import BODY, CONTROL, READY, Entry, Segment
from .wire import align_up

STREAM, TENSOR = 2, 3
ARRAY, DTYPE_ROOM = CONTROL + 1024, 2048
_SHAPE, _DTYPE = ARRAY + 32, ARRAY + 544


def dtype_text(dtype: Any) -> bytes:
    return json.dumps(dtype, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Array:
    """What is None is as the rules want it; what is given is written as it is, true or not."""

    values: Mapping[int, bytes] = field(default_factory=dict)
    """By slot; all others are zeros."""
    dtype: Any = "<f4"
    itemsize: int = 4
    shape: Sequence[int] = (2, 3)
    kind: int = STREAM
    slots: int | None = None
    count: int = 0
    slot: int = 0
    writing: int | None = None
    writer: int = 0
    written_ns: int = 0
    write_lock: int = 0
    value_bell: int = 0
    lock_bell: int = 0
    entries: Mapping[int, Entry] = field(default_factory=dict)
    header: Mapping[str, int] = field(default_factory=dict)
    """Fields of the array's header that are not as they should be."""
    dtype_bytes: bytes | None = None
    segment: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the segment that are not as in a READY one."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.itemsize

    @property
    def slot_size(self) -> int:
        return max(64, align_up(self.nbytes))

    def _slots(self) -> int:
        return self.slots if self.slots is not None else 1 if self.kind == TENSOR else 3

    def _stream_control(self) -> bytes:
        writing = self.count if self.writing is None else self.writing
        first = struct.pack("<4Q", self.write_lock, writing, self.writer, self.written_ns)
        lines = [first, *(struct.pack("<Q", word) for word in (self.count << 8 | self.slot, self.value_bell))]
        return b"".join(line.ljust(64, b"\0") for line in lines) + struct.pack("<Q", self.lock_bell)

    def _tensor_control(self) -> bytes:
        return struct.pack("<Q", self.write_lock).ljust(64, b"\0") + struct.pack("<Q", self.lock_bell)

    def _array_header(self) -> bytes:
        text = dtype_text(self.dtype) if self.dtype_bytes is None else self.dtype_bytes
        fields = {
            "nbytes": self.nbytes,
            "slot_size": self.slot_size,
            "slots": self._slots(),
            "dimensions": len(self.shape),
            "itemsize": self.itemsize,
            "dtype_size": len(text),
        } | dict(self.header)
        return struct.pack("<QQIIII", *fields.values())

    def to_bytes(self) -> bytes:
        capacity = -(-self._slots() * self.slot_size // 4096) * 4096
        plain = {"capacity": capacity, "kind": self.kind, "seen_roles": 0, "state": READY, "entries": self.entries}
        file = bytearray(Segment(**{**plain, **self.segment}).to_bytes())
        control = self._stream_control() if self.kind == STREAM else self._tensor_control()
        file[CONTROL : CONTROL + len(control)] = control
        header = self._array_header()
        file[ARRAY : ARRAY + len(header)] = header
        lengths = struct.pack(f"<{len(self.shape)}Q", *(length % 2**64 for length in self.shape))
        file[_SHAPE : _SHAPE + len(lengths)] = lengths
        text = dtype_text(self.dtype) if self.dtype_bytes is None else self.dtype_bytes
        file[_DTYPE : _DTYPE + len(text)] = text
        for slot, value in self.values.items():
            at = BODY + slot * self.slot_size
            if at + len(value) <= len(file):
                file[at : at + len(value)] = value
        return bytes(file)
