# SPDX-License-Identifier: Apache-2.0
"""Both ends of a queue in one thread, for callgrind: worker.py MARKS QUEUE ROUNDS. The twin of worker.cpp."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import numpy as np

import shmlane


def main(marks: ctypes.CDLL, queue: str, rounds: int) -> None:
    def count(name: str, first: Callable[..., object], second: Callable[..., object], *args: object) -> None:
        def run() -> None:
            for _ in range(rounds):
                first(*args)
                second()

        run()
        marks.begin_count()
        run()
        marks.end_count(name.encode())

    with shmlane.Consumer(queue, "8MiB") as rx, shmlane.Producer(queue, "8MiB") as tx:

        def look() -> None:
            with rx.acquire() as lease:
                lease.array  # noqa: B018

        count("push + pop of bytes", tx.push, rx.pop, bytes(64))
        count("push + pop of an array", tx.push, rx.pop, np.zeros(64, np.uint8))
        count("push + acquire of an array", tx.push, look, np.zeros(64, np.uint8))


if __name__ == "__main__":
    main(ctypes.CDLL(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
