# SPDX-License-Identifier: Apache-2.0
"""Locks on single bytes of a file that belong to an open file description (F_OFD_SETLK)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from typing import TypeVar

from ... import errors

# Linux's numbers, which Python may lack where it was built against old headers.
_GETLK = getattr(fcntl, "F_OFD_GETLK", 36)
_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)
_FLOCK = struct.Struct("hhqqi4x")

Result = TypeVar("Result")


class KnownFile:
    """A descriptor, and the file that it led to at first.

    A program may close what is not its own, and the number may stand for another file since: nothing may be asked of
    that one, or done to it.
    """

    __slots__ = ("_identity", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._identity = _identity(fd)

    def intact(self) -> bool:
        """Whether the descriptor leads to the same file still."""
        return self._identity is not None and _identity(self.fd) == self._identity


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _request(kind: int, byte: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)


def try_lock_byte(fd: int, byte: int) -> bool:
    """Take the byte if nobody else has it. Raises SystemError where the kernel does not know such locks."""
    try:
        fcntl.fcntl(fd, _SETLK, _request(fcntl.F_WRLCK, byte))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise errors.SystemError(f"cannot lock a byte of a segment's file: {error.strerror}") from None
    return True


def unlock_byte(fd: int, byte: int) -> None:
    try:
        fcntl.fcntl(fd, _SETLK, _request(fcntl.F_UNLCK, byte))
    except OSError:  # the descriptor is gone, and the lock with it
        return


def byte_locked_elsewhere(fd: int, byte: int) -> bool:
    """Whether another open file description holds the byte; one's own never shows."""
    try:
        answer = fcntl.fcntl(fd, _GETLK, _request(fcntl.F_WRLCK, byte))
    except OSError:
        # A failing query says nothing about the holder; to call it alive is the error that can be mended later.
        return True
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def hold_byte(fd: int, byte: int, take: Callable[[], None], work: Callable[[], Result]) -> Result:
    """Call ``take``, which locks the byte or raises, and then ``work``; the byte is let go whatever they raise."""
    unlock = _request(fcntl.F_UNLCK, byte)
    try:
        take()
        return work()
    finally:
        # No call comes before this one: the interpreter looks for signals, whose handlers may raise, at calls only.
        try:  # noqa: SIM105
            fcntl.fcntl(fd, _SETLK, unlock)
        except OSError:  # the descriptor is gone, and the lock with it
            pass
