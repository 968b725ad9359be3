# SPDX-License-Identifier: Apache-2.0
"""One object of each payload type, and some of the unusual ones, as metadata and payload (SPEC section 8)."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any, NamedTuple

from .wire import align_up


class Object(NamedTuple):
    metadata: bytes
    payload: bytes
    meaning: str


def text_of(metadata: dict[str, Any]) -> bytes:
    """Metadata as text: compact, keys in the order given, UTF-8."""
    return json.dumps(metadata, separators=(",", ":"), ensure_ascii=False).encode()


def place(items: list[tuple[dict[str, Any], bytes]]) -> tuple[list[dict[str, Any]], bytes]:
    """Items of a list one behind the other, each at a multiple of 64 with zeros before it (W-87)."""
    entries: list[dict[str, Any]] = []
    payload = b""
    for metadata, data in items:
        payload = payload.ljust(align_up(len(payload)), b"\0")
        entries.append({"offset": len(payload), "size": len(data), "metadata": metadata})
        payload += data
    return entries, payload


def list_of(items: list[tuple[dict[str, Any], bytes]]) -> tuple[dict[str, Any], bytes]:
    entries, payload = place(items)
    return {"type": "list", "items": entries}, payload


def map_of(items: dict[str, tuple[dict[str, Any], bytes]]) -> tuple[dict[str, Any], bytes]:
    entries, payload = place(list(items.values()))
    named = [{"key": key, **entry} for key, entry in zip(items, entries, strict=True)]
    return {"type": "map", "items": named}, payload


def array(dtype: Any, shape: list[int], form: str, *items: Any) -> tuple[dict[str, Any], bytes]:
    return {"type": "ndarray", "dtype": dtype, "shape": shape}, struct.pack(form, *items)


def image(order: str, dtype: str, width: int, height: int, payload: bytes, encoding: str = "raw") -> tuple[Any, bytes]:
    channels = {"GRAY": 1, "GRAYA": 2, "RGB": 3, "RGBA": 4, "BGR": 3, "BGRA": 4}[order]
    metadata = {"type": "image", "encoding": encoding, "width": width, "height": height, "channels": channels}
    return {**metadata, "dtype": dtype, "order": order}, payload


def png(width: int, height: int, rows: list[bytes]) -> bytes:
    """A PNG of 8-bit RGB, stored without compression, so that every zlib gives the same bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# 8 x 4 grey pixels, made once by libjpeg.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8"
    "ybqmx5moq6T/wAALCAAEAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAf/EABgQAAIDAAAAAAAAAAAAAAAAAAACBiEi/9oACAEBAAA/AGPo"
    "uaP/2Q=="
)

# pickle.dumps([PickleBuffer(b"abcdefgh"), {"n": 7}], 5) with the buffer out of band.
_PICKLE = b"\x80\x05\x95\x0f\x00\x00\x00\x00\x00\x00\x00]\x94(\x97}\x94\x8c\x01n\x94K\x07se."

_RGB = bytes(range(2 * 3 * 3))
_STRUCTURED = [["x", "<f4"], ["n", "<i2", [2]], ["tag", "|S3"]]
_FLOATS = array("<f4", [2, 3], "<6f", 0.0, 1.5, -2.25, 3e38, 1e-38, -0.0)
_NESTED = list_of([({"type": "text"}, b"inner"), _FLOATS])

_OBJECTS: dict[str, tuple[dict[str, Any], bytes, str]] = {
    "bytes_empty": ({"type": "bytes"}, b"", "no bytes at all; the smallest frame there is"),
    "bytes_one": ({"type": "bytes"}, b"\xff", "one byte"),
    "bytes_63": ({"type": "bytes"}, bytes(range(63)), "one byte less than a multiple of 64"),
    "bytes_64": ({"type": "bytes"}, bytes(range(64)), "exactly a multiple of 64"),
    "bytes_65": ({"type": "bytes"}, bytes(range(65)), "one byte more than a multiple of 64"),
    "bytes_70000": ({"type": "bytes"}, bytes(i * i % 251 for i in range(70000)), "more than one pipe holds"),
    "text_empty": ({"type": "text"}, b"", "the empty text"),
    "text_utf8": ({"type": "text"}, "aé€😀\0z".encode(), "UTF-8 of one to four bytes, and a NUL"),
    "json_object": ({"type": "json"}, '{"a":[1,2.5,true,null,"ü"],"b":{}}'.encode(), "an object with everything"),
    "json_integers": ({"type": "json"}, b"[-9223372036854775808,18446744073709551615]", "the extreme integers"),
    "json_number": ({"type": "json"}, b"7", "a number by itself"),
    "ndarray_f4": (*_FLOATS, "two rows of three floats"),
    "ndarray_0d": (*array("<f8", [], "<d", 3.14), "no dimensions: one item"),
    "ndarray_empty": (*array("<i4", [0, 3], ""), "a dimension of length 0: no items"),
    "ndarray_big_endian": (*array(">i2", [3], ">3h", 1, -2, 300), "byte order is kept"),
    "ndarray_bool": (*array("|b1", [2, 2], "4?", True, False, False, True), "booleans"),
    "ndarray_complex": (*array("<c8", [1], "<2f", 1.0, -1.0), "complex numbers"),
    "ndarray_f2": (*array("<f2", [2], "<2e", 0.5, -2.0), "half floats"),
    "ndarray_bfloat16": (*array("bfloat16", [2], "<2H", 0x3F80, 0xC000), "1 and -2 as bfloat16"),
    "ndarray_datetime": (*array("<M8[ns]", [2], "<2q", 0, -(2**63)), "the epoch and NaT"),
    "ndarray_unicode": (*array("<U2", [1], "<2I", 0x61, 0x1F600), "text of fixed length"),
    "ndarray_structured": (*array(_STRUCTURED, [1], "<f2h3s", 1.0, 2, 3, b"abc"), "items with fields"),
    "image_gray": (*image("GRAY", "|u1", 3, 2, bytes(range(6))), "raw 8-bit grey"),
    "image_rgb": (*image("RGB", "|u1", 3, 2, _RGB), "raw RGB, as Python pushes"),
    "image_bgr": (*image("BGR", "|u1", 3, 2, _RGB), "raw BGR, as a cv::Mat is"),
    "image_rgba": (*image("RGBA", "|u1", 1, 2, bytes(range(8))), "raw with alpha"),
    "image_u2": (*image("GRAY", "<u2", 2, 1, struct.pack("<2H", 1, 65535)), "16-bit grey"),
    "image_f4": (*image("GRAY", "<f4", 2, 1, struct.pack("<2f", 0.5, -1)), "float grey"),
    "image_png": (*image("RGB", "|u1", 3, 2, png(3, 2, [_RGB[:9], _RGB[9:]]), "png"), "a PNG file as it is"),
    "image_jpeg": (*image("GRAY", "|u1", 8, 4, _JPEG, "jpeg"), "a JPEG file as it is"),
    "list_empty": (*list_of([]), "a list without items"),
    "list_nested": (*list_of([({"type": "bytes"}, b"abc"), _NESTED, ({"type": "json"}, b"null")]), "a list in a list"),
    "map": (*map_of({"": _FLOATS, "größe": ({"type": "text"}, b"x" * 64)}), "named items; keys are UTF-8, also empty"),
    "pickle": (
        {"type": "pickle", "buffers": [[64, 8]], "size": len(_PICKLE)},
        _PICKLE.ljust(64, b"\0") + b"abcdefgh",
        "a pickle of protocol 5 and its one buffer out of band",
    ),
    "custom": ({"type": "org.example.point", "version": 2, "unit": "mm"}, struct.pack("<2d", 1, 2), "a custom type"),
    "custom_named_as_builtin": ({"type": "text", "version": 1}, b"\xff", "a version makes any name a custom type's"),
    "metadata_long": ({"type": "custom", "version": 1, "note": "é" * 2500}, b"", "metadata beyond a page"),
    "metadata_17_bytes": ({"type": "custom"}, b"\1", "one byte more metadata than fits before offset 64"),
}

OBJECTS = {name: Object(text_of(metadata), payload, why) for name, (metadata, payload, why) in _OBJECTS.items()}
