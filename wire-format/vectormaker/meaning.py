# SPDX-License-Identifier: Apache-2.0
"""What an object means, as JSON in which every value tells its type: what every testee must say of it (README.md)."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import Any

Tagged = dict[str, Any]

_ITEMSIZE = {"|u1": 1, "<u2": 2, "<f4": 4, "<i4": 4}


def payload_facts(payload: bytes) -> dict[str, Any]:
    """Bytes as they are, or their length and check sums where those would fill a page."""
    if len(payload) <= 256:
        return {"hex": payload.hex()}
    sha256 = hashlib.sha256(payload).hexdigest()
    return {"size": len(payload), "sha256": sha256, "crc32": f"0x{zlib.crc32(payload):08x}"}


def meaning(metadata: dict[str, Any], payload: bytes) -> Tagged:
    """The object of a sound frame."""
    describe = None if "version" in metadata else _TYPES.get(metadata["type"])
    if describe is None:
        return {"type": "unknown", "metadata": json_value(metadata), "payload": payload_facts(payload)}
    return {"type": metadata["type"], **describe(metadata, payload)}


def json_value(value: Any) -> Any:
    """A JSON value in which numbers are told apart, and objects from what this module makes."""
    if isinstance(value, dict):
        return {"object": {key: json_value(item) for key, item in value.items()}}
    if isinstance(value, list):
        return [json_value(item) for item in value]
    if isinstance(value, float):
        return {"float": struct.pack(">d", value).hex()}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"integer": str(value)}
    return value


def _bytes(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"payload": payload_facts(payload)}


def _text(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"text": payload.decode()}


def _json(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"value": json_value(json.loads(payload))}


def _array(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"dtype": metadata["dtype"], "shape": metadata["shape"], "items": payload_facts(payload)}


def _image(metadata: dict[str, Any], payload: bytes) -> Tagged:
    """Raw pixels in RGB order, whatever order they came in; files as they are."""
    facts = {"width": metadata["width"], "height": metadata["height"], "dtype": metadata["dtype"]}
    order = metadata["order"].replace("BGR", "RGB")
    if metadata["encoding"] != "raw":
        return {**facts, "order": order, "encoding": metadata["encoding"], "file": payload_facts(payload)}
    pixels = bytearray(payload)
    if order != metadata["order"]:
        size = _ITEMSIZE[metadata["dtype"]]
        for at in range(0, len(pixels), size * metadata["channels"]):
            blue, red = slice(at, at + size), slice(at + 2 * size, at + 3 * size)
            pixels[blue], pixels[red] = pixels[red], pixels[blue]
    return {**facts, "order": order, "pixels": payload_facts(bytes(pixels))}


def _item(entry: dict[str, Any], payload: bytes) -> Tagged:
    return meaning(entry["metadata"], payload[entry["offset"] : entry["offset"] + entry["size"]])


def _list(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"items": [_item(entry, payload) for entry in metadata["items"]]}


def _map(metadata: dict[str, Any], payload: bytes) -> Tagged:
    return {"items": [[entry["key"], _item(entry, payload)] for entry in metadata["items"]]}


_TYPES = {
    "bytes": _bytes,
    "text": _text,
    "json": _json,
    "ndarray": _array,
    "image": _image,
    "list": _list,
    "map": _map,
}
