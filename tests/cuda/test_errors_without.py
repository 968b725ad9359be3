# SPDX-License-Identifier: Apache-2.0
"""Without a GPU, without a driver, or without CUDA in the build: what works, and what is said of the rest."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import shmlane
from shmlane import Consumer, NoDevice, Producer, RawObject, cuda

from .conftest import BUILT, Children

METADATA = {
    "type": "cuda",
    "format": 1,
    "memory": "ipc",
    "device": "5a" * 16,
    "dtype": "<f4",
    "shape": [3],
    "strides": [4],
    "allocation": "0123456789abcdef",
    "exporter": 65537,
    "pid": 4711,
    "slot": 0,
    "generation": 1,
    "offset": 0,
    "bytes": 12,
}


class Foreign:
    """What looks like an array of a GPU."""

    __cuda_array_interface__ = {"shape": (3,), "typestr": "<f4", "data": (1 << 40, False), "version": 3}  # noqa: RUF012


def push_and_pop(name: str, reason: str) -> None:
    assert not cuda.available()
    assert reason in cuda.why_unavailable()
    with Consumer(name) as rx, Producer(name, "64KiB") as tx:
        for use in (
            lambda: tx.push(Foreign()),
            lambda: tx.reserve_cuda(3),
            lambda: cuda.empty(3),
            lambda: cuda.asarray(np.zeros(3)),
            lambda: cuda.devices(),
        ):
            with pytest.raises(NoDevice, match=reason):
                use()
        tx.push(RawObject(METADATA, bytes(128)))
        with pytest.raises(NoDevice, match=reason):
            rx.pop()
        assert tx.stat()["used"] == 0, "the frame is kept"
        tx.push(np.arange(3))
        assert rx.pop().tolist() == [0, 1, 2]
        assert tx.wait_consumed(0)


REASON = {"driver": "install NVIDIA's driver", "build": "built without CUDA"}


def test_whatever_needs_a_gpu_says_what_is_missing_and_the_rest_works(name: str, children: Children) -> None:
    children.run(
        push_and_pop, name, REASON["driver" if BUILT else "build"], SHMLANE_CUDA_DRIVER="/nowhere/libcuda.so.1"
    )


def test_the_pure_backend_says_that_it_has_no_gpus(name: str) -> None:
    code = f"from tests.cuda import test_errors_without as t; t.push_and_pop({name!r}, 'pure backend')"
    environment = {**os.environ, "SHMLANE_BACKEND": "pure"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)


def test_a_handle_of_a_later_format_arrives_as_it_is(name: str, children: Children, gpu: None) -> None:
    children.run(pop_later, name)


def pop_later(name: str) -> None:
    with Consumer(name) as rx, Producer(name, "64KiB") as tx:
        for changes in ({"format": 2}, {"memory": "fabric"}):
            frame = RawObject({**METADATA, **changes}, bytes(128))
            tx.push(frame)
            assert rx.pop() == frame
        tx.push(RawObject({**METADATA, "version": 7}, b"custom"))
        assert rx.pop().payload == b"custom"


def test_a_handle_does_not_cross_a_pipe() -> None:
    read, write = os.pipe()
    with shmlane.StdioProducer(write) as tx, pytest.raises(shmlane.UnsupportedType, match="rings of shared memory"):
        tx.push(Foreign())
    os.close(write)
    os.close(read)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", None, -1, 1.5])
def test_what_is_no_device_is_refused(device: Any) -> None:
    with pytest.raises(shmlane.InvalidArgument, match="is no device"):
        cuda.device_number(device)


def test_devices_are_named_as_elsewhere() -> None:
    class Index:
        index = 3

    assert [cuda.device_number(one) for one in (2, "cuda", "cuda:4", Index())] == [2, 0, 4, 3]


def test_arrays_of_the_host_are_none_of_a_gpu() -> None:
    assert not any(map(cuda.is_cuda, (np.zeros(3), b"x", io.BytesIO(), memoryview(b"x"), None)))
    assert cuda.is_cuda(Foreign())
