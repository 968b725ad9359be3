# SPDX-License-Identifier: Apache-2.0
"""Counters as Python sees them: each moves exactly when it should, in all places where they can be read."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import workers

from shmlane import Consumer, Empty, Producer

COUNTERS = {
    "pushed", "pushed_bytes", "aborted", "popped", "popped_bytes", "dropped", "redelivered", "waits", "recovered",
}  # fmt: skip


def moved(handle: Producer | Consumer, work: Callable[[], Any]) -> dict[str, int]:
    """The counters that differ afterwards, and by how much: all others must not."""
    before = handle.stat()
    work()
    after = handle.stat()
    return {key: after[key] - before[key] for key in COUNTERS if after[key] != before[key]}


@pytest.fixture
def ends(name: str) -> Any:
    with Producer(name, "64KiB") as tx, Consumer(name) as rx:
        yield tx, rx


def test_a_push_and_a_pop_count_one_object_and_its_bytes(ends: Any) -> None:
    tx, rx = ends
    assert moved(tx, lambda: tx.push(b"hello")) == {"pushed": 1, "pushed_bytes": 5}
    assert moved(tx, rx.pop) == {"popped": 1, "popped_bytes": 5}
    assert moved(tx, lambda: tx.push(np.zeros((10, 10)))) == {"pushed": 1, "pushed_bytes": 800}
    assert moved(tx, lambda: rx.acquire().release()) == {"popped": 1, "popped_bytes": 800}
    assert moved(tx, lambda: tx.push_many(["a", "bc"])) == {"pushed": 2, "pushed_bytes": 3}
    assert moved(tx, lambda: rx.pop_many(9)) == {"popped": 2, "popped_bytes": 3}


def test_an_aborted_reservation_is_no_push(ends: Any) -> None:
    tx, _ = ends

    def give_up() -> None:
        with tx.reserve(100):
            pass

    assert moved(tx, give_up) == {"pushed_bytes": 100, "aborted": 1}


def test_a_pop_that_sleeps_counts_one_wait_and_one_that_does_not_none(ends: Any) -> None:
    _, rx = ends

    def wait_in_vain(timeout: float) -> None:
        with pytest.raises(Empty):
            rx.pop(timeout)

    assert moved(rx, lambda: wait_in_vain(0.25)) == {"waits": 1}
    assert moved(rx, lambda: wait_in_vain(0)) == {}


def test_a_policy_s_victims_count_as_dropped(ends: Any, name: str) -> None:
    tx, rx = ends
    tx.push_many([b"a", b"b"])
    with Producer(name, policy="drop_oldest", max_objects=2) as dropping:
        assert moved(tx, lambda: dropping.push(b"c")) == {"pushed": 1, "pushed_bytes": 1, "dropped": 1}
    with Producer(name, policy="drop_newest", max_objects=2) as dropping:
        assert moved(tx, lambda: dropping.push(b"d")) == {"dropped": 1}
    assert rx.pop_many(9) == [b"b", b"c"]


def test_what_a_dead_consumer_held_counts_as_redelivered_once(ends: Any, name: str, backend: ModuleType) -> None:
    tx, rx = ends
    tx.push(b"x")

    def die() -> None:
        victim = multiprocessing.get_context("spawn").Process(target=workers.acquire_and_die, args=(name,))
        victim.start()
        victim.join()

    assert moved(tx, die) == {"popped": 1, "popped_bytes": 1}
    assert moved(tx, lambda: backend.reap_segment(name)) == {"redelivered": 1}
    assert moved(tx, lambda: backend.reap_segment(name)) == {}
    assert moved(tx, rx.pop) == {"popped": 1, "popped_bytes": 1}


PUSH_AND_DIE = "import os, sys, shmlane; t = shmlane.Producer(sys.argv[1]); t.push(b'hello'); os.kill(os.getpid(), 9)"


def test_what_the_dead_did_stays_counted(ends: Any, name: str, backend: ModuleType) -> None:
    tx, rx = ends
    command = [sys.executable, "-c", PUSH_AND_DIE, name]
    assert moved(tx, lambda: subprocess.run(command, check=False)) == {"pushed": 1, "pushed_bytes": 5}
    assert moved(tx, lambda: backend.reap_segment(name)) == {}
    assert rx.pop() == b"hello"


@pytest.mark.parametrize("offset", [0, 128])
def test_a_lock_taken_over_from_the_dead_counts_as_recovered(
    ends: Any, name: str, backend: ModuleType, offset: int
) -> None:
    tx, rx = ends
    child = os.fork()
    if child == 0:
        kept = Producer(name)
        signal.pause()
        del kept
    while tx.stat()["producers"] < 2:
        time.sleep(0.001)
    (victim,) = [other for other in backend.inspect_segment(name)["participants"] if other["pid"] == child]
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with Path(f"/dev/shm/shmlane.{name}").open("r+b") as file:
        file.seek(69632 + offset)  # the producers' lock, or the consumers'
        file.write(victim["id"].to_bytes(8, "little"))
    expected = {"pushed": 1, "pushed_bytes": 1, "popped": 1, "popped_bytes": 1, "recovered": 1}
    assert moved(tx, lambda: (tx.push(b"x"), rx.pop())) == expected


def test_they_are_the_same_wherever_they_are_read(ends: Any, name: str, backend: ModuleType) -> None:
    tx, rx = ends
    tx.push_many([b"hello", b"hi"])
    rx.pop()
    shown = subprocess.check_output([sys.executable, "-m", "shmlane", "stat", name, "--json"], timeout=60)
    segment = json.loads(shown)
    for key in COUNTERS:
        assert tx.stat()[key] == rx.stat()[key] == segment[key] == backend.inspect_segment(name)[key]
        assert sum(other["counters"][key] for other in segment["participants"]) == segment[key]
    producer, consumer = segment["participants"]
    assert (producer["counters"]["pushed"], producer["counters"]["popped"]) == (2, 0)
    assert (consumer["counters"]["pushed"], consumer["counters"]["popped_bytes"]) == (0, 5)
    assert producer["counters"].keys() == COUNTERS
    rx.pop()


def test_the_readme_explains_each_of_them() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    explained = set("".join(line.split("|")[1] for line in readme.splitlines() if line.startswith("| `")).split("`"))
    assert {key for key in COUNTERS if key not in explained} == set()
