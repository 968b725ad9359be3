# SPDX-License-Identifier: Apache-2.0
"""Hunt for torn values: streams of several sizes, written by processes that are killed at random, read all the while.

Each item of a value is one number, so that a value that is not whole shows; counts never go back; and after each death
somebody else writes on within half a second.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from random import Random

import numpy as np

from shmlane import stream

WRITERS = 2
SIZES = (8, 512, 1 << 14, 1 << 18)  # items of 8 bytes
ROUND_SECONDS = 3.0
WATCHDOG_SECONDS = 20.0
PROMISE_SECONDS = 0.5


class Hunt:
    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.reads = self.values = self.deaths = self.rounds = 0
        self.longest_gap = 0.0
        self.faults: list[str] = []

    def round(self, items: int, slots: int, seconds: float) -> None:
        self.rounds += 1
        name = f"torn-{os.getpid()}-{self.rounds}"
        with stream.stream(name, items, np.int64, slots=slots) as s:
            writers = [start(name, i) for i in range(WRITERS)]
            try:
                self._read(s, writers, seconds)
            finally:
                for writer in writers:
                    writer.kill()
                    writer.join()
            s.write(np.zeros(items, np.int64), WATCHDOG_SECONDS)

    def _read(self, s: stream.Stream, writers: list[BaseProcess], seconds: float) -> None:
        value = np.zeros(s.shape, np.int64)
        begin = moved = next_death = time.monotonic()
        last = 0
        while (now := time.monotonic()) < begin + seconds:
            s.read(value)
            self.reads += 1
            if (value != value[0]).any():
                self.faults.append(f"a torn value of {value.size} items: {np.unique(value)[:5]}")
            count = s.last_read
            if count > last:
                self.longest_gap = max(self.longest_gap, now - moved if last else 0.0)
                moved, last = now, count
            if now - moved > WATCHDOG_SECONDS:
                self.faults.append(f"nothing was written for {WATCHDOG_SECONDS} s: {s.describe()}")
                break
            if last and now > next_death:
                next_death = now + self._random.lognormvariate(-3.5, 1)
                self._kill_one(s.name, writers)
        self.values += last

    def _kill_one(self, name: str, writers: list[BaseProcess]) -> None:
        victim = self._random.randrange(WRITERS)
        writers[victim].kill()
        writers[victim].join()
        self.deaths += 1
        writers[victim] = start(name, self._random.randrange(1 << 20))

    def summary(self) -> str:
        return (
            f"torn values: {len(self.faults)} faults in {self.reads:,} reads of {self.values:,} values, "
            f"{self.deaths} writers killed in {self.rounds} rounds; longest pause {self.longest_gap:.3f} s"
        )


def start(name: str, seed: int) -> BaseProcess:
    process = get_context("fork").Process(target=write, args=(name, seed), daemon=True)
    process.start()
    return process


def write(name: str, seed: int) -> None:
    """In different ways, for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    s = stream.open(name)
    value = np.zeros(s.shape, np.int64)
    for number in itertools.count(seed):
        if number % 3:
            value.fill(number)
            s.write(value)
        else:
            with s.write_view() as array:
                array.fill(number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="torn", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="of hunting, in all")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--judge", action="store_true", help="fail if nobody wrote for longer than promised")
    asked = parser.parse_args()
    hunt = Hunt(asked.seed)
    print(f"torn values, seed {asked.seed}", flush=True)
    end = time.monotonic() + asked.seconds
    for items, slots in itertools.cycle(itertools.product(SIZES, (3, 4))):
        if time.monotonic() > end or hunt.faults:
            break
        hunt.round(items, slots, min(ROUND_SECONDS, asked.seconds / 4))
    print(hunt.summary())
    if asked.judge and hunt.longest_gap > PROMISE_SECONDS:
        hunt.faults.append(f"nobody wrote for {hunt.longest_gap:.3f} s, longer than {PROMISE_SECONDS} s")
    for fault in hunt.faults:
        print(f"FAULT: {fault}")
    return 1 if hunt.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
