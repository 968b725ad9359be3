# SPDX-License-Identifier: Apache-2.0
"""pyzmq: PUSH and PULL over ipc; every consumer has an address, every producer connects to all of them."""

from __future__ import annotations

from typing import Any

import zmq

from peer import Peer, Receiver, Sender, Setup

_ZERO_COPY = 64 << 10  # bytes; below, a copy is cheaper than a frame object


def _limit(setup: Setup) -> int:
    """Its queues are limited by numbers of objects: half of what the capacity holds on either side."""
    return max(2, min(100_000, setup.capacity // 2 // max(setup.most, 1024)))


class _Sender(Sender):
    def __init__(self, setup: Setup) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.set(zmq.SNDHWM, _limit(setup))
        for consumer in range(setup.consumers):
            self._socket.connect(f"ipc://@{setup.name}-{consumer}")
        send = self._socket.send
        # Small arrays, too, are sent as they are: pyzmq takes any buffer.
        self.push = send if setup.most < _ZERO_COPY else lambda obj: send(obj, copy=False)


class _Receiver(Receiver):
    def __init__(self, setup: Setup, index: int) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PULL)
        self._socket.set(zmq.RCVHWM, _limit(setup))
        self._socket.bind(f"ipc://@{setup.name}-{index}")
        self.pop = self._socket.recv if setup.most < _ZERO_COPY else self._view

    def _view(self) -> Any:
        return self._socket.recv(copy=False).buffer


class Zeromq(Peer):
    def sender(self, index: int) -> Sender:
        return _Sender(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _Receiver(self.setup, index)
