# SPDX-License-Identifier: Apache-2.0
"""Objects to frames and back on plain buffers, for the tests of codecs: no backend takes part."""

from __future__ import annotations

from typing import Any

import numpy as np

from shmlane.codec import Context, Encoded, Metadata, Take, metadata_bytes, parse_metadata, write_pieces
from shmlane.registry import Registry


def context(**options: Any) -> Context:
    return Context(options.pop("registry", None) or Registry(), **options)


def encode(obj: Any, **options: Any) -> tuple[bytes, memoryview]:
    """Metadata and payload, the latter aligned as in the ring, behind bytes that must not shine through."""
    where = context(**options)
    frame: Encoded = where.codecs.encode(obj, where)
    memory = np.full(frame.nbytes + 64, 0xA5, np.uint8)
    start = -memory.ctypes.data % 64
    payload = memory[start : start + frame.nbytes].data
    write_pieces(frame.pieces, payload)
    return metadata_bytes(frame.metadata), payload


def decode(metadata: bytes | Metadata, payload: Any, take: Take = Take.COPY, **options: Any) -> Any:
    where = context(**options)
    parsed = parse_metadata(metadata) if isinstance(metadata, bytes) else metadata
    view = memoryview(payload)
    return where.codecs.decode(parsed, view.toreadonly() if take is not Take.OWN else view, where, take)


def there_and_back(obj: Any, take: Take = Take.COPY, **options: Any) -> Any:
    metadata, payload = encode(obj, **options)
    return decode(metadata, payload, take, **options)
