# SPDX-License-Identifier: Apache-2.0
"""Testees: programs that answer one case per line (wire-format/README.md), started again when one dies of a case."""

from __future__ import annotations

import json
import select
import subprocess
from pathlib import Path
from typing import Any

from ..implementations import ROOT, command

PATIENCE = 60.0
"""Seconds that one answer may take."""


class Testee:
    """One program that is asked."""

    __test__ = False  # for pytest

    def __init__(self, name: str, words: list[str], environment: dict[str, str]) -> None:
        self.name = name
        self.words = words
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, case: dict[str, Any]) -> dict[str, Any]:
        """The answer; {"error": "none", ...} of a testee that died or said nothing in time."""
        if self._process is None:
            self._process = subprocess.Popen(
                self.words,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
        process = self._process
        assert process.stdin is not None
        try:
            self._send(json.dumps(case).encode() + b"\n")
            return json.loads(self._line())
        except (OSError, TimeoutError, ValueError) as error:
            with process:
                process.kill()
            self._process = None
            what = f"{self.name} answered nothing ({error!r}) and ended with {process.returncode}"
            return {"error": "none", "what": what}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _send(self, line: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        left = memoryview(line)
        while left:
            left = left[self._process.stdin.write(left) :]

    def _line(self) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        line = bytearray()
        while not line.endswith(b"\n"):
            if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError(f"no answer within {PATIENCE:.0f} s")
            chunk = self._process.stdout.read(1 << 16)
            if not chunk:
                raise ValueError("end of file")
            line += chunk
        return bytes(line)

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None


def new_testee(implementation: str, cpp_program: Path | None = None) -> Testee:
    """``cpp_program``: instead of the one in the build folder."""
    words, environment = command(implementation, "tests/vectors/shmlane_vectors_testee", "tests.vectors.testee")
    replaced = implementation == "cpp" and cpp_program is not None
    return Testee(implementation, [str(cpp_program)] if replaced else words, environment)
