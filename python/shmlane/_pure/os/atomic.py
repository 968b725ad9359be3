# SPDX-License-Identifier: Apache-2.0
"""Atomic words in mapped memory: by libatomic, but for plain loads and stores where the processor's are as good."""

from __future__ import annotations

import ctypes
import platform
from typing import Any, Protocol

_SEQ_CST = 5
_ACQUIRE = 2
_RELEASE = 3

try:
    # PyDLL: these calls are shorter than letting other threads run would be.
    _library = ctypes.PyDLL("libatomic.so.1")
except OSError as error:
    raise ImportError(
        f"the pure backend of shmlane needs libatomic.so.1, which is not there ({error}); "
        "install it, for instance the Debian package libatomic1"
    ) from None


def _function(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


_pointer, _u64, _u32, _int = ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_int
_exchange_if = _function("__atomic_compare_exchange_8", ctypes.c_bool, _pointer, _pointer, _u64, _int, _int)
_fetch_add = _function("__atomic_fetch_add_8", _u64, _pointer, _u64, _int)
_fetch_or = _function("__atomic_fetch_or_4", _u32, _pointer, _u32, _int)
_fetch_or_word = _function("__atomic_fetch_or_8", _u64, _pointer, _u64, _int)
_fence = _function("atomic_thread_fence", None, _int)


class Words(Protocol):
    """Words by their index. Every load acquires, every store releases."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class LibraryWords:
    """Words on machines whose plain loads and stores are weaker than acquire and release."""

    __slots__ = ("_address", "_load", "_size", "_store")

    def __init__(self, address: int, size: int) -> None:
        word = ctypes.c_uint64 if size == 8 else ctypes.c_uint32
        self._address, self._size = address, size
        self._load = _function(f"__atomic_load_{size}", word, _pointer, _int)
        self._store = _function(f"__atomic_store_{size}", None, _pointer, word, _int)

    def __getitem__(self, index: int, /) -> int:
        return int(self._load(self._address + index * self._size, _ACQUIRE))

    def __setitem__(self, index: int, value: int, /) -> None:
        self._store(self._address + index * self._size, value, _RELEASE)


# x86-64 keeps loads in order, and stores, and no load before an earlier one; memoryview moves an aligned item whole.
PLAIN_IS_ENOUGH = platform.machine() in ("x86_64", "AMD64")


def words_of(memory: memoryview, address: int, size: int) -> Words:
    """The memory as atomic words of 8 or 4 bytes."""
    if not PLAIN_IS_ENOUGH:
        return LibraryWords(address, size)
    return memory.cast("Q" if size == 8 else "I")


def compare_exchange(address: int, expected: int, desired: int) -> bool:
    """Sequentially consistent, of 8 bytes."""
    found = _u64(expected)
    return bool(_exchange_if(address, ctypes.byref(found), desired, _SEQ_CST, _SEQ_CST))


def fetch_add(address: int, amount: int) -> int:
    return int(_fetch_add(address, amount, _SEQ_CST))


def fetch_or_32(address: int, bits: int) -> int:
    return int(_fetch_or(address, bits, _SEQ_CST))


def fetch_or(address: int, bits: int) -> int:
    """Of 8 bytes."""
    return int(_fetch_or_word(address, bits, _SEQ_CST))


def acquire_fence() -> None:
    """Keeps loads before it, of any memory, before what follows."""
    if not PLAIN_IS_ENOUGH:
        _fence(_ACQUIRE)


def full_fence() -> None:
    _fence(_SEQ_CST)
