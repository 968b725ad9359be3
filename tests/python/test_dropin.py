# SPDX-License-Identifier: Apache-2.0
"""Queue does what multiprocessing.Queue does: each test here runs on both."""

from __future__ import annotations

import gc
import inspect
import multiprocessing
import multiprocessing.queues
import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import workers
from conftest import left_over

import shmlane

OBJECTS = [
    None,
    1,
    "text",
    "é\ud800",
    b"bytes",
    bytearray(b"x"),
    (1, (2,)),
    [None],
    {1: {2, 3}},
    float("inf"),
    2**100,
    workers.Custom(5),
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array([{"o": 1}]),
    np.float32(2.5),
]

Make = Callable[..., Any]


@pytest.fixture(params=["shmlane", "multiprocessing"])
def make(request: pytest.FixtureRequest, backend: ModuleType) -> Iterator[Make]:
    """Queue of one kind or the other, for the method by which processes start."""

    def make_queue(maxsize: int = 0, method: str = "spawn") -> Any:
        if request.param == "shmlane":
            return shmlane.Queue(maxsize)
        return multiprocessing.get_context(method).Queue(maxsize)

    yield make_queue
    assert left_over(f"Queue-{os.getpid()}-") == []


def test_the_signatures_are_the_same() -> None:
    for method in ("put", "get", "put_nowait", "get_nowait", "qsize", "empty", "full", "close", "join_thread",
                   "cancel_join_thread"):  # fmt: skip
        theirs = inspect.signature(getattr(multiprocessing.queues.Queue, method))
        ours = inspect.signature(getattr(shmlane.Queue, method), eval_str=True)
        assert [(p.name, p.default) for p in ours.parameters.values()] == [
            (p.name, p.default) for p in theirs.parameters.values()
        ], method


def test_objects_come_out_as_they_went_in(make: Make) -> None:
    q = make()
    for obj in OBJECTS:
        q.put(obj)
        back = q.get(timeout=30)
        assert type(back) is type(obj)
        if isinstance(obj, np.ndarray):
            assert np.array_equal(back, obj)
            assert back.flags.writeable
            assert back.flags.f_contiguous == obj.flags.f_contiguous
        else:
            assert back == obj


def test_an_empty_queue_raises_empty(make: Make) -> None:
    q = make()
    start = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.2)
    assert time.monotonic() - start > 0.19
    for get in (q.get_nowait, lambda: q.get(False), lambda: q.get(True, -1), lambda: q.get(block=False, timeout=5)):
        with pytest.raises(queue.Empty):
            get()
    assert q.empty()


def test_a_full_queue_raises_full(make: Make) -> None:
    q = make(2)
    assert not q.full()
    q.put(1)
    q.put(2)
    for put in (lambda: q.put_nowait(3), lambda: q.put(3, False), lambda: q.put(3, timeout=0.1)):
        with pytest.raises(queue.Full):
            put()
    assert q.full()
    assert q.qsize() == 2
    assert q.get(timeout=30) == 1
    q.put(3, timeout=30)
    assert [q.get(timeout=30), q.get(timeout=30)] == [2, 3]
    assert q.qsize() == 0


def test_a_closed_queue_raises_value_error(make: Make) -> None:
    q = make()
    q.put(1)
    q.get(timeout=30)
    q.close()
    for use in (lambda: q.put(1), q.get, q.get_nowait, lambda: q.put_nowait(1)):
        with pytest.raises(ValueError, match="is closed"):
            use()
    q.join_thread()
    q.close()


def test_join_thread_is_only_for_a_closed_queue(make: Make) -> None:
    q = make()
    with pytest.raises(AssertionError):
        q.join_thread()
    q.close()


def test_without_maxsize_put_never_waits(make: Make) -> None:
    q = make()
    count, size = 60, 1 << 20
    for i in range(count):
        q.put(np.full(size, i, np.uint8))
    assert q.qsize() == count
    for i in range(count):
        obj = q.get(timeout=30)
        assert obj.shape == (size,)
        assert obj[0] == i
    q.close()
    q.join_thread()


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_processes_of_every_kind_exchange_objects(make: Make, method: str) -> None:
    context = multiprocessing.get_context(method)
    there, back = make(method=method), make(method=method)
    child = context.Process(target=workers.echo, args=(there, back))
    child.start()
    for obj in OBJECTS[1:-3]:
        there.put(obj)
        got = back.get(timeout=60)
        assert np.array_equal(got, obj) if isinstance(obj, np.ndarray) else got == obj
    there.put(None)
    assert back.get(timeout=60) == (child.pid, "done")
    child.join()
    assert child.exitcode == 0


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_child_that_ends_has_put_everything(make: Make, method: str) -> None:
    q = make(method=method)
    count, size = 80, 1 << 20
    child = multiprocessing.get_context(method).Process(target=workers.put_many, args=(q, count, size))
    child.start()
    got = [int(q.get(timeout=60)[0]) for _ in range(count)]
    child.join()
    assert got == list(range(count))


def test_a_child_that_cancels_its_thread_does_not_wait_to_end(make: Make) -> None:
    q = make()
    child = multiprocessing.get_context("spawn").Process(target=workers.put_and_cancel, args=(q, 200, 1 << 20))
    child.start()
    child.join(60)
    assert child.exitcode == 0


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_queue_lives_until_its_child_has_come_to_it(make: Make, method: str) -> None:
    q = make(method=method)
    context = multiprocessing.get_context(method)
    source = context.Process(target=workers.put_later, args=(q, "late", 0.5))
    source.start()
    assert q.get(timeout=60) == "late"
    source.join()


def test_many_producers_and_consumers_see_each_object_once(make: Make) -> None:
    context = multiprocessing.get_context("spawn")
    there, back = make(), make()
    children = [context.Process(target=workers.echo, args=(there, back)) for _ in range(3)]
    for child in children:
        child.start()
    pushers = [threading.Thread(target=lambda n=n: [there.put(n * 200 + i) for i in range(200)]) for n in range(3)]
    for thread in pushers:
        thread.start()
    for thread in pushers:
        thread.join()
    for _ in children:
        there.put(None)
    got = [back.get(timeout=60) for _ in range(600 + len(children))]
    assert sorted(obj for obj in got if isinstance(obj, int)) == list(range(600))
    for child in children:
        child.join()


def test_a_queue_may_be_subscripted_in_annotations(make: Make) -> None:
    assert str(shmlane.Queue[int]).endswith("Queue[int]")
    make().close()


# From here on: what ours does beyond multiprocessing's.


@pytest.fixture
def ours(backend: ModuleType) -> Iterator[Callable[..., shmlane.Queue]]:
    yield shmlane.Queue
    assert left_over(f"Queue-{os.getpid()}-") == []


def segments() -> list[Path]:
    return [path for path in Path("/dev/shm").iterdir() if f"Queue-{os.getpid()}-" in path.name]


def test_its_segment_is_private_and_gone_with_the_last_object(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours(capacity="1MiB")
    assert {path.stat().st_mode & 0o777 for path in segments()} == {0o600}
    q.put("never taken")
    other = pickle.loads(pickle.dumps(q))
    del q
    gc.collect()
    assert other.get(timeout=10) == "never taken"
    other.put("never taken")
    del other
    gc.collect()
    assert segments() == []


def test_a_pickle_of_a_queue_that_is_gone_says_so(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours()
    text = pickle.dumps(q)
    del q
    gc.collect()
    with pytest.raises(shmlane.errors.NotFound):
        pickle.loads(text)


def test_it_crosses_to_workers_of_a_pool_by_its_name(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours()
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        assert list(pool.map(workers.square, [q] * 5, range(5))) == list(range(5))
    assert sorted(q.get(timeout=10) for _ in range(5)) == [0, 1, 4, 9, 16]


def test_its_parent_may_forget_it_as_soon_as_the_child_was_started(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours()
    child = multiprocessing.get_context("spawn").Process(target=workers.put_later, args=(ours(), 1, 0.1))
    child.start()
    child.join()
    assert child.exitcode == 0
    q.close()


def test_an_object_larger_than_its_ring_is_refused(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours(capacity="64KiB")
    for obj in (bytes(100_000), [bytes(100_000)]):
        with pytest.raises(shmlane.TooLarge, match="65536"):
            q.put(obj)


def test_closing_wakes_who_gets_in_another_thread(ours: Callable[..., shmlane.Queue]) -> None:
    q = ours()
    outcome: list[BaseException] = []

    def get() -> None:
        try:
            q.get()
        except ValueError as error:
            outcome.append(error)

    thread = threading.Thread(target=get)
    thread.start()
    time.sleep(0.1)
    q.close()
    thread.join()
    assert len(outcome) == 1


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise SystemExit(3)", "os.kill(os.getpid(), 2)"])
def test_a_program_that_ends_with_a_queue_leaves_nothing(backend: ModuleType, ending: str) -> None:
    code = (
        "import os, sys, shmlane\n"
        "q = shmlane.Queue(); q.put('never taken')\n"
        "for i in range(50): q.put(bytes(1 << 20))\n"
        f"{ending}\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    child.communicate(timeout=60)
    assert left_over(f"Queue-{child.pid}-") == []
