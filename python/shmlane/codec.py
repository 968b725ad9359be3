# SPDX-License-Identifier: Apache-2.0
"""The codec concept: how an object becomes a frame's metadata and payload, and how it is read (SPEC section 8)."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ._json import is_suspect, read_json, write_json
from .errors import Corrupt, InvalidArgument

Metadata = dict[str, Any]
Piece = Any
"""A contiguous buffer, or an array of any strides."""

ALIGNMENT = 64
"""Bytes; payloads, and items within them, start at a multiple of it."""

_ZEROS = bytes(ALIGNMENT)


class Take(enum.Enum):
    """What a decoder may do with the payload that it is given."""

    COPY = "copy"
    """The payload lies in the ring and goes soon: nothing of the result may lie in it."""
    OWN = "own"
    """The payload is the caller's, writable and not used otherwise: the result may lie in it."""
    VIEW = "view"
    """The payload stays in the ring as long as views of it live: the result is read-only and may lie in it."""


class Encoded(NamedTuple):
    """An object on its way out. The payload is the concatenation of the pieces, in C order."""

    metadata: Metadata
    pieces: Sequence[Piece]
    nbytes: int
    slots: tuple[Any, ...] = ()
    """What must be placed in a GPU's memory before metadata and pieces are what they say."""


class Codecs(Protocol):
    """What a codec of containers needs for its items: the registry."""

    def encode(self, obj: Any, context: Context) -> Encoded: ...
    def decode(self, metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any: ...


@dataclass(frozen=True)
class Context:
    """What a handle's user has chosen, and how deep in containers we are."""

    codecs: Codecs
    pickle: bool = False
    image_encoding: str = "raw"
    image_quality: int | None = None
    level: int = 0
    cuda: Any = None
    """What the handle has for arrays of GPUs (codecs.cuda.CudaEnd); None where they cannot cross."""
    to_host: bool = False
    """Whether arrays of GPUs are wanted in the host's memory."""

    def deeper(self) -> Context:
        return replace(self, level=self.level + 1)


class Codec(NamedTuple):
    """One type of payload. ``encode`` raises UnsupportedType or InvalidArgument; ``decode`` Corrupt or Undecodable."""

    type: str
    encode: Callable[[Any, Context], Encoded]
    decode: Callable[[Metadata, memoryview, Context, Take], Any]


class Undecodable(Exception):  # noqa: N818
    """This process cannot decode a sound frame (something is not installed or not allowed): it arrives raw."""


def metadata_bytes(metadata: Metadata) -> bytes:
    """The one way in which metadata is written: compact UTF-8. Raises InvalidArgument if it is not JSON."""
    return _bare_metadata(metadata["type"]) if len(metadata) == 1 else _write_metadata(metadata)


@functools.lru_cache(maxsize=64)
def _bare_metadata(type_name: str) -> bytes:
    return _write_metadata({"type": type_name})


def _write_metadata(metadata: Metadata) -> bytes:
    try:
        text = write_json(metadata).encode()
        if is_suspect(text):
            read_json(text)
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"the metadata {_shorten(repr(metadata))} cannot be written as JSON: {error}") from None


def parse_metadata(text: bytes) -> Metadata:
    """Metadata as a dict with a str under ``type``. Raises Corrupt."""
    try:
        metadata = read_json(text)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"metadata is not JSON ({error}): {_shorten(repr(text))}") from None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("type"), str):
        raise Corrupt(f"metadata is not an object with a text under 'type': {_shorten(repr(text))}")
    return metadata


def _shorten(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[:length] + "..."


def is_count(value: object) -> bool:
    """Whether a value of metadata is an integer from 0 on (JSON's true is none)."""
    return type(value) is int and value >= 0


def aligned(size_bytes: int) -> int:
    return -size_bytes % ALIGNMENT + size_bytes


def padding(size_bytes: int) -> bytes:
    """The zeros between ``size_bytes`` and the next multiple of the alignment."""
    return _ZEROS[: -size_bytes % ALIGNMENT]


def piece_of(array: NDArray[Any]) -> NDArray[Any]:
    """The array as a piece: its bytes where they lie in C order already, else itself."""
    if not array.nbytes:
        return np.empty(0, np.uint8)
    return array.reshape(-1).view(np.uint8) if array.flags.c_contiguous else array


def is_strided(piece: Piece) -> bool:
    """Whether a piece must be brought into C order while it is written."""
    return isinstance(piece, np.ndarray) and not piece.flags.c_contiguous


def write_pieces(pieces: Iterable[Piece], out: memoryview) -> None:
    """Write the pieces one after the other, without a temporary copy; ``out`` is exactly as long as they are."""
    at = 0
    for piece in pieces:
        if is_strided(piece):
            source = np.asarray(piece)
            target: NDArray[Any] = np.ndarray(source.shape, source.dtype, out, at)
            if source.dtype.names is not None:
                target.reshape(-1).view(np.uint8).fill(0)  # copyto leaves the bytes between fields as they were
        else:
            source = np.frombuffer(piece, np.uint8)
            target = np.frombuffer(out, np.uint8, source.nbytes, at)
        np.copyto(target, source)
        at += source.nbytes


def copy_of(payload: memoryview) -> memoryview:
    """A writable copy of the payload on the heap; the interpreter is free meanwhile."""
    return np.frombuffer(payload, np.uint8).copy().data
