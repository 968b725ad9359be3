# SPDX-License-Identifier: Apache-2.0
"""What the figures use of other libraries: torch or CuPy, whichever is there; on the stand-in NumPy in their place."""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
import os
import time
from typing import Any

import numpy as np


class Torch:
    name = "torch"

    def __init__(self) -> None:
        self._torch = importlib.import_module("torch")

    def to_device(self, array: np.ndarray[Any, Any]) -> Any:
        return self._torch.from_numpy(array).to("cuda:0")

    def from_shmlane(self, array: Any) -> Any:
        return self._torch.from_dlpack(array)

    def product(self, matrix: Any, vector: Any) -> np.ndarray[Any, Any]:
        """In the host's memory, so that it is complete."""
        result: np.ndarray[Any, Any] = self._torch.mv(matrix, vector).cpu().numpy()
        return result


class CuPy:
    name = "CuPy"

    def __init__(self) -> None:
        self._cupy = importlib.import_module("cupy")

    def to_device(self, array: np.ndarray[Any, Any]) -> Any:
        return self._cupy.asarray(array)

    def from_shmlane(self, array: Any) -> Any:
        return self._cupy.from_dlpack(array)

    def product(self, matrix: Any, vector: Any) -> np.ndarray[Any, Any]:
        result: np.ndarray[Any, Any] = self._cupy.asnumpy(matrix @ vector)
        return result


class NumPy:
    """In the place of a library of GPUs, where there is none: it copies to the host first."""

    name = "NumPy on the stand-in"

    def to_device(self, array: np.ndarray[Any, Any]) -> Any:
        return np.array(array)

    def from_shmlane(self, array: Any) -> Any:
        return array

    def product(self, matrix: Any, vector: Any) -> np.ndarray[Any, Any]:
        host = matrix if isinstance(matrix, np.ndarray) else matrix.to_numpy()
        result: np.ndarray[Any, Any] = host @ vector
        return result


def find() -> Any:
    """The library that multiplies, or a text that says why there is none."""
    if os.environ.get("SHMLANE_CUDA_DRIVER"):
        return NumPy()
    if importlib.util.find_spec("torch") and importlib.import_module("torch").cuda.is_available():
        return Torch()
    if importlib.util.find_spec("cupy"):
        return CuPy()
    return "SKIPPED: products: neither torch (with CUDA) nor cupy is installed"


def _take(there: Any, back: Any, rounds: int) -> None:
    for _ in range(rounds):
        assert there.get().numel()
        back.put(0)


def torch_queue(nbytes: int, rounds: int) -> float | str:
    """Seconds one way of a tensor on the GPU through torch.multiprocessing.Queue, or why that was not measured."""
    if os.environ.get("SHMLANE_CUDA_DRIVER") or not importlib.util.find_spec("torch"):
        return "SKIPPED: torch.multiprocessing.Queue: torch is not installed, or there is no device"
    torch = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return "SKIPPED: torch.multiprocessing.Queue: this torch has no CUDA"
    context = importlib.import_module("torch.multiprocessing").get_context("spawn")
    there, back = context.Queue(), multiprocessing.get_context("spawn").Queue()
    child = context.Process(target=_take, args=(there, back, rounds))
    child.start()
    tensor = torch.zeros(nbytes, dtype=torch.uint8, device="cuda:0")
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        there.put(tensor)
        back.get()
        times.append((time.perf_counter() - begin) / 2)
    child.join()
    return sorted(times)[len(times) // 2]
