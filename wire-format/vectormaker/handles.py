# SPDX-License-Identifier: Apache-2.0
"""Handles to the memory of GPUs, sound ones and damaged ones (SPEC section 12). The driver's parts are any bytes."""

from __future__ import annotations

from typing import Any

from .objects import Object, text_of

PAYLOAD = bytes(range(128))
_MATRIX: dict[str, Any] = {
    "type": "cuda",
    "format": 1,
    "memory": "ipc",
    "device": "4a6b0102030405060708090a0b0c0d0e",
    "dtype": "<f4",
    "shape": [3, 4],
    "strides": [16, 4],
    "allocation": "0123456789abcdef",
    "exporter": 65537,
    "pid": 4711,
    "slot": 0,
    "generation": 1,
    "offset": 512,
    "bytes": 48,
}


def handle(**changes: Any) -> dict[str, Any]:
    return {**_MATRIX, **changes}


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in _MATRIX.items() if name != key}


_SOUND: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "matrix": (handle(), PAYLOAD, "three rows of four floats"),
    "single_item": (handle(shape=[], strides=[], bytes=4), PAYLOAD, "no dimensions: one item"),
    "of_no_items": (handle(shape=[0, 2**40], strides=[2**60, 4], bytes=0), PAYLOAD, "no items: strides mean nothing"),
    "as_a_file_descriptor": (
        handle(memory="fd"),
        PAYLOAD,
        "where a descriptor is to be had, for whoever opens it (W-152)",
    ),
    "of_gaps": (handle(strides=[32, 8], bytes=92), PAYLOAD, "every second item of every second row"),
    "one_row_again_and_again": (handle(strides=[0, 4], bytes=16), PAYLOAD, "a stride of 0"),
    "of_bfloat16": (handle(dtype="bfloat16", strides=[8, 2], bytes=24), PAYLOAD, "items of two bytes"),
    "largest_numbers": (
        handle(exporter=2**48 - 1, slot=2**32 - 1, generation=2**63 - 1, pid=2**63 - 1, offset=2**63 - 1),
        PAYLOAD,
        "as large as they may be; only the driver knows the allocation's size",
    ),
    "keys_that_nobody_knows": (handle(pitch=1), PAYLOAD, "another key"),
    "later_format": ({"type": "cuda", "format": 2}, b"", "unknown to this version (W-91)"),
    "other_memory": ({"type": "cuda", "format": 1, "memory": "fabric"}, b"\1", "unknown to this version (W-91)"),
    "custom": ({"type": "cuda", "version": 1}, b"\1", "a version makes any name a custom type's"),
}

_DAMAGED: dict[str, tuple[dict[str, Any], bytes, str, str]] = {
    "without_format": (_without("format"), PAYLOAD, "W-141", "no format"),
    "format_a_text": (handle(format="1"), PAYLOAD, "W-141", "a format in quotes"),
    "without_memory": (_without("memory"), PAYLOAD, "W-141", "no kind of memory"),
    "memory_a_number": (handle(memory=1), PAYLOAD, "W-141", "a number for a kind of memory"),
    "descriptor_payload_too_short": (handle(memory="fd"), PAYLOAD[:64], "W-141", "no place for the event's handle"),
    "payload_too_short": (handle(), PAYLOAD[:127], "W-141", "one byte of the event's handle is missing"),
    "payload_too_long": (handle(), PAYLOAD + b"x", "W-141", "one byte too many"),
    "device_too_short": (handle(device="4a6b"), PAYLOAD, "W-141", "a UUID of two bytes"),
    "device_no_digits": (handle(device="g" * 32), PAYLOAD, "W-141", "no hexadecimal digits"),
    "device_upper_case": (handle(device="4A" * 16), PAYLOAD, "W-141", "upper-case digits"),
    "device_a_number": (handle(device=0), PAYLOAD, "W-141", "a number for a UUID"),
    "allocation_too_short": (handle(allocation="0123456789abcde"), PAYLOAD, "W-141", "one digit is missing"),
    "allocation_signed": (handle(allocation="-123456789abcdef"), PAYLOAD, "W-141", "a sign is no digit"),
    "without_exporter": (_without("exporter"), PAYLOAD, "W-141", "nobody's memory"),
    "exporter_too_large": (handle(exporter=2**48), PAYLOAD, "W-141", "no id has 49 bits"),
    "slot_too_large": (handle(slot=2**32), PAYLOAD, "W-141", "2^32"),
    "slot_negative": (handle(slot=-1), PAYLOAD, "W-141", "before the first"),
    "offset_negative": (handle(offset=-1), PAYLOAD, "W-141", "before the allocation"),
    "offset_too_large": (handle(offset=2**63), PAYLOAD, "W-141", "2^63 (W-80)"),
    "bytes_a_fraction": (handle(bytes=48.5), PAYLOAD, "W-141", "half a byte"),
    "without_dtype": (_without("dtype"), PAYLOAD, "W-84", "no dtype"),
    "dtype_object": (handle(dtype="|O"), PAYLOAD, "W-84", "Python objects cannot cross"),
    "shape_negative": (handle(shape=[3, -4]), PAYLOAD, "W-84", "a length below 0"),
    "65_dimensions": (handle(shape=[1] * 65, strides=[4] * 65), PAYLOAD, "W-84", "one dimension too many"),
    "strides_too_few": (handle(strides=[16]), PAYLOAD, "W-141", "one stride for two dimensions"),
    "strides_negative": (handle(strides=[16, -4]), PAYLOAD, "W-141", "items before the first"),
    "bytes_too_few": (handle(bytes=47), PAYLOAD, "W-142", "the last item's last byte is outside"),
    "stride_overflows": (handle(strides=[2**62, 4]), PAYLOAD, "W-142", "2 x 2^62 is beyond 63 bits"),
    "sum_overflows": (handle(shape=[2, 2], strides=[2**62, 2**62]), PAYLOAD, "W-142", "2^62 + 2^62 is, too"),
}

HANDLES = {f"cuda_{name}": Object(text_of(metadata), *rest) for name, (metadata, *rest) in _SOUND.items()}
BAD_HANDLES = {f"cuda_{name}": value for name, value in _DAMAGED.items()}
