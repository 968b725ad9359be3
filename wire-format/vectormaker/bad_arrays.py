# SPDX-License-Identifier: Apache-2.0
"""The vectors of streams and tensors with one fault each, and the error that must come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .array import DTYPE_ROOM, STREAM, TENSOR, Array
from .array_steps import attach, lock, read, write
from .frames import Vector
from .segment import QUEUE
from .steps import Step, failing, inspect, pop, push, vector

_VALUE = b"\x11" * 24
_STREAM = Array({1: _VALUE}, count=1, slot=1)
_TENSOR = Array({0: _VALUE}, kind=TENSOR)
_USES = {STREAM: (read(_STREAM, b"", 0), write(_VALUE, 0)), TENSOR: (attach(_TENSOR, b""), lock("write"))}


def _invalid(name: str, fault: str, rule: str, array: Array, code: str = "Corrupt", *steps: Step) -> Vector:
    """``steps`` must fail with ``code``, each of them; by default those that use it."""
    refused = [failing(step, code) for step in steps or _USES[array.kind]]
    made = vector(name, "", array.to_bytes(), *refused, fault=fault, rule=rule, error=code)
    del made.facts["meaning"]
    return made


def _headers() -> Iterator[Vector]:
    fields: dict[str, tuple[str, int, str]] = {
        "nbytes_one_more": ("nbytes", 25, "25 bytes of an array of 24"),
        "nbytes_of_another_shape": ("nbytes", 48, "twice as many bytes as the shape has"),
        "nbytes_huge": ("nbytes", 2**64 - 1, "sums with it overflow"),
        "slot_size_not_a_multiple_of_64": ("slot_size", 72, "a slot of 72 bytes"),
        "slot_size_of_another_array": ("slot_size", 128, "a slot of 128 bytes for 24"),
        "slot_size_zero": ("slot_size", 0, "all slots in one place"),
        "slot_size_huge": ("slot_size", 2**64 - 64, "sums with it overflow"),
        "slots_none": ("slots", 0, "no slot"),
        "slots_too_few": ("slots", 2, "two slots: a reader would be outrun by one write"),
        "slots_too_many": ("slots", 256, "more than the word of the newest value can say"),
        "slots_beyond_the_body": ("slots", 200, "200 slots in a body for 64"),
        "dimensions_65": ("dimensions", 65, "one dimension too many"),
        "dimensions_huge": ("dimensions", 2**32 - 1, "a shape beyond the header"),
        "itemsize_of_another_dtype": ("itemsize", 8, "items of 8 bytes of a dtype of 4"),
        "itemsize_zero": ("itemsize", 0, "items without bytes"),
        "dtype_size_beyond_its_place": ("dtype_size", DTYPE_ROOM + 1, "one byte more than there is room"),
        "dtype_size_huge": ("dtype_size", 2**32 - 1, "a dtype beyond the header"),
        "dtype_cut_short": ("dtype_size", 4, "JSON without its end"),
        "dtype_empty": ("dtype_size", 0, "no dtype"),
    }
    for name, (field, value, fault) in fields.items():
        yield _invalid(name, fault, "W-120", replace(_STREAM, header={field: value}))
    yield _invalid("tensor_slots_two", "a tensor of two arrays", "W-120", replace(_TENSOR, header={"slots": 2}))
    yield _invalid("tensor_slots_none", "a tensor of none", "W-120", replace(_TENSOR, header={"slots": 0}))


def _dtypes() -> Iterator[Vector]:
    texts: dict[str, tuple[bytes, str]] = {
        "dtype_no_json": (b"float32", "a name that is no JSON"),
        "dtype_of_references": (b'"|O"', "items that are references to Python objects"),
        "dtype_a_number": (b"4", "a number"),
        "dtype_null": (b"null", "nothing"),
        "dtype_an_object": (b'{"dtype":"<f4"}', "a JSON object"),
        "dtype_of_no_fields": (b"[]", "a list of no fields"),
        "dtype_not_utf8": (b'"\xff4"', "bytes that are no text"),
        "dtype_nested_without_end": (b"[" * 2000, "two thousand levels"),
    }
    for name, (text, fault) in texts.items():
        yield _invalid(name, fault, "W-84", replace(_STREAM, dtype_bytes=text))


def _shapes() -> Iterator[Vector]:
    shapes: dict[str, tuple[list[int], str]] = {
        "length_negative": ([2**64 - 2, 2**64 - 3], "two negative lengths, whose product is right"),
        "length_beyond_63_bits": ([2**63, 2], "no length that memory has"),
        "lengths_overflow": ([2**62, 4, 6], "a product that is 0 in 64 bits"),
        "lengths_of_an_empty_array_overflow": ([0, 2**62, 2**62], "which no strides can say"),
    }
    for name, (shape, fault) in shapes.items():
        small = {"nbytes": 24 if name == "length_negative" else 0, "slot_size": 64}
        array = replace(_STREAM, values={}, shape=shape, header=small, segment={"capacity": 4096})
        yield _invalid(name, fault, "W-120", array)


def _controls() -> Iterator[Vector]:
    yield _invalid("slot_that_there_is_not", "slot 3 of 0 to 2", "W-127", replace(_STREAM, slot=3))
    yield _invalid("slot_255", "far beyond the body", "W-127", replace(_STREAM, slot=255))


def _segments() -> Iterator[Vector]:
    changes: dict[str, tuple[dict[str, Any], str, str]] = {
        "body_size_zero": ({"body_size": 0}, "W-3", "READY without a body"),
        "body_size_beyond_the_file": ({"body_size": 8192}, "W-3", "8192 bytes, of which 4096 are there"),
        "body_offset_beyond_the_file": ({"body_offset": 2**62}, "W-3", "a body far away"),
    }
    for name, (segment, rule, fault) in changes.items():
        yield _invalid(name, fault, rule, replace(_STREAM, segment=segment))
    every = (inspect(), *_USES[STREAM])
    version, layout = replace(_STREAM, segment={"version": 2}), replace(_STREAM, segment={"layout": 7})
    yield _invalid("version_2", "another version", "W-1", version, "WrongVersion", *every)
    yield _invalid("layout_of_another_build", "another layout", "W-1", layout, "WrongLayout", *every)
    other = replace(_STREAM, segment={"magic": 1})
    yield _invalid("magic_wrong", "another program's file", "W-1", other, "Foreign", *every)
    queue = replace(_STREAM, segment={"kind": QUEUE})
    yield _invalid("queue_as_a_stream", "a queue", "W-1", queue, "WrongKind", *_USES[STREAM], *_USES[TENSOR])
    yield _invalid("tensor_as_a_stream", "a tensor", "W-1", _TENSOR, "WrongKind", *_USES[STREAM])
    yield _invalid("stream_as_a_tensor", "a stream", "W-1", _STREAM, "WrongKind", *_USES[TENSOR])
    yield _invalid("stream_as_a_queue", "a stream", "W-1", _STREAM, "WrongKind", pop(), push(1, 0))


def invalid_arrays() -> Iterator[Vector]:
    yield from _headers()
    yield from _dtypes()
    yield from _shapes()
    yield from _controls()
    yield from _segments()
