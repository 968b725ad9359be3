# SPDX-License-Identifier: Apache-2.0
"""What a backend must offer: frames through rings and descriptors. Everything Pythonic stands above, once.

Both backends have exactly these names (see ``_backend.py``).
Time-outs are seconds; ``None`` waits for ever, ``0`` does not wait.
Handles may be shared by threads; the GIL is released in every wait, and in long copies.
Errors are the classes of ``shmlane.errors``.
"""

from collections.abc import Sequence
from typing import Any, TypeVar, final

from numpy.typing import NDArray
from typing_extensions import Buffer

WIRE_VERSION: int
"""Version of the wire format that this backend speaks."""

@final
class Reservation:
    """A place in the ring; supports the writable buffer protocol over its payload (64-byte aligned).

    ``commit`` and ``abort`` raise ``BufferError`` never: views that outlive them see memory that is no longer theirs,
    so the layer above hands out read-only or detached views only.
    """

    @property
    def nbytes(self) -> int: ...
    @property
    def open(self) -> bool: ...
    def commit(self, metadata: bytes | None = None, nbytes: int | None = None) -> None:
        """Publish. With arguments: other metadata and/or only the first ``nbytes``. Raises TooLarge."""
    def abort(self) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

@final
class Lease:
    """A frame held by a consumer; supports the read-only buffer protocol over its payload (64-byte aligned).

    The frame is given back when this object dies; views made from it keep it alive.
    """

    @property
    def metadata(self) -> bytes: ...
    @property
    def attempt(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def plain_array(self) -> NDArray[Any] | None:
        """The payload of a plain ndarray, in place and read-only, keeping this lease; None for anything else, or if a
        backend has no short way."""
    @property
    def array(self) -> NDArray[Any] | None:
        """As ``plain_array``, and of bytes as uint8, too; None for anything else, or if there are no bytes."""
    def __buffer__(self, flags: int, /) -> memoryview: ...

class LeaseHandle:
    """The first base of ``shmlane.Lease``: has its fields, and may have quicker ways for its methods."""

    _native: Lease | None
    """None once released."""
    _context: Any
    _object: Any
    """Decoded; None before."""

_Handled = TypeVar("_Handled", bound=LeaseHandle)

class _Handle:
    @property
    def name(self) -> str: ...
    @property
    def capacity(self) -> int:
        """Bytes of the ring; 0 as long as nobody has named one."""
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def size(self) -> int:
        """Objects that wait in the ring."""
    def stat(self) -> dict[str, int]: ...
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the next operation may succeed (or the end is reached), without taking anything."""
    def cancel_wait(self) -> None:
        """Make every present ``wait`` of this handle in another thread return False soon."""

@final
class Producer(_Handle):
    def __init__(
        self,
        name: str,
        *,
        capacity: int | None = None,
        policy: str = "block",  # "block" | "drop_oldest" | "drop_newest"
        wait_for_consumer: float | None = 60.0,
        max_objects: int = 0,
        stale: str = "auto",  # "auto" | "keep" | "replace"
        mode: int = 0o600,
        unlink: bool = True,
    ) -> None: ...
    def push_plain(self, obj: Any, timeout: float | None = None) -> bool:
        """Push exact ``bytes``, ``str`` or plain-dtype ``ndarray`` in one call. False: not such an object.

        Raises Full, NoConsumers, TooLarge, Closed.
        """
    def push_plain_many(self, objs: Sequence[Any], timeout: float | None = None) -> int:
        """Push a leading run of plain objects under one lock; returns how many went (0: the first is not plain).

        Raises Full when not even one fits in time.
        """
    def push(self, metadata: bytes, parts: Sequence[Buffer], timeout: float | None = None) -> None:
        """Push one frame whose payload is the concatenation of contiguous ``parts``."""
    def reserve(self, metadata: bytes, nbytes: int, timeout: float | None = None) -> Reservation | None:
        """Room for a frame; None if the policy dropped the object. Raises Full in time-out."""

@final
class Consumer(_Handle):
    def __init__(
        self,
        name: str,
        *,
        capacity: int | None = None,
        on_death: str = "redeliver",  # "redeliver" | "drop"
        max_attempts: int = 3,
        stale: str = "auto",
        mode: int = 0o600,
        unlink: bool = True,
    ) -> None: ...
    def acquire(self, timeout: float | None = None) -> Lease | None:
        """The next frame in place; None at the end of stream. Raises Empty."""
    def acquire_as(self, type: type[_Handled], context: Any, timeout: float | None = None) -> _Handled | None:  # noqa: A002
        """As ``acquire``, within an instance of that class, with that context."""
    def pop_plain(self, timeout: float | None = None) -> Any:
        """The next object, copied out, if it is a bytes, text or plain ndarray; else its Lease; None at the end."""
    def pop_plain_many(self, max: int, timeout: float | None = None) -> list[Any]:  # noqa: A002
        """Up to ``max`` of what pop_plain gives, as soon as there is one; [] at the end. Raises Empty."""

@final
class StdioWriter:
    def __init__(self, fd: int) -> None: ...
    def write(self, metadata: bytes, parts: Sequence[Buffer]) -> None: ...
    def end(self) -> None: ...

@final
class StdioReader:
    def __init__(self, fd: int, max_frame: int) -> None: ...
    def read(self) -> tuple[bytes, Buffer] | None:
        """Metadata and payload (64-byte aligned, writable, owned) of the next frame; None at the end."""
    @property
    def offset(self) -> int: ...

# ---- Streams and tensors

class WriteView:
    """The next value of a stream; supports the writable buffer protocol (64-byte aligned). It holds the stream's lock
    until ``commit`` or ``abort``; its memory stays mapped as long as this object or a view of it lives.
    """

    def commit(self) -> int:
        """Publish; returns the value's count. Raises Closed, Removed, Evicted."""
    def abort(self) -> None: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Stream:
    """Creates the stream if ``dtype`` (JSON, as metadata has it) and ``shape`` are given, else opens it.

    Every use raises Closed after ``close``, and Removed after the stream was removed. ``spin``: seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        dtype: bytes | None = None,
        shape: Sequence[int] | None = None,
        slots: int = 0,
        mode: int = 0o600,
        auto_unlink: bool = False,
        spin: float | None = None,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> bytes: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def owner(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    @property
    def count(self) -> int: ...
    @property
    def missed(self) -> int: ...
    @property
    def last_read(self) -> int: ...
    def stat(self) -> dict[str, Any]:
        """Keys: count, write_sequence, write_time (UNIX seconds), age (seconds), writer_pid, writer_alive."""
    def set_dtype(self, dtype: Any) -> None:
        """What NumPy calls the dtype; once, before anything is read or written."""
    def read(self, out: Any = None) -> Any:
        """The newest value in a new array, or in ``out``; False, and nothing done, if that is no C-contiguous ndarray
        of this shape and dtype. Raises InvalidArgument if it is read-only.
        """
    def write(self, value: Any, timeout: float | None = None) -> bool:
        """Replace the value; False, and nothing done, if it is no C-contiguous ndarray of this shape and dtype.

        Raises TimedOut, Evicted.
        """
    def wait_after(self, count: int, timeout: float | None = None) -> bool:
        """Wait for a value after the one with that count; False on time-out or cancel_wait."""
    def cancel_wait(self) -> None: ...
    def write_view(self, keep: bool = False, timeout: float | None = None) -> WriteView: ...
    def clear(self, timeout: float | None = None) -> None: ...
    def live(self) -> Buffer:
        """The newest value in place, read-only. Raises Unlocked unless this thread holds the lock."""
    def acquire(self, timeout: float | None = None) -> bool: ...
    def release(self) -> None:
        """Raises Unlocked."""
    @property
    def locked_here(self) -> bool:
        """Whether this thread holds the lock by this handle."""
    def close(self) -> None: ...
    def unlink(self) -> None: ...

class Tensor:
    """Creates the tensor if ``dtype`` and ``shape`` are given, of zeros or ``data`` in C order, else attaches to it."""

    def __init__(
        self,
        name: str,
        *,
        dtype: bytes | None = None,
        shape: Sequence[int] | None = None,
        data: NDArray[Any] | None = None,
        mode: int = 0o600,
        writable: bool = True,
        auto_unlink: bool = False,
    ) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def dtype(self) -> bytes: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def owner(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    @property
    def closed(self) -> bool: ...
    def memory(self) -> Buffer:
        """Stays mapped as long as a view of it lives."""
    def lock(self, timeout: float | None = None) -> bool: ...
    def lock_shared(self, timeout: float | None = None) -> bool: ...
    def unlock(self) -> None:
        """Raises Unlocked, as ``unlock_shared``."""
    def unlock_shared(self) -> None: ...
    def close(self) -> None: ...
    def unlink(self) -> None: ...

def wait_any(streams: Sequence[Stream], timeout: float | None = None) -> list[int]:
    """Wait until a stream has a value that its handle has not read; the places of all that have, [] on time-out."""

def unlink_stream(name: str) -> bool: ...
def list_streams() -> list[str]: ...
def unlink_tensor(name: str) -> bool: ...
def list_tensors() -> list[str]: ...

# ---- Looking

def list_segments() -> list[dict[str, Any]]:
    """One dict per segment of shmlane in /dev/shm that may be read; see inspect_segment for the keys."""

def inspect_segment(name: str) -> dict[str, Any]:
    """Facts about one segment, without attaching or locking.

    Keys: name, kind ("queue" ...), version, segment_id, state ("header" | "ready" | "removed" | "empty": half made),
    capacity, used, objects, created (UNIX seconds), mode, size (bytes of the file), producers, consumers, full_fence
    (somebody could not use membarrier), locked (somebody is just attaching, leaving or removing it), items_waiters and
    space_waiters (consumers and producers that sleep), participants, and the counters pushed, pushed_bytes, aborted,
    popped, popped_bytes, dropped, redelivered, waits, recovered.
    Each participant is a dict: id (never used again), index, pid, process, roles (list of "producer" / "consumer"),
    alive, attached (UNIX seconds), locks (list of "producers" / "consumers": those of the ring that it holds), holds
    (list of dict state ("reserved" | "leased"), position, nbytes), at_tail (one of these is the oldest frame in use),
    counters (dict; those of earlier participants in the same place of the table are included).
    Of a stream or a tensor also: dtype (as metadata has it), shape, nbytes, slots, count (values written), write_time
    (UNIX seconds; 0: never), writer (id of who wrote last; 0: nobody). There ``locks`` are "write" and "read",
    ``pushed`` are the values written, and the waiters are 1 if somebody may sleep.
    Raises NotFound, Foreign, WrongVersion, WrongLayout, PermissionDenied.
    """

def remove_segment(name: str, force: bool = False) -> bool:
    """Remove a segment and its semaphores; False if somebody lives in it and not ``force``. Raises NotFound."""

def remove_remains(name: str, force: bool = False) -> bool:
    """Remove what is left of a segment, judged under its creation lock: one that is half made or half removed, and a
    queue in which everybody died, if no object is in it; with ``force`` all in which nobody lives, with their objects.

    False, and nothing done, for every other. Raises NotFound, Foreign, WrongVersion, WrongLayout, Corrupt,
    PermissionDenied.
    """

def reap_segment(name: str) -> int:
    """Settle what dead participants held, in a queue as a participant for that moment; returns how many are gone.

    Raises NotFound, Foreign, WrongVersion, WrongLayout, Corrupt, PermissionDenied.
    """

def has_membarrier() -> bool:
    """Whether this kernel lets this process use membarrier(2)."""

def parse_frame(frame: Buffer, segment_id: int, position: int) -> tuple[bytes, bytes]:
    """Metadata and payload of one ring frame given as bytes, checked as a consumer checks it. Raises Corrupt."""

def make_frame(metadata: bytes, payload: Buffer, segment_id: int, position: int) -> bytes:
    """The bytes of a READY ring frame, owner 0, as a producer leaves it at ``position``."""
