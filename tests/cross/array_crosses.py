# SPDX-License-Identifier: Apache-2.0
"""Streams and tensors between implementations: each case sets a source against a target, as in crosses.py.

All items of a value are its count, so a reader can tell a torn one, and an old one.
"""

from __future__ import annotations

import time

import numpy as np

from shmlane import stream, tensor

from .world import PATIENCE, World

LENGTH = 5_000
VALUES = 2_000
TURNS = 1_000
KILLS = 12


def values(world: World, source: str, target: str, count: int = VALUES) -> None:
    """Two of the source write, two of the target read whole values in order, until the last one."""
    with stream.stream(world.queue, LENGTH, np.int64) as s:
        readers = [world.start(target, "read-stream", world.queue, 2 * count) for _ in range(2)]
        writers = [world.start(source, "write-stream", world.queue, count) for _ in range(2)]
        world.end(*writers, *readers)
        assert s.count == 2 * count
        assert (s.read() == 2 * count).all()


def turns(world: World, source: str, target: str, count: int = TURNS) -> None:
    """In ping-pong each wakes the other, and no value is lost."""
    names = [world.queue + part for part in "ab"]
    with stream.stream(names[0], 10, np.int64) as a, stream.stream(names[1], 10, np.int64) as b:
        second = world.start(target, "take-turns", names[1], names[0], count, "second")
        world.end(world.start(source, "take-turns", names[0], names[1], count, "first"), second)
        assert (a.count, b.count) == (count, count)


def dead_writer(world: World, source: str, target: str) -> None:
    """The source is killed in mid-write: the target reads the last whole value, and then writes on."""
    with stream.stream(world.queue, LENGTH, np.int64) as s:
        world.end(world.start(source, "write-stream", world.queue, 3))
        world.kill(world.start_holder(source, "fill-half", world.queue))
        assert s.write_sequence == 7
        world.end(world.start(target, "read-stream", world.queue, 3))
        world.end(world.start(target, "write-stream", world.queue, 2))
        world.end(world.start(source, "read-stream", world.queue, 5))
        assert s.write_sequence == 10


def dead_locks(world: World, source: str, target: str) -> None:
    """The source is killed with a lock of a tensor: the target takes both."""
    with tensor.create_shared_tensor(world.queue, np.zeros(4, np.int64)) as t:
        for number, way in enumerate(("read", "write"), 1):
            world.kill(world.start_holder(source, "hold-tensor", world.queue, way))
            world.end(world.start(target, "lock-tensor", world.queue))
            assert t.array[0] == number


def killed_writers(world: World, source: str, target: str, kills: int = KILLS) -> None:
    """Writers of the source are killed one after the other while the target reads; each goes on from the last."""
    with stream.stream(world.queue, LENGTH, np.int64) as s:
        reader = world.start(target, "read-stream", world.queue, 1 << 40)
        for number in range(kills):
            writer = world.start(source, "write-stream", world.queue, 1 << 40)
            s.read_after(s.count + number, PATIENCE)
            time.sleep(0.003 * (number % 4))
            world.kill(writer)
            assert reader.poll() is None, "the reader met a value that is not whole"
            assert (s.read() == s.count).all()
        world.end(world.start(target, "write-stream", world.queue, 2))
        world.kill(reader)


ARRAY_CASES = {
    "values": values,
    "turns": turns,
    "dead writer": dead_writer,
    "dead locks": dead_locks,
    "killed writers": killed_writers,
}
