# SPDX-License-Identifier: Apache-2.0
"""A segment of a vector as a file in /dev/shm of a name of its own, and somebody who holds the bytes of the living."""

from __future__ import annotations

import fcntl
import json
import os
import re
import struct
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

SHARED_MEMORY = Path("/dev/shm")
LAYOUT = json.loads((Path(__file__).parents[2] / "wire-format" / "layout.json").read_text())
_STARTS = {
    "SegmentHeader": 0,
    "ParticipantEntry": LAYOUT["constants"]["table_offset"],
    **dict.fromkeys(("RingControl", "StreamControl", "TensorControl"), LAYOUT["constants"]["control_offset"]),
    "ArrayHeader": LAYOUT["constants"]["array_offset"],
}
_WORD = re.compile(r"(\w+)(?:\[(\d+)\])?\.(\w+)")


def bytes_of(path: Path) -> bytes:
    """A file of rows "offset: 16 bytes in hexadecimal" under its size; zeros where there is no row."""
    first, *rows = path.read_text().splitlines()
    data = bytearray(int(first.removeprefix("size ")))
    for row in rows:
        at, _, digits = row.partition(": ")
        part = bytes.fromhex(digits)
        data[int(at, 16) : int(at, 16) + len(part)] = part
    return bytes(data)


class Placed:
    """Also removes what has become of it."""

    def __init__(self, data: bytes, living: Sequence[int]) -> None:
        self.name = f"vectors-{os.getpid()}-{uuid.uuid4().hex[:10]}"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.posix_fallocate(self._fd, 0, max(len(data), 1))
        os.truncate(self._fd, len(data))
        os.pwrite(self._fd, data, 0)
        for index in living:
            byte = LAYOUT["constants"]["entry_lock_byte"] + index
            request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, request)

    @property
    def _path(self) -> Path:
        return SHARED_MEMORY / f"shmlane.{self.name}"

    def peek(self, words: dict[str, Any]) -> dict[str, int]:
        """The words of those names in the file that the name leads to now."""
        data = self._path.read_bytes()
        return {word: _word(data, word) for word in words}

    def __enter__(self) -> Placed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._fd)
        for path in SHARED_MEMORY.iterdir():
            if self.name in path.name:
                path.unlink()


def _word(data: bytes, name: str) -> int:
    match = _WORD.fullmatch(name)
    assert match is not None, name
    struct_name, index, field_name = match.groups()
    layout = LAYOUT["structs"][struct_name]
    field = next(field for field in layout["fields"] if field["name"] == field_name)
    at = _STARTS[struct_name] + int(index or 0) * layout["size"] + field["offset"]
    return int.from_bytes(data[at : at + min(field["size"], 8)], "little")
