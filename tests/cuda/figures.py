# SPDX-License-Identifier: Apache-2.0
"""The figures of `make test-cuda`, each with its goal. Ratios are taken in one run."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from shmlane import Consumer, Producer, cuda, stream

from . import libraries

MIB = 1 << 20
PATIENCE = 120.0


class Figure(NamedTuple):
    """One measured value; ``goal`` is at most that for times, at least that for ratios."""

    what: str
    value: float
    unit: str = ""
    goal: float | None = None
    at_most: bool = False

    def __str__(self) -> str:
        line = f"{self.what:70s} {self.value:10.2f} {self.unit:3s}"
        if self.goal is None:
            return line
        reached = self.value <= self.goal if self.at_most else self.value >= self.goal
        return f"{line} goal {'<=' if self.at_most else '>='} {self.goal:g} {'reached' if reached else 'MISSED'}"


def median(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def timed(work: Callable[[], Any], rounds: int) -> float:
    """Seconds of one call, the median; the first ones, which load and allocate, do not count."""
    times = []
    for i in range(rounds + 3):
        begin = time.perf_counter()
        work()
        if i >= 3:
            times.append(time.perf_counter() - begin)
    return median(times)


def answer(name: str, ways: list[str], rounds: int) -> None:
    """The other process: takes each array and answers with a byte."""
    with Consumer(name) as rx, Producer(name + "-back", "64KiB") as back:
        for way in ways:
            for _ in range(rounds):
                if way == "lease":
                    lease = rx.acquire(PATIENCE)
                    assert lease is not None
                    assert lease.object.nbytes
                    lease.release()
                else:
                    rx.pop(PATIENCE)
                back.push(b"x", PATIENCE)


def crossing(name: str, nbytes: int, rounds: int) -> dict[str, float]:
    """Seconds one way (half of a round): of an array in the arena that is leased, of a foreign one that is popped. And
    of ``push`` alone of a foreign one, which returns when it is in the arena."""
    ways = ["lease", "pop"]
    child = multiprocessing.get_context("spawn").Process(target=answer, args=(name, ways, rounds))
    child.start()
    found = {}
    with Producer(name, "64KiB") as tx, Consumer(name + "-back") as back:
        foreign = cuda.asarray(np.zeros(nbytes, np.uint8))
        for way in ways:
            times, pushes = [], []
            for _ in range(rounds):
                if way == "lease":
                    reservation = tx.reserve_cuda(nbytes, np.uint8, timeout=PATIENCE)
                    begin = time.perf_counter()
                    reservation.commit()
                else:
                    begin = time.perf_counter()
                    tx.push(foreign, PATIENCE)
                    pushes.append(time.perf_counter() - begin)
                back.pop(PATIENCE)
                times.append((time.perf_counter() - begin) / 2)
            found[way] = median(times)
        found["push"] = median(pushes)
    child.join()
    return found


def device_copy(nbytes: int, rounds: int) -> float:
    """Seconds of one plain copy on the device, complete."""
    source, target = cuda.empty(nbytes, np.uint8), cuda.empty(nbytes, np.uint8)
    return timed(lambda: target.copy_from(source), rounds)


def queues(name: str, sizes: tuple[int, int], rounds: int) -> Iterator[Figure | str]:
    small, large = (crossing(f"{name}-{size}", size, rounds) for size in sizes)
    for size, found in zip(sizes, (small, large), strict=True):
        text = f"{size // MIB} MiB" if size >= MIB else f"{size} bytes"
        yield Figure(f"array in the arena, {text}, leased: one way", found["lease"] * 1e6, "us", 20, at_most=True)
        yield Figure(f"foreign array, {text}, popped: one way (two copies)", found["pop"] * 1e6, "us")
    yield Figure("array in the arena: the large one / the small one", large["lease"] / small["lease"], "", 1.5, True)
    ratio = device_copy(sizes[1], rounds) / large["push"]
    yield Figure("push of the large foreign array: bandwidth / a plain device copy's", ratio, "", 0.9)
    theirs = libraries.torch_queue(sizes[0], rounds)
    yield (
        theirs
        if isinstance(theirs, str)
        else Figure(
            "torch.multiprocessing.Queue / shmlane, the small array: time one way", theirs / small["lease"], "", 10
        )
    )


def streams(name: str, side: int, rounds: int) -> Iterator[Figure]:
    with stream.stream(name, (side, side), gpu_device="cuda:0") as s:
        value, out = cuda.empty((side, side)), cuda.empty((side, side))

        def write_and_read() -> None:
            s.write(value)
            s.read(out)

        both, plain = timed(write_and_read, rounds), 2 * device_copy(4 * side * side, rounds)
    yield Figure(f"stream {side} x {side} float32: write + read", both * 1e6, "us")
    yield Figure("two plain device copies / stream write + read", plain / both, "", 0.5)


def pipelines(name: str, side: int, rounds: int) -> Iterator[Figure | str]:
    """Matrix times vector, the matrix in a stream on the GPU, each new one read once; against plain arrays."""
    library = libraries.find()
    if isinstance(library, str):
        yield library
        return
    values = np.random.default_rng(0).random((side, side), np.float32)
    vectors = np.random.default_rng(1).random(side, np.float32)
    with stream.stream(name, (side, side), gpu_device="cuda:0") as s:
        s.write(values)
        plain = library.to_device(values)
        newest = cuda.empty((side, side))
        matrix = library.from_shmlane(newest)
        seen = -1

        def current() -> Any:
            nonlocal seen
            if s.count != seen:
                seen = s.count
                s.read(newest)
            return matrix

        for kind in ("host", "device"):
            vector = library.to_device(vectors)
            take = (lambda: library.to_device(vectors)) if kind == "host" else (lambda vector=vector: vector)
            ours = timed(lambda take=take: library.product(current(), take()), rounds)
            theirs = timed(lambda take=take: library.product(plain, take()), rounds)
            np.testing.assert_allclose(library.product(current(), take()), values @ vectors, rtol=1e-3)
            what = f"{library.name}, {side} x {side} in a GPU stream times a vector of the {kind}"
            yield Figure(f"{what}: plain arrays' time / its own", theirs / ours, "", 0.9)


def measure(name: str, sizes: tuple[int, int] = (MIB, 256 * MIB), rounds: int = 50) -> Iterator[Figure | str]:
    """All of them; a text instead says what could not be measured, and why."""
    yield from queues(name, sizes, rounds)
    yield from streams(name, 1000, rounds)
    yield from pipelines(f"{name}-matrix", min(4096, sizes[1] // 256), rounds)
