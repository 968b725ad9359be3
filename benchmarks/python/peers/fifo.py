# SPDX-License-Identifier: Apache-2.0
"""faster-fifo, as its users use it: put and get with its own pickling, or many at once."""

from __future__ import annotations

import itertools
from typing import Any

from faster_fifo import Queue

from peer import Count, Peer, Receiver, Sender, Setup

_FOREVER = 1e9  # seconds; it has no word for it


class _Sender(Sender):
    def __init__(self, queue: Any, setup: Setup) -> None:
        self._queue, self._batch = queue, setup.batch

    def push(self, obj: Any) -> None:
        self._queue.put(obj, True, _FOREVER)

    def flood(self, objects: list[Any]) -> None:
        put, batch = self._queue.put, self._batch
        if batch == 1:
            for obj in itertools.cycle(objects):
                put(obj, True, _FOREVER)
        objects = list(itertools.islice(itertools.cycle(objects), batch))
        while True:
            self._queue.put_many(objects, True, _FOREVER)


class _Receiver(Receiver):
    def __init__(self, queue: Any, setup: Setup) -> None:
        self._queue, self._batch = queue, setup.batch

    def pop(self) -> Any:
        return self._queue.get(True, _FOREVER)

    def drain(self, count: Count) -> None:
        get = self._queue.get
        while self._batch == 1:
            count(get(True, _FOREVER))
        while True:
            for obj in self._queue.get_many(True, _FOREVER, self._batch):
                count(obj)


class FasterFifo(Peer):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._queue = Queue(max_size_bytes=setup.capacity)

    def sender(self, index: int) -> Sender:
        return _Sender(self._queue, self.setup)

    def receiver(self, index: int) -> Receiver:
        return _Receiver(self._queue, self.setup)
