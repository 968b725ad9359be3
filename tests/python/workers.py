# SPDX-License-Identifier: Apache-2.0
"""What the processes that tests start do; they find it by this module's name."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import time
from typing import Any

import numpy as np
from refusing import refuse_system_call

import shmlane


def produce(name: str, objs: list[Any], **options: Any) -> None:
    with shmlane.Producer(name, **options) as tx:
        tx.push_many(objs)


def consume_into(name: str, results: str, **options: Any) -> None:
    """Give all objects of one queue to another one."""
    with shmlane.Consumer(name, **options) as rx, shmlane.Producer(results, wait_for_consumer=None) as tx:
        for obj in rx:
            tx.push(obj)


def use_handle(handle: shmlane.Producer | shmlane.Consumer, results: str) -> None:
    """Push through a handle that came by its name, or give what it pops to ``results``."""
    if isinstance(handle, shmlane.Producer):
        handle.push(f"from {os.getpid()}")
    else:
        with shmlane.Producer(results, wait_for_consumer=None) as tx:
            tx.push(handle.pop())


def open_and_leave(name: str, way: str) -> None:
    """End this process with handles open, in one of several ways."""
    open_and_leave.kept = (  # type: ignore[attr-defined]
        shmlane.Producer(name, "1MiB"),
        shmlane.Consumer(name),
    )
    if way == "exit":
        sys.exit(0)
    if way == "error":
        sys.stderr.close()
        raise ValueError("on purpose")


def acquire_and_die(name: str) -> None:
    lease = shmlane.Consumer(name).acquire()
    assert lease is not None
    os.kill(os.getpid(), signal.SIGKILL)


def echo(source: shmlane.Queue, target: shmlane.Queue) -> None:
    """Until None comes."""
    while (obj := source.get()) is not None:
        target.put(obj)
    target.put((os.getpid(), "done"))


def put_many(queue: shmlane.Queue, count: int, size: int) -> None:
    for i in range(count):
        queue.put(np.full(size, i % 251, np.uint8))


def put_and_cancel(queue: shmlane.Queue, count: int, size: int) -> None:
    put_many(queue, count, size)
    queue.cancel_join_thread()


def put_later(queue: shmlane.Queue, obj: Any, seconds: float) -> None:
    time.sleep(seconds)
    queue.put(obj)


def square(queue: shmlane.Queue, number: int) -> int:
    queue.put(number * number)
    return number


class Custom:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]


def answer_stream(source: str, target: str, rounds: int) -> None:
    with shmlane.stream.open(source) as ping, shmlane.stream.open(target) as pong:
        for i in range(rounds):
            pong.write(ping.read_after(i, 60.0))


def write_half_and_die(name: str) -> None:
    with shmlane.stream.open(name).write_view() as array:
        array[: len(array) // 2] = 99
        os.kill(os.getpid(), signal.SIGKILL)


def hold_stream(name: str) -> None:
    handle = shmlane.stream.open(name)
    with handle.locked():
        handle.write([1])
        time.sleep(600)


def add_one(handle: shmlane.Stream) -> None:
    with handle.locked():
        handle.write(handle.read() + 1)


def wait_for_any_without_futex_waitv(names: list[str]) -> None:
    """Tell by the first stream that it begins, and by the last one which of all those between was written."""
    refuse_system_call(449)
    first, *others, last = (shmlane.stream.open(name) for name in names)
    assert shmlane.stream.wait_any(others, 0.05) == []
    first.write([1])
    (written,) = shmlane.stream.wait_any(others, 60.0)
    last.write([others.index(written)])


def write_for_ever(name: str) -> None:
    handle = shmlane.stream.open(name)
    value = handle.read()
    while True:
        value += 1
        handle.write(value)


def fill_tensor(handle: shmlane.Tensor, value: int) -> None:
    handle.array[:] = value


def die_making_a_tensor(name: str) -> None:
    """Of data with a page that may not be read, so that this process dies in the midst of the copy."""
    libc = ctypes.CDLL(None)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    memory = mmap.mmap(-1, 3 * 4096)
    data = np.frombuffer(memory, np.uint8)
    data[:] = 7
    assert libc.mprotect(data.ctypes.data + 4096, 4096, 0) == 0
    faulthandler.disable()
    shmlane.tensor.create_shared_tensor(name, data)


def hold_tensor(name: str, way: str) -> None:
    handle = shmlane.tensor.attach_shared_tensor(name)
    with handle.read_locked() if way == "read" else handle.write_locked():
        handle.array[0] = 1
        time.sleep(600)
