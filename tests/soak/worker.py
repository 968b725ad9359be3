# SPDX-License-Identifier: Apache-2.0
"""A producer or consumer that may be killed at any moment and has written down what it did; twin of worker.cpp."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np

import shmlane

from .ledger import FINISH, Ledger

BATCH = 8
_MASK = (1 << 64) - 1
_GOLDEN, _MIX = 0x9E3779B97F4A7C15, 0x2545F4914F6CDD1D
_RAMP = np.arange((1 << 17) + 2, dtype=np.uint64) * np.uint64(_GOLDEN)

stopping = False


def size_of(stamp: int, max_size: int) -> int:
    return 16 + ((stamp * _GOLDEN & _MASK) >> 40) % ((max_size - 16) // 8 + 1) * 8


def words_of(stamp: int, size: int) -> np.ndarray:
    """Words 0 and 1 are stamp and size; all others follow from them."""
    words = _RAMP[: size // 8] + np.uint64((stamp * _MIX + size) & _MASK)
    words[:2] = stamp, size
    return words


def check(payload: memoryview) -> tuple[int, int]:
    words = np.frombuffer(payload, np.uint64)
    stamp = int(words[0])
    if words[1] != words.nbytes or not np.array_equal(words, words_of(stamp, words.nbytes)):
        raise RuntimeError("an object is torn")
    return stamp >> 32, stamp & 0xFFFFFFFF


def produce(queue: str, ledger: Ledger, number: int, max_size: int) -> None:
    def obj(sequence: int) -> np.ndarray:
        stamp = number << 32 | sequence
        return words_of(stamp, size_of(stamp, max_size))

    done = 0
    with shmlane.Producer(queue, stale="keep", unlink=False, wait_for_consumer=None) as tx:
        while not stopping:
            batch = [obj(done + i) for i in range(BATCH if number % 2 == 0 else 1)]
            ledger.start(done + len(batch))
            if len(batch) > 1:
                done += tx.push_many([words.tobytes() for words in batch])
            else:
                if done % 16 == 0:
                    tx.reserve(100).abort()
                with tx.reserve(batch[0].nbytes) as place:
                    place.array.view(np.uint64)[:] = batch[0]
                    place.commit()
                done += 1
            ledger.finish(done)


def consume(queue: str, ledger: Ledger, number: int, max_attempts: int) -> None:
    with shmlane.Consumer(queue, stale="keep", unlink=False, max_attempts=max_attempts) as rx:
        while not (stopping or ledger.nearly_full):
            lease = rx.acquire()
            if lease is not None:
                ledger.record(*check(lease.payload), lease.attempt)
                lease.release()
            elif ledger.words[FINISH]:
                return
            else:
                time.sleep(0.001)


def run(backend: str, role: str, queue: str, ledger: Path, number: int, limit: int) -> int:
    """The whole life of a worker in a process forked for it; returns its exit status."""

    def stop(*_: object) -> None:
        global stopping
        stopping = True

    shmlane._backend.active = shmlane._backend.load(backend)
    signal.signal(signal.SIGTERM, stop)
    # Waited for in a thread, so that os._exit comes at any moment of the main thread, in the middle of a wait or copy.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threading.Thread(target=lambda: os._exit(3 if signal.sigwait({signal.SIGUSR1}) else 4), daemon=True).start()
    try:
        (produce if role == "produce" else consume)(queue, Ledger(ledger), number, limit)
    except BaseException:
        traceback.print_exc(file=sys.stderr)
        return 1
    return 0
