# SPDX-License-Identifier: Apache-2.0
"""Testees: programs that answer one case per line (wire-format/README.md), started again when one dies of a case."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds that one answer may take."""
BUILD = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release"))
BACKENDS = ("native", "pure")
"""Of the Python package: each of them is asked."""


class Testee:
    """One program that is asked."""

    __test__ = False  # for pytest

    def __init__(self, name: str, command: list[str], **environment: str) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, case: dict[str, Any]) -> dict[str, Any]:
        """The answer; {"error": "none", ...} of a testee that died or said nothing in time."""
        if self._process is None:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.environment},
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


def cpp_testee(program: Path | None = None) -> Testee:
    return Testee("cpp", [str(program or BUILD / "tests/vectors/shmlane_vectors_testee")])


def python_testee(backend: str) -> Testee:
    return Testee(backend, [sys.executable, "-m", "tests.vectors.testee"], SHMLANE_BACKEND=backend)
