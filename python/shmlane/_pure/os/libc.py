# SPDX-License-Identifier: Apache-2.0
"""Functions of glibc that Python's standard library does not have. They let other threads run meanwhile."""

from __future__ import annotations

import ctypes
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)


def function(name: str, result: Any, *arguments: Any) -> Any:
    """One of the caller's own: syscall() has other arguments for each."""
    try:
        found = _libc[name]
    except AttributeError:
        raise ImportError(f"the pure backend of shmlane needs glibc 2.30 or newer: there is no {name}()") from None
    found.restype, found.argtypes = result, arguments
    return found


class Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def timespec(ns: int) -> Timespec:
    return Timespec(*divmod(ns, 1_000_000_000))


def last_error() -> OSError:
    """The error of this thread's last call that failed."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
