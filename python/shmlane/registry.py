# SPDX-License-Identifier: Apache-2.0
"""Registry: which codec takes an object, and which reads a frame, by type name and version."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._log import logger
from .codec import Codec, Context, Encoded, Metadata, Take, Undecodable, copy_of, metadata_bytes, piece_of
from .codecs import ALL, BYTES, CUDA, JSON, LIST, MAP, NDARRAY, PICKLE, TEXT
from .codecs.cuda import is_cuda
from .codecs.image import IMAGE, is_image
from .codecs.plain import is_plain
from .errors import InvalidArgument, UnsupportedType

Encode = Callable[[Any], Any]
Decode = Callable[[Metadata, memoryview], Any]
_PLAIN = (bytes, str, np.ndarray, object)  # classes, and their base, that backends push by themselves

_MAX_WARNINGS = 1000  # type names come from other processes: what is remembered of them has an end


@dataclass(frozen=True)
class RawObject:
    """A frame as it is: what arrives when this process cannot decode its type. Pushed on, it stays the same frame."""

    metadata: Metadata
    payload: bytes | memoryview


class Registry:
    """Custom types beside the built-in ones. Thread-safe; the functions given to it run without a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoders: dict[tuple[str, int], Codec] = {}
        self._encoders: dict[type, Codec] = {}
        self._warned: set[tuple[str, str]] = set()
        self.plain = True
        """Whether bytes, str and ndarray cross as built-in types, so that a backend may push them without asking."""

    def __reduce__(self) -> tuple[Any, ...]:
        if self is default:
            return _default, ()
        return _rebuild, (self._decoders, self._encoders)

    def register(
        self,
        type: str,  # noqa: A002
        encode: Encode | None = None,
        decode: Decode | None = None,
        version: int = 1,
        *,
        cls: type[Any] | None = None,
    ) -> None:
        """Make objects of class ``cls``, and of its subclasses, cross as ``{"type": type, "version": version}``.

        encode: object → payload (a bytes-like object or a list of such), or (dict of more metadata, payload).
        decode: (metadata, payload as memoryview) → object, which may keep the memoryview.

        Either half may be missing. Register older versions with ``decode`` alone to keep reading them. A class of a
        built-in type may be given: then it crosses by this codec instead. Registering a class, or a type and version,
        again replaces the former. Raises InvalidArgument.
        """
        if not isinstance(type, str) or not type or not isinstance(version, int) or not 1 <= version < 2**32:
            raise InvalidArgument(f"a type has a name and a version from 1 on, not {type!r} and {version!r}")
        if (encode is None) != (cls is None):
            raise InvalidArgument(f"encode and cls of the type {type!r} go together: which objects does it encode?")
        metadata_bytes({"type": type})
        custom = _Custom(type, int(version), encode, decode)
        codec = Codec(type, custom.encode_object, custom.decode_object)
        with self._lock:
            if cls is not None:
                self._set_encoders({**self._encoders, cls: codec})
            if decode is not None:
                self._decoders = {**self._decoders, (type, custom.version): codec}

    def unregister(self, type: str, version: int = 1) -> None:  # noqa: A002
        """Forget a type's version, if it is there, and what encodes objects of that type."""
        with self._lock:
            self._decoders = {key: codec for key, codec in self._decoders.items() if key != (type, version)}
            self._set_encoders({cls: codec for cls, codec in self._encoders.items() if codec.type != type})

    def _set_encoders(self, encoders: dict[type, Codec]) -> None:
        self._encoders = encoders
        self.plain = not any(cls in encoders for cls in _PLAIN)

    def encode(self, obj: Any, context: Context) -> Encoded:
        """``obj`` as a frame. Raises UnsupportedType, InvalidArgument, and what a registered function raises."""
        codec = self._find_encoder(obj)
        if codec is not None:
            return codec.encode(obj, context)
        try:
            return _builtin_codec(obj, context).encode(obj, context)
        except (UnsupportedType, InvalidArgument):
            if not context.pickle or (obj is None and not context.level):
                raise
        return PICKLE.encode(obj, context)

    def _find_encoder(self, obj: Any) -> Codec | None:
        encoders = self._encoders
        if not encoders:
            return None
        return next((encoders[cls] for cls in type(obj).__mro__ if cls in encoders), None)

    def decode(self, metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
        """The object in a frame; RawObject, with one warning, if this process cannot decode it. Raises Corrupt."""
        codec = self._find_decoder(metadata)
        try:
            if codec is None:
                raise Undecodable("no codec is registered for it (shmlane.registry.register)")
            return codec.decode(metadata, payload, context, take)
        except Undecodable as reason:
            self._warn_once(metadata, str(reason))
        raw = payload.toreadonly() if take is Take.VIEW else bytes(payload)
        return RawObject(copy.deepcopy(metadata), raw)

    def _find_decoder(self, metadata: Metadata) -> Codec | None:
        name = metadata["type"]
        if "version" not in metadata:
            return _BUILTIN.get(name)
        version = metadata["version"]
        return self._decoders.get((name, version)) if type(version) is int else None

    def _warn_once(self, metadata: Metadata, reason: str) -> None:
        key = (metadata["type"], repr(metadata.get("version")))
        with self._lock:
            if key in self._warned or len(self._warned) >= _MAX_WARNINGS:
                return
            self._warned.add(key)
        version = f" version {key[1]}" if "version" in metadata else ""
        logger.warning("objects of type %r%s arrive as RawObject: %s", metadata["type"], version, reason)


_BUILTIN = {codec.type: codec for codec in ALL}


def _builtin_codec(obj: Any, context: Context) -> Codec:
    """Raises UnsupportedType for None, which only inside of a list or map is an object."""
    if obj is None and not context.level:
        raise UnsupportedType("None cannot be pushed: it is what pop() gives at the end of stream")
    exact = _EXACT.get(type(obj))
    if exact is not None:
        return exact
    return next((codec for codec, takes in _CHOICES if takes(obj)), PICKLE)


def _shares_memory(obj: Any) -> bool:
    """Whether an object offers its memory, by DLPack or the buffer protocol."""
    if hasattr(obj, "__dlpack__"):
        return True
    try:
        memoryview(obj)
    except (TypeError, BufferError):
        return False
    return True


def _encode_raw(obj: RawObject, context: Context) -> Encoded:
    return Encoded(obj.metadata, (obj.payload,), memoryview(obj.payload).nbytes)


# Most objects are of one of these classes and of no subclass.
_EXACT = {bytes: BYTES, str: TEXT, int: JSON, float: JSON, bool: JSON, np.ndarray: NDARRAY}

# In this order: a NumPy scalar may also be a float, str or bytes.
_CHOICES: tuple[tuple[Codec, Callable[[Any], bool]], ...] = (
    (Codec("raw", _encode_raw, BYTES.decode), lambda obj: isinstance(obj, RawObject)),
    (NDARRAY, lambda obj: isinstance(obj, (np.ndarray, np.generic))),
    (TEXT, lambda obj: isinstance(obj, str)),
    (BYTES, lambda obj: isinstance(obj, (bytes, bytearray, memoryview))),
    (JSON, lambda obj: obj is None or isinstance(obj, (int, float))),
    (JSON, lambda obj: isinstance(obj, (dict, list, tuple)) and is_plain(obj)),
    (MAP, lambda obj: isinstance(obj, dict)),
    (LIST, lambda obj: isinstance(obj, (list, tuple))),
    (CUDA, is_cuda),
    (IMAGE, is_image),
    (NDARRAY, _shares_memory),
)


@dataclass(frozen=True)
class _Custom:
    """A registered pair of functions as a codec."""

    name: str
    version: int
    encode: Encode | None
    decode: Decode | None

    def encode_object(self, obj: Any, context: Context) -> Encoded:
        assert self.encode is not None
        result = self.encode(obj)
        more, payload = result if isinstance(result, tuple) else ({}, result)
        if not isinstance(more, dict) or "type" in more or "version" in more:
            raise InvalidArgument(f"more metadata of the type {self.name!r} is a dict without type and version")
        pieces = [self._piece(piece) for piece in (payload if isinstance(payload, list) else [payload])]
        metadata = {"type": self.name, "version": self.version, **more}
        return Encoded(metadata, pieces, sum(piece.nbytes for piece in pieces))

    def _piece(self, payload: Any) -> memoryview:
        try:
            array = isinstance(payload, np.ndarray)
            view = piece_of(np.ascontiguousarray(payload)).data if array else memoryview(payload)
        except TypeError:
            kind = type(payload).__name__
            raise UnsupportedType(f"the encode function of the type {self.name!r} gave a {kind}, not bytes") from None
        return view if view.c_contiguous else memoryview(view.tobytes())

    def decode_object(self, metadata: Metadata, payload: memoryview, context: Context, take: Take) -> Any:
        assert self.decode is not None
        return self.decode(copy.deepcopy(metadata), copy_of(payload) if take is Take.COPY else payload)


def _default() -> Registry:
    return default


def _rebuild(decoders: dict[tuple[str, int], Codec], encoders: dict[type, Codec]) -> Registry:
    registry = Registry()
    registry._decoders = decoders
    registry._set_encoders(encoders)
    return registry


default = Registry()
"""The registry that handles use unless they are given another."""

register = default.register
unregister = default.unregister
