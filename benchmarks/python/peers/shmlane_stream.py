# SPDX-License-Identifier: Apache-2.0
"""shmlane's streams."""

from __future__ import annotations

from typing import Any

from peer import Receiver, Setup
from peers import streams
from shmlane import stream


class WriteAndRead(streams.WriteAndRead):
    streams = stream


class WriteAndReadNew(streams.WriteAndReadNew):
    streams = stream


class Pipeline(streams.Pipeline):
    streams = stream


class _Reader(Receiver):
    def __init__(self, setup: Setup) -> None:
        self._stream = stream.open(setup.name, spin=3600.0 if setup.spin else 0.0 if setup.sleep else None)
        self._out = self._stream.read()
        self._count = 1

    def pop(self) -> Any:  # type: ignore[override]
        self._stream.read_after(self._count, None, self._out)
        self._count = self._stream.last_read
        return self._out


class PingPong(streams.PingPong):
    streams = stream

    def receiver(self, index: int) -> Receiver:
        return _Reader(self.setup)
