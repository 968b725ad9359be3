# SPDX-License-Identifier: Apache-2.0
"""The write lock of streams, and what is done under it."""

from __future__ import annotations

import pytest

import shmlane
from shmlane import (
    Unlocked,
    stream,
)


def test_the_lock_may_be_taken_again_by_its_thread(name: str) -> None:
    s, other = stream.create(name, 2), stream.open(name)
    with s.locked() as same:
        assert same is s
        assert s.acquire(0)
        s.write_locked([1, 1])
        s.write([2, 2])
        assert not other.acquire(0)
        s.release()
        assert not other.acquire(0.01)
    assert other.acquire(0)
    other.release()


def test_what_needs_the_lock_is_refused_without_it(name: str) -> None:
    s = stream.create(name, 2)
    with pytest.raises(Unlocked, match="unlocked"):
        s.release()
    with pytest.raises(Unlocked, match=r"write\(\)"):
        s.write_locked([1, 2])
    with pytest.raises(Unlocked, match=r"locked\(\)"):
        s.read(safe=False)


def test_under_the_lock_the_live_memory_may_be_read_without_a_copy(name: str) -> None:
    s = stream.create(name, 2)
    s.write([1, 2])
    with s.locked():
        live = s.read(safe=False)
        assert live.tolist() == [1, 2]
        assert not live.flags.writeable
        assert live.ctypes.data % 64 == 0
        s.write([3, 4])
        assert s.read(safe=False).tolist() == [3, 4]


def test_several_streams_are_locked_together(name: str) -> None:
    streams = [stream.create(name + part, 1) for part in "cab"]
    with stream.locked_many(streams):
        assert all(not stream.open(one.name).acquire(0) for one in streams)
    for one in streams:
        assert one.acquire(0)
        one.release()


def test_who_cannot_lock_all_of_them_in_time_locks_none(name: str) -> None:
    first, second = stream.create(name + "a", 1), stream.create(name + "b", 1)
    other = stream.open(second.name)
    with other.locked():
        with pytest.raises(shmlane.TimedOut), stream.locked_many([first, second], 0.05):
            pytest.fail("the lock was held")
        assert stream.open(first.name).acquire(0)
