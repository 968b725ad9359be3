# SPDX-License-Identifier: Apache-2.0
"""Readiness of a handle for coroutines: a thread waits in their stead, and takes nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from typing import Protocol

from .errors import Error

_SLICE = 1.0  # seconds; how long a wait goes on that nobody wants any more, if its cancellation came too early
_IDLE = 5.0  # seconds after which the thread ends when nobody asks
_TURN = 0.005  # seconds after which a coroutine that never has to wait lets the others run


class Waitable(Protocol):
    def wait(self, timeout: float | None = None) -> bool: ...
    def cancel_wait(self) -> None: ...


class Readiness:
    """One thread per handle, alive while coroutines wait. Any number of them, also of several event loops."""

    def __init__(self, handle: Waitable) -> None:
        self._handle = handle
        self._changed = threading.Condition()
        self._wanted: list[asyncio.Future[None]] = []
        self._thread: threading.Thread | None = None
        self._turn = time.monotonic()

    async def wait(self, timeout: float | None) -> None:
        """Come back when the next operation may succeed, or after ``timeout`` seconds. Takes nothing."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(future)
        try:
            await asyncio.wait((future,), timeout=timeout)
        finally:
            self._remove(future)
        self._turn = time.monotonic()

    async def give_way(self) -> None:
        """Let other coroutines run if this handle's have had the loop for long. Call it before taking anything."""
        if time.monotonic() - self._turn > _TURN:
            await asyncio.sleep(0)
            self._turn = time.monotonic()

    def _add(self, future: asyncio.Future[None]) -> None:
        with self._changed:
            self._wanted.append(future)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="shmlane-readiness", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _remove(self, future: asyncio.Future[None]) -> None:
        with self._changed:
            if future in self._wanted:
                self._wanted.remove(future)
                if not self._wanted:
                    self._handle.cancel_wait()

    def _run(self) -> None:
        while self._anybody():
            try:
                ready = self._handle.wait(_SLICE)
            except Error:
                ready = True  # the coroutine meets the same error when it tries
            if ready:
                self._tell()

    def _anybody(self) -> bool:
        with self._changed:
            if not self._wanted:
                self._changed.wait(_IDLE)
            if not self._wanted:
                self._thread = None
            return bool(self._wanted)

    def _tell(self) -> None:
        with self._changed:
            woken, self._wanted = self._wanted, []
        for future in woken:
            with suppress(RuntimeError):  # a loop that was closed meanwhile
                future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
