# SPDX-License-Identifier: Apache-2.0

# ruff: noqa: A001, N818 - the names are those of the C++ table
"""The one table of errors: one exception per code, the same names as in C++ (``shmlane/error.hpp``).

Each also is the exception that Python's own library raises in such a case, so ``except queue.Full`` or
``except TimeoutError`` do what people expect. Error messages say what was wrong, in which segment, and what to do.
"""

import builtins
import queue
from typing import ClassVar

by_name: dict[str, type["Error"]] = {}
"""Every class of this module by the name of its code; backends raise through it."""


class Error(Exception):
    """Base of everything that shmlane raises."""

    code: ClassVar[str] = "Error"
    """Name of the error's code, the same in C++."""

    pushed: int = 0
    """Of an error raised by ``push_many``: how many objects, from the first, had been pushed before."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__module__ == __name__:
            cls.code = cls.__name__
            by_name[cls.__name__] = cls


class InvalidArgument(Error, ValueError):
    """An argument is out of its range."""


class InvalidName(Error, ValueError):
    """A name is not 1 to 200 bytes of UTF-8 without '/' and NUL."""


class NotFound(Error, FileNotFoundError):
    """No segment of that name."""


class PermissionDenied(Error, PermissionError):
    """The system refuses access to the segment."""


class NoSpace(Error, OSError):
    """Shared memory is full."""


class SystemError(Error, OSError):
    """A system call failed for a reason of its own."""


class Foreign(Error, ValueError):
    """The file is not a segment of shmlane."""


class WrongVersion(Error, ValueError):
    """The segment was made by another version of the wire format."""


class WrongLayout(Error, ValueError):
    """The segment was made by a build with another layout."""


class WrongKind(Error, ValueError):
    """The segment is of another kind, for instance a stream instead of a queue."""


class CapacityMismatch(Error, ValueError):
    """The segment has another capacity than the one asked for."""


class TooManyParticipants(Error, RuntimeError):
    """The segment's table of participants is full."""


class TimedOut(Error, TimeoutError):
    """The time given ran out."""


class Full(Error, queue.Full, TimeoutError):
    """No room in the ring within the time given."""

    arena: bool = False
    """Whether it is the arena in a GPU's memory that has no room, and not the ring."""


class Empty(Error, queue.Empty, TimeoutError):
    """Nothing to take within the time given."""


class NoConsumers(Error, TimeoutError):
    """No consumer came within the time given."""


class TooLarge(Error, ValueError):
    """An object is larger than a ring or a limit can ever hold."""


class Closed(Error, ValueError):
    """A handle, lease or reservation was used after its end."""


class Evicted(Error, RuntimeError):
    """The others took this participant for dead and reclaimed what it held."""


class Corrupt(Error, ValueError):
    """Bytes that another process wrote break the wire format."""


class Truncated(Error, EOFError):
    """A stream of frames ended in the middle of a frame."""


class BrokenPipe(Error, builtins.BrokenPipeError):
    """The reader of a pipe is gone."""


class UnsupportedType(Error, TypeError):
    """An object, dtype or image mode that no codec takes."""


class WrongType(Error, TypeError):
    """The object that arrived is of another type than the one asked for."""


class Interrupted(Error, InterruptedError):
    """A wait was interrupted on request."""


class Exists(Error, FileExistsError):
    """A segment of that name exists already."""


class Removed(Error, FileNotFoundError):
    """The segment was removed while a handle of it was open."""


class Unlocked(Error, RuntimeError):
    """A lock is needed or given back that the caller does not hold."""


class NoDevice(Error, RuntimeError):
    """No GPU, or not the one that is asked for, can be used by this process."""


class DeviceFailed(Error, RuntimeError):
    """The GPU or its driver refused or failed."""


class ExporterGone(Error, ConnectionError):
    """The process that owned memory of a GPU is gone, and the memory with it."""
