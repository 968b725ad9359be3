# SPDX-License-Identifier: Apache-2.0
"""The lock under which a name's segment is made, replaced or removed: one byte of the file itself (W-72)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..errors import TimedOut
from . import wire
from .os.filelock import hold_byte, try_lock_byte

_PATIENCE = 10.0  # seconds
_FIRST_PAUSE = 0.00002
_LONGEST_PAUSE = 0.01

Result = TypeVar("Result")


def under_creation_lock(fd: int, name: str, work: Callable[[], Result]) -> Result:
    """Call ``work`` under the lock. The descriptor must stay open meanwhile. Raises TimedOut."""

    def take() -> None:
        end = time.monotonic() + _PATIENCE
        pause = _FIRST_PAUSE
        while not try_lock_byte(fd, wire.CREATION_LOCK_BYTE):
            if time.monotonic() > end:
                raise TimedOut(f"'{name}' is being created or removed by a process that does not go on; is it stopped?")
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    return hold_byte(fd, wire.CREATION_LOCK_BYTE, take, work)
