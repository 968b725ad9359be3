# SPDX-License-Identifier: Apache-2.0
"""Producer and Consumer: a bounded many-to-many queue of typed objects between processes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import _backend
from .codec import Encoded, Metadata, Take, is_strided, metadata_bytes, parse_metadata, write_pieces
from .codecs.image import image_metadata
from .codecs.ndarray import describe_dtype
from .cuda_reservation import CudaReservation, push_slots
from .cuda_reservation import reserve as reserve_cuda
from .errors import Error, InvalidArgument
from .handle import Handle
from .lease import Lease, lease_class
from .registry import Registry
from .reservation import Reservation
from .sizes import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike

    from . import _native as native
    from .aio import AsyncConsumer

_BATCH = 1024  # objects that are handed to the backend at a time

END = object()
"""What Consumer.take gives at the end of stream, where None could be an object."""


class Producer(Handle):
    """The writing end of a queue. Creates the queue, or attaches to it.

    capacity: bytes of the ring, or a text like "256MiB"; the first side to name one decides, 32 MiB if nobody does.
    policy: when the ring is full, "block", "drop_oldest" or "drop_newest".
    wait_for_consumer: seconds that a push waits for the first consumer; None does not wait and lets the ring fill.
    max_objects: how many objects may wait in the ring; 0 for no limit.
    stale: what to do with a left-over of a crash: "auto", "keep" or "replace".
    mode: permissions of the segment, if this creates it.
    unlink: False leaves the segment behind when the last participant goes.
    pickle: push as a pickle what no codec takes; consumers must ask for it, too.
    image_encoding, image_quality: how images cross, see AsImage.
    cuda_capacity: bytes of the arena on each GPU whose arrays are pushed; by default it grows with the arrays.
    registry: custom types; by default those of shmlane.registry.register.

    Raises InvalidName, InvalidArgument, CapacityMismatch, NoSpace, PermissionDenied, Foreign, WrongKind, WrongVersion,
    WrongLayout, TooManyParticipants.
    """

    _native: native.Producer

    def __init__(
        self,
        name: str,
        capacity: str | SupportsIndex | None = None,
        *,
        policy: str = "block",
        wait_for_consumer: float | None = 60.0,
        max_objects: int = 0,
        stale: str = "auto",
        mode: int = 0o600,
        unlink: bool = True,
        pickle: bool = False,
        image_encoding: str = "raw",
        image_quality: int | None = None,
        cuda_capacity: str | SupportsIndex | None = None,
        registry: Registry | None = None,
    ) -> None:
        ring = {
            "capacity": None if capacity is None else parse_size(capacity),
            "policy": policy,
            "wait_for_consumer": wait_for_consumer,
            "max_objects": max_objects,
            "stale": stale,
            "mode": mode,
            "unlink": unlink,
        }
        codecs = {
            "pickle": pickle,
            "image_encoding": image_encoding,
            "image_quality": image_quality,
            "cuda_capacity": cuda_capacity,
            "registry": registry,
        }
        self._open(_backend.active.Producer, name, ring, codecs)

    def push(self, obj: Any, timeout: float | None = None) -> None:
        """Put one object into the ring; wait up to ``timeout`` seconds for room, for ever if None, not at all if 0.

        Raises Full, NoConsumers, TooLarge, UnsupportedType (for None, too), InvalidArgument, Closed.
        """
        if not (self._registry.plain and self._native.push_plain(obj, timeout)):
            self.push_frame(self._registry.encode(obj, self._context), timeout)

    def try_push(self, obj: Any) -> None:
        """As ``push``, without waiting."""
        self.push(obj, 0)

    def push_many(self, objs: Iterable[Any], timeout: float | None = None) -> int:
        """Put all objects into the ring, in order, with few locks. ``timeout`` is for all of them.

        Returns how many, those included that the policy dropped. Raises what ``push`` raises; its ``pushed`` says
        how many objects went before.
        """
        items = iter(objs)
        deadline = Deadline(timeout)
        pushed = 0
        try:
            while batch := list(itertools.islice(items, _BATCH)):
                while batch:
                    count = self._push_some(batch, deadline.left())
                    pushed += count
                    del batch[:count]
        except Error as error:
            error.pushed = pushed
            raise
        return pushed

    def _push_some(self, objs: Sequence[Any], timeout: float | None) -> int:
        """Push a run of plain objects, or else the first object."""
        pushed = self._native.push_plain_many(objs, timeout) if self._registry.plain else 0
        if not pushed:
            self.push_frame(self._registry.encode(objs[0], self._context), timeout)
        return pushed or 1

    def sender(self, obj: Any) -> Callable[[float | None], None]:
        """A function of the time-out that pushes ``obj``; it may be called until it succeeds, and encodes once."""
        frame: Encoded | None = None

        def send(timeout: float | None) -> None:
            nonlocal frame
            if frame is None:
                if self._registry.plain and self._native.push_plain(obj, timeout):
                    return
                frame = self._registry.encode(obj, self._context)
            self.push_frame(frame, timeout)

        return send

    def push_frame(self, frame: Encoded, timeout: float | None) -> None:
        """As ``push``, of an object that is encoded already."""
        if frame.slots:
            push_slots(self._native, frame, self._options["policy"] != "block", Deadline(timeout).left)
            return
        metadata = metadata_bytes(frame.metadata)
        if not any(map(is_strided, frame.pieces)):
            self._native.push(metadata, frame.pieces, timeout)
            return
        place = self._native.reserve(metadata, frame.nbytes, timeout)
        if place is None:
            return
        try:
            write_pieces(frame.pieces, memoryview(place))
        except BaseException:
            place.abort()
            raise
        place.commit()

    def reserve(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike | None = None,
        *,
        order: str | None = None,
        timeout: float | None = None,
    ) -> Reservation:
        """A place in the ring, to be filled and committed, without a copy.

        A number of bytes alone arrives as bytes; a shape, or a ``dtype`` (uint8 by default), as ndarray; with ``order``
        ("RGB", "BGR", ... as in AsImage) it arrives as an image. Raises what ``push`` raises.
        """
        dims = shape if isinstance(shape, tuple) else (int(shape),)
        if any(extent < 0 for extent in dims):
            raise InvalidArgument(f"{shape} is no shape: extents are 0 or more")
        kind = np.dtype(np.uint8 if dtype is None else dtype)
        describe_dtype(kind)

        def describe(dims: tuple[int, ...], kind: np.dtype[Any]) -> Metadata:
            if order is not None:
                return image_metadata(dims, kind, order)
            if dtype is None and not isinstance(shape, tuple):
                return {"type": "bytes"}
            return {"type": "ndarray", "dtype": describe_dtype(kind), "shape": list(dims)}

        nbytes = int(np.prod(dims, dtype=object)) * kind.itemsize
        place = self._native.reserve(metadata_bytes(describe(dims, kind)), nbytes, timeout)
        return Reservation(place, dims, kind, describe)

    def reserve_cuda(
        self,
        shape: int | tuple[int, ...],
        dtype: DTypeLike = np.float32,
        device: Any = 0,
        *,
        timeout: float | None = None,
    ) -> CudaReservation:
        """A place in the memory of a GPU, to be filled and committed, without a copy. Raises what ``push`` raises."""
        return reserve_cuda(self._native, self._cuda, shape, dtype, device, Deadline(timeout).left)

    def wait_consumed(self, timeout: float | None = None) -> bool:
        """Wait until every array of a GPU that was pushed is consumed; False on time-out. Their memory goes with this
        process, so who pushed some calls this before it ends."""
        return self._cuda.wait_consumed(timeout)


class Consumer(Handle):
    """The reading end of a queue. Creates the queue, or attaches to it; iterating over it ends at the end of stream.

    capacity: as for Producer; without one a consumer that comes first waits for the producer to name one.
    on_death: what happens to an object that this consumer holds when it dies: "redeliver" or "drop".
    max_attempts: deliveries of one object in all, 1 to 255.
    device: "cpu" brings arrays of GPUs to the host's memory; by default they stay on their GPU.
    pickle: unpickle what producers pickled, which runs code that they chose; otherwise such objects arrive raw.
    stale, mode, unlink, registry: as for Producer. Raises the same.
    """

    _native: native.Consumer

    def __init__(
        self,
        name: str,
        capacity: str | SupportsIndex | None = None,
        *,
        on_death: str = "redeliver",
        max_attempts: int = 3,
        stale: str = "auto",
        mode: int = 0o600,
        unlink: bool = True,
        pickle: bool = False,
        device: str | None = None,
        registry: Registry | None = None,
    ) -> None:
        ring = {
            "capacity": None if capacity is None else parse_size(capacity),
            "on_death": on_death,
            "max_attempts": max_attempts,
            "stale": stale,
            "mode": mode,
            "unlink": unlink,
        }
        self._lease_type = _backend.active.Lease
        self._lease_class = lease_class(_backend.active.LeaseHandle)
        self._last: tuple[bytes, Metadata] = (b"", {})
        self._open(_backend.active.Consumer, name, ring, {"pickle": pickle, "device": device, "registry": registry})

    def pop(self, timeout: float | None = None) -> Any:
        """The next object, copied out of the ring once; None at the end of stream.

        Waits up to ``timeout`` seconds, for ever if None, not at all if 0. Raises Empty, Corrupt, Closed.
        """
        got = self._native.pop_plain(timeout)
        return self._decode(got) if type(got) is self._lease_type else got

    def try_pop(self) -> Any:
        """As ``pop``, without waiting."""
        return self.pop(0)

    def take(self, timeout: float | None = None) -> Any:
        """As ``pop``, but END at the end of stream."""
        got = self._native.pop_plain(timeout)
        if got is None:
            return END
        return self._decode(got) if type(got) is self._lease_type else got

    def pop_many(self, max: int, timeout: float | None = None) -> list[Any]:  # noqa: A002
        """Up to ``max`` objects as soon as there is one, with one lock; an empty list at the end of stream.

        Raises what ``pop`` raises. If one of them cannot be decoded, the error's ``popped`` has the others.
        """
        got = self._native.pop_plain_many(max, timeout)
        failure: Exception | None = None
        objs = []
        for item in got:
            try:
                objs.append(self._decode(item) if type(item) is self._lease_type else item)
            except Exception as error:
                failure = failure or error
        if failure is not None:
            failure.popped = objs  # type: ignore[attr-defined]
            raise failure
        return objs

    def _decode(self, lease: native.Lease) -> Any:
        text = lease.metadata
        last = self._last  # one look: threads that share the handle replace it
        if last[0] != text:
            last = self._last = (text, parse_metadata(text))
        return self._registry.decode(last[1], memoryview(lease), self._context, Take.COPY)

    def acquire(self, timeout: float | None = None) -> Lease | None:
        """The next object where it lies in the ring; None at the end of stream. Raises Empty, Closed."""
        return self._native.acquire_as(self._lease_class, self._context, timeout)

    def try_acquire(self) -> Lease | None:
        """As ``acquire``, without waiting."""
        return self.acquire(0)

    def __iter__(self) -> Iterator[Any]:
        while (obj := self.take()) is not END:
            yield obj

    def __aiter__(self) -> AsyncConsumer:
        from .aio import AsyncConsumer

        return AsyncConsumer(self)


class Deadline:
    """The moment at which a time-out in seconds ends; never for None."""

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds, 0 if it has passed; None for ever."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())
