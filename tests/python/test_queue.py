# SPDX-License-Identifier: Apache-2.0
"""Producer and Consumer: what they promise to those who push and pop."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
import workers
from PIL import Image

from shmlane import Consumer, Producer, Registry, errors
from shmlane.queue import END

spawn = multiprocessing.get_context("spawn")

PLAIN = [
    b"",
    b"bytes",
    bytes(200_000),
    "",
    "text",
    "smörgås" * 50_000,
    np.arange(6, dtype="<i2").reshape(2, 3),
    np.array(2.5),
    np.empty((0, 3), ">f4"),
    np.array(["2020-01-02"], "M8[D]"),
    np.array([b"ab", b"c"]),
    np.zeros((50, 60, 70), np.float32),
]
OTHERS = [
    1,
    True,
    {"a": [None, 1.5]},
    [np.arange(3), "x", None],
    {"k": b"v"},
    np.arange(6).reshape(2, 3).T,
    np.zeros(2, [("a", "u1"), ("b", "<f4")]),
    Image.new("RGB", (4, 3), (1, 2, 3)),
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, Image.Image):
        return isinstance(b, Image.Image) and a.mode == b.mode and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and bool(a == b)


def by_codecs() -> Registry:
    """A registry with which no object takes the backend's short way."""
    registry = Registry()
    registry.plain = False
    return registry


@pytest.mark.parametrize("registry", [None, by_codecs()], ids=["short way", "codecs"])
def test_every_object_arrives_as_it_was(name: str, registry: Registry | None) -> None:
    with Producer(name, registry=registry) as tx, Consumer(name) as rx:
        for obj in PLAIN + OTHERS:
            tx.push(obj)
            assert same(rx.pop(), obj)
        assert tx.push_many(PLAIN + OTHERS) == len(PLAIN + OTHERS)
        back: list[Any] = []
        while len(back) < len(PLAIN + OTHERS):
            back += rx.pop_many(7)
        assert all(map(same, back, PLAIN + OTHERS))


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: f"{type(obj).__name__} of {len(obj) if np.ndim(obj) else 0}")
def test_the_short_way_and_the_codecs_make_the_same_frame_and_the_same_object(name: str, obj: Any) -> None:
    with Producer(name) as short, Producer(name, registry=by_codecs()) as long, Consumer(name) as rx:
        for tx in (short, long, short, long):
            tx.push(obj)
        frames = [rx._native.acquire(), rx._native.acquire()]
        assert frames[0].metadata == frames[1].metadata
        assert memoryview(frames[0]) == memoryview(frames[1])
        decoded = rx._decode(rx._native.acquire())
        assert same(decoded, rx.pop())
        assert same(decoded, obj)


@pytest.mark.parametrize("registry", [None, by_codecs()], ids=["short way", "codecs"])
def test_lone_surrogates_are_refused_on_every_way(name: str, registry: Registry | None) -> None:
    with Producer(name, registry=registry, wait_for_consumer=None) as tx:
        for push in (tx.push, lambda text: tx.push_many([text])):
            with pytest.raises(errors.InvalidArgument, match="surrogates"):
                push("\ud800")
        tx._native.push(b'{"type":"text"}', [b"\xff"])
        tx._native.push(b'{"type":"text"}', [b"\xff"])
        with Consumer(name) as rx:
            with pytest.raises(errors.Corrupt, match="UTF-8"):
                rx.pop()
            with pytest.raises(errors.Corrupt, match="UTF-8"):
                rx._decode(rx._native.acquire())


def test_a_refused_object_leaves_nothing_in_the_ring(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        for bad in (None, {1: 2}, float("nan"), object(), np.array([object()]), [b"x", object()]):
            with pytest.raises((errors.UnsupportedType, errors.InvalidArgument)):
                tx.push(bad)
        tx.push("good")
        assert rx.pop() == "good"
        assert tx.size() == 0


def test_iteration_ends_at_the_end_of_stream(name: str) -> None:
    with Consumer(name) as rx:
        with Producer(name) as tx:
            tx.push_many(range(5))
        assert list(rx) == [0, 1, 2, 3, 4]
        assert rx.pop() is None
        assert rx.try_pop() is None
        assert rx.take() is END
        assert rx.pop_many(5) == []
        assert rx.acquire() is None


def test_try_operations_do_not_wait(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        for operation in (rx.try_pop, rx.try_acquire, lambda: rx.pop_many(3, 0)):
            with pytest.raises(errors.Empty, match=name):
                operation()
        tx.push(bytes(60_000))
        with pytest.raises(errors.Full, match=name):
            tx.try_push(bytes(60_000))
        with pytest.raises(errors.Full):
            tx.try_push([bytes(60_000)])
        with pytest.raises(errors.Full):
            tx.reserve(60_000, timeout=0)
        rx.pop()


@pytest.mark.parametrize("timeout", [0.05, 0.3])
def test_a_time_out_is_waited_for(name: str, timeout: float) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        start = time.monotonic()
        with pytest.raises(errors.Empty):
            rx.pop(timeout)
        assert time.monotonic() - start >= timeout
        tx.push(bytes(60_000))
        start = time.monotonic()
        with pytest.raises(errors.Full):
            tx.push([bytes(60_000)], timeout)
        assert time.monotonic() - start >= timeout
        rx.pop()


def test_an_object_larger_than_the_ring_is_refused_with_both_sizes(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name):
        for obj in (bytes(100_000), [bytes(100_000)]):
            with pytest.raises(errors.TooLarge, match=r"100\d\d\d.*65536"):
                tx.push(obj, 0)
        with pytest.raises(errors.TooLarge):
            tx.reserve(100_000)


def test_push_many_says_how_far_it_came(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        with pytest.raises(errors.Full) as full:
            tx.push_many([bytes(20_000)] * 9, 0)
        assert full.value.pushed == rx.size() == 3
        assert len(rx.pop_many(9)) == 3
        with pytest.raises(errors.UnsupportedType) as refused:
            tx.push_many([b"a", 1, object(), b"b"])
        assert refused.value.pushed == 2
        assert rx.pop_many(9) == [b"a", 1]


def test_push_many_takes_objects_as_they_come(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        with pytest.raises(errors.Full) as full:
            tx.push_many(itertools.count(), 0)
        assert rx.pop_many(4096) == list(range(full.value.pushed))


def test_a_corrupt_object_does_not_take_the_rest_of_its_batch_with_it(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        tx.push(b"first")
        tx._native.push(b'{"type":"json"}', [b"{"])
        tx.push({"a": 1})
        with pytest.raises(errors.Corrupt) as corrupt:
            rx.pop_many(10)
        assert corrupt.value.popped == [b"first", {"a": 1}]  # type: ignore[attr-defined]


def test_metadata_that_is_not_json_is_corrupt_and_the_next_object_arrives(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        for metadata in (b"{", b"{}", b"[]", b'{"type":1}'):
            for read in (rx.pop, lambda: rx.acquire().object):  # type: ignore[union-attr]
                tx._native.push(metadata, [b"x"])
                with pytest.raises(errors.Corrupt, match="metadata"):
                    read()
        tx.push("next")
        assert rx.pop() == "next"


def test_a_producer_waits_for_the_first_consumer(name: str) -> None:
    with Producer(name, wait_for_consumer=0.1) as tx:
        with pytest.raises(errors.NoConsumers):
            tx.push(b"x")
        with pytest.raises(errors.NoConsumers):
            tx.push([b"x"], 0)
        with Consumer(name) as rx:
            tx.push(b"x")
            assert rx.pop() == b"x"


def test_a_producer_that_need_not_wait_fills_the_ring_for_a_later_consumer(name: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many([1, 2, 3])
    with Consumer(name) as rx:
        assert list(rx) == [1, 2, 3]


def test_a_consumer_may_come_first_and_name_the_capacity(name: str) -> None:
    with Consumer(name) as rx:
        assert rx.capacity == 0
        with Producer(name, "128KiB") as tx:
            assert rx.capacity == tx.capacity == 128 << 10
            with pytest.raises(errors.CapacityMismatch, match=r"262144.*131072|131072.*262144"):
                Consumer(name, "256KiB")


def test_policies_drop_and_count(name: str) -> None:
    with Producer(name, "64KiB", policy="drop_oldest") as tx, Consumer(name) as rx:
        tx.push_many([bytes([i]) * 20_000 for i in range(6)])
        assert [obj[0] for obj in rx.pop_many(9)] == [3, 4, 5]
        assert tx.stat()["dropped"] == 3
        newest = Producer(name, policy="drop_newest")
        newest.push_many([bytes([i]) * 20_000 for i in range(3)])
        newest.push([bytes(20_000)])
        newest.push(np.zeros((200, 100), np.uint8).T)
        with newest.reserve((20_000,)) as place:
            assert place.dropped
            place.array[:] = 1
            place.commit()
        assert [obj[0] for obj in rx.pop_many(9)] == [0, 1, 2]
        assert tx.stat()["dropped"] == 6
        newest.close()


def test_what_a_policy_drops_of_a_batch_counts_once_each_and_is_no_error(name: str) -> None:
    with Producer(name, "64KiB", policy="drop_newest") as tx, Consumer(name) as rx:
        assert tx.push_many([bytes([i]) * 20_000 for i in range(5)]) == 5
        assert tx.push_many([bytes(20_000)] * 3) == 3
        assert tx.stat()["dropped"] == 5
        assert [obj[0] for obj in rx.pop_many(9)] == [0, 1, 2]


def test_at_most_max_objects_wait(name: str) -> None:
    with Producer(name, max_objects=2) as tx, Consumer(name) as rx:
        tx.push(1)
        tx.push(2)
        with pytest.raises(errors.Full):
            tx.try_push(3)
        assert rx.pop() == 1
        tx.try_push(3)
        assert rx.pop_many(9) == [2, 3]


def test_two_processes_exchange_everything(name: str) -> None:
    # NumPy's pickles, by which the arguments of a process cross, change the byte order of arrays.
    objs = [obj for obj in PLAIN + OTHERS if getattr(obj, "dtype", np.dtype("u1")).isnative]
    with Consumer(f"{name}-back") as back:
        relay = spawn.Process(target=workers.consume_into, args=(name, f"{name}-back"))
        relay.start()
        source = spawn.Process(target=workers.produce, args=(name, objs))
        source.start()
        for obj in objs:
            assert same(back.pop(), obj)
        assert back.pop() is None
        source.join()
        relay.join()
        assert (source.exitcode, relay.exitcode) == (0, 0)


def test_what_a_dead_consumer_held_is_delivered_again(name: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many(["first", "second"])
        victim = spawn.Process(target=workers.acquire_and_die, args=(name,))
        victim.start()
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
        with Consumer(name) as rx:
            with rx.acquire() as lease:  # type: ignore[union-attr]
                assert (lease.object, lease.attempt) == ("first", 1)
            assert rx.pop() == "second"


def test_threads_share_a_handle(name: str) -> None:
    count, threads = 500, 4
    got: list[int] = []
    with Producer(name, "256KiB") as tx, Consumer(name) as rx:

        def push(first: int) -> None:
            for i in range(count):
                tx.push(first + i if i % 2 else [bytes(4), first + i])

        def pop() -> None:
            for obj in rx:
                got.append(obj if isinstance(obj, int) else obj[1])

        pushers = [threading.Thread(target=push, args=(n * count,)) for n in range(threads)]
        poppers = [threading.Thread(target=pop) for _ in range(threads)]
        for thread in pushers + poppers:
            thread.start()
        for thread in pushers:
            thread.join()
        tx.close()
        for thread in poppers:
            thread.join()
    assert sorted(got) == list(range(count * threads))


def test_ctrl_c_ends_a_wait(name: str) -> None:
    code = f"import shmlane; print('ready', flush=True); shmlane.Consumer({name!r}).pop()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate()
    assert child.returncode == -signal.SIGINT
    assert b"KeyboardInterrupt" in stderr
