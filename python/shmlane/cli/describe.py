# SPDX-License-Identifier: Apache-2.0
"""Objects as readable lines and as JSON, for ``shmlane cat``: nothing is unpickled, nothing registered is called."""

import json
from typing import Any

from shmlane.codec import Context, Metadata, Take, Undecodable
from shmlane.codecs.container import checked_items
from shmlane.codecs.ndarray import view_array
from shmlane.codecs.plain import JSON, TEXT
from shmlane.registry import Registry
from shmlane.sizes import format_size

_CONTEXT = Context(Registry())
_FIRST_BYTES = 32
_ITEMS_SHOWN = 6


def printable(text: str) -> str:
    """``text`` in which nothing can move a terminal's cursor or break a line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def line_of(metadata: Metadata, payload: memoryview) -> str:
    """One object in one line. Raises Corrupt."""
    return printable(_describe(metadata, payload, _CONTEXT))


def _describe(metadata: Metadata, payload: memoryview, context: Context) -> str:
    kind, size = metadata["type"], format_size(payload.nbytes)
    if "version" in metadata:
        return f"{kind} {_rest(metadata)} {size}"
    if kind == "text":
        return str(TEXT.decode(metadata, payload, context, Take.COPY))
    if kind == "json":
        return json.dumps(JSON.decode(metadata, payload, context, Take.COPY), ensure_ascii=False)
    if kind == "bytes":
        return f"bytes {size} {_hex(payload)}".rstrip()
    if kind == "ndarray":
        return f"ndarray {_array(metadata, payload)} {size}"
    if kind == "image":
        extent = f"{metadata.get('width')}x{metadata.get('height')}"
        return f"image {extent} {metadata.get('order')} {metadata.get('dtype')} {metadata.get('encoding')} {size}"
    if kind in ("list", "map"):
        inner = context.deeper()
        items = [
            (f"{entry['key']}: " if "key" in entry else "") + _describe(entry["metadata"], part, inner)
            for entry, part in checked_items(metadata, payload, context)
        ]
        return f"{kind} {size} [{'; '.join(items)}]"
    return f"{kind} {_rest(metadata)} {size}"


def _array(metadata: Metadata, payload: memoryview) -> str:
    dtype, shape = metadata.get("dtype"), metadata.get("shape")
    try:
        array = view_array(metadata, payload)
    except Undecodable:
        return f"{dtype} {shape}"
    values = [str(value) for value in array.ravel()[:_ITEMS_SHOWN].tolist()]
    more = ", ..." if array.size > _ITEMS_SHOWN else ""
    return f"{dtype if isinstance(dtype, str) else json.dumps(dtype)} {shape} [{', '.join(values)}{more}]"


def _hex(payload: memoryview) -> str:
    return payload[:_FIRST_BYTES].hex() + ("..." if payload.nbytes > _FIRST_BYTES else "")


def _rest(metadata: Metadata) -> str:
    rest = {key: value for key, value in metadata.items() if key != "type"}
    return json.dumps(rest, ensure_ascii=False)


def json_of(metadata: Metadata, payload: memoryview) -> str:
    """One object as one line of JSON: its metadata, its size, and its value if it is text or json. Raises Corrupt."""
    record: dict[str, Any] = {"metadata": metadata, "nbytes": payload.nbytes}
    codec = {"text": TEXT, "json": JSON}.get(metadata["type"])
    if codec is not None and "version" not in metadata:
        record["value"] = codec.decode(metadata, payload, _CONTEXT, Take.COPY)
    return json.dumps(record, ensure_ascii=False)
