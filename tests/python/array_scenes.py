# SPDX-License-Identifier: Apache-2.0
"""What victims do with a stream and a tensor, which others have made: see victims.py and test_kill_opcodes.py.

Every value of the stream has its count in all items, but for zeros after a clear().
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

LENGTH = 100


def value_of(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.full(LENGTH, count, np.int64)


def write_next(s: Any, timeout: float | None = None) -> None:
    with s.locked(timeout):
        s.write_locked(value_of(s.count + 1))


def open_and_leave(me: Any) -> None:
    me.lib.stream.open(me.queue).close()
    me.lib.tensor.attach_shared_tensor(me.queue + "t").close()


def write(me: Any) -> None:
    with me.lib.stream.open(me.queue) as s:
        for _ in range(5):
            write_next(s)
        s.clear()
        s.write(value_of(s.count + 1))


def fill_in_place(me: Any) -> None:
    with me.lib.stream.open(me.queue) as s:
        s.write_view().abort()
        with s.locked(), s.write_view(keep=True) as array:
            array[:] = s.count + 1


def read(me: Any) -> None:
    with me.lib.stream.open(me.queue) as s:
        write_next(s)
        assert len(set(s.read().tolist())) == 1
        with s.locked():
            assert len(set(s.read(safe=False).tolist())) == 1


def wait(me: Any) -> None:
    with me.lib.stream.open(me.queue) as s, contextlib.suppress(me.lib.TimedOut):
        me.lib.stream.wait_any([s], 0.02)
        s.read_new(0.15)


def lock_a_tensor(me: Any) -> None:
    with me.lib.tensor.attach_shared_tensor(me.queue + "t") as t:
        with t.read_locked() as array, t.read_locked(0):
            assert array[0] == 0
        with t.write_locked(), t.write_locked(0):
            pass


def make_and_remove(me: Any) -> None:
    name = me.queue + "own"
    with me.lib.stream.create(name, LENGTH, np.int64) as s:
        s.write(value_of(1))
    me.lib.stream.open(name).delete()
    with me.lib.tensor.create_shared_tensor(name + "t", value_of(5)):
        pass
    with me.lib.stream.create(name, LENGTH, np.int64, auto_unlink=True):
        pass


def take_what_the_dead_held(me: Any) -> None:
    def hold(other: Any) -> Any:
        s, t = other.lib.stream.open(me.queue), other.lib.tensor.attach_shared_tensor(me.queue + "t")
        view = s.write_view()
        view.array[: LENGTH // 2] = -1
        lock = t.write_locked()
        return view, lock.__enter__(), lock

    me.predecessor(hold)
    with me.lib.stream.open(me.queue) as s, me.lib.tensor.attach_shared_tensor(me.queue + "t") as t:
        write_next(s, 30)
        with t.read_locked(30):
            pass


ARRAY_SCENES: dict[str, Callable[[Any], None]] = {
    scene.__name__: scene
    for scene in (
        *(open_and_leave, write, fill_in_place, read, wait, lock_a_tensor, make_and_remove),
        take_what_the_dead_held,
    )
}
