# SPDX-License-Identifier: Apache-2.0
"""Handlers of signals that raise at any moment: no lock is kept, nothing is held for ever, and all go on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

from shmlane import Consumer, Producer

PROGRAM = """
import gc, random, signal, sys, time, shmlane

class Interrupt(Exception):
    pass

def interrupt(*_):
    if armed:
        raise Interrupt

armed = False
signal.signal(signal.SIGALRM, interrupt)
name, end, interrupted, done = sys.argv[1], time.monotonic() + 2, 0, 0
tx, rx = shmlane.Producer(name, "64KiB"), shmlane.Consumer(name)
operations = [
    lambda: tx.push(bytes(3000), 0),
    lambda: tx.push_many([bytes(300)] * 5, 0),
    lambda: tx.reserve(500, timeout=0).abort(),
    lambda: rx.pop(0),
    lambda: rx.pop_many(5, 0),
    lambda: rx.acquire(0).release(),
]
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
signal.setitimer(signal.ITIMER_REAL, 0)
gc.collect()
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


def test_exceptions_of_signal_handlers_leave_no_lock_and_no_frame_behind(
    name: str, backend: ModuleType, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    with Producer(name, "64KiB") as tx, Consumer(name) as rx, said.open("w") as file:
        command = [sys.executable, "-c", PROGRAM, name]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True)
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
    # Python itself says so of exceptions in finalizers, and goes on.
    assert all("Interrupt" in one for one in said.read_text().split("Exception ignored in")[1:])
