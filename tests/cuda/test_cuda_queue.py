# SPDX-License-Identifier: Apache-2.0
"""Arrays of GPUs through queues of Python: every way in and out, between processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from typing import Any

import numpy as np
import pytest

import shmlane
from shmlane import Consumer, Full, Producer, cuda

from .conftest import PATIENCE, WORKER, Children

pytestmark = [pytest.mark.usefixtures("gpu"), pytest.mark.timeout(120)]


class Interface:
    """An array of another library that has only ``__cuda_array_interface__``."""

    def __init__(self, array: cuda.DeviceArray, **changes: Any) -> None:
        self._array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, **changes}


class Dlpack:
    """One that has only DLPack."""

    def __init__(self, array: cuda.DeviceArray) -> None:
        self._array = array

    def __dlpack__(self, stream: int | None = None) -> Any:
        assert stream not in (None, 0)
        return self._array.__dlpack__(stream=stream)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()


VALUES = {
    "float32": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "bool": np.array([True, False, True]),
    "int8": np.arange(-5, 5, dtype=np.int8),
    "complex128": np.arange(5) * 1j,
    "single": np.array(7.5),
    "empty": np.empty((0, 3), np.float64),
}


def push_all(name: str) -> None:
    with Producer(name, "64KiB") as tx:
        for value in VALUES.values():
            own = cuda.asarray(value)
            for obj in (own, Interface(own), Dlpack(own)):
                tx.push(obj, PATIENCE)
        assert tx.wait_consumed(PATIENCE)


def pop_all(name: str, way: str) -> None:
    with Consumer(name, device="cpu" if way == "cpu" else None) as rx:
        for value in VALUES.values():
            for _ in range(3):
                if way == "lease":
                    with rx.acquire(PATIENCE) as lease:
                        got = lease.object
                        assert not got.writable
                        check(got.to_numpy(), value)
                        del got
                elif way == "cpu":
                    check(rx.pop(PATIENCE), value)
                else:
                    got = rx.pop(PATIENCE)
                    assert (got.writable, got.device) == (True, "cuda:0")
                    check(got.to_numpy(), value)
        assert rx.pop(PATIENCE) is None


def check(got: Any, value: np.ndarray[Any, Any]) -> None:
    assert isinstance(got, np.ndarray)
    assert (got.dtype, got.shape) == (value.dtype, value.shape)
    np.testing.assert_array_equal(got, value)


@pytest.mark.parametrize("way", ["pop", "lease", "cpu"])
def test_arrays_of_every_library_arrive_as_they_were(name: str, children: Children, way: str) -> None:
    children.start(push_all, name)
    children.start(pop_all, name, way)
    children.join_all()


def push_strided(name: str) -> None:
    value = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    own = cuda.asarray(value)
    with Producer(name, "64KiB") as tx:
        tx.push(Interface(own, shape=(5, 3), strides=(4, 80), data=(own._native.data + 20, False)), PATIENCE)
        tx.push(Interface(own, shape=(2, 5), strides=(-20, 4), data=(own._native.data + 20, False)), PATIENCE)
        tx.push(Interface(own, shape=(7,), strides=(0,)), PATIENCE)
        assert tx.wait_consumed(PATIENCE)


def pop_strided(name: str) -> None:
    value = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    with Consumer(name, device="cpu") as rx:
        check(rx.pop(PATIENCE), value[:, 1, :].T.copy())
        check(rx.pop(PATIENCE), value[0, 1::-1, :].copy())
        check(rx.pop(PATIENCE), np.zeros(7, np.float32))


def test_an_array_of_any_strides_arrives_in_c_order(name: str, children: Children) -> None:
    children.start(push_strided, name)
    children.start(pop_strided, name)
    children.join_all()


def push_containers(name: str) -> None:
    with Producer(name, "64KiB") as tx:
        first, second = cuda.asarray(np.arange(5)), cuda.asarray(np.ones((2, 2), np.float32))
        tx.push({"step": 3, "inputs": [first, b"x"], "target": second}, PATIENCE)
        tx.push_many([first, "text", second], PATIENCE)
        assert tx.wait_consumed(PATIENCE)


def pop_containers(name: str) -> None:
    with Consumer(name) as rx:
        with rx.acquire(PATIENCE) as lease:
            batch = lease.object
            check(batch["inputs"][0].to_numpy(), np.arange(5))
            check(batch["target"].to_numpy(), np.ones((2, 2), np.float32))
            assert (batch["step"], bytes(batch["inputs"][1])) == (3, b"x")
            del batch
        got: list[Any] = []
        while len(got) < 3:
            got += rx.pop_many(3, PATIENCE)
        check(got[0].to_numpy(), np.arange(5))
        assert got[1] == "text"


def test_arrays_cross_in_lists_and_maps_and_batches(name: str, children: Children) -> None:
    children.start(push_containers, name)
    children.start(pop_containers, name)
    children.join_all()


def push_reserved(name: str) -> None:
    with Producer(name, "64KiB") as tx:
        place = 0
        for i in range(4):
            with tx.reserve_cuda((3, 4), np.float32, timeout=PATIENCE) as reservation:
                reservation.array.copy_from(np.full((3, 4), i, np.float32))
                assert place in (0, reservation.array._native.data), "not the place that was given back"
                place = reservation.array._native.data
                reservation.commit(2 if i == 3 else None)
            with pytest.raises(shmlane.Closed):
                _ = reservation.array
            assert tx.wait_consumed(PATIENCE)
        with tx.reserve_cuda(5, np.int8) as reservation:
            pass  # given back
        tx.push("end")


def pop_reserved(name: str) -> None:
    with Consumer(name, device="cpu") as rx:
        for i in range(4):
            check(rx.pop(PATIENCE), np.full((2 if i == 3 else 3, 4), i, np.float32))
        assert rx.pop(PATIENCE) == "end"


def test_what_is_filled_in_the_arena_crosses_without_a_copy(name: str, children: Children) -> None:
    children.start(push_reserved, name)
    children.start(pop_reserved, name)
    children.join_all()


def keep_within(name: str) -> None:
    value = np.zeros(1 << 20, np.uint8)
    with Consumer(name) as rx, Producer(name, "64KiB", cuda_capacity="2MiB") as tx:
        own = cuda.asarray(value)
        tx.push(own)
        tx.push(own)
        with pytest.raises(Full, match="arena of cuda:0"):
            tx.push(own, 0)
        with pytest.raises(Full):
            tx.push(own, 0.05)
        with pytest.raises(shmlane.TooLarge, match="cuda_capacity"):
            tx.reserve_cuda(3 << 20, np.uint8)
        held = rx.acquire().object  # type: ignore[union-attr]
        with pytest.raises(Full):
            tx.push(own, 0)
        del held
        tx.push(own, PATIENCE)
        dropping = Producer(name, policy="drop_newest", cuda_capacity="2MiB")
        for _ in range(5):
            dropping.push(own)
        dropping.close()
        while rx.size():
            rx.pop()


def test_an_arena_that_is_full_is_as_a_ring_that_is_full(name: str, children: Children) -> None:
    children.run(keep_within, name)


def echo(source: str, target: str) -> None:
    with Consumer(source) as rx, Producer(target, "64KiB") as tx:
        for array in rx:
            tx.push(array, PATIENCE)
        assert tx.wait_consumed(PATIENCE)


def ask(source: str, target: str) -> None:
    with Consumer(target) as rx, Producer(source, "64KiB") as tx:
        for i in range(20):
            tx.push(cuda.asarray(np.full(1000, i)), PATIENCE)
            check(rx.pop(PATIENCE).to_numpy(), np.full(1000, i))


def test_arrays_go_from_process_to_process_and_back(name: str, children: Children) -> None:
    children.start(echo, name + "a", name + "b")
    children.start(ask, name + "a", name + "b")
    children.join_all()


def test_arrays_go_through_cpp_and_back(name: str, children: Children) -> None:
    worker = subprocess.Popen([str(WORKER), "queue", name + "a", name + "b"])
    try:
        children.run(ask, name + "a", name + "b")
        assert worker.wait(PATIENCE) == 0
    finally:
        worker.kill()
        worker.wait()


def talk(name: str) -> None:
    async def push() -> None:
        async with shmlane.AsyncProducer(name, "64KiB", cuda_capacity="2MiB") as tx:
            for i in range(6):
                await tx.push(cuda.asarray(np.full(1 << 20, i, np.uint8)), PATIENCE)
                await asyncio.sleep(0)

    async def pop() -> None:
        async with shmlane.AsyncConsumer(name) as rx:
            for i in range(6):
                assert (await rx.pop(PATIENCE)).to_numpy()[-1] == i

    async def both() -> None:
        await asyncio.gather(push(), pop())

    asyncio.run(both())


def test_coroutines_send_arrays_too(name: str, children: Children) -> None:
    children.run(talk, name)


def export_and_pause(name: str, count: int) -> None:
    tx = Producer(name, "64KiB", wait_for_consumer=None)
    for i in range(count):
        tx.push(cuda.asarray(np.full(10, i)))
    time.sleep(PATIENCE)


def wait_for(rx: Consumer, count: int) -> None:
    end = time.monotonic() + PATIENCE
    while rx.size() < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def meet_the_dead(name: str, pid: int) -> None:
    with Consumer(name) as rx:
        for _ in range(2):
            with pytest.raises(shmlane.ExporterGone, match=f"process {pid}"):
                rx.pop(PATIENCE)
        assert rx.pop(PATIENCE) is None


def test_the_death_of_an_exporter_is_an_error_that_names_it(name: str, children: Children) -> None:
    with Consumer(name, "64KiB") as keeper:
        exporter = children.start(export_and_pause, name, 2)
        wait_for(keeper, 2)
        os.kill(exporter.pid, signal.SIGKILL)
        assert children.join(exporter) == -signal.SIGKILL
        children.run(meet_the_dead, name, exporter.pid)


def lease_and_die(name: str) -> None:
    rx = Consumer(name)
    lease = rx.acquire(PATIENCE)
    assert lease is not None
    assert lease.object.nbytes
    os.kill(os.getpid(), signal.SIGKILL)


def push_some(name: str, count: int) -> None:
    with Producer(name, "64KiB", wait_for_consumer=None) as tx:
        for i in range(count):
            tx.push(cuda.asarray(np.full(10, i)), PATIENCE)
        assert tx.wait_consumed(PATIENCE)


def pop_redelivered(name: str, count: int) -> None:
    with Consumer(name) as rx:
        for i in range(count):
            with rx.acquire(PATIENCE) as lease:
                assert lease.attempt == (i == 0)
                check(lease.object.to_numpy(), np.full(10, i))


def test_what_a_dead_importer_held_is_delivered_again(name: str, children: Children) -> None:
    with Consumer(name, "64KiB"):
        children.start(push_some, name, 4)
        victim = children.start(lease_and_die, name)
        assert children.join(victim) == -signal.SIGKILL
        children.start(pop_redelivered, name, 4)
        children.join_all()


def leave_with_arrays_open(name: str) -> None:
    globals()["kept"] = [Producer(name, "64KiB"), Consumer(name)]
    tx, rx = globals()["kept"]
    for i in range(3):
        tx.push(cuda.asarray(np.arange(i)))
        globals()["kept"].append(rx.pop())


def test_a_process_that_ends_with_everything_open_leaves_nothing_behind(name: str, children: Children) -> None:
    children.run(leave_with_arrays_open, name)


def pass_to_frameworks(name: str) -> None:
    torch = pytest.importorskip("torch")
    with Consumer(name) as rx, Producer(name, "64KiB") as tx:
        tensor = torch.arange(12, dtype=torch.bfloat16, device="cuda").reshape(3, 4).T
        tx.push(tensor)
        got = torch.from_dlpack(rx.pop(PATIENCE))
        assert torch.equal(got, tensor)


def test_tensors_of_torch_cross(name: str, children: Children) -> None:
    from .conftest import ON_DEVICE

    if not ON_DEVICE:
        pytest.skip("needs a device: no GPU is used here")
    children.run(pass_to_frameworks, name)
