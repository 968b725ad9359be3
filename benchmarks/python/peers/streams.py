# SPDX-License-Identifier: Apache-2.0
"""Streams of the latest value, of shmlane and of whoever has the same calls: in one process and in ping-pong; and the
plain NumPy that they are compared with.

Of the cases of one process ``most`` is the side of a square matrix of float32.
"""

from __future__ import annotations

import abc
import mmap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bench_meter
import numpy as np

from peer import Peer, Receiver, Sender

Step = Callable[[], Any]


class _Loop(Sender):
    """Times each step, after a turn round all slots that a stream may have by default."""

    def __init__(self, step: Step) -> None:
        for _ in range(4):
            step()
        self._step = step

    def flood(self, objects: list[Any]) -> None:
        step, clock, record, count = self._step, time.perf_counter_ns, bench_meter.record, bench_meter.count
        while True:
            begin = clock()
            step()
            record(clock() - begin)
            count(b"")


class Alone(Peer, abc.ABC):
    """One worker that does one step again and again."""

    def sender(self, index: int) -> Sender:
        return _Loop(self.step())

    @abc.abstractmethod
    def step(self) -> Step: ...


class OfStreams(Peer):
    """``streams``: a module with create, open and unlink. The streams are written once, zeros."""

    streams: Any
    names: tuple[str, ...] = ("",)

    def create(self) -> None:
        # Kept: with some, the creator's handle is what keeps the stream.
        self._made = [self.streams.create(self.setup.name + name, shape=self.shape_of(name)) for name in self.names]
        for one in self._made:
            one.clear()

    def shape_of(self, name: str) -> tuple[int, ...]:
        return (self.setup.most,) * 2

    def remove(self) -> None:
        for name in self.names:
            self.streams.unlink(self.setup.name + name)


class WriteAndRead(OfStreams, Alone):
    def step(self) -> Step:
        side = self.setup.most
        source, out = np.ones((side, side), np.float32), np.zeros((side, side), np.float32)
        one = self.streams.open(self.setup.name)
        write, read = one.write, one.read

        def step() -> None:
            write(source)
            read(out=out)

        return step


class WriteAndReadNew(OfStreams, Alone):
    """As above, and each read makes a new array."""

    def step(self) -> Step:
        source = np.ones((self.setup.most,) * 2, np.float32)
        one = self.streams.open(self.setup.name)
        write, read = one.write, one.read

        def step() -> None:
            write(source)
            read()

        return step


class Pipeline(OfStreams, Alone):
    """A matrix that stays, a vector in, their product out."""

    names = ("", "-in", "-out")

    def shape_of(self, name: str) -> tuple[int, ...]:
        return (self.setup.most,) * (1 if name else 2)

    def step(self) -> Step:
        side, streams, name = self.setup.most, self.streams, self.setup.name
        kept, source, sink = (streams.open(name + suffix) for suffix in self.names)
        kept.write(np.ones((side, side), np.float32))
        matrix, vector, result = kept.read(), np.ones(side, np.float32), np.zeros(side, np.float32)
        given, product = np.zeros(side, np.float32), np.zeros(side, np.float32)

        def step() -> None:
            source.write(vector)
            np.matmul(matrix, source.read(out=given), product)
            sink.write(product)
            sink.read(out=result)

        return step


class TwoCopies(Alone):
    def step(self) -> Step:
        shape = (self.setup.most,) * 2
        source, out = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        places, copy = self.between(shape), np.copyto
        turn = 0

        def step() -> None:
            nonlocal turn
            turn = (turn + 1) % len(places)
            copy(places[turn], source)
            copy(out, places[turn])

        return step

    def between(self, shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
        return [np.zeros(shape, np.float32)]


class TwoSharedCopies(TwoCopies):
    """Through shared memory, by as many places as a stream of that size has slots."""

    def between(self, shape: tuple[int, ...]) -> list[np.ndarray[Any, Any]]:
        slots = 3 if np.prod(shape) * 4 >= 16 << 20 else 4
        path = Path("/dev/shm") / f"{self.setup.name}.copies"
        with path.open("w+b") as file:
            path.unlink()
            file.truncate(slots * int(np.prod(shape)) * 4)
            memory = mmap.mmap(file.fileno(), 0)
        return list(np.frombuffer(memory, np.float32).reshape(slots, *shape))


class PlainProduct(Alone):
    def step(self) -> Step:
        side = self.setup.most
        matrix, vector = np.ones((side, side), np.float32), np.ones(side, np.float32)
        product = np.zeros(side, np.float32)
        return lambda: np.matmul(matrix, vector, product)


class CopiedProduct(Alone):
    """Vector and product are copied once each, from array to array."""

    def step(self) -> Step:
        side = self.setup.most
        matrix, vector = np.ones((side, side), np.float32), np.ones(side, np.float32)
        given, product, result = (np.zeros(side, np.float32) for _ in range(3))
        copy = np.copyto

        def step() -> None:
            copy(given, vector)
            np.matmul(matrix, given, product)
            copy(result, product)

        return step


class _Writer(Sender):
    def __init__(self, one: Any) -> None:
        self.push = one.write


class PingPong(OfStreams):
    def create(self) -> None:
        self._made = [self.streams.create(self.setup.name, shape=(self.setup.most,), dtype=np.uint8)]
        self._made[0].clear()

    def sender(self, index: int) -> Sender:
        return _Writer(self.streams.open(self.setup.name))

    @abc.abstractmethod
    def receiver(self, index: int) -> Receiver: ...
