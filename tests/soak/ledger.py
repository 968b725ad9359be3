# SPDX-License-Identifier: Apache-2.0
"""A worker's ledger: what it did, in a file that outlives it and that the soak maps, too (worker.cpp has the same)."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

import numpy as np

RECORD = np.dtype([("producer", "<u4"), ("sequence", "<u4"), ("attempt", "<u4"), ("unused", "<u4")])
RECORDS_AT = 64
DONE, STARTED, MOVED_NS, FINISH = range(4)


class Ledger:
    """Words: DONE (objects surely committed, or records written), STARTED (objects that may be committed),
    MOVED_NS (when DONE grew last), FINISH (set by the soak: leave at the end of stream).
    """

    def __init__(self, path: Path, records: int | None = None) -> None:
        """Map an existing file, or with ``records`` make a new one."""
        fd = os.open(path, os.O_RDWR | (os.O_CREAT if records is not None else 0), 0o600)
        try:
            if records is not None:
                os.ftruncate(fd, RECORDS_AT + records * RECORD.itemsize)
            self._map = mmap.mmap(fd, 0)
        finally:
            os.close(fd)
        self.words = memoryview(self._map)[:RECORDS_AT].cast("Q")

    def start(self, objects: int) -> None:
        self.words[STARTED] = objects

    def finish(self, objects: int) -> None:
        self.words[DONE] = objects
        self.words[MOVED_NS] = time.monotonic_ns()

    def record(self, producer: int, sequence: int, attempt: int) -> None:
        count = self.words[DONE]
        struct.pack_into("<4I", self._map, RECORDS_AT + count * RECORD.itemsize, producer, sequence, attempt, 0)
        self.finish(count + 1)

    @property
    def nearly_full(self) -> bool:
        return RECORDS_AT + (self.words[DONE] + 16) * RECORD.itemsize > len(self._map)

    def records(self) -> np.ndarray:
        """A copy of what was recorded."""
        return np.frombuffer(self._map, RECORD, self.words[DONE], RECORDS_AT).copy()

    def close(self) -> None:
        self.words.release()
        self._map.close()
