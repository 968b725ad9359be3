# SPDX-License-Identifier: Apache-2.0
"""The vectors of segments that are being made or removed, or in which nobody lives (SPEC section 7)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .frames import Vector
from .segment import BODY, CONSUMER, EMPTY, HEADER, PRODUCER, READY, REMOVED, Entry, Segment, free
from .steps import frame, inspect, peek, pop, push, pushed, vector

_NEW = Segment(state=HEADER, seen_roles=0, epoch=0)
_DEAD_PRODUCER = {0: Entry(PRODUCER)}
_TWO = [frame(1), frame(2)]


def _half_made() -> Iterator[Vector]:
    made_anew = [pop(then="empty"), push(1, 0, capacity=4096), pop(pushed(1))]
    yield vector("half_made_empty_file", "its maker died at once", b"", inspect(state="empty"), *made_anew)
    yield vector("half_made_zeros", "its maker died before the magic", bytes(BODY), inspect(state="empty"), *made_anew)
    yield vector("half_made_header", "its maker died before the state", replace(_NEW, state=EMPTY), *made_anew)
    yield vector(
        "half_made_without_layout",
        "its maker died between magic and layout; half made comes first (W-73)",
        replace(_NEW, state=EMPTY, version=0, kind=0, layout=0),
        *made_anew,
    )
    yield vector(
        "no_capacity_yet",
        "a consumer came first, and nobody has named a capacity",
        _NEW,
        inspect(state="header", capacity=0, objects=0),
        pop(then="empty"),
        peek(SegmentHeader__state=HEADER),
        push(10, 0, capacity=5000),
        peek(SegmentHeader__state=READY, SegmentHeader__body_size=8192),
        pop(pushed(10)),
    )
    yield vector(
        "laid_out_but_for_the_state",
        "who laid it out died before it stored READY: another one does, with its own capacity",
        replace(_NEW, body_size=16384),
        pop(then="empty"),
        push(10, 0, capacity=4096),
        peek(SegmentHeader__body_size=4096),
    )


def _removed() -> Iterator[Vector]:
    gone = Segment(_TWO, state=REMOVED)
    yield vector(
        "removed",
        "its remover died before the name was gone: who comes finishes that, and starts anew",
        gone,
        inspect(state="removed"),
        push(1, 0, capacity=4096),
        inspect(state="ready", pushed=1),
        pop(pushed(1)),
    )
    yield vector(
        "removed_before_it_had_a_body",
        "the same of a segment without a capacity",
        replace(_NEW, state=REMOVED, body_size=0),
        inspect(state="removed"),
        pop(then="empty"),
        inspect(state="header"),
    )


def _stale() -> Iterator[Vector]:
    crashed = Segment(_TWO, entries=_DEAD_PRODUCER)
    cleanly = Segment(_TWO, entries={0: free()})
    yield vector(
        "crashed_with_objects_for_a_consumer", "a crash left objects: a consumer reads them (W-76)", crashed,
        pop(*_TWO, stale="auto"),
    )  # fmt: skip
    yield vector(
        "crashed_with_objects_for_a_producer",
        "a producer begins anew (W-76)",
        crashed,
        push(1, 0, stale="auto", capacity=4096),
        pop(pushed(1)),
    )
    leased = [frame(1, "leased", owner=1 << 16 | 1)]
    yield vector(
        "crashed_with_a_lease_for_a_consumer",
        "what a dead consumer held counts as an object (W-76)",
        Segment(leased, entries={0: Entry(CONSUMER, oldest_lease=0)}),
        pop({"attempt": 1}, stale="auto"),
    )
    yield vector(
        "crashed_without_objects_for_a_consumer",
        "there is nothing to read: a consumer begins anew (W-76)",
        Segment([frame(1, "free")], entries=_DEAD_PRODUCER),
        pop(then="empty", stale="auto"),
        inspect(state="header"),
    )
    yield vector(
        "crashed_with_somebody_alive",
        "one died and one lives: nothing is stale",
        replace(crashed, entries={0: Entry(PRODUCER), 1: Entry(PRODUCER)}),
        push(1, 256, stale="auto"),
        pop(*_TWO, pushed(1), then="empty", stale="auto"),
        living=[1],
    )
    yield vector(
        "crashed_and_kept", "its user wants it kept", crashed, push(1, 256, stale="keep"), pop(*_TWO, pushed(1))
    )
    yield vector(
        "left_cleanly_and_replaced",
        "its user wants it replaced",
        cleanly,
        push(1, 0, stale="replace", capacity=4096),
        pop(pushed(1)),
    )
    yield vector(
        "left_cleanly_with_objects",
        "kept, with what is in it, also for a producer",
        cleanly,
        push(1, 256, stale="auto"),
        pop(*_TWO, pushed(1), stale="auto"),
    )
    yield vector(
        "left_by_producers_before_a_consumer_came",
        "not finished: no consumer was ever there (W-78)",
        replace(cleanly, seen_roles=PRODUCER),
        push(1, 256, stale="auto", unlink=True),
        pop(*_TWO, pushed(1)),
    )
    yield vector(
        "finished",
        "the last participant of a drained queue removes it (W-78)",
        cleanly,
        pop(*_TWO, stale="auto", unlink=True),
        {"do": "inspect", "expect": {"error": "NotFound"}},
    )


def valid_lives() -> Iterator[Vector]:
    yield from _half_made()
    yield from _removed()
    yield from _stale()
