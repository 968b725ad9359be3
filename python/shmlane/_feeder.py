# SPDX-License-Identifier: Apache-2.0
"""Feeder: what finds no room in the ring waits here, and goes there in order from a thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from ._log import logger
from .errors import Closed, Error, Full

Send = Callable[[float | None], None]

_SLICE = 0.1  # seconds


class Feeder:
    """Thread-safe. The thread lives only while something waits."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._waiting: deque[Send] = deque()
        self._thread: threading.Thread | None = None
        self._last: Callable[[], None] | None = None

    def send(self, send: Send) -> None:
        """Call ``send(0)`` now, if nothing waits; where that raises Full, or something waits, later from a thread."""
        with self._changed:
            idle = not self._waiting
            if idle:
                try:
                    send(0)
                except Full:
                    pass
                else:
                    return
            self._waiting.append(send)
            if idle:
                self._thread = threading.Thread(target=self._run, name=f"feeder of {self._name}", daemon=True)
                self._thread.start()

    def size(self) -> int:
        return len(self._waiting)

    def join(self, hopeless: Callable[[], bool]) -> None:
        """Come back when nothing waits, or ``hopeless`` says that it waits in vain."""
        with self._changed:
            while self._waiting and not hopeless():
                self._changed.wait(_SLICE)

    def when_done(self, last: Callable[[], None]) -> None:
        """Call ``last`` once nothing waits: now, or from the thread."""
        with self._changed:
            if self._waiting:
                self._last = last
                return
        last()

    def _run(self) -> None:
        while True:
            try:
                self._waiting[0](None)
            except Closed:
                self._give_up()
            except Error as error:
                logger.warning("%s: an object that waited for room is lost: %s", self._name, error)
            with self._changed:
                if self._waiting:
                    self._waiting.popleft()
                self._changed.notify_all()
                if not self._waiting:
                    break
        if self._last is not None:
            self._last()

    def _give_up(self) -> None:
        with self._changed:
            logger.warning("%s: %d objects that waited for room are lost", self._name, len(self._waiting))
            self._waiting.clear()

    def stop(self) -> None:
        """Come back when the thread is over, which it is soon once ``send`` raises Closed."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
