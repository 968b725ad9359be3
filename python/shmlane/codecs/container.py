# SPDX-License-Identifier: Apache-2.0
"""Codecs of list and map: objects in objects, each where it can be viewed in place (SPEC section 8)."""

from collections.abc import Iterable, Iterator
from typing import Any

from shmlane.codec import Codec, Context, Encoded, Metadata, Take, aligned, is_count, padding
from shmlane.errors import Corrupt, InvalidArgument

from .plain import check_keys

MAX_LEVELS = 10
MAX_ITEMS = 1000


_Items = tuple[list[Metadata], list[Any], int, tuple[Any, ...]]


def _encode_items(items: Iterable[Any], count: int, context: Context) -> _Items:
    if context.level >= MAX_LEVELS:
        raise InvalidArgument(f"lists and maps are nested in more than {MAX_LEVELS} levels, or contain themselves")
    if count > MAX_ITEMS:
        raise InvalidArgument(
            f"a list or map of objects has {count} items, more than {MAX_ITEMS}: push numbers as one ndarray, "
            f"or the objects one by one (push_many)"
        )
    inner = context.deeper()
    entries: list[Metadata] = []
    pieces: list[Any] = []
    slots: list[Any] = []
    size = 0
    for item in items:
        encoded = inner.codecs.encode(item, inner)
        pieces += (padding(size), *encoded.pieces)
        size = aligned(size)
        entries.append({"offset": size, "size": encoded.nbytes, "metadata": encoded.metadata})
        size += encoded.nbytes
        slots += encoded.slots
    return entries, pieces, size, tuple(slots)


def _encode_list(obj: Any, context: Context) -> Encoded:
    entries, pieces, size, slots = _encode_items(obj, len(obj), context)
    return Encoded({"type": "list", "items": entries}, pieces, size, slots)


def _encode_map(obj: Any, context: Context) -> Encoded:
    check_keys(obj)
    entries, pieces, size, slots = _encode_items(obj.values(), len(obj), context)
    named = [{"key": str(key), **entry} for key, entry in zip(obj, entries, strict=True)]
    return Encoded({"type": "map", "items": named}, pieces, size, slots)


def checked_items(metadata: Metadata, payload: memoryview, context: Context) -> Iterator[tuple[Metadata, memoryview]]:
    """Each entry with its part of the payload, all of it checked."""
    entries = metadata.get("items")
    if not isinstance(entries, list) or len(entries) > MAX_ITEMS or context.level >= MAX_LEVELS:
        raise Corrupt(f"a {metadata['type']} has no list of items, more than {MAX_ITEMS}, or {MAX_LEVELS} levels")
    end = 0
    for entry in entries:
        if not isinstance(entry, dict) or not is_count(entry.get("offset")) or not is_count(entry.get("size")):
            raise Corrupt(f"an item of a {metadata['type']} lacks offset or size: {str(entry)[:200]}")
        offset, size, item = entry["offset"], entry["size"], entry.get("metadata")
        if offset != aligned(offset) or offset < end or offset + size > payload.nbytes:
            raise Corrupt(f"an item of a {metadata['type']} lies where none can: {str(entry)[:200]}")
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise Corrupt(f"an item of a {metadata['type']} has no metadata with a type: {str(entry)[:200]}")
        end = offset + size
        yield entry, payload[offset:end]


def _decode_list(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> list[Any]:
    inner = context.deeper()
    items = list(checked_items(metadata, payload, context))
    return [inner.codecs.decode(entry["metadata"], part, inner, take) for entry, part in items]


def _decode_map(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> dict[str, Any]:
    inner = context.deeper()
    items = list(checked_items(metadata, payload, context))
    keys = [entry.get("key") for entry, _ in items]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) != len(keys):
        raise Corrupt(f"the keys of a map are not texts that differ: {str(keys)[:200]}")
    return {entry["key"]: inner.codecs.decode(entry["metadata"], part, inner, take) for entry, part in items}


LIST = Codec("list", _encode_list, _decode_list)
MAP = Codec("map", _encode_map, _decode_map)
