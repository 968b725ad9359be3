# SPDX-License-Identifier: Apache-2.0
"""What the pure backend asks of processor and system, word by word: atomic access, and sleeping by futex."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from shmlane import Producer, _pure, errors, stream, tensor
from shmlane._pure.os import futex
from shmlane._pure.os.futex import FutexWord

PATIENCE_NS = 60_000_000_000

Words = tuple[np.ndarray, list[FutexWord]]

PROGRAM = """
import sys
from shmlane._pure.os import atomic
atomic.PLAIN_IS_ENOUGH = False
import numpy as np, shmlane

name = sys.argv[1]
with shmlane.Consumer(name) as rx, shmlane.stream.open(name + "s") as s:
    assert isinstance(s._native._core.segment.head.words, atomic.LibraryWords)
    for number, obj in enumerate(rx):
        assert (obj == number).all()
        assert (s.read_after(2 * number, 60) == number).all()
        s.write(s.read() + 1)
with shmlane.tensor.attach_shared_tensor(name + "t") as t:
    with t.write_locked(60) as array:
        array += 1
    with t.read_locked(60) as array:
        assert array[0] == 1
"""


def test_a_process_that_reaches_every_word_by_libatomic_works_with_the_others(name: str) -> None:
    with (
        Producer(name) as tx,
        stream.stream(name + "s", 500, np.int64) as s,
        tensor.create_shared_tensor(name + "t", np.zeros(2)) as t,
    ):
        environment = {**os.environ, "SHMLANE_BACKEND": "pure"}
        child = subprocess.Popen([sys.executable, "-c", PROGRAM, name], env=environment)
        for number in range(50):
            tx.push(np.full(500, number))
            s.write(np.full(500, number))
            assert (s.read_after(2 * number + 1, 60.0) == number + 1).all()
        tx.close()
        assert child.wait(60) == 0
        assert t.array.tolist() == [1, 1]


@pytest.fixture
def words() -> Words:
    memory = np.full(3, 7, np.uint64)
    return memory, [FutexWord(memory.ctypes.data + 8 * index, 7) for index in range(3)]


WAYS = {"wait_any": futex.wait_any, "in threads": futex._wait_in_threads}


def wake_later(word: FutexWord) -> threading.Timer:
    timer = threading.Timer(0.05, futex.wake_all, [word.address])
    timer.start()
    return timer


def test_who_sleeps_on_a_word_is_woken(words: Words) -> None:
    timer = wake_later(words[1][0])
    assert futex.wait(words[1][0], time.monotonic_ns() + PATIENCE_NS)
    timer.join()


@pytest.mark.parametrize("wait", WAYS.values(), ids=WAYS)
def test_who_sleeps_on_several_words_is_woken_at_any(words: Words, wait: object) -> None:
    timer = wake_later(words[1][2])
    assert wait(words[1], time.monotonic_ns() + PATIENCE_NS)  # type: ignore[operator]
    timer.join()


@pytest.mark.parametrize("wait", WAYS.values(), ids=WAYS)
def test_who_is_not_woken_sleeps_until_its_moment(words: Words, wait: object) -> None:
    for one in (wait, lambda all_of_them, until: futex.wait(all_of_them[0], until)):
        until = time.monotonic_ns() + 30_000_000
        assert not one(words[1], until)  # type: ignore[operator]
        assert time.monotonic_ns() >= until


@pytest.mark.parametrize("wait", WAYS.values(), ids=WAYS)
def test_nobody_sleeps_on_a_word_that_has_changed(words: Words, wait: object) -> None:
    memory, all_of_them = words
    memory[1] = 8
    assert wait(all_of_them, time.monotonic_ns() + PATIENCE_NS)  # type: ignore[operator]
    assert futex.wait(all_of_them[1], time.monotonic_ns() + PATIENCE_NS)


@pytest.mark.parametrize("backend", ["pure"], indirect=True)
def test_who_waits_sees_what_is_written_or_read_behind_a_pad_and_where_a_look_went_past_it(name: str) -> None:
    metadata, size = b'{"type":"bytes"}', 3000
    with contextlib.closing(_pure.Producer(name, capacity=4096)) as tx, contextlib.closing(_pure.Consumer(name)) as rx:
        ring = tx._core.ring
        tx.reserve(metadata, 2000, 0).commit()
        assert rx.acquire(0) is not None  # and given back at once
        assert ring.being_written() == 0
        reservation = tx.reserve(metadata, size, 0)  # fits only behind a PAD
        assert ring.being_written() == size
        with pytest.raises(errors.Empty):  # the look that steps over the PAD, and past the reservation
            rx.acquire(0)
        assert ring.being_written() == size
        reservation.commit()
        assert ring.being_written() == ring.being_read() == 0
        lease = rx.acquire(0)
        assert ring.being_read() == size
        del lease
        assert ring.being_read() == 0
