# SPDX-License-Identifier: Apache-2.0
"""Files in /dev/shm, and their mappings."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import stat
from typing import Any, NoReturn

import numpy as np

from ... import errors
from . import atomic
from .filelock import KnownFile
from .libc import function, last_error

DIRECTORY = "/dev/shm/"
_OPTIONS = os.O_CLOEXEC | os.O_NOFOLLOW

_mmap = function(
    "mmap", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
)
_munmap = function("munmap", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


class _Mapping:
    """Owns mapped memory; NumPy makes an array of it, which keeps it alive.

    Not Python's mmap: that keeps a descriptor, whose number may stand for somebody else's file when it is closed.
    """

    def __init__(self, fd: int, offset: int, size: int, writable: bool) -> None:
        self._size = 0
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._at = _mmap(None, size, protection, mmap.MAP_SHARED, fd, offset)
        if self._at == _FAILED:
            raise last_error()
        self._size = size
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "shape": (size,),
            "data": (self._at, not writable),
        }

    def __del__(self, unmap: Any = _munmap) -> None:
        if self._size:
            unmap(self._at, self._size)


class _Bytes(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """No plain array: NumPy bases a view of a view on the plain array that this is based on, if it is on one.

    So a view of a lease would become one of the whole memory, and not keep the lease.
    """

    __slots__ = ()


class Memory:
    """Mapped memory of a file as bytes, as words of 64 bits and as words of 32 bits."""

    __slots__ = ("address", "array", "bytes", "halves", "readonly", "words")

    def __init__(self, fd: int, offset: int, size: int, writable: bool) -> None:
        self.array = np.asarray(_Mapping(fd, offset, size, writable)).view(_Bytes)
        self.address: int = self.array.__array_interface__["data"][0]
        self.bytes = self.array.data
        self.readonly = self.bytes.toreadonly()
        self.words = atomic.words_of(self.bytes, self.address, 8)
        self.halves = atomic.words_of(self.bytes, self.address, 4)

    def compare_exchange(self, word: int, expected: int, desired: int) -> bool:
        return atomic.compare_exchange(self.address + 8 * word, expected, desired)

    def add(self, word: int, amount: int) -> int:
        return atomic.fetch_add(self.address + 8 * word, amount)

    def add_word_bits(self, word: int, bits: int) -> int:
        return atomic.fetch_or(self.address + 8 * word, bits)

    def add_bits(self, half: int, bits: int) -> int:
        return atomic.fetch_or_32(self.address + 4 * half, bits)


class ShmFile(KnownFile):
    """One open file description of a file in /dev/shm; owns the descriptor."""

    __slots__ = ("__weakref__", "_file_name")

    def __init__(self, fd: int, file_name: str) -> None:
        super().__init__(fd)
        self._file_name = file_name

    def __del__(self, close: Any = os.close) -> None:
        if self.intact():  # else its number belongs to somebody else, whose file must not be closed
            close(self.fd)

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def cut_off(self, size: int) -> None:
        """Lose what is beyond that."""
        if self.size > size:
            os.ftruncate(self.fd, size)

    def allocate(self, size: int) -> None:
        """Grow to ``size`` bytes, all of them backed by memory now. Raises NoSpace, and leaves the file as it was."""
        space = os.fstatvfs(self.fd)
        free = space.f_bavail * space.f_frsize
        missing = size - min(size, self.size)
        # Asked first, because a request that fills /dev/shm half-way would starve everybody else before it fails.
        if space.f_blocks != 0 and missing > free:
            _refuse_space(missing, free)
        try:
            os.posix_fallocate(self.fd, 0, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
                _refuse_space(missing, free)
            raise errors.SystemError(f"cannot allocate shared memory: {error.strerror}") from None

    def map(self, offset: int, size: int, writable: bool = True) -> Memory:
        # A mapping keeps its open file description, and with it the description's locks, alive in forked children that
        # inherit it: so it gets one without locks.
        try:
            fresh = _open_again(self.fd, os.O_RDWR if writable else os.O_RDONLY)
        except OSError:  # without /proc
            fresh = os.dup(self.fd)
        try:
            return Memory(fresh, offset, size, writable)
        except OSError as error:
            raise errors.SystemError(
                f"cannot map {_mebibytes(size)} of {self._file_name} into memory: {error.strerror}"
            ) from None
        finally:
            os.close(fresh)

    def has_name(self, file_name: str) -> bool:
        """Whether the name leads to this very file."""
        try:
            mine, named = os.fstat(self.fd), os.lstat(DIRECTORY + file_name)
        except OSError:
            return False
        return (mine.st_ino, mine.st_dev) == (named.st_ino, named.st_dev)

    def removable(self) -> bool:
        """Whether this user may remove the name: in a directory with the sticky bit that is the owner's to do."""
        return os.geteuid() == 0 or os.fstat(self.fd).st_uid == os.geteuid()

    def reopen(self) -> bool:
        """Replace the open file description by a new one: a forked child must not share its parent's."""
        if not self.intact():
            return False
        try:
            fresh, reopened = _open_again(self.fd, os.O_RDWR), True
        except OSError:  # without /proc the number must at least stop to stand for the parent's description
            fresh, reopened = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC), False
        os.dup2(fresh, self.fd, inheritable=False)
        os.close(fresh)
        return reopened


def _open_again(fd: int, mode: int) -> int:
    return os.open(f"/proc/self/fd/{fd}", mode | os.O_CLOEXEC)


def _mebibytes(size: int) -> str:
    return f"{(size + (1 << 20) - 1) >> 20} MiB"


def _refuse_space(wanted: int, free: int) -> NoReturn:
    raise errors.NoSpace(
        f"/dev/shm is full: {_mebibytes(wanted)} are needed and {_mebibytes(free)} are free; ask for a smaller "
        "capacity, remove left-over segments (shmlane ls), or enlarge it (mount -o remount,size=…, "
        "docker run --shm-size=…)"
    )


def _refuse_what_is_no_file(file_name: str) -> None:
    """Asked before opening, which follows no link, but would wait for the other end of a pipe."""
    path = DIRECTORY + file_name
    try:
        status = os.lstat(path)
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise errors.Foreign(f"{path} is a link, a pipe or the like, not a segment of shmlane; another program made it")


def _refuse_opening(file_name: str, error: OSError) -> NoReturn:
    what = f"cannot open {DIRECTORY}{file_name}: "
    if error.errno in (errno.EACCES, errno.EPERM):
        raise errors.PermissionDenied(
            f"{what}permission denied; it belongs to another user (its owner can allow it by mode=)"
        ) from None
    if error.errno == errno.ENOSPC:
        raise errors.NoSpace(f"{what}no space left in /dev/shm") from None
    raise errors.SystemError(what + (error.strerror or "")) from None


def open_file(file_name: str, writable: bool = True) -> ShmFile | None:
    """None if there is no such file. Raises PermissionDenied, Foreign or SystemError."""
    _refuse_what_is_no_file(file_name)
    try:
        fd = os.open(DIRECTORY + file_name, (os.O_RDWR if writable else os.O_RDONLY) | _OPTIONS)
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse_opening(file_name, error)
    return ShmFile(fd, file_name)


def open_or_create_file(file_name: str, mode: int) -> ShmFile:
    _refuse_what_is_no_file(file_name)
    path = DIRECTORY + file_name
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPTIONS, mode)
            file = ShmFile(fd, file_name)
            os.fchmod(fd, mode)  # whatever the umask took away
            return file
        except FileExistsError:
            found = open_file(file_name)
            if found is not None:
                return found
        except OSError as error:
            _refuse_opening(file_name, error)


def remove_file(file_name: str) -> None:
    try:
        os.unlink(DIRECTORY + file_name)
    except OSError:  # somebody was faster, or it is not ours to remove
        return


def list_files(prefix: str) -> list[str]:
    """Names of the files in /dev/shm that begin with ``prefix``, without it, sorted."""
    try:
        found = os.listdir(DIRECTORY)
    except OSError:
        return []
    return sorted(name[len(prefix) :] for name in found if name.startswith(prefix))
