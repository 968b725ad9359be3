# SPDX-License-Identifier: Apache-2.0
"""Every test on every backend, with names of its own, and nothing left in shared memory behind it."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from shmlane import _backend

BACKENDS = {"native": "shmlane._native"}
"""Each is imported by its own name, so that a missing one fails instead of another being tested twice."""

SHARED_MEMORY = Path("/dev/shm")

# For the processes that tests start with the spawn method: they import `workers` by name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The backend that handles of this test use, and those of the processes that it starts."""
    module = importlib.import_module(BACKENDS[request.param])
    monkeypatch.setattr(_backend, "active", module)
    monkeypatch.setenv("SHMLANE_BACKEND", request.param)
    return module


@pytest.fixture
def name(backend: ModuleType) -> Iterator[str]:
    """A queue's name; afterwards neither segment nor semaphore of a name that begins so may be left."""
    unique = f"test-{os.getpid()}-{uuid.uuid4().hex[:10]}"
    yield unique
    assert left_over(unique) == []


def left_over(part: str) -> list[str]:
    gc.collect()
    return [path.name for path in SHARED_MEMORY.iterdir() if part in path.name]
