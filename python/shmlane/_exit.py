# SPDX-License-Identifier: Apache-2.0
"""Closes what is still open when the process ends in good order, so that the others need not take it for a crash."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing import util
from typing import Protocol
from weakref import WeakSet

from .errors import Closed


class Closable(Protocol):
    def close(self) -> None: ...


_PRIORITY = -100  # after multiprocessing has joined the children and flushed its queues
_PATIENCE = 0.5
"""Seconds for threads to come out of calls that closing has ended."""

_first: WeakSet[Closable] = WeakSet()
_then: WeakSet[Closable] = WeakSet()
_lock = threading.Lock()


def close_at_exit(closable: Closable, first: bool = False) -> None:
    """Have ``closable.close()`` called at the end of the process, if it lives so long; ``first`` ones before others."""
    with _lock:
        (_first if first else _then).add(closable)


def _close_all() -> None:
    _silence_threads()
    with _lock:
        closables = [*_first, *_then]
    waiting = list(_daemons_in_our_calls()) if closables else []
    for closable in closables:
        closable.close()
    # A thread that meets the end of the interpreter on its way out keeps the module's reservations and leases alive.
    deadline = time.monotonic() + _PATIENCE
    for thread in waiting:
        thread.join(max(0.0, deadline - time.monotonic()))


def _daemons_in_our_calls() -> Iterator[threading.Thread]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0) if thread.daemon else None
        while frame is not None and not str(frame.f_globals.get("__name__", "")).startswith("shmlane."):
            frame = frame.f_back
        if frame is not None:
            yield thread


def _silence_threads() -> None:
    """A daemon thread that waited on a handle ends without a word, as those do that wait for anything else."""
    say = threading.excepthook

    def say_unless_closed(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, Closed):
            say(args)

    threading.excepthook = say_unless_closed


def _arm(_: object = None) -> None:
    util.Finalize(None, _close_all, exitpriority=_PRIORITY)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _arm()


# Not atexit: the children of multiprocessing leave without it, and forget what was armed before they were forked.
_arm()
os.register_at_fork(after_in_child=_after_fork)
util.register_after_fork(_then, _arm)
