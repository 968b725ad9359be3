# SPDX-License-Identifier: Apache-2.0
"""Instructions of the pure backend: which of them a process passes, and its death right before one of them.

They are asked for as named steps of the extension are: ``SHMLANE_CRASH_LOG`` names a file that gets a line for each
instruction that is passed, ``SHMLANE_CRASH_AT`` the instruction, and at which passing of it the process kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any


class _Watch:
    def __init__(self, folder: str, at: str) -> None:
        self._folder = folder
        where, _, turn = at.rpartition(":")
        self._where, self._turn = where, int(turn or 0)
        self.passes: Counter[str] = Counter()

    def call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(self._folder):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self.instruction

    def instruction(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            code = frame.f_code
            file = code.co_filename.removeprefix(self._folder)
            where = f"{file}/{code.co_firstlineno}/{code.co_name}/{frame.f_lasti}"
            self.passes[where] += 1
            if where == self._where and self.passes[where] == self._turn:
                os.kill(os.getpid(), signal.SIGKILL)
        return self.instruction


@contextmanager
def watched(environment: dict[str, str]) -> Iterator[None]:
    """What is done inside is watched."""
    import shmlane._pure as pure  # not before the process has chosen its backend

    assert sys.modules["shmlane._backend"].active is pure
    watch = _Watch(str(Path(pure.__file__).parent) + os.sep, environment.get("SHMLANE_CRASH_AT", ""))
    sys.settrace(watch.call)
    try:
        yield
    finally:
        sys.settrace(None)
        if log := environment.get("SHMLANE_CRASH_LOG"):
            Path(log).write_text("".join(f"{where} {count}\n" for where, count in watch.passes.items()))
