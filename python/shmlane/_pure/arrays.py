# SPDX-License-Identifier: Apache-2.0
"""What streams and tensors show from outside, and who sleeps in them (SPEC section 11)."""

from __future__ import annotations

import json
import math
import struct
from typing import Any, NoReturn

from ..codec import Undecodable
from ..codecs.ndarray import parse_dtype
from ..errors import Corrupt
from . import wire
from .os import futex
from .os.atomic import full_fence
from .os.shm import Memory
from .segment import Segment
from .wire import ArrayHeader, Kind, StreamControl, TensorControl

_FIELDS = struct.Struct("<QQIIII")
_MAX_DIMENSIONS = 64
_CONTROL = wire.CONTROL_OFFSET
_BELLS = {
    Kind.STREAM: (StreamControl.value_bell, StreamControl.lock_bell),
    Kind.TENSOR: (TensorControl.lock_bell,),
}


def kind_of(segment: Segment) -> int:
    return segment.get_half(wire.SegmentHeader.kind)


def ring_bells(segment: Segment) -> None:
    """Wake everybody who sleeps in a stream or a tensor (W-122)."""
    full_fence()
    for bell in _BELLS.get(kind_of(segment), ()):  # type: ignore[call-overload]
        _ring(segment.head, _CONTROL + bell >> 3)


def _ring(memory: Memory, word: int) -> None:
    while (heard := memory.words[word]) & 1:
        if memory.compare_exchange(word, heard, heard + 1):
            futex.wake_all(memory.address + 8 * word)
            return


def array_facts(segment: Segment) -> dict[str, Any]:
    """Of a segment whose body is mapped. Raises Corrupt."""

    def corrupt(what: str) -> NoReturn:
        raise Corrupt(
            f"the header of '{segment.name}' {what}; remove it with: shmlane rm --force {segment.name}"
        ) from None

    # Once: others may scribble over it meanwhile.
    header = bytes(segment.head.bytes[wire.ARRAY_OFFSET : wire.ARRAY_OFFSET + ArrayHeader.SIZE])
    nbytes, slot_size, slots, dimensions, itemsize, dtype_size = _FIELDS.unpack_from(header)
    if dtype_size > ArrayHeader.SIZE - ArrayHeader.dtype:
        corrupt("names a dtype that is longer than its place")
    if dimensions > _MAX_DIMENSIONS:
        corrupt("has too many dimensions")
    try:
        dtype = json.loads(header[ArrayHeader.dtype : ArrayHeader.dtype + dtype_size])
        itemsize_of_dtype = parse_dtype(dtype).itemsize
    except Undecodable:
        itemsize_of_dtype = itemsize
    except (ValueError, RecursionError):
        corrupt("names no dtype that is known here")
    if not itemsize or itemsize_of_dtype != itemsize:
        corrupt("lies about the size of an item")
    tensor = kind_of(segment) == Kind.TENSOR
    if not (slots == 1 if tensor else wire.MIN_SLOTS <= slots <= wire.MAX_SLOTS):
        corrupt("has a number of slots that cannot be")
    shape = struct.unpack_from(f"<{dimensions}q", header, ArrayHeader.shape)
    aligned = max(wire.ALIGNMENT, -(-nbytes // wire.ALIGNMENT) * wire.ALIGNMENT)
    right = min(shape, default=0) >= 0 and math.prod(shape) * itemsize == nbytes and slot_size == aligned
    if not right or slot_size * slots > segment.capacity:
        corrupt("describes an array of another size than there is")
    return {"dtype": dtype, "shape": shape, "nbytes": nbytes, "slots": slots} | _newest(segment)


def _newest(segment: Segment) -> dict[str, Any]:
    if kind_of(segment) != Kind.STREAM:
        return {"count": 0, "write_time": 0.0, "writer": 0}
    return {
        "count": segment.get(_CONTROL + StreamControl.published) >> 8,
        "write_time": segment.get(_CONTROL + StreamControl.written_ns) / 1e9,
        "writer": segment.get(_CONTROL + StreamControl.writer),
    }


def waiters(segment: Segment) -> dict[str, int]:
    """1 if somebody may sleep."""
    lock, *values = reversed(_BELLS.get(kind_of(segment), (0,)))  # type: ignore[call-overload]
    shown = {"items_waiters": 0, "space_waiters": segment.get(_CONTROL + lock) & 1}
    return shown | ({"items_waiters": segment.get(_CONTROL + values[0]) & 1} if values else {})


def locks(segment: Segment, participant: int, busy: int) -> list[str]:
    """Those that the participant holds; ``busy``: its ``consumers_busy``."""
    held = ["write"] if segment.get(_CONTROL + StreamControl.write_lock) == participant else []
    return [*held, "read"] if busy and kind_of(segment) == Kind.TENSOR else held
