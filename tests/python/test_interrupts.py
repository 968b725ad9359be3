# SPDX-License-Identifier: Apache-2.0
"""Handlers of signals that raise at any moment: no lock is kept, nothing is held for ever, and all go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TextIO

import numpy as np

from shmlane import Consumer, Producer, stream, tensor

HARNESS = """
import gc, random, signal, sys, time, numpy as np, shmlane

class Interrupt(Exception):
    pass

def interrupt(*_):
    if armed:
        raise Interrupt

armed = False
signal.signal(signal.SIGALRM, interrupt)
name, end, interrupted, done = sys.argv[1], time.monotonic() + 2, 0, 0

def interrupt_often(operations, after=lambda: None):
    global armed, interrupted, done
    while time.monotonic() < end:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, random.uniform(0.000001, 0.0002))
            random.choice(operations)()
            done += 1
        except (shmlane.Full, shmlane.Empty):
            done += 1
        except Interrupt:
            interrupted += 1
        finally:
            armed = False
        after()
    signal.setitimer(signal.ITIMER_REAL, 0)
    gc.collect()
"""

QUEUES = (
    HARNESS
    + """
tx, rx = shmlane.Producer(name, "64KiB"), shmlane.Consumer(name)
interrupt_often([
    lambda: tx.push(bytes(3000), 0),
    lambda: tx.push_many([bytes(300)] * 5, 0),
    lambda: tx.reserve(500, timeout=0).abort(),
    lambda: rx.pop(0),
    lambda: rx.pop_many(5, 0),
    lambda: rx.acquire(0).release(),
])
# What an exception kept from ending is ended when somebody waits for it.
try:
    while True:
        rx.pop(0.3)
except shmlane.Empty:
    tx.reserve(60_000, timeout=5).abort()
print(interrupted > 100, done > 100, flush=True)
sys.stdin.readline()
try:
    while True:
        rx.pop(0)
except shmlane.Empty:
    tx.close()
    rx.close()
"""
)

ARRAYS = (
    HARNESS
    + """
s, t = shmlane.stream.open(name), shmlane.tensor.attach_shared_tensor(name + "t")
value, out = s.read(), s.read()

def whole(array):
    assert (array == array[0]).all()

def write():
    value[:] += 1
    s.write(value, 5)

def fill():
    with s.write_view(timeout=5) as array:
        array[:] = value

def release():
    # An exception may have come after a lock was taken and before this program knew.
    while s._native.locked_here:
        s.release()
    for unlock in (t._native.unlock, t._native.unlock_shared):
        try:
            while True:
                unlock()
        except shmlane.Unlocked:
            pass

interrupt_often([
    write, fill, s.clear,
    lambda: whole(s.read(out)),
    lambda: s.write_view(timeout=5).abort(),
    lambda: s.acquire(5),
    lambda: t._native.lock(5),
    lambda: t._native.lock_shared(5),
], release)
s.write(value, 5)
print(interrupted > 100, done > 100, flush=True)
sys.stdin.readline()
"""
)


def start(program: str, name: str, said: TextIO) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)


def assert_only_interrupts(said: str) -> None:
    """Python itself says so of exceptions in finalizers, and goes on."""
    assert all("Interrupt" in one for one in said.split("Exception ignored in")[1:])


def test_exceptions_of_signal_handlers_leave_no_lock_and_no_frame_behind(
    name: str, backend: ModuleType, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    with Producer(name, "64KiB") as tx, Consumer(name) as rx, said.open("w") as file:
        child = start(QUEUES, name, file)
        assert child.stdout is not None
        assert child.stdout.readline() == "True True\n"
        others = [one for one in backend.inspect_segment(name)["participants"] if one["pid"] == child.pid]
        assert [(one["locks"], one["holds"]) for one in others] == [([], []), ([], [])]
        assert rx.size() == 0
        for number in range(100):
            tx.push(number, 0)
            assert rx.pop(0) == number
        child.communicate("\n")
        assert child.returncode == 0
        assert rx.stat()["used"] == 0
    assert_only_interrupts(said.read_text())


def test_exceptions_of_signal_handlers_leave_no_lock_of_a_stream_or_a_tensor_behind(name: str, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with (
        stream.stream(name, 300, np.int64) as s,
        tensor.create_shared_tensor(name + "t", np.zeros(3)) as t,
        said.open("w") as file,
    ):
        child = start(ARRAYS, name, file)
        assert child.stdout is not None
        assert child.stdout.readline() == "True True\n", said.read_text()
        for _ in range(100):
            s.write(s.read() + 1, 0)
            with t.write_locked(0):
                pass
        child.communicate("\n")
        assert child.returncode == 0
    assert_only_interrupts(said.read_text())
