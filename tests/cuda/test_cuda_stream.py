# SPDX-License-Identifier: Apache-2.0
"""Streams whose values live on a GPU."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import shmlane
from shmlane import cuda, stream

from .conftest import PATIENCE, WORKER, Children

pytestmark = [pytest.mark.usefixtures("gpu"), pytest.mark.timeout(120)]

SHAPE = (20, 30)


def value_of(count: int) -> np.ndarray[Any, Any]:
    return np.full(SHAPE, count, np.float32)


def in_one_process(name: str) -> None:
    with stream.stream(name, SHAPE, gpu_device="cuda:0") as s:
        assert (s.gpu_device, s.gpu_enabled, s.cpu_mirror) == ("cuda:0", True, False)
        assert (s.shape, s.dtype, s.size, s.count, s.age) == (SHAPE, np.float32, 2400, 0, None)
        assert not s.read().to_numpy().any()
        s.write(value_of(1))
        s.write(cuda.asarray(value_of(2)))
        got = s.read()
        assert isinstance(got, cuda.DeviceArray)
        assert (got.to_numpy() == 2).all()
        out = np.empty(SHAPE, np.float32)
        assert s.read(out) is out
        assert (out == 2).all()
        target = cuda.empty(SHAPE)
        assert s.read(target) is target
        assert (target.to_numpy() == 2).all()
        with s.write_view(keep=True) as view:
            assert (view.to_numpy() == 2).all()
            view.copy_from(value_of(3))
        with pytest.raises(shmlane.InvalidArgument), s.write_view() as view:
            view.copy_from(np.zeros(5))
        assert s.count == 3
        with s.locked():
            live = s.read(safe=False)
            assert not live.writable
            assert (live.to_numpy() == 3).all()
            s.write_locked(value_of(4))
        with pytest.raises(shmlane.Unlocked):
            s.read(safe=False)
        s.clear()
        assert (s.count, s.write_sequence) == (5, 10)
        assert not np.asarray(s).any()
        assert "float32" in s.describe()
        for wrong in (np.zeros(3, np.float32), np.zeros(SHAPE), cuda.asarray(np.zeros(SHAPE))):
            with pytest.raises(shmlane.InvalidArgument, match="expected"):
                s.write(wrong)
        with pytest.raises(shmlane.TimedOut):
            s.read_new(0.01)
        assert s.read_after(4, 0).to_numpy().shape == SHAPE
        config = s.to_config()
        assert (config["gpu_device"], config["cpu_mirror"], config["shape"]) == ("cuda:0", False, list(SHAPE))
    with stream.create_from_config({**config, "name": name}, auto_unlink=True) as again:
        assert (again.shape, again.gpu_device) == (SHAPE, "cuda:0")


def test_a_stream_on_a_gpu_is_used_as_any_other(name: str, children: Children) -> None:
    children.run(in_one_process, name)


def refuse(name: str) -> None:
    for dtype in (np.complex64, np.uint16, "S3", ">f4"):
        with pytest.raises(shmlane.UnsupportedType, match="float16"):
            stream.create(name, 3, dtype, gpu_device=0)
    for device in ("cuda:7", 9, "gpu"):
        with pytest.raises(ValueError, match=r"device|GPUs"):
            stream.create(name, 3, gpu_device=device)
    with stream.stream(name, 3), pytest.raises(shmlane.InvalidArgument, match="host's memory"):
        stream.open(name, gpu_device="cuda:0")
    with stream.stream(name, 3, gpu_device=0):
        with pytest.raises(ValueError, match=r"cuda:0, not on"):
            stream.open(name, gpu_device="cuda:1")
        with pytest.raises(shmlane.Exists):
            stream.create(name, 3, gpu_device=0)
        with stream.open(name, gpu_device="cuda:0") as second:
            assert second.gpu_device == "cuda:0"


def test_what_cannot_be_is_refused(name: str, children: Children, standin: None) -> None:
    children.run(refuse, name)


def create_and_answer(name: str, mirror: bool, rounds: int) -> None:
    """Ping and pong, so that nobody needs to guess who is there."""
    with (
        stream.stream(name, SHAPE, gpu_device="cuda:0", cpu_mirror=mirror) as s,
        stream.stream(name + "-back", 1, np.int64) as back,
    ):
        for i in range(1, rounds + 1):
            s.write(cuda.asarray(value_of(i)) if i % 2 else value_of(i))
            back.wait_after(i - 1, PATIENCE)


def open_soon(name: str) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return stream.open(name)
        except shmlane.NotFound:
            assert time.monotonic() < end
            time.sleep(0.01)


def read_each(name: str, rounds: int, mirrored: bool) -> None:
    with open_soon(name) as s, open_soon(name + "-back") as back:
        for i in range(1, rounds + 1):
            got = s.read_after(i - 1, PATIENCE)
            assert isinstance(got, np.ndarray) == mirrored
            array = got if mirrored else got.to_numpy()
            assert (array == i).all()
            back.write([i])


def test_values_go_from_process_to_process(name: str, children: Children) -> None:
    children.start(create_and_answer, name, False, 20)
    children.start(read_each, name, 20, False)
    children.join_all()


def test_a_mirror_is_read_without_a_gpu(name: str, children: Children) -> None:
    children.start(create_and_answer, name, True, 20)
    children.start(read_each, name, 20, True, SHMLANE_CUDA_DRIVER="/nowhere/libcuda.so.1")
    children.join_all()


def look_only(name: str) -> None:
    with open_soon(name) as s, open_soon(name + "-back") as back:
        s.wait_after(0, PATIENCE)
        assert (s.shape, s.dtype, s.gpu_enabled) == (SHAPE, np.float32, True)
        assert "cuda" not in s.gpu_device
        for use in (s.read, lambda: s.write(value_of(1)), lambda: s.read(np.empty(SHAPE, np.float32))):
            with pytest.raises(shmlane.NoDevice, match="cpu_mirror=True"):
                use()
        with s.locked(PATIENCE):
            pass
        assert s.count == 1
        back.write([1])


def test_without_a_gpu_and_a_mirror_one_looks_and_locks_only(name: str, children: Children) -> None:
    children.start(create_and_answer, name, False, 1)
    children.start(look_only, name, SHMLANE_CUDA_DRIVER="/nowhere/libcuda.so.1")
    children.join_all()


def create_and_pause(name: str, mirror: bool) -> None:
    s = stream.create(name, SHAPE, gpu_device="cuda:0", cpu_mirror=mirror)
    s.write(value_of(1))
    time.sleep(PATIENCE)


def meet_the_dead(name: str, mirror: bool, pid: int) -> None:
    with stream.open(name) as s:
        if mirror:
            assert (s.read() == 1).all()
        else:
            with pytest.raises(shmlane.ExporterGone, match=f"process {pid}"):
                s.read()
        with pytest.raises(shmlane.ExporterGone):
            s.write(value_of(2))
        assert s.count == 1


@pytest.mark.parametrize("mirror", [False, True])
def test_the_death_of_a_creator_is_an_error_that_names_it(name: str, children: Children, mirror: bool) -> None:
    creator = children.start(create_and_pause, name, mirror)
    with open_soon(name) as watching:
        watching.wait_after(0, PATIENCE)
        os.kill(creator.pid, signal.SIGKILL)
        assert children.join(creator) == -signal.SIGKILL
        children.run(meet_the_dead, name, mirror, creator.pid)
        watching.unlink()


def write_half(name: str) -> None:
    with stream.open(name) as s, s.write_view() as view:
        view.copy_from(value_of(99))
        os.kill(os.getpid(), signal.SIGKILL)


def survive_a_writer(name: str) -> None:
    pid = os.fork()  # before this process uses the GPU
    if not pid:
        open_soon(name + "-go").wait_after(0, PATIENCE)
        write_half(name)
    with stream.stream(name, SHAPE, gpu_device="cuda:0") as s, stream.stream(name + "-go", 1) as go:
        s.write(value_of(1))
        go.write([1])
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert (s.read().to_numpy() == 1).all()
        s.write(value_of(2), PATIENCE)
        assert (s.read().to_numpy() == 2).all()
        assert s.count == 2


def test_a_writer_that_dies_leaves_the_old_value(name: str, children: Children) -> None:
    children.run(survive_a_writer, name)


def watch(name: str) -> None:
    pid = os.fork()  # before this process uses the GPU
    if not pid:
        open_soon(name + "-go").wait_after(0, PATIENCE)
        command = [sys.executable, "-m", "shmlane", "watch", name, "-n", "1", "-i", "0.01", "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        os._exit(0 if json.loads(done.stdout)["mean"] == 7 else 1)
    with stream.stream(name, SHAPE, gpu_device="cuda:0") as s, stream.stream(name + "-go", 1) as go:
        s.write(value_of(7))
        go.write([1])
        assert os.waitpid(pid, 0)[1] == 0


def test_the_command_watch_shows_what_lives_on_a_gpu(name: str, children: Children) -> None:
    children.run(watch, name)


def let_cpp_add(name: str, mirror: bool) -> None:
    with stream.stream(name, SHAPE, gpu_device="cuda:0", cpu_mirror=mirror) as s:
        s.write(value_of(5))
        subprocess.run([str(WORKER), "stream", name], check=True, timeout=PATIENCE)
        assert (s.read().to_numpy() == 6).all()
        assert (s.read(np.empty(SHAPE, np.float32)) == 6).all()
        assert s.count == 2


@pytest.mark.parametrize("mirror", [False, True])
def test_cpp_reads_and_writes_the_same_streams(name: str, children: Children, mirror: bool) -> None:
    children.run(let_cpp_add, name, mirror)


def cross_by_name(name: str) -> None:
    with stream.stream(name, SHAPE, gpu_device="cuda:0") as s:
        s.write(value_of(7))
        copy = pickle.loads(pickle.dumps(s))
        assert (copy.read().to_numpy() == 7).all()

        async def wait() -> Any:
            task = asyncio.ensure_future(copy.read_new_async(PATIENCE))
            await asyncio.sleep(0.01)
            s.write(value_of(8))
            return await task

        assert (asyncio.run(wait()).to_numpy() == 8).all()
        copy.close()
        with pytest.raises(shmlane.Closed):
            copy.read()


def test_handles_cross_by_name_and_coroutines_wait(name: str, children: Children) -> None:
    children.run(cross_by_name, name)


def read_on(name: str, seconds: float) -> None:
    with open_soon(name) as s, open_soon(name + "-back") as back:
        end = time.monotonic() + seconds
        seen = 0
        while time.monotonic() < end:
            array = s.read().to_numpy()
            assert (array == array[0, 0]).all(), "torn"
            assert array[0, 0] >= seen
            seen = array[0, 0]
        back.write([1])
        assert seen > 0


def write_on(name: str) -> None:
    with (
        stream.stream(name, SHAPE, gpu_device="cuda:0") as s,
        stream.stream(name + "-back", 1, np.int64) as back,
    ):
        while not back.count:
            s.write(value_of(s.count + 1))


def test_no_value_is_torn(name: str, children: Children) -> None:
    children.start(write_on, name)
    children.start(read_on, name, 0.7)
    children.join_all()
