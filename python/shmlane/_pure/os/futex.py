# SPDX-License-Identifier: Apache-2.0
"""futex(2): waking who sleeps on a word."""

from __future__ import annotations

import ctypes
import platform

from .libc import function

_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221}
_FUTEX_WAKE = 1
_EVERYBODY = (1 << 31) - 1

_number = _NUMBERS.get(platform.machine())
_long, _pointer = ctypes.c_long, ctypes.c_void_p
_syscall = function("syscall", _long, _long, _pointer, _long, _long, _pointer, _pointer, _long)


def wake_all(address: int) -> None:
    """Everybody who sleeps on the lower half of the word there; who is not woken looks again after a slice."""
    if _number is not None:
        _syscall(_number, address, _FUTEX_WAKE, _EVERYBODY, None, None, 0)
