# SPDX-License-Identifier: Apache-2.0
"""Workers of either language, and names that leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CPP_WORKER = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release")) / "tests/cross/shmlane_cross_worker"


@pytest.fixture
def queue_name() -> Iterator[str]:
    name = f"test-cross-{uuid.uuid4().hex[:12]}"
    yield name
    assert [path.name for path in Path("/dev/shm").iterdir() if name in path.name] == []


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """start(language, *words) runs a worker; none outlives its test."""
    workers: list[subprocess.Popen[bytes]] = []

    def run(language: str, *words: object) -> subprocess.Popen[bytes]:
        command = [CPP_WORKER] if language == "cpp" else [sys.executable, "-m", "tests.cross.worker"]
        workers.append(subprocess.Popen([*command, *map(str, words)], cwd=ROOT))
        return workers[-1]

    yield run
    for worker in workers:
        worker.kill()
        worker.wait()
