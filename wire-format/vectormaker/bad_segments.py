# SPDX-License-Identifier: Apache-2.0
"""The vectors of segments with one fault each, and the error that must come of it instead of a crash or a hang."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .frames import Vector
from .segment import EMPTY, Segment
from .steps import Step, error, failing, frame, inspect, pop, push, vector
from .wire import Frame, flip

_GOOD = [frame(1), frame(2), frame(3)]
_BASE = Segment(_GOOD)
_ATTACH = (pop(), push(1, 0))
_EXTENT, _OPEN, _CLOSE = 16, 8, 56


def _invalid(name: str, fault: str, rule: str, segment: Segment | bytes, code: str, *steps: Step) -> Vector:
    """``steps`` must fail with ``code``, each of them; by default those that attach."""
    refused = [failing(step, code) for step in steps or _ATTACH]
    made = vector(name, "", segment, *refused, fault=fault, rule=rule, error=code)
    del made.facts["meaning"]
    return made


def _headers() -> Iterator[Vector]:
    look = inspect()
    every = (look, *_ATTACH)
    good = _BASE.to_bytes()
    yield _invalid("magic_wrong", "a bit of the magic is inverted", "W-1", flip(good, 0), "Foreign", *every)
    yield _invalid(
        "magic_of_another_program", "another program's file", "W-1", b"\x7fELF" + bytes(80000), "Foreign", *every
    )
    other = replace(_BASE, state=EMPTY, magic=1)
    yield _invalid("magic_wrong_and_no_state", "half made, but not by us", "W-73", other, "Foreign", *every)
    yield _invalid("shorter_than_the_header", "4096 bytes", "W-1", good[:4096], "Foreign", *every)
    yield _invalid("one_byte_too_short", "73727 bytes", "W-1", good[:73727], "Foreign", *every)
    yield _invalid("version_2", "another version", "W-1", replace(_BASE, version=2), "WrongVersion", *every)
    yield _invalid("version_0", "no version", "W-1", replace(_BASE, version=0), "WrongVersion", *every)
    yield _invalid("layout_of_another_build", "another layout", "W-1", replace(_BASE, layout=7), "WrongLayout", *every)
    yield _invalid("kind_stream", "not a queue", "W-1", replace(_BASE, kind=2), "WrongKind")
    yield _invalid("kind_unknown", "no kind that there is", "W-1", replace(_BASE, kind=99), "WrongKind")
    capacity = failing(push(1, 0, capacity=8192), "CapacityMismatch")
    yield _invalid(
        "capacity_of_another", "8192 are asked for, 4096 are there", "W-73", _BASE, "CapacityMismatch", capacity
    )


def _bodies() -> Iterator[Vector]:
    sizes = {
        "body_size_zero": (replace(_BASE, body_size=0), "READY without a body"),
        "body_size_of_half_a_page": (replace(_BASE, body_size=2048), "no multiple of 4096"),
        "body_size_beyond_the_file": (replace(_BASE, body_size=8192), "8192 bytes, of which 4096 are there"),
        "body_size_huge": (replace(_BASE, body_size=2**64 - 4096), "sums with it overflow"),
        "file_cut_short": (replace(_BASE, beyond=-1), "the last byte of the body is missing"),
        "body_offset_within_the_control_page": (replace(_BASE, body_offset=69632), "a body over the cursors"),
        "body_offset_beyond_the_file": (replace(_BASE, body_offset=2**62), "a body far away"),
    }
    for name, (segment, fault) in sizes.items():
        yield _invalid(name, fault, "W-3", segment, "Corrupt")


def _cursors() -> Iterator[Vector]:
    """Of a ring with frames from 4096 to 4480."""
    ring = replace(_BASE, tail=4096)
    consumers: dict[str, tuple[dict[str, Any], str]] = {
        "head_not_aligned": ({"head": 4480 + 8}, "head at no multiple of 64"),
        "head_before_scan": ({"head": 4096 - 64, "scan": 4096, "read": 4096}, "head before everything else"),
        "head_a_lap_too_far": ({"head": 4096 + 8192}, "head two capacities after tail"),
        "scan_not_aligned": ({"scan": 4096 + 8, "read": 4096}, "scan at no multiple of 64"),
        "scan_beyond_head": ({"scan": 4480 + 128, "read": 4096}, "scan after head"),
        "skipped_too_many": ({"skipped_count": 33}, "33 positions in a list of 32"),
        "skipped_count_huge": ({"skipped_count": 2**64 - 1}, "as many as 64 bits can say"),
        "skipped_not_aligned": ({"skipped": [4096 + 1], "scan": 4480}, "a remembered position at no multiple of 64"),
    }
    for name, (changes, fault) in consumers.items():
        yield _invalid(name, fault, "W-30", replace(ring, **changes), "Corrupt", pop())
    full = replace(_BASE, frames=[frame(number) for number in range(32)])
    producers: dict[str, tuple[dict[str, Any], str]] = {
        "tail_not_aligned": ({"tail": 8, "frames": [], "head": 4096}, "tail at no multiple of 64"),
        "tail_beyond_head": ({"tail": 4096 + 64, "frames": [], "head": 4096}, "tail after head"),
        "read_before_tail": (
            {"frames": [], "tail": 4096, "head": 8192, "read": 4032, "scan": 4096},
            "read before tail",
        ),
        "read_not_aligned": ({"read": 1, "scan": 4096}, "read at no multiple of 64"),
        "read_beyond_head": ({"read": 4096 + 128, "scan": 4096}, "read after head"),
    }
    for name, (changes, fault) in producers.items():
        yield _invalid(name, fault, "W-30", replace(full, **changes), "Corrupt", push(64, 0))


def _frame_in_ring(name: str, fault: str, rule: str, data: bytes) -> Vector:
    """No scan can step over such a frame."""
    return _invalid(name, fault, rule, data, "Corrupt", pop())


def _frames() -> Iterator[Vector]:
    good, second = _BASE.to_bytes(), _BASE.at(128)
    first = _BASE.at(0)
    yield _frame_in_ring("frame_zeroed", "zeros where a frame should be", "W-21", good[:first] + bytes(4096))
    yield _frame_in_ring("frame_open_sentinel_flipped", "a bit of it is inverted", "W-21", flip(good, first + _OPEN))
    yield _frame_in_ring("frame_extent_flipped", "64 bytes more", "W-21", flip(good, first + _EXTENT, 6))
    lap = bytearray(replace(_BASE, tail=4096).to_bytes())
    lap[first : first + 128] = good[first : first + 128]
    yield _frame_in_ring("frame_of_an_earlier_lap", "head was moved, and nothing written there", "W-21", bytes(lap))
    beyond = replace(_BASE, frames=[frame(1, extent=256)], head=128)
    yield _frame_in_ring("frame_reaches_beyond_head", "256 bytes, and head is 128", "W-28", beyond.to_bytes())
    yield _frame_in_ring("frame_state_unknown", "state 7", "W-20", _with_state(good, first, 7))
    yield _frame_in_ring("frame_state_zero", "state 0", "W-20", _with_state(good, first, 0))
    contents = {
        "close_sentinel_flipped": (flip(good, second + _CLOSE), "W-22", "a bit of it is inverted"),
        "payload_size_flipped": (flip(good, second + 24), "W-22", "65 bytes instead of 64"),
        "metadata_not_object": (_second(Frame(b'["type"]', b"x" * 64)), "W-26", "a JSON list"),
        "payload_beyond_extent": (_second(replace(_GOOD[1], payload_size=129 - 64)), "W-25", "one byte too many"),
    }
    for name, (data, rule, fault) in contents.items():
        rest = {"do": "pop", "expect": {"objects": [pop(_GOOD[0])["expect"]["objects"][0], error("Corrupt"),
                                                    pop(_GOOD[2])["expect"]["objects"][0]], "then": "end"}}  # fmt: skip
        made = vector(name, "", data, rest, inspect(dropped=1, objects=0), fault=fault, rule=rule, error="Corrupt")
        del made.facts["meaning"]
        yield made


def _with_state(data: bytes, frame_at: int, state: int) -> bytes:
    return data[:frame_at] + bytes([state]) + data[frame_at + 1 :]


def _second(bad: Frame) -> bytes:
    return replace(_BASE, frames=[_GOOD[0], bad, _GOOD[2]]).to_bytes()


def invalid_segments() -> Iterator[Vector]:
    yield from _headers()
    yield from _bodies()
    yield from _cursors()
    yield from _frames()
