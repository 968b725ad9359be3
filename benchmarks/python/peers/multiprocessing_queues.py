# SPDX-License-Identifier: Apache-2.0
"""The queues and the pipe of Python's own multiprocessing; made before the workers, who inherit them."""

from __future__ import annotations

from multiprocessing import get_context

from peer import Peer, Receiver, Sender, Setup

_fork = get_context("fork")
_MOST_SLOTS = 30_000  # a semaphore counts no further than 32,767


class _Puts(Sender):
    def __init__(self, push) -> None:  # type: ignore[no-untyped-def]
        self.push = push


class _Gets(Receiver):
    def __init__(self, pop) -> None:  # type: ignore[no-untyped-def]
        self.pop = pop


class Queue(Peer):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        # Without a limit it would take all the memory there is.
        self._queue = _fork.Queue(min(_MOST_SLOTS, setup.slots))

    def sender(self, index: int) -> Sender:
        return _Puts(self._queue.put)

    def receiver(self, index: int) -> Receiver:
        return _Gets(self._queue.get)


class SimpleQueue(Queue):
    def __init__(self, setup: Setup) -> None:
        Peer.__init__(self, setup)
        self._queue = _fork.SimpleQueue()  # type: ignore[assignment]


class Pipe(Peer):
    """Arrays are pickled; bytes go as they are."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._reader, self._writer = _fork.Pipe(duplex=False)

    def sender(self, index: int) -> Sender:
        return _Puts(self._writer.send if self.setup.numpy else self._writer.send_bytes)

    def receiver(self, index: int) -> Receiver:
        return _Gets(self._reader.recv if self.setup.numpy else self._reader.recv_bytes)
