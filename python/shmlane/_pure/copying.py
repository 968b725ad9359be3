# SPDX-License-Identifier: Apache-2.0
"""One copy into the ring or out of it, as fast as memory; other threads run during a long one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .os.memcpy import bytes_at

COPY_UNDER_GIL = 16 * 1024


def to_part(buffer: Any) -> NDArray[np.uint8]:
    """A contiguous buffer as its bytes. Raises TypeError, BufferError or ValueError for what is none."""
    if isinstance(buffer, np.ndarray) and buffer.flags.c_contiguous and not buffer.dtype.hasobject:
        return buffer.reshape(-1).view(np.uint8) if buffer.nbytes else np.empty(0, np.uint8)
    return np.frombuffer(buffer, np.uint8)


def copy_in(memory: memoryview, start: int, part: Any) -> int:
    """Copy a buffer of bytes to ``memory[start:]``; gives the end."""
    end = start + len(part)
    if end - start > COPY_UNDER_GIL:
        np.copyto(np.frombuffer(memory, np.uint8, end - start, start), np.frombuffer(part, np.uint8))
    else:
        memory[start:end] = part
    return end


def copy_out(memory: memoryview, address: int, start: int, size: int) -> bytes:
    """``address``: of the memory."""
    return bytes_at(address + start, size) if size > COPY_UNDER_GIL else bytes(memory[start : start + size])
