# SPDX-License-Identifier: Apache-2.0
"""Queue: what ``multiprocessing.Queue`` is, through shared memory."""

from __future__ import annotations

import io
import os
import secrets
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from types import GenericAlias
from typing import Any, SupportsIndex

import numpy as np

from . import _backend, _exit
from ._feeder import Feeder, Send
from .codecs.pickle import PROTOCOL, encode_pickle
from .errors import Closed, Error
from .queue import END, Consumer, Producer
from .registry import Registry

_REGISTRY = Registry()  # what programs register must not change what a Queue gives back
_MODE = 0o600

_queues: weakref.WeakSet[Queue] = weakref.WeakSet()


class Queue:
    """A queue of any objects, None too, for the processes that a program starts; there is no end of stream.

    maxsize: how many objects may wait; 0 for no limit. Without a limit ``put`` never waits: what finds no room in the
    ring goes there from a thread, and ``join_thread`` and the end of the process wait for that.
    capacity: bytes of the ring, or a text like "256MiB"; 32 MiB by default. No object may be larger.

    What is not exactly bytes, str or ndarray is pickled (protocol 5, buffers beside the pickle): only processes that
    trust each other may share a Queue. Its segment is the owner's alone (mode 0600), and lives as long as any Queue
    object of it does in any process. Works with fork, forkserver and spawn. Thread-safe.
    """

    __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self, maxsize: int = 0, capacity: str | SupportsIndex | None = None) -> None:
        self._name = f"Queue-{os.getpid()}-{secrets.token_hex(8)}"
        self._maxsize = max(0, maxsize)
        self._attach(capacity)

    def _attach(self, capacity: str | SupportsIndex | None = None) -> None:
        self._closed = False
        self._link = _Link(self._name, self._maxsize, capacity)
        weakref.finalize(self, self._link.let_go).atexit = False
        _exit.close_at_exit(self._link, first=True)
        _queues.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        child = context.get_spawning_popen()
        if child is not None:
            # The child attaches when it comes to it; until then, and as long as it runs, its parent keeps the queue.
            child.__dict__.setdefault("_shmlane_queues", []).append(self)
        return _reattach, (self._name, self._maxsize)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put ``obj`` in. Raises queue.Full if no room comes in time, ValueError when closed, TooLarge."""
        self._check_open()
        send = self._link.sender(obj)
        if self._maxsize:
            send(timeout if block else 0)
        else:
            self._link.feeder.send(send)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take an object out. Raises queue.Empty if none comes in time, ValueError when closed."""
        self._check_open()
        return self._link.take(timeout if block else 0)

    def put_nowait(self, obj: Any) -> None:
        self.put(obj, False)

    def get_nowait(self) -> Any:
        return self.get(False)

    def qsize(self) -> int:
        """Objects that wait; exact when nobody works on the queue."""
        return self._link.size()

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return 0 < self._maxsize <= self.qsize()

    def close(self) -> None:
        """This process will neither put nor get any more; what it has put still goes out."""
        self._closed = True
        self._link.stop_taking()

    def join_thread(self) -> None:
        """After ``close``: wait until all that this process has put is in the ring."""
        assert self._closed, f"Queue {self!r} not closed"
        self._link.flush()

    def cancel_join_thread(self) -> None:
        """Wait for nothing, neither in ``join_thread`` nor at exit: what has no room in the ring may be lost."""
        self._link.joins = False

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(f"Queue {self!r} is closed")

    def _after_fork(self) -> None:
        """In the child: a participant of its own at once, since the parent may leave before the first use."""
        closed = self._closed
        self._attach()
        self._closed = closed

    def __repr__(self) -> str:
        return f"<shmlane.Queue {self._name!r}>"


class _Link:
    """One process's handles on the ring of a queue. The last link of all processes removes the ring.

    Those who only get hold a producer as well: as long as there is one, nobody sees the end of stream.
    """

    def __init__(self, name: str, maxsize: int, capacity: str | SupportsIndex | None) -> None:
        self._name = name
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._consumer: Consumer | None = None
        self._producer = Producer(
            name, capacity, max_objects=maxsize, wait_for_consumer=None, mode=_MODE, pickle=True, registry=_REGISTRY
        )
        self.feeder = Feeder(name)
        self.joins = True

    def sender(self, obj: Any) -> Send:
        """A function of the time-out that puts ``obj`` in; it is pickled here and now if it has to be."""
        plain = type(obj) is bytes or (type(obj) is str and obj.isascii())
        if plain or (type(obj) is np.ndarray and obj.flags.c_contiguous and not obj.dtype.hasobject):
            return self._producer.sender(obj)
        return partial(self._producer.push_frame, encode_pickle(obj, _dumps))

    def take(self, timeout: float | None) -> Any:
        with self._lock:
            if self._consumer is None:
                self._consumer = Consumer(self._name, mode=_MODE, pickle=True, registry=_REGISTRY)
        obj = self._consumer.take(timeout)
        if obj is END:
            raise Closed(f"the queue {self._name!r} was closed while it was read")
        return obj

    def size(self) -> int:
        return self._producer.size() + self.feeder.size()

    def stop_taking(self) -> None:
        with self._lock:
            if self._consumer is not None:
                self._consumer.close()

    def flush(self) -> None:
        if self.joins:
            self.feeder.join(self._alone)

    def _alone(self) -> bool:
        """Whether no process has a handle but this one's producer, so that nobody will ever make room."""
        stat = self._producer.stat()
        return stat["consumers"] == 0 and stat["producers"] <= 1

    def let_go(self) -> None:
        """At the death of the Queue: what waits still goes out. Nothing in a process that was forked from this one."""
        if self._pid == os.getpid():
            self.feeder.when_done(self._leave)

    def close(self) -> None:
        """At the end of the process, which waits for what waits."""
        if self._pid == os.getpid():
            self.flush()
            self._leave()

    def _leave(self) -> None:
        self.stop_taking()
        self._producer.close()
        self.feeder.stop()
        with suppress(Error):
            _backend.active.remove_segment(self._name)  # not if somebody lives in it


def _dumps(obj: Any, callback: Callable[[Any], Any]) -> bytes:
    """As multiprocessing pickles: locks, connections and what others have told it cross, too."""
    file = io.BytesIO()
    ForkingPickler(file, PROTOCOL, True, callback).dump(obj)
    return file.getvalue()


def _reattach(name: str, maxsize: int) -> Queue:
    _backend.active.inspect_segment(name)  # raises NotFound if all other objects of this queue are gone
    queue = Queue.__new__(Queue)
    queue._name, queue._maxsize = name, maxsize
    queue._attach()
    return queue


def _after_fork() -> None:
    for queue in list(_queues):
        queue._after_fork()


os.register_at_fork(after_in_child=_after_fork)
