# SPDX-License-Identifier: Apache-2.0
"""membarrier(2): the sleeper imposes order on everybody, so that a publisher pays nothing (W-32)."""

from __future__ import annotations

import ctypes
import platform

from .atomic import full_fence
from .libc import function

_NUMBERS = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "loongarch64": 283, "ppc64le": 365}
_GLOBAL_EXPEDITED = 2
_REGISTER_GLOBAL_EXPEDITED = 4

_number = _NUMBERS.get(platform.machine())
_syscall = function("syscall", ctypes.c_long, ctypes.c_long, ctypes.c_int, ctypes.c_uint, ctypes.c_int)


def register_barrier() -> bool:
    """Have this process receive barriers; False where kernel or container refuse. Again after a fork."""
    return _number is not None and _syscall(_number, _REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0


def impose_barrier() -> bool:
    """A full barrier on every running thread of every registered process; False where kernel or container refuse."""
    full_fence()
    return _number is not None and _syscall(_number, _GLOBAL_EXPEDITED, 0, 0) == 0
