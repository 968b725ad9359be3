# SPDX-License-Identifier: Apache-2.0
"""pyshmem: streams with one buffer and a sequence, locks of files, and futexes if asked to notify."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyshmem

from peer import Receiver, Setup
from peers import streams


class WriteAndRead(streams.WriteAndRead):
    streams = pyshmem


class WriteAndReadNew(streams.WriteAndReadNew):
    streams = pyshmem


class Pipeline(streams.Pipeline):
    streams = pyshmem


class _Reader(Receiver):
    """By levels, as its documentation asks of a ping-pong."""

    def __init__(self, setup: Setup) -> None:
        self._stream = pyshmem.open(setup.name)
        self._out = np.zeros(setup.most, np.uint8)
        self._count = 1
        self.pop = self._spin if setup.spin else self._wait

    def _spin(self) -> Any:
        while self._stream.count <= self._count:
            pass
        return self._take(self._stream.read(out=self._out))

    def _wait(self) -> Any:
        return self._take(self._stream.read_after(self._count, out=self._out))

    def _take(self, value: Any) -> Any:
        self._count = self._stream.last_read_count
        return value


class PingPong(streams.PingPong):
    streams = pyshmem

    def create(self) -> None:
        notify = not self.setup.spin
        self._made = [pyshmem.create(self.setup.name, shape=(self.setup.most,), dtype=np.uint8, notify=notify)]
        self._made[0].clear()

    def receiver(self, index: int) -> Receiver:
        return _Reader(self.setup)
