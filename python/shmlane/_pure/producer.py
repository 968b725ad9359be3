# SPDX-License-Identifier: Apache-2.0
"""The producing end: waiting for consumers and for room, policies, batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, final

from ..errors import Corrupt, Full, NoConsumers, TooLarge
from . import wire
from .arguments import describe_wait, queue_options, to_bytes, to_choice, to_timeout, to_unsigned
from .copying import copy_in, to_part
from .core import Use
from .frame import FrameExtents, frame_extents
from .handle import QueueHandle
from .holds import Reservation, make_reservation
from .os import clock
from .plain import PlainFrame, describe
from .queue_core import QueueCore, Waited
from .ring import Place, Ring
from .ring_frames import Limits
from .waiting import SLICE_NS
from .wire import ParticipantEntry

DEFAULT_CAPACITY = 32 << 20
_BATCH = 64  # frames reserved under one lock
_DESCRIBED = 1024  # objects that are described at a time
_POLICIES = {word: word for word in ("block", "drop_oldest", "drop_newest")}


class _Outgoing(NamedTuple):
    metadata: bytes
    parts: Sequence[Any]
    """Buffers of bytes, whose concatenation is the payload."""
    extents: FrameExtents


@final
class Producer(QueueHandle):
    """The writing end of a queue of frames."""

    def __init__(
        self,
        name: str,
        *,
        capacity: int | None = None,
        policy: str = "block",
        wait_for_consumer: float | None = 60.0,
        max_objects: int = 0,
        stale: str = "auto",
        mode: int = 0o600,
        unlink: bool = True,
    ) -> None:
        options = queue_options(capacity, stale, mode, unlink)
        options.default_body_size = DEFAULT_CAPACITY
        self._blocks = to_choice(policy, "policy", _POLICIES) == "block"
        self._patience = to_timeout(wait_for_consumer)
        self._served = self._patience is None  # a consumer was there once, or need not be
        self._limits = Limits(to_unsigned(max_objects, "max_objects"), policy == "drop_oldest")
        self._wanted = 0  # bytes that the last push found no room for
        self._core = QueueCore(name, wire.ROLE_PRODUCER, options)
        if self._core.ring is None:
            raise Corrupt(f"queue '{name}' has no ring; remove it with: shmlane rm")

    @property
    def _ring(self) -> Ring:
        ring = self._core.ring
        assert ring is not None  # laid out by whoever attached first as a producer
        return ring

    # ---- Pushing -----------------------------------------------------------------------------------------------------

    def push_plain(self, obj: Any, timeout: float | None = None) -> bool:
        """Push exact bytes, str or a plain ndarray; False, and nothing done, for any other object."""
        patience = to_timeout(timeout)
        frame = describe(obj)
        if frame is None:
            return False
        self._push((self._outgoing(*frame),), patience)
        return True

    def push_plain_many(self, objs: Sequence[Any], timeout: float | None = None) -> int:
        """Push a leading run of plain objects under few locks; how many went, 0 if the first is not plain."""
        patience = to_timeout(timeout)
        frames: list[PlainFrame] = []
        for obj in itertools.islice(tuple(objs), _DESCRIBED):
            frame = describe(obj)
            if frame is None:
                break
            frames.append(frame)
        if not frames:
            return 0
        pushed = self._push_frames([self._outgoing(*frame) for frame in frames], patience)
        if not pushed:
            self._throw_full(patience)
        return pushed

    def push(self, metadata: bytes, parts: Sequence[Any], timeout: float | None = None) -> None:
        """Push one frame whose payload is the concatenation of contiguous buffers."""
        patience = to_timeout(timeout)
        buffers = [to_part(part) for part in tuple(parts)]
        self._push((self._outgoing(to_bytes(metadata), *buffers),), patience)

    def reserve(self, metadata: bytes, nbytes: int, timeout: float | None = None) -> Reservation | None:
        """Room for a frame; None if the policy dropped the object."""
        patience = to_timeout(timeout)
        extents = frame_extents(len(to_bytes(metadata)), to_unsigned(nbytes, "nbytes"))
        places: list[Place] = []
        with Use(self._core) as use:
            self._check_size(extents)
            try:
                if self._reserve(use.me, (extents,), patience, places):
                    return make_reservation(self._core, self._ring, use.me, places[0], extents, metadata)
            except BaseException:
                self._abort(use.me, places)
                raise
        if self._blocks:
            self._throw_full(patience)
        return None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the next push may succeed, without taking room; False on time-out or cancel_wait."""
        patience = to_timeout(timeout)
        with Use(self._core) as use:
            participants, ring = self._core.participants, self._ring

            def attempt() -> bool:
                if not self._served and not participants.in_role(wire.ROLE_CONSUMER):
                    return False
                return ring.has_room(use.me, self._wanted, self._limits, clock.deadline_after(SLICE_NS))

            # Asked once whatever the hint says: it looks at the oldest frame only, and others may limit the number of
            # objects.
            return attempt() or self._wait_for_room(self._wanted, patience, attempt) is Waited.DONE

    # ---- On the way to the ring --------------------------------------------------------------------------------------

    def _outgoing(self, metadata: bytes, *parts: Any) -> _Outgoing:
        return _Outgoing(metadata, parts, frame_extents(len(metadata), sum(map(len, parts))))

    def _push(self, frames: Sequence[_Outgoing], patience: int | None) -> None:
        """One frame: pushed, dropped by the policy, or Full."""
        if not self._push_frames(frames, patience):
            self._throw_full(patience)

    def _push_frames(self, frames: Sequence[_Outgoing], patience: int | None) -> int:
        pushed = 0
        with Use(self._core) as use:
            while pushed < len(frames):
                batch = frames[pushed : pushed + _BATCH]
                for frame in batch:
                    self._check_size(frame.extents)
                done = self._push_batch(use.me, batch, patience if pushed == 0 else 0)
                if not done and self._blocks:
                    break
                pushed += done or 1  # if none went, the policy dropped the first, and counted it
        return pushed

    def _push_batch(self, me: int, frames: Sequence[_Outgoing], patience: int | None) -> int:
        places: list[Place] = []
        ring, items = self._ring, self._core.attachment.items
        try:
            self._reserve(me, [frame.extents for frame in frames], patience, places)
            memory = ring.memory
            for place, frame in zip(places, frames, strict=False):
                start = (place.at << 3) + frame.extents.payload_offset
                for part in frame.parts:
                    start = copy_in(memory, start, part)
                ring.write(place, frame.extents, frame.metadata)
                ring.commit(me, place)
                items.wake_one()
        except BaseException:
            self._abort(me, places)  # what was committed is not ours any more, and stays
            raise
        return len(places)

    def _abort(self, me: int, places: Sequence[Place]) -> None:
        for place in places:
            self._ring.abort(me, place)
        if places:
            self._core.attachment.space.wake_one()

    def _check_size(self, extents: FrameExtents) -> None:
        if extents.extent > self._ring.capacity:
            raise TooLarge(
                f"an object of {extents.payload_size} bytes ({extents.extent} bytes as a frame) can never fit into "
                f"queue '{self.name}' with a capacity of {self._ring.capacity} bytes; create the queue with a larger "
                "capacity"
            )

    # ---- Waiting for room --------------------------------------------------------------------------------------------

    def _reserve(self, me: int, extents: Sequence[FrameExtents], patience: int | None, out: list[Place]) -> int:
        """Room for the first of ``extents``, waiting if need be, and as many more as fit; 0: full, or dropped."""
        if not self._served:
            self._wait_for_consumer(patience)
        ring, limits = self._ring, self._limits
        done = ring.reserve(me, extents, limits, clock.PAST, out)
        if done:
            return done
        self._wanted = extents[0].extent
        if not self._blocks:
            self._core.reap_now_and_then(me)
            done = ring.reserve(me, extents, limits, clock.deadline_after(SLICE_NS), out)
            if not done:
                self._core.count(me, ParticipantEntry.dropped)
            return done
        if patience == 0:
            self._core.reap_now_and_then(me)
            return ring.reserve(me, extents, limits, clock.PAST, out)

        def attempt() -> bool:
            return ring.reserve(me, extents, limits, clock.deadline_after(SLICE_NS), out) != 0

        while self._wait_for_room(extents[0].extent, patience, attempt) is Waited.CANCELLED:
            pass
        return len(out)

    def _wait_for_room(self, extent: int, patience: int | None, attempt: Any) -> Waited:
        ring = self._ring
        deadline = clock.deadline_after(patience)
        space = self._core.attachment.space
        return self._core.wait_until(space, deadline, lambda: ring.maybe_room(extent), attempt, ring.being_read)

    def _wait_for_consumer(self, timeout: int | None) -> None:
        core = self._core
        patience = self._patience if timeout is None else min(timeout, self._patience or 0)
        deadline = clock.deadline_after(patience)

        def there() -> bool:
            return core.participants.in_role(wire.ROLE_CONSUMER) != 0

        while not there():
            if core.wait_until(core.attachment.space, deadline, there, there) is Waited.TIMED_OUT:
                raise NoConsumers(
                    f"queue '{self.name}': no consumer came within {(patience or 0) / 1e9:f} s; start one, or let the "
                    "ring fill without (wait_for_consumer)"
                )
        self._served = True

    def _throw_full(self, patience: int | None) -> NoReturn:
        obstacle = self._ring.obstacle()
        raise Full(
            f"no room{describe_wait(patience)}: queue '{self.name}' with a capacity of {self._ring.capacity} bytes is "
            f"full{f': {obstacle}' if obstacle else '; consumers are slower than producers'}"
        )
