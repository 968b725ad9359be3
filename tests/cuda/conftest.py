# SPDX-License-Identifier: Apache-2.0
"""Processes that use a GPU: the stand-in's, or with SHMLANE_TEST_CUDA=device a real one.

No test uses a GPU in pytest's own process, because what it forks could not use it then.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
if OTHER := os.environ.get("SHMLANE_TEST_EXTENSION"):  # the folder of another build of the extension: one without CUDA
    (path,) = (ROOT / OTHER).glob("_native*.so")
    spec = importlib.util.spec_from_file_location("shmlane._native", path)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["shmlane._native"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["shmlane._native"])

from shmlane import _backend  # noqa: E402

STAND_IN = Path(os.environ.get("SHMLANE_CUDA_STANDIN", ROOT / "build/release/tests/cuda/libshmlane_cuda_standin.so"))
WORKER = ROOT / "build/release/tests/cuda/shmlane_cuda_worker"
ON_DEVICE = os.environ.get("SHMLANE_TEST_CUDA") == "device"
BUILT = hasattr(_backend.active, "CudaArray")
PATIENCE = 60.0


def pytest_report_header() -> str:
    if not BUILT:
        return "arrays of GPUs: this extension was built without CUDA"
    return f"arrays of GPUs: {'a real device' if ON_DEVICE else 'the stand-in driver; no device is used'}"


@pytest.fixture(params=["best", "ipc"])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A driver for the processes of this test, of which none may misuse it; memory is shared in the best way, and in
    the old one."""
    if not BUILT:
        pytest.skip("this extension was built without CUDA (SHMLANE_CUDA=OFF, or no toolkit was found)")
    log = tmp_path / "misuse"
    monkeypatch.setenv("SHMLANE_CUDA_MEMORY", "" if request.param == "best" else request.param)
    if not ON_DEVICE:
        assert STAND_IN.exists(), f"there is no {STAND_IN}: make build-cpp"
        monkeypatch.setenv("SHMLANE_CUDA_DRIVER", str(STAND_IN))
        monkeypatch.setenv("SHMLANE_STANDIN_LOG", str(log))
    yield
    assert not log.exists() or log.read_text() == ""


@pytest.fixture
def standin(gpu: None) -> None:
    """For tests that make the driver behave in a way that a real one cannot be asked for."""
    if ON_DEVICE:
        pytest.skip("needs the stand-in driver")


@pytest.fixture
def name() -> Iterator[str]:
    unique = f"test-{os.getpid()}-{uuid.uuid4().hex[:10]}"
    yield unique
    assert [path.name for path in Path("/dev/shm").iterdir() if unique in path.name] == []


class Children:
    """Processes by fork; each must end well, unless it is killed on purpose."""

    def __init__(self) -> None:
        self._started: list[Any] = []

    def start(self, work: Callable[..., None], *args: Any, **environment: str) -> Any:
        process = multiprocessing.get_context("fork").Process(target=_run, args=(work, args, environment))
        process.start()
        self._started.append(process)
        return process

    def join(self, process: Any) -> int:
        process.join(PATIENCE)
        assert process.exitcode is not None, "a process hangs"
        self._started.remove(process)
        return int(process.exitcode)

    def join_all(self) -> None:
        codes = [self.join(process) for process in list(self._started)]
        assert codes == [0] * len(codes)

    def run(self, work: Callable[..., None], *args: Any, **environment: str) -> None:
        assert self.join(self.start(work, *args, **environment)) == 0

    def kill_all(self) -> None:
        for process in self._started:
            process.kill()
            process.join()


def _run(work: Callable[..., None], args: tuple[Any, ...], environment: dict[str, str]) -> None:
    os.environ.update(environment)
    work(*args)


@pytest.fixture
def children() -> Iterator[Children]:
    started = Children()
    yield started
    started.kill_all()
