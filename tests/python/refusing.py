# SPDX-License-Identifier: Apache-2.0
"""A process to which the kernel refuses a system call, as old kernels and the filters of containers do."""

from __future__ import annotations

import ctypes
import errno
import struct

_LOAD_NUMBER, _SKIP_UNLESS_EQUAL, _RETURN = 0x20, 0x15, 0x06
_REFUSE, _ALLOW = 0x00050000, 0x7FFF0000
_SET_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER = 38, 22, 2


def refuse_system_call(number: int, error: int = errno.ENOSYS) -> None:
    """From now on, in this process and its children. Checked."""
    libc = ctypes.CDLL(None, use_errno=True)
    rules = [(_LOAD_NUMBER, 0, 0), (_SKIP_UNLESS_EQUAL, 1, number), (_RETURN, 0, _REFUSE | error), (_RETURN, 0, _ALLOW)]
    program = b"".join(struct.pack("HBBI", code, 0, skip, value) for code, skip, value in rules)
    memory = ctypes.create_string_buffer(program)
    filter_of = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rules), ctypes.addressof(memory)))
    assert libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
    assert libc.prctl(_SET_FILTER, _FILTER, filter_of, 0, 0) == 0
    assert libc.syscall(number, 0, 0, 0, 0, 0) == -1
    assert ctypes.get_errno() == error
