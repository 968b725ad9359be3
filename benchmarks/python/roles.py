# SPDX-License-Identifier: Apache-2.0
"""What Python workers do, without end; the twin of PeerOf in cpp/peer.hpp."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as numbers
from struct import Struct

import bench_meter

from peer import Peer, payloads

_STAMP = Struct("q")


@dataclass(frozen=True)
class Task:
    away: Peer
    back: Peer | None  # the way back of a ping
    index: int
    pause_ns: int = 0  # of pace, before each burst
    burst: int = 1  # objects between two pauses; only the last of them is timed


def produce(task: Task) -> None:
    objects = payloads(task.away.setup, task.index + 1)
    task.away.sender(task.index).flood(objects)


def consume(task: Task) -> None:
    task.away.receiver(task.index).drain(bench_meter.count)


def ping(task: Task) -> None:
    assert task.back is not None
    pop = task.back.receiver(task.index).pop
    push = task.away.sender(task.index).push
    obj = payloads(task.away.setup, task.index + 1)[0]
    clock, record = time.perf_counter_ns, bench_meter.record
    push(obj)
    pop()
    before = clock()
    while True:
        push(obj)
        pop()
        now = clock()
        record((now - before) // 2)
        before = now


def pong(task: Task) -> None:
    assert task.back is not None
    pop = task.away.receiver(task.index).pop
    push = task.back.sender(task.index).push
    obj = payloads(task.away.setup, task.index + 1)[0]
    while True:
        pop()
        push(obj)


def pace(task: Task) -> None:
    push = task.away.sender(task.index).push
    rest = bytes(task.away.setup.most - _STAMP.size)
    while True:
        time.sleep(task.pause_ns * 1e-9)
        obj = _STAMP.pack(time.monotonic_ns()) + rest
        for _ in range(task.burst):
            push(obj)


def stamp(task: Task) -> None:
    pop = task.away.receiver(task.index).pop
    for arrived in numbers(1):
        obj = pop()
        now = time.monotonic_ns()
        bench_meter.count(obj)
        if arrived % task.burst == 0:
            bench_meter.record(now - _STAMP.unpack_from(obj)[0])


def hush(task: Task) -> None:
    task.away.sender(task.index).push(payloads(task.away.setup, task.index + 1)[0])
    while True:
        time.sleep(1)


ROLES: dict[str, Callable[[Task], None]] = {
    role.__name__: role for role in (produce, consume, ping, pong, pace, stamp, hush)
}
