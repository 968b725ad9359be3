# SPDX-License-Identifier: Apache-2.0
"""Frames over a descriptor (SPEC section 6)."""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, final

from ..codec import parse_metadata
from ..errors import Closed, Corrupt, InvalidArgument, Truncated
from . import wire
from .arguments import to_bytes, to_unsigned
from .copying import to_part
from .frame import aligned_memory, frame_extents
from .os.pipe import enlarge_pipe, read_all, read_some, write_all
from .wire import StdioKind

_HEADER = struct.Struct("<QIIQQ")
_END = struct.Struct("<Q")
_MOST_MEMORY = 1 << 62  # a limit beyond it is none


def _corrupt(rule: str, offset: int, why: str) -> NoReturn:
    raise Corrupt(f"corrupt stream of frames at byte {offset} ({rule}): {why}")


def _check_metadata(metadata: bytes) -> None:
    """W-26"""
    if not (metadata.startswith(b"{") and metadata.endswith(b"}")):
        raise Corrupt("the metadata is not a JSON object and nothing else")
    parse_metadata(metadata)


@final
class StdioWriter:
    """Writes frames to a descriptor that it borrows."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._open = True
        self._mutex = threading.Lock()
        enlarge_pipe(fd)

    def write(self, metadata: bytes, parts: Sequence[Any]) -> None:
        """Write one frame whose payload is the concatenation of contiguous buffers."""
        buffers = [to_part(part).data for part in tuple(parts)]
        size = sum(map(len, buffers))
        with self._mutex:
            if not self._open:
                raise Closed("this stream of frames was closed, or an earlier write to it failed")
            # Refuses what the reader would refuse, before anything is written.
            frame_extents(len(to_bytes(metadata)), size)
            if not metadata.startswith(b"{"):
                raise InvalidArgument("metadata is not a JSON object")
            self._write(StdioKind.DATA, metadata, buffers, size)

    def end(self) -> None:
        """Write the end frame. Idempotent."""
        with self._mutex:
            if self._open:
                self._write(StdioKind.END, b"", [], 0)
                self._open = False

    def _write(self, kind: StdioKind, metadata: bytes, buffers: list[memoryview], size: int) -> None:
        sentinel = wire.stdio_sentinel(kind, len(metadata), size)
        header = _HEADER.pack(wire.STDIO_MAGIC, kind, len(metadata), size, sentinel)
        end = _END.pack(sentinel ^ wire.MASK)
        self._open = False  # for good, should the write fail: the stream then ends in the middle of a frame
        write_all(self._fd, [memoryview(header), memoryview(metadata), *buffers, memoryview(end)])
        self._open = True


class _Header(NamedTuple):
    magic: int
    kind: int
    metadata_size: int
    payload_size: int
    sentinel: int


@final
class StdioReader:
    """Reads frames from a descriptor that it borrows, never a byte beyond the frame that it returns."""

    def __init__(self, fd: int, max_frame: int) -> None:
        self._fd = fd
        self._max_frame = min(to_unsigned(max_frame, "max_frame"), _MOST_MEMORY)
        self._offset = 0
        self._ended = False
        self._lost = False  # in the middle of a frame
        self._mutex = threading.Lock()
        enlarge_pipe(fd)

    @property
    def offset(self) -> int:
        """Bytes read so far."""
        return self._offset

    def read(self) -> tuple[bytes, memoryview] | None:
        """Metadata and payload (64-byte aligned, writable, owned) of the next frame; None at the end."""
        with self._mutex:
            if self._ended:
                return None
            if self._lost:
                _corrupt("W-67", self._offset, "a frame broke off before, so nothing after it can be understood")
            start = self._offset
            header = self._read_header()
            if header is None:
                self._ended = True
                return None
            metadata, payload = self._read_body(header)
            self._lost = False
            self._ended = header.kind == StdioKind.END
            if self._ended:
                return None
            try:
                _check_metadata(metadata)
            except Corrupt as error:
                _corrupt("W-66", start + _HEADER.size, str(error))
            return metadata, payload

    def _read_header(self) -> _Header | None:
        """None at the end of the file.

        From its first byte on, until the frame is complete, whatever is raised loses the stream.
        """
        start = self._offset
        room = memoryview(bytearray(_HEADER.size))
        done = read_some(self._fd, [room])
        if not done:
            return None
        self._lost = True
        done += read_all(self._fd, [room[done:]])
        self._offset += done
        if done < _HEADER.size:
            self._truncated("header")
        header = _Header(*_HEADER.unpack(room))
        if header.magic != wire.STDIO_MAGIC:
            _corrupt("W-60", start, "no frame of shmlane begins there: the magic is wrong")
        if header.sentinel != wire.stdio_sentinel(header.kind, header.metadata_size, header.payload_size):
            _corrupt("W-61", start, "the header's sentinel does not fit its fields")
        self._check_header(header, start)
        return header

    def _check_header(self, header: _Header, start: int) -> None:
        if header.kind not in (StdioKind.DATA, StdioKind.END):
            _corrupt("W-63", start, f"unknown kind of frame: {header.kind}")
        if header.kind == StdioKind.END and (header.metadata_size or header.payload_size):
            _corrupt("W-64", start, "an end frame with contents")
        size = header.metadata_size + header.payload_size
        if header.metadata_size > wire.MAX_METADATA_BYTES or size > self._max_frame:
            _corrupt(
                "W-65",
                start,
                f"a frame of {header.metadata_size} + {header.payload_size} bytes; "
                f"the limit is {self._max_frame} bytes",
            )

    def _read_body(self, header: _Header) -> tuple[bytes, memoryview]:
        """The memory is allocated whole although the length may be a lie: the kernel gives pages as they are filled."""
        _, _, metadata_size, payload_size, sentinel = header
        room = aligned_memory(payload_size + wire.payload_offset_for(metadata_size)).data
        metadata, payload = room[payload_size : payload_size + metadata_size], room[:payload_size]
        end = room[payload_size + metadata_size : payload_size + metadata_size + _END.size]
        done = read_all(self._fd, [metadata, payload, end])
        self._offset += done
        if done < metadata_size:
            self._truncated("metadata")
        if done - metadata_size < payload_size:
            self._truncated("payload")
        if done - metadata_size - payload_size < _END.size:
            self._truncated("end sentinel")
        if _END.unpack(end)[0] != sentinel ^ wire.MASK:
            _corrupt("W-62", self._offset - _END.size, "the end sentinel is wrong")
        return bytes(metadata), payload

    def _truncated(self, where: str) -> NoReturn:
        raise Truncated(
            f"the stream of frames ends at byte {self._offset} (W-67), in the middle of a frame's {where}; "
            "its producer died, or the file was cut off"
        )
