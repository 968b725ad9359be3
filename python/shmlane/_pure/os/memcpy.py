# SPDX-License-Identifier: Apache-2.0
"""Bytes objects made by one copy that lets other threads run meanwhile."""

from __future__ import annotations

import ctypes

_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.restype, _new_bytes.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_ssize_t)


def bytes_at(address: int, size: int) -> bytes:
    """What lies there, copied once."""
    result: bytes = _new_bytes(None, size)  # nobody else has seen it yet, so it may still be written
    ctypes.memmove(result, address, size)  # type: ignore[arg-type]
    return result
