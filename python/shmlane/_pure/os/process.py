# SPDX-License-Identifier: Apache-2.0
"""Facts about this process and machine."""

from __future__ import annotations

import os
import time


def process_name() -> bytes:
    try:
        with open("/proc/self/comm", "rb") as file:
            return file.readline().rstrip(b"\n")
    except OSError:
        return b""


def random_u64() -> int:
    return int.from_bytes(os.getrandom(8), "little")


def unix_time_ns() -> int:
    return time.time_ns()


ONLINE_CORES = os.cpu_count() or 1
