# SPDX-License-Identifier: Apache-2.0
"""The vectors of sound segments: rings in every state, and what a consumer and a producer find in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .frames import Vector
from .objects import OBJECTS
from .segment import FULL_FENCE, Segment, free
from .steps import frame, inspect, peek, pop, push, pushed, vector
from .wire import Frame

_NEVER_USED = Segment(seen_roles=0, epoch=0)
_LARGEST = 4096 - 64  # bytes of payload in a frame as long as the ring


def _numbered(count: int, state: str = "ready") -> list[Frame]:
    return [frame(number, state) for number in range(count)]


def _empty() -> Iterator[Vector]:
    yield vector(
        "empty",
        "laid out, and nobody ever came",
        _NEVER_USED,
        inspect(kind="queue", state="ready", capacity=4096, objects=0, used=0, producers=0, consumers=0,
                participants=[], full_fence=False, items_waiters=0, space_waiters=0),
        pop(then="empty"),
        push(10, 0),
        pop(pushed(10)),
        peek(RingControl__head=128, RingControl__scan=128, RingControl__read=128, RingControl__tail=0),
    )  # fmt: skip
    yield vector("ended", "a producer was here once, and nobody is now", Segment(tail=1024), pop())
    yield vector(
        "empty_after_many_laps",
        "positions are far beyond the capacity",
        Segment(tail=2**62 + 512),
        push(64, 2**62 + 512),
        pop(pushed(64)),
    )
    yield vector(
        "empty_in_the_middle",
        "a frame as long as the ring starts again at the beginning (W-53)",
        Segment(tail=2048),
        push(_LARGEST, 4096),
        peek(RingControl__tail=4096, RingControl__read=4096, RingControl__head=8192),
        pop(pushed(_LARGEST)),
    )
    yield vector(
        "started_again",
        "a producer that started again has died behind its PAD (W-53)",
        Segment([frame(0, "pad")], tail=2048, read=2048, scan=2048),
        pop(),
        peek(RingControl__scan=4096, RingControl__read=4096),
        push(_LARGEST, 4096),
    )
    yield vector(
        "began_again_with_room",
        "a frame that would have fitted before the end stands at the beginning, behind a PAD (W-53)",
        Segment([frame(0, "pad"), frame(1)], tail=2048, read=2048, scan=2048),
        inspect(objects=1, used=128),
        pop(frame(1)),
        peek(RingControl__read=4096 + 128, RingControl__head=4096 + 128),
        push(64, 4096 + 128),
    )
    yield vector(
        "full_fence",
        "somebody could not use membarrier (W-32)",
        replace(_NEVER_USED, flags=FULL_FENCE),
        inspect(full_fence=True),
        push(1, 0),
        pop(pushed(1)),
        peek(SegmentHeader__flags=FULL_FENCE),
    )


def _full() -> Iterator[Vector]:
    many = _numbered(32)
    yield vector(
        "full_of_small_frames",
        "exactly full: head is tail + capacity",
        Segment(many),
        inspect(objects=32, used=4096),
        push(64, "full"),
        pop(*many),
        peek(RingControl__tail=0, RingControl__head=4096, RingControl__read=4096),
        push(64, 4096),
    )
    smallest = [Frame(b'{"type":"text"}') for _ in range(64)]
    yield vector("full_of_smallest_frames", "64 frames of 64 bytes", Segment(smallest), push(0, "full"), pop(*smallest))
    whole = frame(1, nbytes=_LARGEST)
    yield vector(
        "full_of_one_frame",
        "one frame as long as the ring",
        Segment([whole]),
        push(0, "full"),
        pop(whole),
        push(0, 4096),
    )
    lap = _numbered(32)
    yield vector(
        "full_across_the_end",
        "exactly full, and a frame ends where the body does: no PAD",
        Segment(lap, tail=3 * 4096 + 1920),
        push(0, "full"),
        pop(*lap),
        push(64, 4 * 4096 + 1920),
    )
    yield vector(
        "full_of_aborted_frames",
        "nothing to take, and no room unless the producer helps (W-52)",
        Segment(_numbered(32, "abandoned"), read=0, scan=0),
        inspect(objects=0),
        push(64, 4096),
        peek(RingControl__tail=4096, RingControl__read=4096),
    )
    dropping = _numbered(32)
    yield vector(
        "full_and_the_oldest_are_dropped",
        "a producer that drops the oldest needs the room of three (W-47)",
        Segment(dropping, entries={0: free()}),
        push(300, 4096, policy="drop_oldest"),
        inspect(objects=30, dropped=3),
        pop(*dropping[3:], pushed(300)),
    )
    yield vector(
        "full_and_the_newest_is_dropped",
        "a producer that drops the newest",
        Segment(dropping, entries={0: free()}),
        push(64, "dropped", policy="drop_newest"),
        inspect(objects=32, dropped=1),
        pop(*dropping),
    )


def _wrapped() -> Iterator[Vector]:
    frames = [*_numbered(6), frame(6, nbytes=448)]
    yield vector(
        "wrapped_with_a_pad",
        "the last frame did not fit before the end: a PAD of 256 bytes stands there",
        Segment(frames, tail=3 * 4096 + 3072, filler=0xEE),
        inspect(objects=7, used=6 * 128 + 512),
        pop(*frames),
        peek(RingControl__head=4 * 4096 + 512, RingControl__read=4 * 4096 + 512),
    )
    yield vector(
        "wrapped_without_a_pad",
        "a frame ends where the body does, the next one begins where it does",
        Segment(_numbered(4), tail=4096 - 256),
        pop(*_numbered(4)),
    )
    yield vector(
        "pad_of_64_bytes",
        "the smallest PAD there is",
        Segment([Frame(b'{"type":"text"}'), frame(1)], tail=4096 - 128),
        pop(Frame(b'{"type":"text"}'), frame(1)),
        push(64, 4096 + 128),
    )
    yield vector(
        "next_needs_a_pad",
        "128 bytes are left before the end, and the next frame needs 192",
        Segment([frame(0)], tail=4096 - 256),
        push(128, 4096),
        pop(frame(0), pushed(128)),
    )
    yield vector(
        "next_fits_but_for_its_pad",
        "3968 bytes are free in two pieces, the larger one of 2048",
        Segment([frame(0)], tail=2048 - 128),
        push(2048, "full"),
        push(1984, 2048),
    )
    odd = [frame(number, nbytes=1000) for number in range(5)]
    yield vector(
        "capacity_of_three_pages",
        "a capacity that is no power of two",
        Segment(odd, capacity=12288, tail=7 * 12288 - 2176),
        inspect(capacity=12288),
        pop(*odd),
    )


def _contents() -> Iterator[Vector]:
    objects = [Frame(metadata, payload) for metadata, payload, _ in OBJECTS.values() if len(payload) < 200]
    yield vector(
        "every_payload_type", "one object of each vector of frames", Segment(objects, capacity=65536), pop(*objects)
    )
    smaller = [
        frame(1, extent=1024),
        Frame(b'{"type":"text"}', b"shorter metadata than was reserved", offset=192),
        frame(2),
    ]
    yield vector(
        "committed_smaller",
        "less payload, and shorter metadata, than was reserved: extents stay, so does the payload's place",
        Segment(smaller, filler=0xAA),
        pop(*smaller),
        peek(RingControl__read=1024 + 256 + 128),
    )
    yield vector(
        "rubbish_around",
        "what lies beyond head, and between frames, means nothing",
        Segment([frame(1, nbytes=1, filler=0x55), frame(2, nbytes=65, filler=0x55)], tail=512, filler=0x55),
        pop(frame(1, nbytes=1), frame(2, nbytes=65)),
        push(_LARGEST - 1024, 512 + 128 + 192),
    )
    yield vector(
        "reserved_fields_are_ignored",
        "fields that are reserved hold something, as a later writer's might",
        Segment([frame(1)], reserved=0xFF),
        pop(frame(1)),
        push(1, 128),
    )
    yield vector(
        "file_longer_than_the_body", "a page lies behind the body", Segment([frame(1)], beyond=4096), pop(frame(1))
    )
    yield vector(
        "redelivered",
        "two consumers have died with it, and it waits again",
        Segment([frame(1, attempt=2), frame(2)]),
        pop({"attempt": 2}, frame(2)),
    )
    yield vector(
        "aborted_between",
        "reservations that were given back stand between the objects",
        Segment(
            [frame(1, "abandoned"), frame(2), frame(3, "abandoned"), frame(4), frame(5, "abandoned")], read=0, scan=0
        ),
        inspect(objects=2),
        pop(frame(2), frame(4)),
        peek(RingControl__read=5 * 128),
    )
    yield vector(
        "dropped_by_a_producer",
        "a producer has freed the two oldest, and died before it moved the cursors",
        Segment([frame(1, "free"), frame(2, "free"), frame(3)], read=0, scan=0, entries={0: free(dropped=2)}),
        inspect(objects=1, dropped=2),
        pop(frame(3)),
    )
    three = _numbered(3)
    yield vector(
        "three_objects_may_wait",
        "a producer whose user allows three (W-47)",
        Segment(three, entries={0: free()}),
        push(64, "full", max_objects=3),
        push(64, 3 * 128, max_objects=3, policy="drop_oldest"),
        inspect(objects=3, dropped=1),
        pop(*three[1:], pushed(64)),
    )


def valid_rings() -> Iterator[Vector]:
    yield from _empty()
    yield from _full()
    yield from _wrapped()
    yield from _contents()
