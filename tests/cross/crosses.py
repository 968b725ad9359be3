# SPDX-License-Identifier: Apache-2.0
"""What one implementation writes another reads: each case sets a source against a target, and fails by an assertion."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

import shmlane

from ..implementations import ROOT
from .array_crosses import ARRAY_CASES
from .objects import OBJECTS, huge_objects, same
from .worker import STAMP
from .world import PATIENCE, World

RING = 4 << 20
ECHO_RING = 160 << 20  # as the workers that echo ask for
LONGEST = 600  # bytes; several laps of the ring
SHAPES = [(1, 1), (4, 4), (1, 4), (4, 1), (8, 3)]
DROPPING = 20_000  # objects
KILL_SECONDS = 4


# ---- Every object ----------------------------------------------------------------------------------------------------


def objects(world: World, source: str, target: str, huge: bool = True) -> None:
    """Every object is the same after a way through the source, to the target, and back."""
    there, across, back = (f"{world.queue}-{way}" for way in ("there", "across", "back"))
    workers = [world.start(source, "echo", there, across), world.start(target, "echo", across, back)]
    with shmlane.Producer(there, ECHO_RING) as tx, shmlane.Consumer(back, ECHO_RING) as rx:
        for name, obj in _chosen(huge).items():
            tx.push(obj)
            assert same(obj, rx.pop(PATIENCE)), name
        tx.close()
        assert rx.pop(PATIENCE) is None
    world.end(*workers)


def streams(world: World, source: str, target: str, huge: bool = True) -> None:
    """The same over pipes."""
    chosen = _chosen(huge)
    first = world.start(source, "echo-stdio", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    second = world.start(target, "echo-stdio", stdin=first.stdout, stdout=subprocess.PIPE)
    assert first.stdin is not None
    assert second.stdout is not None
    writer = threading.Thread(target=_write, args=(first.stdin.fileno(), chosen.values()))
    writer.start()
    try:
        rx = shmlane.StdioConsumer(second.stdout.fileno())
        for name, obj in chosen.items():
            assert same(obj, rx.pop()), name
        assert rx.pop() is None
    except BaseException:
        first.kill()  # or else the writer waits for ever
        raise
    finally:
        writer.join()
    world.end(first, second)


def _chosen(huge: bool) -> dict[str, Any]:
    return {**OBJECTS, **huge_objects()} if huge else OBJECTS


def _write(fd: int, objs: Iterable[Any]) -> None:
    with shmlane.StdioProducer(fd) as tx:
        for obj in objs:
            tx.push(obj)


# ---- Many to many ----------------------------------------------------------------------------------------------------


def integrity(
    world: World, producers: Sequence[str], consumers: Sequence[str], count: int = 100_000, longest: int = LONGEST
) -> None:
    """Each object exactly once, every byte right, each producer's order kept: any producers to any consumers."""
    share = count // len(producers)
    # These handles take and push nothing: they lay the ring out and keep the stream open until all producers are done.
    with shmlane.Consumer(world.queue, RING), shmlane.Producer(world.queue) as keeper:
        logs = [world.folder / f"{world.queue}-{number}" for number in range(len(consumers))]
        takers = [
            world.start(who, "consume", world.queue, longest, log) for who, log in zip(consumers, logs, strict=True)
        ]
        makers = [world.start(who, "produce", world.queue, i, share, longest) for i, who in enumerate(producers)]
        world.end(*makers)
        keeper.close()
        world.end(*takers)
    seen = [np.fromfile(log, STAMP) for log in logs]
    assert sum(map(len, seen)) == share * len(producers)
    for producer in range(len(producers)):
        arrived = [one["sequence"][one["producer"] == producer].astype(np.int64) for one in seen]
        assert np.array_equal(np.sort(np.concatenate(arrived)), np.arange(share))
        assert all((np.diff(one) > 0).all() for one in arrived)


def large_objects(world: World, source: str, target: str) -> None:
    """Of up to 1 MiB: seldom do more than four fit, and most of them wait for room."""
    integrity(world, [source] * 2, [target] * 2, 1_000, 1 << 20)


def dropping(world: World, source: str, target: str) -> None:
    """A producer that drops the oldest, faster than the consumer: what comes is in order, all else is counted."""
    with shmlane.Consumer(world.queue, 64 << 10) as keeper, shmlane.Producer(world.queue) as end:
        log = world.folder / "log"
        maker = world.start(source, "produce-dropping", world.queue, 0, DROPPING, LONGEST)
        taker = world.start(target, "consume", world.queue, LONGEST, log)
        world.end(maker)
        end.close()
        world.end(taker)
        stat = keeper.stat()
    seen = np.fromfile(log, STAMP)["sequence"].astype(np.int64)
    assert (np.diff(seen) > 0).all()
    assert len(seen) + stat["dropped"] == DROPPING


# ---- Deaths ----------------------------------------------------------------------------------------------------------


def dead_producer(world: World, source: str, target: str) -> None:
    """The source pushes, reserves and is killed: the target gets what was committed, and then the end."""
    with shmlane.Consumer(world.queue, RING) as keeper:
        victim = world.start_holder(source, "produce-and-reserve", world.queue, 0, 5, LONGEST)
        world.kill(victim)
        log = world.folder / "log"
        world.end(world.start(target, "consume", world.queue, LONGEST, log))
        assert np.fromfile(log, STAMP)["sequence"].tolist() == [0, 1, 2, 3, 4]
        assert keeper.stat()["aborted"] == 1


def dead_consumer(world: World, source: str, target: str) -> None:
    """The target leases and is killed: another consumer, as the source is, gets all, what it held among it."""
    with shmlane.Consumer(world.queue, RING) as keeper:
        world.end(world.start(source, "produce", world.queue, 0, 5, LONGEST))
        victim = world.start_holder(target, "lease", world.queue, 2)
        world.kill(victim)
        log = world.folder / "log"
        world.end(world.start(source, "consume", world.queue, LONGEST, log))
        assert np.fromfile(log, STAMP)["sequence"].tolist() == [0, 1, 2, 3, 4]
        assert keeper.stat()["redelivered"] == 2


def random_kills(world: World, source: str, target: str) -> None:
    """Processes of the source are killed at random, those of the target go on; every object is accounted for."""
    _kill_at_random(KILL_SECONDS, (source, target), (source,))


def _kill_at_random(seconds: float, who: Sequence[str], victims: Sequence[str]) -> None:
    words = ["--seconds", str(seconds), "--languages", *who, "--victims", *victims]
    command = [sys.executable, "-m", "tests.soak.soak", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- All of them -----------------------------------------------------------------------------------------------------

Case = Callable[[World, str, str], None]


def of_shape(producers: int, consumers: int) -> Case:
    def case(world: World, source: str, target: str) -> None:
        slow = "pure" in (source, target)
        integrity(world, [source] * producers, [target] * consumers, 20_000 if slow else 100_000)

    return case


CASES: dict[str, Case] = {
    "objects": objects,
    "streams": streams,
    **{f"{makers} to {takers}": of_shape(makers, takers) for makers, takers in SHAPES},
    "large objects": large_objects,
    "drop oldest": dropping,
    "dead producer": dead_producer,
    "dead consumer": dead_consumer,
    "random kills": random_kills,
    **ARRAY_CASES,
}


def mixed(world: World, everybody: Sequence[str], count: int) -> None:
    """Two producers and two consumers of each implementation share one ring."""
    twice = list(itertools.chain(everybody, everybody))
    integrity(world, twice, twice, count)


def mixed_kills(world: World, everybody: Sequence[str], seconds: float) -> None:
    """Processes of all of them are killed at random, and all others go on."""
    _kill_at_random(seconds, everybody, everybody)
