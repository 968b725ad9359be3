# SPDX-License-Identifier: Apache-2.0
"""The vectors of streams of frames over a descriptor: what a reader must deliver, and where it must stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .frames import Vector
from .meaning import payload_facts
from .objects import OBJECTS
from .wire import END, END_FRAME, flip, stdio_end, stdio_frame, stdio_header

Frames = list[tuple[bytes, bytes]]

_METADATA = b'{"type":"bytes"}'
_PAYLOAD = bytes(range(100))
_FIRST: Frames = [(b'{"type":"text"}', b"first")]
_HEADER = stdio_header(len(_METADATA), len(_PAYLOAD))
_FRAME = stdio_frame(_METADATA, _PAYLOAD)


def _frames_facts(frames: Frames) -> list[dict[str, Any]]:
    return [{"metadata_text": metadata.decode(), "payload": payload_facts(payload)} for metadata, payload in frames]


def _stream(frames: Frames) -> bytes:
    return b"".join(stdio_frame(metadata, payload) for metadata, payload in frames)


def _valid(name: str, frames: Frames, end: bytes, meaning: str, **more: int) -> Vector:
    data = _stream(frames) + end
    read = len(data) if end in (b"", END_FRAME) else len(data) - len(end) + len(END_FRAME)
    facts = {
        "meaning": meaning,
        "frames": _frames_facts(frames),
        "bytes_read": read,
        "canonical": end == END_FRAME,
        **more,
    }
    return Vector(name, data, facts)


def valid_streams() -> Iterator[Vector]:
    everything = [(metadata, payload) for metadata, payload, _ in OBJECTS.values()]
    yield _valid("empty_stream", [], END_FRAME, "nothing but the end frame")
    yield _valid("bare_end_of_empty_file", [], b"", "not even an end frame")
    yield _valid("one_frame", _FIRST, END_FRAME, "one frame and the end")
    yield _valid("bare_end_after_a_frame", _FIRST, b"", "the file ends between two frames")
    yield _valid(
        "nothing_after_the_end_is_read", _FIRST, END_FRAME + b"rubbish", "what follows belongs to somebody else"
    )
    yield _valid(
        "another_stream_follows", _FIRST, END_FRAME + _stream(_FIRST) + END_FRAME, "whoever reads on finds it (W-68)"
    )
    limit = len(_METADATA) + len(_PAYLOAD)
    exact = [(_METADATA, _PAYLOAD), (_METADATA, b"")]
    yield _valid("frame_at_the_limit", exact, END_FRAME, "as long as the reader allows (W-65)", max_frame=limit)
    sizes = [(_METADATA, bytes(range(size))) for size in range(67)]
    yield _valid("payloads_of_0_to_66_bytes", sizes, END_FRAME, "nothing is aligned")
    texts = [(b'{"type":"text","":"' + b"x" * size + b'"}', b"") for size in (0, 1, 2, 3, 4100)]
    yield _valid("metadata_of_all_sizes", texts, END_FRAME, "nor is metadata")
    magic = [(_METADATA, _HEADER), (_METADATA, END_FRAME), (_METADATA, _FRAME + END_FRAME)]
    yield _valid("streams_in_payloads", magic, END_FRAME, "payloads that look like headers and ends")
    yield _valid("every_payload_type", everything, END_FRAME, "one object of each vector of frames, in order")


def _invalid(
    name: str, bad: bytes, at: int, rule: str, fault: str, *, error: str = "Corrupt", max_frame: int | None = None
) -> Vector:
    """``bad`` follows a sound frame; the fault shows ``at`` so many bytes after that."""
    first = _stream(_FIRST)
    facts: dict[str, Any] = {"fault": fault, "frames": _frames_facts(_FIRST), "rule": rule, "error": error}
    facts["error_offset"] = len(first) + at
    if max_frame is not None:
        facts["max_frame"] = max_frame
    return Vector(name, first + bad, facts)


def _truncated() -> Iterator[Vector]:
    header, metadata, payload = len(_HEADER), len(_METADATA), len(_PAYLOAD)
    ends = {
        "header_truncated": (7, "7 of the header's 32 bytes"),
        "header_without_metadata": (header, "the file ends before the metadata"),
        "metadata_truncated": (header + metadata - 1, "the last byte of the metadata is missing"),
        "metadata_without_payload": (header + metadata, "the file ends before the payload"),
        "payload_truncated": (header + metadata + payload - 1, "the last byte of the payload is missing"),
        "payload_without_sentinel": (header + metadata + payload, "the file ends before the end sentinel"),
        "end_sentinel_truncated": (len(_FRAME) - 1, "the last byte of the end sentinel is missing"),
    }
    for name, (size, fault) in ends.items():
        yield _invalid(name, _FRAME[:size], size, "W-67", fault, error="Truncated")
    cut = len(END_FRAME) - 4
    yield _invalid("end_frame_truncated", END_FRAME[:cut], cut, "W-67", "half an end sentinel", error="Truncated")
    huge = stdio_header(len(_METADATA), 2**32 - 64) + _METADATA
    yield _invalid(
        "four_gigabytes_missing", huge, len(huge), "W-67", "a length within the limit, a lie", error="Truncated"
    )


def _bad_headers() -> Iterator[Vector]:
    yield _invalid("magic_wrong", flip(_FRAME, 0), 0, "W-60", "a bit of the magic is inverted")
    yield _invalid("zeroed_page", bytes(4096), 0, "W-60", "a page of zeros")
    yield _invalid("no_stream_of_frames", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 0, "W-60", "something else")
    yield _invalid("header_sentinel_flipped", flip(_FRAME, 24, 5), 0, "W-61", "a bit of the sentinel is inverted")
    yield _invalid("payload_size_bit_flipped", flip(_FRAME, 16, 2), 0, "W-61", "96 bytes instead of 100")
    yield _invalid("metadata_size_bit_flipped", flip(_FRAME, 12, 2), 0, "W-61", "20 bytes instead of 16")
    yield _invalid("kind_bit_flipped", flip(_FRAME, 8, 1), 0, "W-61", "kind 3 instead of 1")
    yield _invalid("kind_unknown", stdio_frame(_METADATA, _PAYLOAD, 3), 0, "W-63", "kind 3, with its right sentinel")
    yield _invalid("kind_zero", stdio_frame(_METADATA, _PAYLOAD, 0), 0, "W-63", "kind 0, with its right sentinel")
    yield _invalid("frame_of_a_ring", bytes(64) + _FRAME, 0, "W-60", "a frame that begins 64 bytes late")
    yield _invalid("header_twice", _HEADER + _FRAME, len(_FRAME) - 8, "W-62", "a header stands there twice")
    yield _invalid("end_frame_with_metadata", stdio_frame(_METADATA, b"", END), 0, "W-64", "an end with metadata")
    yield _invalid("end_frame_with_payload", stdio_frame(b"", b"x", END), 0, "W-64", "an end with a payload")
    limit = len(_METADATA) + len(_PAYLOAD) - 1
    yield _invalid("frame_beyond_limit", _FRAME, 0, "W-65", "one byte more than the limit", max_frame=limit)
    huge = stdio_header(len(_METADATA), 2**63)
    yield _invalid("payload_size_huge", huge, 0, "W-65", "8 EiB of payload")
    overflow = stdio_header(2**32 - 1, 2**64 - 1)
    yield _invalid("lengths_overflow", overflow, 0, "W-65", "the sum of the lengths overflows", max_frame=2**63)


def _bad_bodies() -> Iterator[Vector]:
    end = len(_FRAME) - 8
    yield _invalid("end_sentinel_flipped", flip(_FRAME, -1, 7), end, "W-62", "a bit of the end sentinel is inverted")
    inverted = _FRAME[:end] + _HEADER[-8:]
    yield _invalid("end_sentinel_not_inverted", inverted, end, "W-62", "the header's sentinel as it is")
    lost = _FRAME[: end - 1] + _FRAME[end:] + END_FRAME
    yield _invalid("payload_byte_lost", lost, end, "W-62", "a byte of the payload was dropped on the way")
    added = _FRAME[:end] + b"\n" + _FRAME[end:]
    yield _invalid("payload_byte_added", added, end, "W-62", "a byte was added on the way")
    wrong_end = stdio_header(0, 0, END) + stdio_end(_HEADER)
    yield _invalid("end_frame_sentinel_wrong", wrong_end, len(_HEADER), "W-62", "another frame's end sentinel")
    texts = {
        "metadata_empty": (b"", "no metadata"),
        "metadata_not_json": (b'{"type":"bytes"', "the object does not end"),
        "metadata_not_object": (b'["type"]', "a JSON list"),
        "metadata_begins_with_space": (b' {"type":"bytes"}', "something before the brace"),
        "metadata_with_nan": (b'{"type":"x","version":1,"scale":NaN}', "NaN is not JSON"),
        "metadata_with_a_second_object": (b'{"type":"bytes"}{}', "something after the object"),
        "metadata_with_a_nul": (b'{"type":"bytes"}\0', "a NUL after the object"),
        "metadata_not_utf8": (b'{"type":"\xff"}', "a byte that UTF-8 does not have"),
        "metadata_without_type": (b"{}", "no type"),
        "type_not_a_string": (b'{"type":null}', "the type is null"),
    }
    for name, (text, fault) in texts.items():
        yield _invalid(name, stdio_frame(text, _PAYLOAD) + END_FRAME, len(_HEADER), "W-66", fault)


def invalid_streams() -> Iterator[Vector]:
    yield from _truncated()
    yield from _bad_headers()
    yield from _bad_bodies()
