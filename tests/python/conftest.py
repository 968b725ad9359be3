# SPDX-License-Identifier: Apache-2.0
"""Every test on every backend, with names of its own, and nothing left in shared memory behind it."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest

from shmlane import _backend

BACKENDS = {"native": "shmlane._native", "pure": "shmlane._pure"}
"""Each is imported by its own name, so that a missing one fails instead of another being tested twice."""

SHARED_MEMORY = Path("/dev/shm")

# For the processes that tests start with the spawn method: they import `workers` by name.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The backend that handles of this test use, and those of the processes that it starts; no other one."""
    module = importlib.import_module(BACKENDS[request.param])
    _backend.check(module)
    monkeypatch.setattr(_backend, "active", module)
    monkeypatch.setenv("SHMLANE_BACKEND", request.param)
    for other in BACKENDS.keys() - {request.param}:
        for name in ("Producer", "Consumer", "StdioWriter", "StdioReader", "Stream", "Tensor"):
            with suppress(ImportError):  # who asks for the other one meets the error
                monkeypatch.setattr(f"{BACKENDS[other]}.{name}", _refuse)
    yield module
    assert _backend.active is module


def _refuse(*_: object, **__: object) -> None:
    pytest.fail("a test made a handle of another backend than its own")


@pytest.fixture
def name(backend: ModuleType) -> Iterator[str]:
    """A name; afterwards neither segment nor semaphore of a name that begins so may be left, but streams and tensors,
    which stay until somebody removes them.
    """
    unique = f"test-{os.getpid()}-{uuid.uuid4().hex[:10]}"
    yield unique
    gc.collect()
    for names, unlink in (
        (backend.list_streams, backend.unlink_stream),
        (backend.list_tensors, backend.unlink_tensor),
    ):
        for one in names():
            if one.startswith(unique):
                unlink(one)
    assert left_over(unique) == []


def left_over(part: str) -> list[str]:
    gc.collect()
    return [path.name for path in SHARED_MEMORY.iterdir() if part in path.name]
