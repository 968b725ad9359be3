# SPDX-License-Identifier: Apache-2.0
"""StdioProducer and StdioConsumer: the same frames over any file descriptor, for shell pipes (SPEC section 6)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from . import _backend
from .codec import Take, is_strided, metadata_bytes, parse_metadata, write_pieces
from .errors import Closed
from .handle import make_context
from .registry import Registry
from .sizes import parse_size

if TYPE_CHECKING:
    from typing_extensions import Self

DEFAULT_MAX_FRAME = 4 << 30  # bytes


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class StdioProducer:
    """Writes objects to a descriptor or file that it borrows, standard output by default. Not thread-safe.

    Nothing else may be written there meanwhile. ``close``, or the end of the ``with`` without an error, writes
    the end frame. A closed reader raises BrokenPipe, never a signal. Options as of Producer.
    """

    def __init__(
        self,
        file: int | HasDescriptor | None = None,
        *,
        pickle: bool = False,
        image_encoding: str = "raw",
        image_quality: int | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._context = make_context(registry, pickle, image_encoding, image_quality)
        self._file = sys.stdout if file is None else file  # kept open as long as frames go there
        if not isinstance(self._file, int) and hasattr(self._file, "flush"):
            self._file.flush()  # what was printed before comes before
        self._writer = _backend.active.StdioWriter(_descriptor(self._file))
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    def push(self, obj: Any) -> None:
        """Write one object. Raises BrokenPipe, UnsupportedType (for None, too), InvalidArgument, Closed."""
        if self._closed:
            raise Closed("this StdioProducer is closed: its end frame is written")
        frame = self._context.codecs.encode(obj, self._context)
        pieces = frame.pieces
        if any(map(is_strided, pieces)):
            whole = np.empty(frame.nbytes, np.uint8)
            write_pieces(pieces, whole.data)
            pieces = (whole,)
        self._writer.write(metadata_bytes(frame.metadata), pieces)

    def push_many(self, objs: Iterable[Any]) -> None:
        """Write all objects."""
        for obj in objs:
            self.push(obj)

    def close(self) -> None:
        """Write the end frame. Idempotent. Raises BrokenPipe."""
        if not self._closed:
            self._closed = True
            self._writer.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        self._closed = True  # after an error there is no end frame, as if the process had died


class StdioConsumer:
    """Reads objects from a descriptor or file that it borrows, standard input by default. Not thread-safe.

    Iterating over it ends at the end frame, or where the file ends between two frames. ``max_frame`` limits what one
    frame may take in memory. Options as of Consumer.
    """

    def __init__(
        self,
        file: int | HasDescriptor | None = None,
        *,
        max_frame: int | str = DEFAULT_MAX_FRAME,
        pickle: bool = False,
        registry: Registry | None = None,
    ) -> None:
        self._context = make_context(registry, pickle)
        self._file = sys.stdin if file is None else file
        self._reader = _backend.active.StdioReader(_descriptor(self._file), parse_size(max_frame))

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._reader.offset

    def pop(self) -> Any:
        """The next object; None at the end. Raises Truncated in the middle of a frame, Corrupt with the byte offset."""
        frame = self._reader.read()
        if frame is None:
            return None
        metadata, payload = frame
        return self._context.codecs.decode(parse_metadata(metadata), memoryview(payload), self._context, Take.OWN)

    def __iter__(self) -> Iterator[Any]:
        while (frame := self._reader.read()) is not None:
            metadata, payload = frame
            yield self._context.codecs.decode(parse_metadata(metadata), memoryview(payload), self._context, Take.OWN)


def _descriptor(file: int | HasDescriptor) -> int:
    return file if isinstance(file, int) else file.fileno()
