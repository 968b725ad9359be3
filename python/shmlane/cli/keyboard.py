# SPDX-License-Identifier: Apache-2.0
"""Single keys from a terminal that is given back as it was, whatever happens."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import NoReturn

_NAMES = {
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"k": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"j": "down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x1b": "escape",
}
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_SEQUENCE = 0.02  # seconds between the bytes of one key


class Keyboard:
    """While open, keys come one by one and do not show. SIGTERM and SIGHUP end the program by SystemExit meanwhile."""

    def __enter__(self) -> Keyboard:
        self._fd = sys.stdin.fileno()
        self._next = b""
        self._saved = termios.tcgetattr(self._fd) if sys.stdin.isatty() else None
        self._handlers = [(number, signal.signal(number, _end)) for number in _ENDING]
        if self._saved is not None:
            tty.setcbreak(self._fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._saved is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)
        for number, handler in self._handlers:
            signal.signal(number, handler)

    def read(self, seconds: float) -> str | None:
        """The name of the next key, or None if there is none in time. A terminal that is gone counts as "q"."""
        if self._saved is None:
            select.select([], [], [], seconds)
            return None
        try:
            typed = self._byte(seconds)
            if typed == b"\x1b":
                typed += self._byte(_SEQUENCE)
                if typed[1:] in (b"[", b"O"):
                    typed += self._byte(_SEQUENCE)
                else:
                    typed, self._next = typed[:1], typed[1:]
        except (OSError, EOFError):
            return "q"
        return _NAMES.get(typed, typed.decode("ascii", "replace")) if typed else None

    def _byte(self, seconds: float) -> bytes:
        """The next one, or none in time."""
        if self._next:
            byte, self._next = self._next, b""
            return byte
        if not select.select([self._fd], [], [], seconds)[0]:
            return b""
        byte = os.read(self._fd, 1)
        if not byte:
            raise EOFError
        return byte


def _end(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)
