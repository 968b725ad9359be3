# SPDX-License-Identifier: Apache-2.0
"""Lease: a consumer's hold on an object in the ring, read where it lies."""

from __future__ import annotations

import functools
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from .codec import Metadata, Take, Undecodable, parse_metadata
from .codecs.image import view_pixels
from .codecs.ndarray import view_array
from .errors import Closed, UnsupportedType, WrongType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from . import _native

    _Fields = _native.LeaseHandle
else:
    _Fields = object  # the backend's handle is the base of lease_class(), once there is a backend


class Lease(_Fields):
    """An object that stays in the ring. ``release``, or the end of the ``with``, ends the use of this handle.

    Views (``payload``, ``array``, and what ``object`` gives) keep the place in the ring until the last of them dies, in
    any order; until then everybody else goes on until the ring has gone round once. Every use after release raises
    Closed. Not thread-safe.
    """

    __slots__ = ()

    def __init__(self, *_: object) -> None:
        raise TypeError("leases are made by Consumer.acquire")

    def _held(self) -> _native.Lease:
        if self._native is None:
            raise Closed("this lease was released")
        return self._native

    @property
    def object(self) -> Any:
        """The object, decoded once; arrays are read-only views of the ring, bytes a memoryview. Raises Corrupt."""
        native = self._held()
        if self._object is None:
            self._object = native.plain_array
        if self._object is None:
            metadata = parse_metadata(native.metadata)
            self._object = self._context.codecs.decode(metadata, self.payload, self._context, Take.VIEW)
        return self._object

    @property
    def array(self) -> NDArray[Any]:
        """The payload as a read-only array: as pushed for an ndarray, pixels of a raw image in the order that the
        metadata says, else bytes. Raises Corrupt, UnsupportedType, and WrongType for a compressed image.
        """
        array = self._held().array
        if array is not None:
            return array
        try:
            return self._view(self.metadata)
        except Undecodable as error:
            raise UnsupportedType(str(error)) from None

    def _view(self, metadata: Metadata) -> NDArray[Any]:
        if metadata["type"] == "ndarray" and "version" not in metadata:
            return view_array(metadata, self.payload)
        if metadata["type"] == "image" and "version" not in metadata:
            if metadata.get("encoding") != "raw":
                raise WrongType("a compressed image has no pixels to view: use .object, or .payload for the file")
            return view_pixels(metadata, self.payload)
        return np.frombuffer(self.payload, np.uint8)

    @property
    def metadata(self) -> Metadata:
        """A copy of the object's metadata. Raises Corrupt."""
        return parse_metadata(self._held().metadata)

    @property
    def payload(self) -> memoryview:
        """The payload's bytes, read-only, 64-byte aligned."""
        return memoryview(self._held()).toreadonly()

    @property
    def nbytes(self) -> int:
        return self._held().nbytes

    @property
    def attempt(self) -> int:
        """0 for the first delivery; grows each time a consumer died while holding the object."""
        return self._held().attempt

    @property
    def closed(self) -> bool:
        return self._native is None

    def release(self) -> None:
        """End the use of this lease. Idempotent."""
        self._native = self._object = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._native = self._object = None

    def __repr__(self) -> str:
        return "<Lease released>" if self._native is None else f"<Lease of {self._native.nbytes} bytes>"


@functools.cache
def lease_class(handle: type[_native.LeaseHandle]) -> type[Lease]:
    """``Lease`` upon that base, which has its fields, and may have quicker ways for what is most used."""
    return type("Lease", (handle, Lease), {"__slots__": (), "__module__": __name__, "__doc__": Lease.__doc__})
