# SPDX-License-Identifier: Apache-2.0
"""futex(2) between processes: many sleep on one word of shared memory, and one call wakes them all."""

from __future__ import annotations

import ctypes
import errno
import platform
import threading
import time
from collections.abc import Sequence
from time import CLOCK_MONOTONIC
from typing import NamedTuple

from .libc import Timespec, function, timespec

_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221}
_FUTEX_WAKE = 1
_FUTEX_WAIT_BITSET = 9
_ANY_BIT = (1 << 32) - 1
_EVERYBODY = (1 << 31) - 1
_WAITV = 449  # the same on every architecture
_WORD_OF_32_BITS = 2
_REFUSALS = (errno.ENOSYS, errno.EPERM)  # of Linux before 5.16, of containers' filters
_PAUSE = 0.0001  # seconds

MOST = 128
"""Words that one call waits on."""

_number = _NUMBERS.get(platform.machine())
_long, _pointer, _u32 = ctypes.c_long, ctypes.c_void_p, ctypes.c_uint32
_syscall = function("syscall", _long, _long, _pointer, _long, _u32, ctypes.POINTER(Timespec), _pointer, _u32)


class _Waiter(ctypes.Structure):
    _fields_ = (("value", ctypes.c_uint64), ("address", ctypes.c_uint64), ("flags", _u32), ("reserved", _u32))


class FutexWord(NamedTuple):
    """The lower half of the word at the address is what the kernel compares with what was seen."""

    address: int
    seen: int


def wait(word: FutexWord, until: int) -> bool:
    """Sleep while the word is what was seen, until that moment of the monotonic clock: then False. May wake without a
    reason.
    """
    if _number is None:
        time.sleep(_PAUSE)
        return time.monotonic_ns() < until
    # This form of the call takes a moment of the monotonic clock, the plain one a duration.
    arguments = (word.address, _FUTEX_WAIT_BITSET, word.seen & _ANY_BIT, timespec(until), None, _ANY_BIT)
    return _syscall(_number, *arguments) == 0 or ctypes.get_errno() != errno.ETIMEDOUT


def wait_any(words: Sequence[FutexWord], until: int) -> bool:
    """As ``wait``, on up to MOST words; wakes when one of them is woken or has changed."""
    waiters = (_Waiter * len(words))()
    for waiter, word in zip(waiters, words, strict=True):
        waiter.value, waiter.address = word.seen & _ANY_BIT, word.address
        waiter.flags = _WORD_OF_32_BITS
    arguments = (ctypes.addressof(waiters), len(words), 0, timespec(until), CLOCK_MONOTONIC, 0)
    if _syscall(_WAITV, *arguments) >= 0:
        return True
    failure = ctypes.get_errno()
    return _wait_in_threads(words, until) if failure in _REFUSALS else failure != errno.ETIMEDOUT


def _wait_in_threads(words: Sequence[FutexWord], until: int) -> bool:
    """Where the kernel has no such call: a thread for each word."""
    woken = threading.Event()

    def sleep(word: FutexWord) -> None:
        if wait(word, until):
            woken.set()

    threads = [threading.Thread(target=sleep, args=(word,), daemon=True) for word in words]
    for thread in threads:
        thread.start()
    try:
        return woken.wait(max(0.0, (until - time.monotonic_ns()) / 1e9))
    finally:
        # Again and again: who is just about to sleep hears no call. To other processes this is a needless ring.
        for thread, word in zip(threads, words, strict=True):
            while thread.is_alive():
                wake_all(word.address)
                thread.join(_PAUSE)


def wake_all(address: int) -> None:
    """Everybody who sleeps on the lower half of the word there; who is not woken looks again after a slice."""
    if _number is not None:
        _syscall(_number, address, _FUTEX_WAKE, _EVERYBODY, None, None, 0)
