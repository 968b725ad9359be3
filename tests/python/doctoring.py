# SPDX-License-Identifier: Apache-2.0
"""What tests of the doctor share: processes that die or are stopped, and a look at one name."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shmlane import Producer, doctor
from shmlane.doctor import Finding

COMMAND = [sys.executable, "-m", "shmlane", "doctor"]
SHARED_MEMORY = Path("/dev/shm")
MAGIC = b"shmlane\0"


def die_in(name: str, work: Callable[[], Any]) -> int:
    """A forked process does ``work`` and dies by SIGKILL; its pid."""
    child = os.fork()
    if child == 0:
        kept = work()
        os.kill(os.getpid(), signal.SIGKILL)
        del kept
    os.waitpid(child, 0)
    return child


@contextmanager
def stopped(work: Callable[[], Any]) -> Iterator[int]:
    """A forked process that did ``work`` and is stopped; it is killed at the end."""
    child = os.fork()
    if child == 0:
        kept = work()
        os.kill(os.getpid(), signal.SIGSTOP)
        del kept
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    yield child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def look(name: str) -> list[Finding]:
    return doctor.examine([name])


def only(name: str) -> Finding:
    (finding,) = look(name)
    return finding


def files_of(name: str) -> list[str]:
    return sorted(path.name for path in SHARED_MEMORY.iterdir() if name in path.name)


def clean(name: str) -> None:
    doctor.fix(look(name), force=True)


def push_and_keep(name: str, *objs: Any) -> Producer:
    tx = Producer(name, "64KiB", wait_for_consumer=None)
    tx.push_many(objs)
    return tx
