# SPDX-License-Identifier: Apache-2.0
"""shmlane's streams in one process and in ping-pong, and the plain NumPy that they are compared with.

Of the cases of one process ``most`` is the side of a square matrix of float32.
"""

from __future__ import annotations

import abc
import time
from collections.abc import Callable
from typing import Any

import bench_meter
import numpy as np

from peer import Peer, Receiver, Sender, Setup
from shmlane import stream


class _Loop(Sender):
    """Times each step."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._step = step

    def flood(self, objects: list[Any]) -> None:
        step, clock, record, count = self._step, time.perf_counter_ns, bench_meter.record, bench_meter.count
        while True:
            begin = clock()
            step()
            record(clock() - begin)
            count(b"")


class _Square(Peer, abc.ABC):
    """A stream of one matrix."""

    names = ("",)

    def create(self) -> None:
        side = self.setup.most
        for name in self.names:
            stream.create(self.setup.name + name, self.shape_of(name, side)).clear()

    def shape_of(self, name: str, side: int) -> tuple[int, ...]:
        return (side, side)

    def remove(self) -> None:
        for name in self.names:
            stream.unlink(self.setup.name + name)

    def sender(self, index: int) -> Sender:
        return _Loop(self.step())

    @abc.abstractmethod
    def step(self) -> Callable[[], Any]: ...


class WriteAndRead(_Square):
    def step(self) -> Callable[[], Any]:
        side = self.setup.most
        source, out = np.ones((side, side), np.float32), np.zeros((side, side), np.float32)
        s = stream.open(self.setup.name)
        write, read = s.write, s.read

        def step() -> None:
            write(source)
            read(out)

        return step


class WriteAndReadNew(_Square):
    """As above, and each read makes a new array."""

    def step(self) -> Callable[[], Any]:
        source = np.ones((self.setup.most,) * 2, np.float32)
        s = stream.open(self.setup.name)
        write, read = s.write, s.read

        def step() -> None:
            write(source)
            read()

        return step


class TwoCopies(_Square):
    def step(self) -> Callable[[], Any]:
        shape = (self.setup.most,) * 2
        source, between, out = np.ones(shape, np.float32), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        copy = np.copyto

        def step() -> None:
            copy(between, source)
            copy(out, between)

        return step


class _Pipeline(_Square):
    """A matrix that stays, a vector in, their product out."""

    names = ("", "-in", "-out")

    def shape_of(self, name: str, side: int) -> tuple[int, ...]:
        return (side,) if name else (side, side)


class Pipeline(_Pipeline):
    def step(self) -> Callable[[], Any]:
        side = self.setup.most
        kept = stream.open(self.setup.name)
        kept.write(np.ones((side, side), np.float32))
        matrix, vector, result = kept.read(), np.ones(side, np.float32), np.zeros(side, np.float32)
        source, sink = stream.open(self.setup.name + "-in"), stream.open(self.setup.name + "-out")
        given, product = np.zeros(side, np.float32), np.zeros(side, np.float32)

        def step() -> None:
            source.write(vector)
            np.matmul(matrix, source.read(given), product)
            sink.write(product)
            sink.read(result)

        return step


class PlainProduct(_Pipeline):
    def step(self) -> Callable[[], Any]:
        side = self.setup.most
        matrix, vector = np.ones((side, side), np.float32), np.ones(side, np.float32)
        product = np.zeros(side, np.float32)
        return lambda: np.matmul(matrix, vector, product)


class _Writer(Sender):
    def __init__(self, setup: Setup) -> None:
        self.push = stream.open(setup.name).write


class _Reader(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._stream = stream.open(setup.name, spin=3600.0 if setup.popped else None)
        self._out = self._stream.read()
        self._count = 1

    def pop(self) -> Any:  # type: ignore[override]
        self._stream.read_after(self._count, None, self._out)
        self._count = self._stream.last_read
        return self._out


class PingPong(Peer):
    """``popped``: waits spin."""

    def create(self) -> None:
        stream.create(self.setup.name, self.setup.most, np.uint8).clear()

    def remove(self) -> None:
        stream.unlink(self.setup.name)

    def sender(self, index: int) -> Sender:
        return _Writer(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _Reader(self.setup)
