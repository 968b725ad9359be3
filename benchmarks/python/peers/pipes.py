# SPDX-License-Identifier: Apache-2.0
"""A pipe with the plainest framing, the same as cpp/peers/pipe.cpp's, and shmlane's stdio transport over a pipe."""

from __future__ import annotations

import fcntl
import os
from struct import Struct
from typing import Any

import shmlane
from peer import Peer, Receiver, Sender, Setup

_LENGTH = Struct("Q")
_BUFFER = 1 << 20


def _open(setup: Setup) -> int:
    # Open at both ends, so that nobody waits for the other.
    fd = os.open(f"/dev/shm/{setup.name}.fifo", os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _BUFFER)
    return fd


class _PipeSender(Sender):
    def __init__(self, setup: Setup) -> None:
        self._fd = _open(setup)

    def push(self, obj: Any) -> None:
        size = len(obj)
        left = size + _LENGTH.size - os.writev(self._fd, (_LENGTH.pack(size), obj))
        while left:
            left -= os.write(self._fd, memoryview(obj)[size - left :])


class _PipeReceiver(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._file = os.fdopen(_open(setup), "rb", buffering=_BUFFER)
        self._buffer = memoryview(bytearray(setup.most))

    def pop(self) -> Any:
        size = _LENGTH.unpack(self._file.read(_LENGTH.size))[0]
        if size < _BUFFER:
            return self._file.read(size)
        view = self._buffer[:size]
        self._file.readinto(view)
        return view


class RawPipe(Peer):
    def create(self) -> None:
        os.mkfifo(f"/dev/shm/{self.setup.name}.fifo")

    def remove(self) -> None:
        os.unlink(f"/dev/shm/{self.setup.name}.fifo")

    def sender(self, index: int) -> Sender:
        return _PipeSender(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _PipeReceiver(self.setup)


class _StdioSender(Sender):
    def __init__(self, setup: Setup) -> None:
        self._tx = shmlane.StdioProducer(_open(setup))
        self.push = self._tx.push


class _StdioReceiver(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._rx = shmlane.StdioConsumer(_open(setup))
        self.pop = self._rx.pop


class Stdio(RawPipe):
    def sender(self, index: int) -> Sender:
        return _StdioSender(self.setup)

    def receiver(self, index: int) -> Receiver:
        return _StdioReceiver(self.setup)
