# SPDX-License-Identifier: Apache-2.0
"""Producer and Consumer as handles: closed, misnamed, with options that are none, and in other processes."""

from __future__ import annotations

import multiprocessing
import pickle
import stat
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import workers

from shmlane import Consumer, Producer, errors


def test_a_closed_handle_says_so(name: str) -> None:
    tx, rx = Producer(name), Consumer(name)
    assert (tx.closed, rx.closed) == (False, False)
    for handle in (tx, rx, tx, rx):
        handle.close()
    assert (tx.closed, rx.closed) == (True, True)
    for use in (lambda: tx.push(b"x"), lambda: tx.push([b"x"]), lambda: tx.push_many([b"x"]), lambda: tx.reserve(1),
                rx.pop, rx.try_pop, rx.acquire, lambda: rx.pop_many(1), lambda: list(rx)):  # fmt: skip
        with pytest.raises(errors.Closed, match=name):
            use()
    assert repr(tx) == f"<Producer {name!r} closed>"


def test_a_handle_shows_what_it_is(name: str) -> None:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        assert (tx.name, rx.name) == (name, name)
        assert repr(rx) == f"<Consumer {name!r} open>"
        tx.push(bytes(100))
        assert rx.size() == 1
        seen = rx.stat()
        assert (seen["pushed"], seen["popped"], seen["producers"], seen["consumers"]) == (1, 0, 1, 1)
        assert seen["pushed_bytes"] == 100
        assert 0 < seen["used"] <= seen["capacity"] == 65536
        rx.pop()


def test_closing_wakes_who_waits_in_another_thread(name: str) -> None:
    for operation in (Consumer.pop, Consumer.acquire):
        tx, rx = Producer(name), Consumer(name)
        outcome: list[BaseException] = []

        def wait(rx: Consumer = rx, operation: Any = operation, outcome: list[BaseException] = outcome) -> None:
            try:
                operation(rx)
            except errors.Closed as error:
                outcome.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.1)
        rx.close()
        thread.join()
        assert len(outcome) == 1
        tx.close()


@pytest.mark.parametrize("bad", ["", "a/b", "a\0b", "x" * 201, "é" * 101, "\ud800"])
def test_a_name_that_is_none_is_refused(backend: ModuleType, bad: str) -> None:
    for end in (Producer, Consumer):
        with pytest.raises(errors.InvalidName):
            end(bad)


@pytest.mark.parametrize(
    "options",
    [
        {"capacity": 0},
        {"capacity": "much"},
        {"capacity": -5},
        {"policy": "wait"},
        {"stale": "never"},
        {"mode": 0o7777},
        {"image_encoding": "gif"},
        {"image_quality": 3},
    ],
)
def test_an_option_that_is_none_is_refused_and_nothing_is_created(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        Producer(name, **options)


def test_a_capacity_that_memory_does_not_have_is_a_clear_error(name: str) -> None:
    with pytest.raises((errors.NoSpace, errors.InvalidArgument), match=r"space|capacity|free"):
        Producer(name, "500TiB")


def test_the_segment_is_the_owner_s_alone_unless_a_mode_is_given(name: str) -> None:
    for mode in (0o600, 0o660):
        with Producer(name, mode=mode), Consumer(name):
            files = [path for path in Path("/dev/shm").iterdir() if name in path.name]
            assert len(files) == 3
            assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {mode}


@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_a_handle_crosses_to_another_process_by_its_name(name: str, start: Any) -> None:
    context = multiprocessing.get_context(start)
    with Producer(name, "1MiB", wait_for_consumer=None) as tx, Consumer(name) as rx, Consumer(f"{name}-back") as back:
        child = context.Process(target=workers.use_handle, args=(tx, ""))
        child.start()
        assert rx.pop() == f"from {child.pid}"
        child.join()
        child = context.Process(target=workers.use_handle, args=(rx, f"{name}-back"))
        child.start()
        tx.push("for the child")
        assert back.pop() == "for the child"
        child.join()


def test_a_pickled_handle_has_the_same_options(name: str) -> None:
    with Producer(name, "1MiB", pickle=True, wait_for_consumer=None) as tx, Consumer(name, pickle=True) as rx:
        with pickle.loads(pickle.dumps(tx)) as other:
            other.push({1, 2})
        with pickle.loads(pickle.dumps(rx)) as reader:
            assert reader.pop() == {1, 2}
