# SPDX-License-Identifier: Apache-2.0
"""Streams on a GPU (SPEC section 12.1): to who has no GPU they are ordinary streams of records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .array import Array
from .array_steps import array_vector, read, write
from .frames import Vector
from .handles import PAYLOAD, handle
from .objects import text_of
from .segment import Entry, id_of

_RECORD, _SLOT = 4096, 512
_FIELD = ["shmlane.gpu", f"|V{_RECORD}"]
_MIRROR: list[Any] = ["value", "<f4", [3, 4]]
_VALUE = bytes(range(48))
_ME = id_of(0)
_DEAD = {0: Entry()}


def record(number: int, memory: str = "ipc") -> bytes:
    """That of value `number`, a matrix of 48 bytes, in its slot (W-149)."""
    slot = number % 3
    facts = handle(memory=memory, exporter=_ME, slot=slot, generation=number, offset=slot * _SLOT)
    text = text_of(facts)
    return (PAYLOAD + len(text).to_bytes(4, "little") + text).ljust(_RECORD, b"\0")


def _stream(*values: bytes, mirror: bool = False, **more: Any) -> Array:
    count = len(values)
    dtype, itemsize = ([_FIELD, _MIRROR], _RECORD + len(_VALUE)) if mirror else ([_FIELD], _RECORD)
    slots = {number % 3: value for number, value in enumerate(values, 1)}
    return Array(slots, dtype, itemsize, (), count=count, slot=count % 3, writer=_ME, **more)


def valid_gpu_streams() -> Iterator[Vector]:
    fresh = _stream(record(0))
    yield array_vector(
        "gpu_stream_fresh",
        "the first record is the creator's and leads to zeros; the next writer's to slot 1",
        fresh,
        read(fresh, record(0), 1),
        write(record(1), 2),
        read(fresh, record(1), 2),
    )
    written = _stream(*(record(number, "fd") for number in range(5)))
    yield array_vector(
        "gpu_stream_written", "value 4 is in slot 1, of memory that is handed over", written,
        read(written, record(4, "fd"), 5),
    )  # fmt: skip
    mirrored = _stream(record(0) + bytes(48), record(1) + _VALUE, mirror=True)
    yield array_vector(
        "gpu_stream_with_a_mirror", "the value follows its record", mirrored, read(mirrored, record(1) + _VALUE, 2)
    )
    dying = replace(fresh, entries=_DEAD, write_lock=_ME, writing=2, values={1: record(0), 2: record(1)[:200]})
    yield array_vector(
        "gpu_stream_writer_died_in_mid_write",
        "the old record stands (W-150); the next writer knows by write_sequence to wait",
        dying,
        read(dying, record(0), 1, write_sequence=3, writer_alive=False),
        write(record(1), 2),
        read(dying, record(1), 2, write_sequence=4),
    )
