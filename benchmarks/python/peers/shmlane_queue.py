# SPDX-License-Identifier: Apache-2.0
"""shmlane: push copies each object into the ring; consumers pop copies, or read leases in place."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import shmlane
from peer import Count, Peer, Receiver, Sender, Setup
from shmlane import _backend, errors


class _Sender(Sender):
    def __init__(self, setup: Setup) -> None:
        self._batch = setup.batch
        self._tx = shmlane.Producer(setup.name, setup.capacity)
        self.push = self._tx.push

    def flood(self, objects: list[Any]) -> None:
        if self._batch == 1:
            return super().flood(objects)
        push_many, batch = self._tx.push_many, self._batch
        objects = list(itertools.islice(itertools.cycle(objects), batch))
        while True:
            push_many(objects)


class _Receiver(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._rx = shmlane.Consumer(setup.name, setup.capacity)
        self.pop = self._rx.pop

    def drain(self, count: Count) -> None:
        if self._setup.batch > 1:
            pop_many, batch = self._rx.pop_many, self._setup.batch
            while True:
                for obj in pop_many(batch):
                    count(obj)
        if self._setup.popped or not self._setup.numpy:
            return super().drain(count)
        acquire = self._rx.acquire
        while True:
            with acquire() as lease:
                count(lease.array)


class ShmlaneQueue(Peer):
    def remove(self) -> None:
        with contextlib.suppress(errors.NotFound):
            _backend.active.remove_segment(self.setup.name, True)

    def sender(self, index: int) -> Sender:
        return _Sender(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _Receiver(self.setup)
