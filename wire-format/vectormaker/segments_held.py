# SPDX-License-Identifier: Apache-2.0
"""The vectors of sound segments in which somebody, alive or dead, holds something: frames, locks, places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .frames import Vector
from .segment import CONSUMER, DROP, LEFT, PRODUCER, Entry, Segment, free, id_of
from .steps import failing, frame, inspect, peek, pop, push, pushed, taken, vector

_ME = id_of(0)
_PRODUCER = {0: Entry(PRODUCER)}
_FIRST, _SECOND = 0, 128


def _consumer(**fields: Any) -> dict[int, Entry]:
    return {0: Entry(CONSUMER, **fields)}


def _holds(*holds: tuple[str, int], roles: list[str], at_tail: bool, alive: bool = True) -> list[dict[str, Any]]:
    held = [{"state": state, "position": position, "nbytes": 64} for state, position in holds]
    return [{"index": 0, "roles": roles, "alive": alive, "at_tail": at_tail, "holds": held}]


def _by_the_living() -> Iterator[Vector]:
    yield vector(
        "producer_is_there",
        "empty, and a producer lives: not the end of stream",
        Segment(tail=128, entries=_PRODUCER),
        pop(then="empty"),
        living=[0],
    )
    leased = Segment([frame(1, "leased", owner=_ME), frame(2), frame(3)], entries=_consumer(oldest_lease=_FIRST))
    yield vector(
        "leased",
        "a consumer reads the oldest frame; the end of stream does not wait for it, room does",
        leased,
        inspect(objects=2, used=384, consumers=1,
                participants=_holds(("leased", _FIRST), roles=["consumer"], at_tail=True)),
        pop(frame(2), frame(3)),
        peek(RingControl__read=384),
        push(4096 - 384, "full"),
        push(4096 - 384 - 64, 384),
        living=[0],
    )  # fmt: skip
    yield vector(
        "leased_by_a_closed_handle",
        "LIVE without a role: a view outlives its consumer (W-10)",
        replace(leased, entries={0: Entry(0, oldest_lease=_FIRST)}),
        inspect(consumers=0, participants=_holds(("leased", _FIRST), roles=[], at_tail=True)),
        pop(frame(2), frame(3)),
        living=[0],
    )
    order = [frame(1, "free"), frame(2, "leased", owner=_ME), frame(3, "free"), frame(4, "leased", owner=_ME), frame(5)]
    yield vector(
        "leases_given_back_in_any_order",
        "the first and the third of four leases are back; tail moves to the second (W-51)",
        Segment(order, entries=_consumer(oldest_lease=_FIRST)),
        inspect(participants=_holds(("leased", 128), ("leased", 384), roles=["consumer"], at_tail=True)),
        push(4096 - 640 + 64, "full"),
        push(4096 - 640 - 64, 640),
        push(64, 4096),
        peek(RingControl__tail=128),
        living=[0],
    )
    behind = [*(frame(number, "free") for number in range(30)), frame(30, "leased", owner=_ME), frame(31)]
    yield vector(
        "oldest_lease_tells_what_is_finished",
        "nothing before the oldest lease needs a look (W-51)",
        Segment(behind, entries=_consumer(oldest_lease=30 * 128)),
        push(30 * 128 - 64, 4096),
        peek(RingControl__tail=30 * 128),
        living=[0],
    )
    reserved = Segment([frame(1, "reserved", owner=_ME), frame(2)], entries=_PRODUCER)
    yield vector(
        "reservation_open",
        "a producer writes the oldest frame; the next one is not kept waiting",
        reserved,
        inspect(objects=2, used=256, producers=1,
                participants=_holds(("reserved", _FIRST), roles=["producer"], at_tail=True)),
        pop(frame(2), then="empty"),
        peek(RingControl__read=0, RingControl__scan=256, RingControl__skipped_count=1),
        living=[0],
    )  # fmt: skip
    yield vector(
        "reservation_of_a_closed_handle",
        "the same without a role: no producer any more, but not the end of stream (W-46)",
        replace(reserved, entries={0: Entry(0)}),
        pop(frame(2), then="empty"),
        living=[0],
    )
    open_ = [
        frame(1, "reserved", owner=_ME),
        frame(2, "free"),
        frame(3, "reserved", owner=_ME),
        frame(4, "free"),
        frame(5),
    ]
    passed = Segment(open_, entries=_PRODUCER, skipped=[0, 256], scan=512)
    yield vector(
        "reservations_remembered",
        "two RESERVED frames stand before scan, and are remembered",
        passed,
        pop(frame(5), then="empty"),
        peek(RingControl__read=0, RingControl__scan=640, RingControl__skipped_count=2),
        living=[0],
    )
    done = [*open_[:2], frame(3), *open_[3:]]
    yield vector(
        "remembered_reservation_was_committed",
        "the second of them is READY by now, and comes first",
        replace(passed, frames=done),
        pop(frame(3), frame(5), then="empty"),
        peek(RingControl__read=0, RingControl__scan=640, RingControl__skipped_count=1),
        living=[0],
    )
    many = [*(frame(number, "reserved", owner=_ME) for number in range(33)), frame(33), frame(34)]
    yield vector(
        "more_reservations_than_are_remembered",
        "33 of them: scan stays at the last, and what lies behind it is found (W-55)",
        Segment(many, capacity=8192, entries=_PRODUCER),
        pop(frame(33), frame(34), then="empty"),
        peek(RingControl__read=0, RingControl__scan=32 * 128, RingControl__skipped_count=32),
        living=[0],
    )


def _dead_consumer(name: str, meaning: str, first: dict[str, Any] | None, attempt: int = 0, **fields: Any) -> Vector:
    """A consumer has died with the first frame; ``first`` is how it comes back, if it does."""
    ring = [frame(1, "leased", owner=_ME, attempt=attempt), frame(2)]
    outcome = {"redelivered": 1, "dropped": 0} if first else {"redelivered": 0, "dropped": 1}
    return vector(
        name,
        meaning,
        Segment(ring, entries=_consumer(oldest_lease=_FIRST, **fields)),
        inspect(objects=1, participants=_holds(("leased", _FIRST), roles=["consumer"], at_tail=True, alive=False)),
        pop(*([first] if first else []), frame(2)),
        inspect(participants=[], **outcome),
    )


def _by_the_dead() -> Iterator[Vector]:
    yield _dead_consumer("dead_consumer", "its lease comes back, in its place", taken(frame(1), attempt=1))
    yield _dead_consumer("dead_consumer_once_more", "the second one to die with it", taken(frame(1), attempt=2), 1)
    yield _dead_consumer("dead_consumer_for_the_last_time", "three deliveries were allowed: dropped", None, 2)
    yield _dead_consumer("dead_consumer_of_one_delivery", "one was: dropped", None, max_attempts=1)
    yield _dead_consumer("dead_consumer_whose_leases_are_dropped", "it had chosen so (W-41)", None, on_death=DROP)
    taken_twice = [frame(1, "leased", owner=_ME), frame(2, "free"), frame(3, "leased", owner=_ME)]
    yield vector(
        "dead_consumer_of_two_leases",
        "both come back in their order, read and scan go back (W-43)",
        Segment([*taken_twice, frame(4)], entries=_consumer(oldest_lease=_FIRST)),
        {"do": "reap", "expect": {"reaped": 1}},
        peek(RingControl__read=0, RingControl__scan=0),
        pop(taken(frame(1), 1), taken(frame(3), 1), frame(4)),
    )
    yield vector(
        "dead_producer",
        "its reservation is abandoned, what it had committed comes",
        Segment([frame(1, "reserved", owner=_ME), frame(2)], entries=_PRODUCER),
        pop(frame(2)),
        inspect(aborted=1, producers=0, participants=[]),
    )
    yield vector(
        "dead_producer_of_all",
        "nobody ever committed anything: reaped, then the end of stream",
        Segment([frame(1, "reserved", owner=_ME)], entries=_PRODUCER),
        pop(stale="keep"),
        inspect(aborted=1, objects=0),
    )


def _locks() -> Iterator[Vector]:
    both = Entry(PRODUCER | CONSUMER)
    two = [frame(1), frame(2)]
    held = Segment(two, entries={0: both}, producers_lock=_ME, consumers_lock=_ME)
    yield vector(
        "consumers_lock_held_by_the_living",
        "stopped in there perhaps: nothing is taken from it",
        replace(held, producers_lock=0),
        pop(then="empty"),
        peek(RingControl__consumers_lock=_ME),
        living=[0],
    )
    yield vector(
        "producers_lock_held_by_the_living",
        "stopped in there perhaps: no room to be had",
        replace(held, consumers_lock=0),
        push(64, "full"),
        peek(RingControl__producers_lock=_ME),
        living=[0],
    )
    yield vector(
        "locks_held_by_the_dead",
        "taken over, cursors looked after (W-38)",
        replace(held, scan=128, read=0, skipped=[0], skipped_count=1),
        pop(*two),
        inspect(recovered=2, participants=[]),
        push(64, 256),
    )
    yield vector(
        "locks_held_by_nobody",
        "ids of an entry that there is not, and of one that is FREE: dead (W-12)",
        replace(held, entries={0: free(generation=5)}, producers_lock=id_of(600), consumers_lock=id_of(0, 4)),
        pop(*two),
        inspect(recovered=2),
        push(64, 256),
    )
    beyond = replace(held, frames=[*two, frame(3, "reserved", owner=_ME)], head=256, consumers_lock=0)
    yield vector(
        "dead_before_the_store_of_head",
        "a frame was opened and not published: it never was",
        beyond,
        pop(*two),
        push(64, 256),
        pop(pushed(64)),
        inspect(aborted=0, recovered=1),
    )
    leasing = [frame(1, "leased", owner=_ME), frame(2, "reserved", owner=id_of(1)), frame(3)]
    yield vector(
        "dead_before_the_store_of_scan",
        "a lease was taken, and a reservation remembered, but scan and read stand as before",
        Segment(leasing, entries={0: Entry(CONSUMER, oldest_lease=0), 1: Entry(PRODUCER)}, scan=0, read=0,
                skipped=[128], skipped_count=1, consumers_lock=_ME),
        pop(taken(frame(1), 1), frame(3), then="empty"),
        inspect(redelivered=1, recovered=1, objects=1),
        living=[1],
    )  # fmt: skip
    left = replace(held, producers_lock=LEFT | _ME, consumers_lock=LEFT | _ME)
    yield vector(
        "locks_left_to_the_living",
        "left, and its owner is not inside: whoever comes revokes that (W-39)",
        left,
        pop(*two, then="empty"),
        push(64, 256),
        living=[0],
    )
    inside = {0: replace(both, producers_busy=1, consumers_busy=1)}
    yield vector(
        "lock_left_to_the_living_inside",
        "left, and its owner is inside: the word is put back",
        replace(left, entries=inside, producers_lock=0),
        pop(then="empty"),
        peek(RingControl__consumers_lock=LEFT | _ME),
        living=[0],
    )
    yield vector(
        "locks_left_to_the_dead",
        "left to one who died outside: no repair",
        left,
        pop(*two),
        inspect(recovered=0),
        push(64, 256),
    )
    yield vector(
        "locks_left_to_the_dead_inside",
        "left to one who died inside: taken over from the dead, flags cleared",
        replace(left, entries=inside),
        pop(*two),
        inspect(recovered=2),
        peek(**{"ParticipantEntry[0]__producers_busy": 0, "ParticipantEntry[0]__consumers_busy": 0}),
    )
    yield vector(
        "announced_sleepers_that_died",
        "whoever attaches takes all announcements back and posts as many tokens (W-34)",
        Segment([frame(1)], items_waiters=2, space_waiters=1),
        inspect(items_waiters=2, space_waiters=1),
        pop(frame(1)),
        peek(RingControl__items_waiters=0, RingControl__space_waiters=0),
    )


def _table() -> Iterator[Vector]:
    yield vector(
        "entry_used_before",
        "the next owner has the next generation, and counts on (W-13, W-15)",
        Segment(entries={0: free(generation=7, pushed=5, pushed_bytes=100, waits=2)}),
        push(1, 0),
        peek(**{"ParticipantEntry[0]__word": 8 << 32, "ParticipantEntry[0]__pushed": 6}),
        inspect(pushed=6, pushed_bytes=101, waits=2, participants=[]),
    )
    yield vector(
        "free_entry_whose_byte_is_held",
        "its last owner is just leaving: the next entry is claimed",
        Segment(entries={0: free(generation=3)}),
        push(1, 0),
        peek(**{"ParticipantEntry[0]__word": 3 << 32, "ParticipantEntry[1]__word": 1 << 32}),
        living=[0],
    )
    yield vector(
        "table_full_but_for_one",
        "entry 0 is free, and entry 511 a dead producer's, who is reaped",
        Segment([frame(1)], entries={index: Entry(PRODUCER) if index else free() for index in range(512)}),
        pop(frame(1), then="empty"),
        peek(**{"ParticipantEntry[511]__word": 1 << 32, "SegmentHeader__used_entries": 512}),
        living=range(1, 511),
    )
    yield vector(
        "used_entries_beyond_the_table",
        "readers end their scans at 512",
        Segment([frame(1)], entries={0: free()}, used_entries=2**32 - 1),
        inspect(participants=[]),
        pop(frame(1)),
        push(64, 128),
    )
    yield vector(
        "every_place_is_taken",
        "512 participants",
        Segment(entries={index: Entry(PRODUCER) for index in range(512)}),
        failing(pop(), "TooManyParticipants"),
        living=range(512),
    )


def valid_holds() -> Iterator[Vector]:
    yield from _by_the_living()
    yield from _by_the_dead()
    yield from _locks()
    yield from _table()
