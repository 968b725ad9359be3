# SPDX-License-Identifier: Apache-2.0
"""Named semaphores of glibc, waited for on the monotonic clock."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
from time import CLOCK_MONOTONIC

from ... import errors
from .libc import Timespec, function, last_error, timespec

_pointer = ctypes.c_void_p
_open = function("sem_open", _pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint)
_close = function("sem_close", ctypes.c_int, _pointer)
_unlink = function("sem_unlink", ctypes.c_int, ctypes.c_char_p)
_post = function("sem_post", ctypes.c_int, _pointer)
_trywait = function("sem_trywait", ctypes.c_int, _pointer)
_clockwait = function("sem_clockwait", ctypes.c_int, _pointer, ctypes.c_int, ctypes.POINTER(Timespec))


class Wait(enum.Enum):
    TAKEN = 0
    TIMED_OUT = 1
    INTERRUPTED = 2


class NamedSemaphore:
    """Owns one mapping of a named semaphore; it is opened, or created with value 0 and exactly these permissions."""

    __slots__ = ("_at",)

    def __init__(self, name: str, mode: int) -> None:
        self._at = None
        # It may come from a header that others can write: never make a file that runs as its owner.
        self._at = _open_or_create(name, mode & 0o777)

    def post(self) -> None:
        _post(self._at)

    def try_wait(self) -> bool:
        return bool(_trywait(self._at) == 0)

    def wait_until(self, deadline: int) -> Wait:
        if _clockwait(self._at, CLOCK_MONOTONIC, timespec(deadline)) == 0:
            return Wait.TAKEN
        return Wait.INTERRUPTED if last_error().errno == errno.EINTR else Wait.TIMED_OUT

    def __del__(self, close: object = _close) -> None:
        if self._at is not None:
            close(self._at)  # type: ignore[operator]


def _open_or_create(name: str, mode: int) -> int:
    path = os.fsencode(name)
    while True:
        # Opened first: sem_open creates by way of a temporary file, which a death at that moment would leave behind.
        if (at := _open(path, 0, 0, 0)) is not None:
            return int(at)
        error = last_error()
        if error.errno == errno.ENOENT:
            at = _open(path, os.O_CREAT | os.O_EXCL, mode, 0)
            if at is not None:
                # sem_open obeys the umask; the file is ours, made this moment, in a directory with the sticky bit.
                os.chmod(f"/dev/shm/sem.{name[1:]}", mode)
                return int(at)
            error = last_error()
        if error.errno == errno.EEXIST:
            continue
        _refuse(name, error)


def _refuse(name: str, error: OSError) -> None:
    message = f"cannot open the semaphore '{name}': {error.strerror}"
    if error.errno == errno.EACCES:
        raise errors.PermissionDenied(f"{message}; it belongs to another user (its owner can allow it by mode=)")
    raise errors.NoSpace(message) if error.errno == errno.ENOSPC else errors.SystemError(message)


def remove_semaphore(name: str) -> None:
    """Nothing happens if there is none."""
    _unlink(os.fsencode(name))
