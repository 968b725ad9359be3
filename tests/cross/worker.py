# SPDX-License-Identifier: Apache-2.0
"""The Python side of the tests across languages; worker.cpp is its twin and takes the same words."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np

import shmlane

from .array_worker import run_arrays

STAMP = np.dtype([("producer", "<u8"), ("sequence", "<u8")])


def size_of(producer: int, sequence: int, max_size: int) -> int:
    extra = (producer * 40503 + sequence * 2654435761) & 0xFFFFFFFF
    return STAMP.itemsize + extra % (max_size - STAMP.itemsize + 1)


def pattern(producer: int, sequence: int, size: int) -> np.ndarray:
    start = (producer * 131 + sequence * 31) & 0xFF
    return _RAMP[:size] + np.uint8(start)


_RAMP = (np.arange(1 << 20, dtype=np.uint32) * 7).astype(np.uint8)


def make(producer: int, sequence: int, max_size: int) -> bytes:
    obj = pattern(producer, sequence, size_of(producer, sequence, max_size))
    obj[: STAMP.itemsize].view(STAMP)[0] = (producer, sequence)
    return obj.tobytes()


def produce(queue: str, producer: int, count: int, max_size: int) -> None:
    with shmlane.Producer(queue) as tx:
        for sequence in range(count):
            tx.push(make(producer, sequence, max_size))


def produce_dropping(queue: str, producer: int, count: int, max_size: int) -> None:
    with shmlane.Producer(queue, policy="drop_oldest") as tx:
        for sequence in range(count):
            tx.push(make(producer, sequence, max_size))


def consume(queue: str, max_size: int, log: str) -> None:
    """Write the stamps in the order of arrival; fail at the first object that is wrong."""
    with shmlane.Consumer(queue) as rx, Path(log).open("wb") as out:
        for obj in rx:
            producer, sequence = np.frombuffer(obj, STAMP, 1)[0].item()
            if obj != make(producer, sequence, max_size):
                sys.exit(5)
            out.write(obj[: STAMP.itemsize])


def echo(source: str, target: str) -> None:
    with shmlane.Consumer(source) as rx, shmlane.Producer(target, "160MiB") as tx:
        for obj in rx:
            tx.push(obj)


def echo_stdio() -> None:
    with shmlane.StdioProducer(1) as tx:
        for obj in shmlane.StdioConsumer(0):
            tx.push(obj)


def hold() -> NoReturn:
    """Tell so, and wait to be killed."""
    print("holding", flush=True)
    while True:
        signal.pause()


def produce_and_reserve(queue: str, producer: int, count: int, max_size: int) -> None:
    with shmlane.Producer(queue) as tx:
        for sequence in range(count):
            tx.push(make(producer, sequence, max_size))
        place = tx.reserve(max_size)
        place.array[:] = 1
        hold()


def lease(queue: str, count: int) -> None:
    with shmlane.Consumer(queue) as rx:
        held = [rx.acquire() for _ in range(count)]
        assert None not in held
        hold()


def main(words: list[str]) -> None:
    match words:
        case ["produce", queue, producer, count, max_size]:
            produce(queue, int(producer), int(count), int(max_size))
        case ["produce-dropping", queue, producer, count, max_size]:
            produce_dropping(queue, int(producer), int(count), int(max_size))
        case ["consume", queue, max_size, log]:
            consume(queue, int(max_size), log)
        case ["echo", source, target]:
            echo(source, target)
        case ["echo-stdio"]:
            echo_stdio()
        case ["produce-and-reserve", queue, producer, count, max_size]:
            produce_and_reserve(queue, int(producer), int(count), int(max_size))
        case ["lease", queue, count]:
            lease(queue, int(count))
        case _ if not run_arrays(words, hold):
            sys.exit(2)


if __name__ == "__main__":
    assert shmlane._backend.active.__name__ == f"shmlane._{os.environ['SHMLANE_BACKEND']}"
    main(sys.argv[1:])
