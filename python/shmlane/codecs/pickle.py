# SPDX-License-Identifier: Apache-2.0
"""Codec of pickle: any Python object, its large buffers beside the pickle (SPEC section 8).

Unpickling runs what the sender wrote, so both sides must ask for it with ``pickle=True``.
"""

import pickle
from collections.abc import Callable
from typing import Any

from shmlane.codec import Codec, Context, Encoded, Metadata, Take, Undecodable, aligned, copy_of, is_count, padding
from shmlane.errors import Corrupt, UnsupportedType

PROTOCOL = 5

Dumps = Callable[[Any, Callable[[pickle.PickleBuffer], Any]], bytes]


def _encode(obj: Any, context: Context) -> Encoded:
    if not context.pickle:
        raise UnsupportedType(
            f"no codec takes a {type(obj).__module__}.{type(obj).__qualname__}: convert it, register a codec for it "
            f"(shmlane.registry.register), or open the handles at both ends with pickle=True"
        )
    return encode_pickle(obj, _dumps)


def _dumps(obj: Any, callback: Callable[[pickle.PickleBuffer], Any]) -> bytes:
    return pickle.dumps(obj, PROTOCOL, buffer_callback=callback)


def encode_pickle(obj: Any, dumps: Dumps) -> Encoded:
    """``obj`` as ``dumps`` pickles it, which gives large buffers to its second argument. Raises UnsupportedType."""
    buffers: list[pickle.PickleBuffer] = []
    try:
        text = dumps(obj, buffers.append)
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise UnsupportedType(f"this {type(obj).__name__} cannot be pickled: {error}") from error
    pieces: list[Any] = [text]
    places: list[list[int]] = []
    size = len(text)
    for buffer in buffers:
        view = buffer.raw()
        pieces += (padding(size), view)
        places.append([aligned(size), view.nbytes])
        size = aligned(size) + view.nbytes
    return Encoded({"type": "pickle", "buffers": places, "size": len(text)}, pieces, size)


def _decode(metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
    if not context.pickle:
        raise Undecodable("unpickling runs code that the sender chose: open the consumer with pickle=True to allow it")
    size, places = metadata.get("size"), metadata.get("buffers")
    if not is_count(size) or not isinstance(places, list) or size > payload.nbytes:  # type: ignore[operator]
        raise Corrupt(f"this metadata describes no pickle: {str(metadata)[:200]}")
    buffers = [_buffer(place, payload, take) for place in places]
    try:
        return pickle.loads(bytes(payload[:size]), buffers=buffers)
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise Corrupt(f"a pickle of {size} bytes cannot be read: {error}") from error


def _buffer(place: Any, payload: memoryview, take: Take) -> memoryview:
    if not isinstance(place, list) or len(place) != 2 or not all(map(is_count, place)) or sum(place) > payload.nbytes:
        raise Corrupt(f"a buffer of a pickle lies where none can: {str(place)[:100]}")
    offset, size = place
    part = payload[offset : offset + size]
    return copy_of(part) if take is Take.COPY else part


PICKLE = Codec("pickle", _encode, _decode)
