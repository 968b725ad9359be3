# SPDX-License-Identifier: Apache-2.0
"""Reading and writing descriptors whole: partial and non-blocking calls, and no SIGPIPE."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from ... import errors

_GETPIPE_SZ = getattr(fcntl, "F_GETPIPE_SZ", 1032)
_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)


def _left(parts: Sequence[memoryview], done: int) -> list[memoryview]:
    """The parts without what is done and what is empty."""
    left = []
    for part in parts:
        if done < len(part):
            left.append(part[done:])
        done = max(0, done - len(part))
    return left


def _retry(fd: int, events: int, call: Callable[[int, Any], int], parts: list[memoryview], what: str) -> int:
    while True:
        try:
            return call(fd, parts)
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(fd, events)
            waiting.poll()
        except (BrokenPipeError, ConnectionResetError):
            raise
        except OSError as error:
            raise errors.SystemError(f"cannot {what} descriptor {fd}: {error.strerror}") from None


def write_all(fd: int, parts: Sequence[memoryview]) -> None:
    """Whether the descriptor blocks or not.

    Raises BrokenPipe if the reader is gone (the process gets no SIGPIPE for it), or SystemError; how much was written
    then, nobody knows.
    """
    # The signal is sent to the writing thread, so it is enough to block it there, and to take it back before it is
    # unblocked. One that already waited stays what it was.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    waited_already = signal.SIGPIPE in before and signal.SIGPIPE in signal.sigpending()
    try:
        left = _left(parts, 0)
        while left:
            left = _left(left, _retry(fd, select.POLLOUT, os.writev, left, "write to"))
    except (BrokenPipeError, ConnectionResetError):
        if not waited_already:
            signal.sigtimedwait({signal.SIGPIPE}, 0)
        raise errors.BrokenPipe(f"the reader of descriptor {fd} is gone") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def read_some(fd: int, parts: list[memoryview]) -> int:
    """At least one byte; 0 at the end of the file. Raises SystemError."""
    try:
        return _retry(fd, select.POLLIN, os.readv, parts, "read from")
    except OSError as error:
        raise errors.SystemError(f"cannot read from descriptor {fd}: {error.strerror}") from None


def read_all(fd: int, parts: Sequence[memoryview]) -> int:
    """Until the parts are full or the file ends; gives the bytes read. Raises SystemError."""
    total = 0
    left = _left(parts, 0)
    while left and (done := read_some(fd, left)):
        total += done
        left = _left(left, done)
    return total


def enlarge_pipe(fd: int) -> None:
    """Make a pipe as large as the kernel lets this user; nothing happens to what is no pipe."""
    with suppress(OSError):
        now = fcntl.fcntl(fd, _GETPIPE_SZ)
        with open("/proc/sys/fs/pipe-max-size") as file:
            size = int(file.read())
        # What all pipes of a user may hold together is limited, too: take what is left of it.
        while size > now:
            try:
                fcntl.fcntl(fd, _SETPIPE_SZ, size)
                return
            except OSError:
                size //= 2
