# SPDX-License-Identifier: Apache-2.0
"""What array a stream or a tensor holds, as its segment's header says it (SPEC 11.1)."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from ..codec import Undecodable
from ..codecs.ndarray import parse_dtype
from ..errors import Corrupt, InvalidArgument, TooLarge, UnsupportedType
from . import wire
from .segment import Segment
from .wire import ArrayHeader, Kind

_FIELDS = struct.Struct("<QQIIII")
_DTYPE_ROOM = ArrayHeader.SIZE - ArrayHeader.dtype
_MAX_DIMENSIONS = 64
_MAX_ITEMSIZE = (1 << 32) - 1
_LARGEST = 1 << 46
_ADDRESSABLE = (1 << 63) - 1


class ArrayFacts(NamedTuple):
    dtype: Any
    """As metadata has it (W-84)."""
    shape: tuple[int, ...]
    itemsize: int
    nbytes: int
    slot_size: int
    slots: int

    @property
    def body_size(self) -> int:
        return self.slots * self.slot_size

    @property
    def dtype_text(self) -> bytes:
        return json.dumps(self.dtype, separators=(",", ":"), ensure_ascii=False).encode()


def describe_array(dtype_text: bytes, shape: Sequence[int], slots: int) -> ArrayFacts:
    """Raises InvalidArgument, UnsupportedType or TooLarge for what cannot be kept so."""
    try:
        dtype = json.loads(dtype_text)
        itemsize = parse_dtype(dtype).itemsize
    except Undecodable as error:
        raise UnsupportedType(str(error)) from None
    except Corrupt as error:
        raise InvalidArgument(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"a dtype is no JSON: {error}") from None
    facts = _facts(dtype, tuple(shape), itemsize, slots)
    try:
        size = len(facts.dtype_text)
    except UnicodeEncodeError:
        raise UnsupportedType("the dtype has a field whose name is no UTF-8") from None
    if size > _DTYPE_ROOM:
        raise UnsupportedType(f"the dtype needs {size} bytes to be described, more than {_DTYPE_ROOM}")
    return facts


def _facts(dtype: Any, shape: tuple[int, ...], itemsize: int, slots: int) -> ArrayFacts:
    if not 0 < itemsize <= _MAX_ITEMSIZE:
        raise UnsupportedType(f"items of dtype {dtype} have no bytes, or too many")
    if len(shape) > _MAX_DIMENSIONS:
        raise InvalidArgument(f"an array has at most {_MAX_DIMENSIONS} dimensions, not {len(shape)}")
    # As to NumPy, an empty array's other lengths must multiply to a sensible number, too.
    spanned = math.prod((length or 1 for length in shape), start=itemsize)
    if min(shape, default=0) < 0 or spanned > _ADDRESSABLE:
        raise InvalidArgument("the shape of an array has a negative extent, or more items than memory can hold")
    nbytes = math.prod(shape) * itemsize
    if nbytes > _LARGEST // slots:
        raise TooLarge(f"an array of {nbytes} bytes is beyond all limits")
    slot_size = max(wire.ALIGNMENT, -(-nbytes // wire.ALIGNMENT) * wire.ALIGNMENT)
    return ArrayFacts(dtype, shape, itemsize, nbytes, slot_size, slots)


def write_array_header(facts: ArrayFacts, segment: Segment) -> None:
    """Before the body is published."""
    text, memory, start = facts.dtype_text, segment.head.bytes, wire.ARRAY_OFFSET
    numbers = (facts.nbytes, facts.slot_size, facts.slots, len(facts.shape), facts.itemsize, len(text))
    _FIELDS.pack_into(memory, start, *numbers)
    struct.pack_into(f"<{len(facts.shape)}Q", memory, start + ArrayHeader.shape, *facts.shape)
    memory[start + ArrayHeader.dtype : start + ArrayHeader.dtype + len(text)] = text


def read_array_header(segment: Segment) -> ArrayFacts:
    """Of a segment whose body is mapped. Raises Corrupt."""

    def corrupt(what: str) -> NoReturn:
        raise Corrupt(
            f"the header of '{segment.name}' {what}; remove it with: shmlane rm --force {segment.name}"
        ) from None

    # Once: others may scribble over it meanwhile.
    header = bytes(segment.head.bytes[wire.ARRAY_OFFSET : wire.ARRAY_OFFSET + ArrayHeader.SIZE])
    nbytes, slot_size, slots, dimensions, itemsize, dtype_size = _FIELDS.unpack_from(header)
    if dtype_size > _DTYPE_ROOM:
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
    if not (slots == 1 if segment.kind == Kind.TENSOR else wire.MIN_SLOTS <= slots <= wire.MAX_SLOTS):
        corrupt("has a number of slots that cannot be")
    shape = struct.unpack_from(f"<{dimensions}q", header, ArrayHeader.shape)
    try:
        facts = _facts(dtype, shape, itemsize, slots)
    except (InvalidArgument, TooLarge, UnsupportedType) as error:
        corrupt(f"describes no array: {error}")
    if (facts.nbytes, facts.slot_size) != (nbytes, slot_size) or facts.body_size > segment.capacity:
        corrupt("describes an array of another size than there is")
    return facts
