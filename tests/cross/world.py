# SPDX-License-Identifier: Apache-2.0
"""Workers of every implementation around queues of names of their own, of which nothing outlives the world."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

from ..implementations import ROOT, command

PATIENCE = 110.0
"""Seconds for one worker to end, before all of them are killed."""


class World:
    """``folder`` is for files of the workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue = f"cross-{uuid.uuid4().hex[:12]}"
        self._workers: list[subprocess.Popen[bytes]] = []

    def start(self, implementation: str, *words: object, **streams: Any) -> subprocess.Popen[bytes]:
        """A worker that does what worker.cpp and worker.py say."""
        program, environment = command(implementation, "tests/cross/shmlane_cross_worker", "tests.cross.worker")
        worker = subprocess.Popen([*program, *map(str, words)], cwd=ROOT, env=environment, **streams)
        self._workers.append(worker)
        return worker

    def start_holder(self, implementation: str, *words: object) -> subprocess.Popen[bytes]:
        """One that holds something now, until it is killed."""
        worker = self.start(implementation, *words, stdout=subprocess.PIPE)
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"holding\n", f"{implementation} {words} holds nothing"
        return worker

    @staticmethod
    def kill(worker: subprocess.Popen[bytes]) -> None:
        worker.kill()
        worker.wait()

    @staticmethod
    def end(*workers: subprocess.Popen[bytes]) -> None:
        """Waits until they have ended well."""
        assert [worker.wait(PATIENCE) for worker in workers] == [0] * len(workers)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            with worker:
                worker.kill()
        left = [path for path in Path("/dev/shm").iterdir() if self.queue in path.name]
        for path in left:
            path.unlink()
        assert error is not None or not left, f"left behind: {left}"
