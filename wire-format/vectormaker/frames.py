# SPDX-License-Identifier: Apache-2.0
"""The vectors of frames in a ring: what a consumer must read, and what it must refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .bad_objects import BAD_OBJECTS
from .handles import HANDLES
from .meaning import meaning, payload_facts
from .more_objects import MAY_BE_UNKNOWN, more_objects
from .objects import OBJECTS
from .wire import Frame, flip

_BYTES = b'{"type":"bytes"}'
_PAYLOAD = bytes(range(100))
_BASE = Frame(_BYTES, _PAYLOAD, position=0x1000)

# Offsets of the fields of FrameHeader.
_OPEN, _EXTENT, _PAYLOAD_SIZE, _METADATA_SIZE, _PAYLOAD_OFFSET = 8, 16, 24, 32, 36


@dataclass(frozen=True)
class Vector:
    name: str
    data: bytes
    facts: dict[str, Any]
    suffix: str = ".bin"


def hex64(number: int) -> str:
    return f"0x{number:016x}"


def _valid(name: str, frame: Frame, what: str, **more: bool) -> Vector:
    metadata = json.loads(frame.metadata)
    facts = {
        "meaning": what,
        "segment_id": hex64(frame.segment_id),
        "position": hex64(frame.position),
        "control": {"state": frame.state, "attempt": frame.attempt, "owner": hex64(frame.owner)},
        "extent": frame.header()[0],
        "payload_offset": frame.header()[3],
        "metadata_text": frame.metadata.decode(),
        "metadata": metadata,
        "payload": payload_facts(frame.payload),
        "object": meaning(metadata, frame.payload),
        "canonical": frame == Frame(frame.metadata, frame.payload, frame.segment_id, frame.position),
        **more,
    }
    return Vector(name, frame.to_bytes(), facts)


def valid_frames() -> Iterator[Vector]:
    position = 0
    for name, (metadata, payload, what) in {**OBJECTS, **more_objects(), **HANDLES}.items():
        frame = Frame(metadata, payload, position=position)
        yield _valid(name, frame, what, **({"may_be_unknown": True} if name in MAY_BE_UNKNOWN else {}))
        position += frame.header()[0]
    late = 2**63 - 64
    yield _valid(
        "committed_smaller", replace(_BASE, extent=1024), "commit() with less than was reserved keeps the extent"
    )
    yield _valid(
        "metadata_smaller", replace(_BASE, offset=128), "commit() with shorter metadata keeps the payload's place"
    )
    yield _valid("gaps_full_of_rubbish", replace(_BASE, offset=192, extent=512, filler=0xAA), "gaps mean nothing")
    yield _valid("late_position", replace(_BASE, position=late), "a position that many laps have led to")
    yield _valid("other_segment", replace(_BASE, segment_id=2**64 - 1), "another segment, all bits of its id set")
    yield _valid("segment_id_is_position", replace(_BASE, segment_id=0x1000), "the first factor of the sentinel is 0")
    yield _valid("redelivered", replace(_BASE, attempt=2), "READY again after two consumers died")
    yield _valid("leased", replace(_BASE, state="leased", owner=7 << 16 | 3), "held by entry 2, generation 7")
    yield _valid("reserved", replace(_BASE, state="reserved", owner=1 << 16 | 512), "written, but not yet committed")


def _invalid(
    name: str, data: bytes | Frame, rule: str, fault: str, *, stage: str = "frame", context: Frame = _BASE
) -> Vector:
    facts = {
        "fault": fault,
        "segment_id": hex64(context.segment_id),
        "position": hex64(context.position),
        "stage": stage,
        "rule": rule,
        "error": "Corrupt",
    }
    return Vector(name, data.to_bytes() if isinstance(data, Frame) else data, facts)


def _bad_openings() -> Iterator[Vector]:
    whole = _BASE.to_bytes()
    yield _invalid("zeroed_page", bytes(4096), "W-21", "a page of zeros")
    shifted = replace(_BASE, position=_BASE.position + 64)
    yield _invalid("shifted_by_64", whole, "W-21", "the frame stands 64 bytes after its place", context=shifted)
    lap = replace(_BASE, position=_BASE.position + 2**20)
    yield _invalid("frame_of_an_earlier_lap", whole, "W-21", "the ring has gone round since", context=lap)
    other = replace(_BASE, segment_id=_BASE.segment_id ^ 1)
    yield _invalid("wrong_segment", whole, "W-21", "the frame is another segment's", context=other)
    yield _invalid("open_sentinel_flipped", flip(whole, _OPEN), "W-21", "a bit of the open sentinel is inverted")
    yield _invalid("extent_bit_flipped", flip(whole, _EXTENT, 6), "W-21", "an extent of 128 instead of 192")
    yield _invalid("extent_zero", replace(_BASE, extent=0, room=192), "W-24", "scans would stand still")
    yield _invalid("extent_not_multiple_of_64", replace(_BASE, extent=200, room=256), "W-24", "an extent of 200")
    yield _invalid("extent_beyond_ring", replace(_BASE, extent=256, room=192), "W-24", "64 bytes more than there are")
    yield _invalid("extent_huge", replace(_BASE, extent=2**64 - 64, room=192), "W-24", "sums with it overflow")
    yield _invalid("shorter_than_a_header", whole[:32], "W-25", "32 bytes are no frame")


def _bad_lengths() -> Iterator[Vector]:
    whole = _BASE.to_bytes()
    small = replace(_BASE, payload=_PAYLOAD[:60], extent=320).to_bytes()
    close = _BASE.header()[3] - 8
    yield _invalid("close_sentinel_flipped", flip(whole, close, 3), "W-22", "a bit of the close sentinel is inverted")
    yield _invalid("payload_size_bit_flipped", flip(whole, _PAYLOAD_SIZE, 2), "W-22", "96 bytes instead of 100")
    yield _invalid("metadata_size_bit_flipped", flip(whole, _METADATA_SIZE, 4), "W-22", "0 bytes instead of 16")
    yield _invalid("payload_offset_bit_flipped", flip(small, _PAYLOAD_OFFSET, 7), "W-22", "192 instead of 64")
    early = replace(_BASE, payload=b"", offset=0, extent=192)
    yield _invalid("payload_offset_too_early", early, "W-25", "an empty payload before the header")
    odd = replace(_BASE, offset=72, extent=192)
    yield _invalid("payload_offset_not_multiple_of_64", odd, "W-25", "a payload at 72")
    late = replace(_BASE, payload=b"", payload_size=0, offset=256, extent=192, room=320)
    yield _invalid("payload_offset_beyond_extent", late, "W-25", "an empty payload after the frame's end")
    yield _invalid(
        "payload_beyond_extent", replace(_BASE, payload_size=129), "W-25", "one byte more than there is room"
    )
    yield _invalid("payload_size_huge", replace(_BASE, payload_size=2**64 - 64), "W-25", "offset and size overflow")
    yield _invalid(
        "metadata_beyond_payload", replace(_BASE, metadata_size=17), "W-25", "no room for the close sentinel"
    )
    yield _invalid(
        "metadata_size_huge", replace(_BASE, metadata_size=2**32 - 1), "W-25", "4 GiB of metadata in 64 bytes"
    )


def _bad_metadata() -> Iterator[Vector]:
    opening = {
        "metadata_empty": (b"", "no metadata"),
        "metadata_not_object": (b'["type"]', "a JSON list"),
        "metadata_begins_with_space": (b' {"type":"bytes"}', "something before the brace"),
    }
    for name, (text, fault) in opening.items():
        yield _invalid(name, replace(_BASE, metadata=text), "W-26", fault)
    rest = {
        "metadata_not_json": (b'{"type":"bytes"', "the object does not end"),
        "metadata_not_utf8": (b'{"type":"\xff"}', "a byte that UTF-8 does not have"),
        "metadata_with_nan": (b'{"type":"x","version":1,"scale":NaN}', "NaN is not JSON"),
        "metadata_with_a_second_object": (b'{"type":"bytes"}{}', "something after the object"),
        "metadata_with_a_nul": (b'{"type":"bytes"}\0', "a NUL after the object"),
        "metadata_of_501_levels": (b'{"type":"bytes","":' + b"[" * 500 + b"]" * 500 + b"}", "one level too many"),
        "metadata_integer_too_large": (b'{"type":"bytes","":18446744073709551616}', "2^64"),
        "metadata_float_too_large": (b'{"type":"bytes","":1e400}', "beyond a double"),
        "metadata_half_a_surrogate": (rb'{"type":"bytes","":"\udc00"}', "an escape of half a pair is no character"),
        "metadata_without_type": (b'{"kind":"bytes"}', "no type"),
        "type_not_a_string": (b'{"type":1}', "the type is a number"),
    }
    for name, (text, fault) in rest.items():
        yield _invalid(name, replace(_BASE, metadata=text), "W-26", fault, stage="metadata")


def _bad_objects() -> Iterator[Vector]:
    for name, (metadata, payload, rule, fault) in BAD_OBJECTS.items():
        frame = replace(_BASE, metadata=metadata, payload=payload)
        yield _invalid(name, frame, rule, fault, stage="object")


def invalid_frames() -> Iterator[Vector]:
    yield from _bad_openings()
    yield from _bad_lengths()
    yield from _bad_metadata()
    yield from _bad_objects()
