# SPDX-License-Identifier: Apache-2.0
"""Objects whose metadata is sound JSON and yet cannot be true: each breaks one rule of SPEC section 8."""

from __future__ import annotations

from typing import Any

from .handles import BAD_HANDLES
from .objects import array, image, list_of, text_of

BadObject = tuple[bytes, bytes, str, str]

_TEXT = {"type": "text"}
_ITEM: dict[str, Any] = {"offset": 0, "size": 1, "metadata": {"type": "bytes"}}


def _nested(levels: int) -> tuple[dict[str, Any], bytes]:
    metadata, payload = list_of([])
    for _ in range(levels - 1):
        metadata, payload = list_of([(metadata, payload)])
    return metadata, payload


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in _ITEM.items() if name != key}


def _array(**changes: Any) -> dict[str, Any]:
    return {**array("<i4", [2, 3], "<6i", *range(6))[0], **changes}


def _image(**changes: Any) -> dict[str, Any]:
    return {**image("RGB", "|u1", 2, 2, b"")[0], **changes}


def _items(*items: Any, kind: str = "list") -> dict[str, Any]:
    return {"type": kind, "items": list(items)}


_OBJECTS: dict[str, tuple[dict[str, Any], bytes, str, str]] = {
    "text_not_utf8": (_TEXT, b"ab\xff", "W-82", "a byte that UTF-8 does not have"),
    "text_overlong": (_TEXT, b"\xc0\xaf", "W-82", "a slash in two bytes"),
    "text_surrogate": (_TEXT, b"\xed\xa0\x80", "W-82", "half a surrogate pair"),
    "json_lone_null": ({"type": "json"}, b"null", "W-83", "in Python it would be the end of stream"),
    "json_empty": ({"type": "json"}, b"", "W-83", "no text at all"),
    "json_unfinished": ({"type": "json"}, b"[1,2", "W-83", "a list that does not end"),
    "json_nan": ({"type": "json"}, b"[NaN]", "W-83", "NaN is not JSON"),
    "json_integer_too_large": ({"type": "json"}, b"[18446744073709551616]", "W-83", "2^64"),
    "json_integer_too_small": ({"type": "json"}, b"[-9223372036854775809]", "W-83", "-2^63 - 1"),
    "json_two_values": ({"type": "json"}, b"1 2", "W-83", "a value after the value"),
    "json_with_a_nul": ({"type": "json"}, b"1\0", "W-83", "a NUL after the value"),
    "json_half_a_surrogate": ({"type": "json"}, rb'"\ud83d"', "W-83", "an escape of half a pair is no character"),
    "json_float_too_large": ({"type": "json"}, b"[1e400]", "W-83", "beyond a double"),
    "json_501_levels": ({"type": "json"}, b"[" * 501 + b"]" * 501, "W-83", "one level too many"),
    "json_not_utf8": ({"type": "json"}, b'"\xff"', "W-83", "a byte that UTF-8 does not have"),
    "ndarray_without_dtype": ({"type": "ndarray", "shape": [6]}, bytes(24), "W-84", "no dtype"),
    "ndarray_without_shape": ({"type": "ndarray", "dtype": "<i4"}, bytes(4), "W-84", "no shape"),
    "ndarray_dtype_object": (_array(dtype="|O"), bytes(48), "W-84", "Python objects cannot cross"),
    "ndarray_shape_negative": (_array(shape=[-2, -3]), bytes(24), "W-84", "lengths below 0"),
    "ndarray_shape_overflows": (_array(shape=[2**32, 2**32]), b"", "W-84", "2^64 items are 0 in 64 bits"),
    "ndarray_shape_fraction": (_array(shape=[1.5, 4]), bytes(24), "W-84", "a length that is no integer"),
    "ndarray_shape_not_a_list": (_array(shape=6), bytes(24), "W-84", "a number for a shape"),
    "ndarray_shape_boolean": (_array(shape=[True, 6]), bytes(24), "W-84", "true is no length"),
    "ndarray_65_dimensions": (_array(shape=[1] * 65), bytes(4), "W-84", "one dimension too many"),
    "ndarray_dtype_a_number": (_array(dtype=4), bytes(24), "W-84", "no dtype's name"),
    "ndarray_items_of_no_bytes": (_array(dtype="|S0"), b"", "W-84", "six items without a byte"),
    "ndarray_field_object": (_array(dtype=[["a", "|O"]]), bytes(48), "W-84", "Python objects cannot cross"),
    "ndarray_field_without_dtype": (_array(dtype=[["a"]]), bytes(24), "W-84", "a field of no type"),
    "ndarray_field_shape_negative": (_array(dtype=[["a", "<i4", [-1]]]), bytes(24), "W-84", "a length below 0"),
    "ndarray_payload_too_short": (_array(), bytes(23), "W-84", "one byte is missing"),
    "ndarray_payload_too_long": (_array(), bytes(25), "W-84", "one byte too many"),
    "image_payload_too_short": (_image(), bytes(11), "W-85", "one byte of the pixels is missing"),
    "image_payload_too_long": (_image(), bytes(13), "W-85", "one byte too many"),
    "image_channels_wrong": (_image(channels=4), bytes(16), "W-85", "RGB has three channels"),
    "image_order_unknown": (_image(order="RBG"), bytes(12), "W-85", "no such order of channels"),
    "image_width_negative": (_image(width=-2), bytes(12), "W-85", "a width below 0"),
    "image_width_too_large": (_image(width=2**31, height=0), b"", "W-85", "2^31"),
    "image_width_a_text": (_image(width="2"), bytes(12), "W-85", "a width in quotes"),
    "image_without_order": ({k: v for k, v in _image().items() if k != "order"}, bytes(12), "W-85", "no order"),
    "image_png_in_bgr": (_image(encoding="png", order="BGR"), bytes(12), "W-85", "no file is in that order"),
    "list_without_items": ({"type": "list"}, b"x", "W-87", "no items"),
    "list_item_without_offset": (_items(_without("offset")), b"x", "W-87", "an item lies nowhere"),
    "list_item_without_metadata": (_items(_without("metadata")), b"x", "W-87", "an item of no type"),
    "list_item_without_type": (_items({**_ITEM, "metadata": {}}), b"x", "W-87", "an item of no type"),
    "list_items_not_a_list": ({"type": "list", "items": {}}, b"", "W-87", "an object for a list"),
    "list_item_not_an_object": (_items(7), b"", "W-87", "a number for an item"),
    "list_item_offset_negative": (_items({**_ITEM, "offset": -64}), b"x", "W-87", "before the payload"),
    "list_item_of_a_bad_array": (
        _items({**_ITEM, "metadata": {"type": "ndarray", "dtype": "<i4", "shape": [1]}}),
        b"x",
        "W-84",
        "one byte of four",
    ),
    "list_item_not_aligned": (_items({**_ITEM, "offset": 8}), bytes(9), "W-87", "an item at 8"),
    "list_item_beyond_payload": (_items({**_ITEM, "size": 2}), b"x", "W-87", "one byte more than there is"),
    "list_item_overflows": (
        _items({**_ITEM, "offset": 64, "size": 2**63 - 1}),
        bytes(65),
        "W-87",
        "end beyond 63 bits",
    ),
    "list_items_overlap": (
        _items({**_ITEM, "size": 65}, {**_ITEM, "offset": 64}),
        bytes(65),
        "W-87",
        "two in one place",
    ),
    "list_items_out_of_order": (_items({**_ITEM, "offset": 64}, _ITEM), bytes(65), "W-87", "the second lies first"),
    "list_eleven_levels": (*_nested(11), "W-88", "lists in eleven levels"),
    "list_1001_items": (*list_of([({"type": "bytes"}, b"")] * 1001), "W-88", "one item too many"),
    "map_item_without_key": (_items(_ITEM, kind="map"), b"x", "W-89", "an item without a name"),
    "map_key_a_number": (_items({"key": 1, **_ITEM}, kind="map"), b"x", "W-89", "a key that is no text"),
    "map_key_twice": (
        _items({"key": "a", **_ITEM, "size": 0}, {"key": "a", **_ITEM}, kind="map"),
        b"x",
        "W-89",
        "two of one name",
    ),
}

BAD_OBJECTS: dict[str, BadObject] = {
    name: (text_of(metadata), payload, rule, fault)
    for name, (metadata, payload, rule, fault) in {**_OBJECTS, **BAD_HANDLES}.items()
}
