# SPDX-License-Identifier: Apache-2.0
"""Codecs of bytes, text and json (SPEC section 8)."""

import math
from collections.abc import Collection, Iterator
from typing import Any, cast

import numpy as np

from shmlane._json import HIGHEST, LOWEST, MAX_LEVELS, is_suspect, read_json, write_json
from shmlane.codec import Codec, Context, Encoded, Metadata, Take
from shmlane.errors import Corrupt, InvalidArgument, UnsupportedType

_SCALAR_CLASSES = (str, int, float, type(None))
_SCALARS = frozenset((*_SCALAR_CLASSES, bool))


def _encode_bytes(obj: Any, context: Context) -> Encoded:
    view = memoryview(obj)
    piece = view if view.c_contiguous else view.tobytes()
    return Encoded({"type": "bytes"}, (piece,), view.nbytes)


def _decode_bytes(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> bytes | memoryview:
    return payload.toreadonly() if take is Take.VIEW else bytes(payload)


def _encode_text(obj: Any, context: Context) -> Encoded:
    try:
        text = str.encode(obj)
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"this str has lone surrogates and is no UTF-8 text: {error}") from None
    return Encoded({"type": "text"}, (text,), len(text))


def _decode_text(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> str:
    try:
        return bytes(payload).decode()
    except UnicodeDecodeError as error:
        raise Corrupt(f"a text object of {payload.nbytes} bytes is not UTF-8: {error}") from None


def is_plain(obj: Any) -> bool:
    """Whether ``obj`` is JSON's None, bool, int, float, str, or a list, tuple or dict of nothing but such.

    Raises InvalidArgument for levels without end, UnsupportedType for a dict with keys that are no str.
    """
    levels: list[Iterator[Any]] = [iter((obj,))]
    while levels:
        for item in levels[-1]:
            if isinstance(item, (dict, list, tuple)):
                if len(levels) > MAX_LEVELS:
                    raise InvalidArgument(f"an object has more than {MAX_LEVELS} levels, or contains itself")
                inner = _items_of(item)
                if not _SCALARS.issuperset(map(type, inner)):
                    levels.append(iter(inner))
                    break
            elif not isinstance(item, _SCALAR_CLASSES) or isinstance(item, np.generic):
                return False
        else:
            levels.pop()
    return True


def _items_of(container: Any) -> Collection[Any]:
    if isinstance(container, dict):
        check_keys(container)
        return container.values()
    return cast("Collection[Any]", container)


def check_keys(obj: dict[Any, Any]) -> None:
    for key in obj:
        if not isinstance(key, str):
            raise UnsupportedType(
                f"a dict has the key {key!r}, a {type(key).__name__}: keys of json and map objects are str; "
                f"convert them, or open the handles with pickle=True"
            )


def _encode_json(obj: Any, context: Context) -> Encoded:
    try:
        payload = _json_bytes(obj)
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"a str in a json object has lone surrogates and is no UTF-8 text: {error}") from None
    except RecursionError:
        raise InvalidArgument("a json object has too many levels, or contains itself") from None
    return Encoded({"type": "json"}, (payload,), len(payload))


def _json_bytes(obj: Any) -> bytes:
    try:
        payload = write_json(obj).encode()
    except UnicodeEncodeError:
        raise
    except ValueError as error:
        raise InvalidArgument(_explain(obj, "obj") or str(error)) from None
    fault = _explain(obj, "obj") if is_suspect(payload) else None
    if fault is not None:
        raise InvalidArgument(fault)
    return payload


def _explain(obj: Any, where: str) -> str | None:
    """Where in ``obj`` a number is that JSON cannot carry, and what to do; None if there is none."""
    if isinstance(obj, (dict, list, tuple)):
        for key, item in obj.items() if isinstance(obj, dict) else enumerate(obj):
            fault = _explain(item, f"{where}[{key!r}]")
            if fault is not None:
                return fault
    elif isinstance(obj, float) and not math.isfinite(obj):
        return f"{where} is {obj}: JSON has no NaN and no infinities; push them in an ndarray"
    elif isinstance(obj, int) and not LOWEST <= obj <= HIGHEST:
        return f"{where} is an integer of {obj.bit_length()} bits, JSON's have 64 at most; push it as text"
    return None


def _decode_json(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
    try:
        obj = read_json(bytes(payload))
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"a json object of {payload.nbytes} bytes cannot be read: {error}") from None
    if obj is None and not context.level:
        raise Corrupt("a json object is a lone null, which nobody may push")
    return obj


BYTES = Codec("bytes", _encode_bytes, _decode_bytes)
TEXT = Codec("text", _encode_text, _decode_text)
JSON = Codec("json", _encode_json, _decode_json)
