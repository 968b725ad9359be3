# SPDX-License-Identifier: Apache-2.0
"""Streams between threads, processes and coroutines: waiting, locks, deaths."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from types import ModuleType

import numpy as np
import pytest
import workers

from shmlane import Closed, Removed, Stream, TimedOut, Unlocked, stream

SPAWN = get_context("spawn")
PATIENCE = 60.0


def start(work: object, *arguments: object) -> BaseProcess:
    process = SPAWN.Process(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
    process.start()
    return process


def end(process: BaseProcess) -> None:
    process.join(PATIENCE)
    assert process.exitcode == 0


def wait_for(condition: object) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.002)


def later(seconds: float, act: object) -> threading.Timer:
    timer = threading.Timer(seconds, act)  # type: ignore[arg-type]
    timer.start()
    return timer


def test_read_new_waits_for_a_write_after_the_call(name: str) -> None:
    s = stream.create(name, 2)
    s.write([1, 1])
    with pytest.raises(TimedOut, match=r"0\.02 s"):
        s.read_new(0.02)
    timer = later(0.05, lambda: stream.open(name).write([2, 2]))
    assert s.read_new(PATIENCE).tolist() == [2, 2]
    timer.join()


def test_read_after_takes_what_is_there_already(name: str) -> None:
    s = stream.create(name, 2)
    s.write([1, 1])
    assert s.read_after(0, 0).tolist() == [1, 1]
    with pytest.raises(TimedOut):
        s.read_after(1, 0)
    out = np.zeros(2, np.float32)
    assert s.read_after(0, 0, out) is out


def test_a_wait_costs_no_cpu_but_for_the_time_that_it_was_asked_to_spin(name: str) -> None:
    stream.create(name, 1)

    def cost_of_waiting(spin: float) -> float:
        s = stream.open(name, spin=spin)
        before = time.process_time()
        with pytest.raises(TimedOut):
            s.read_new(0.5)
        return time.process_time() - before

    assert cost_of_waiting(0) < 0.05 < cost_of_waiting(10)


def test_two_processes_in_ping_pong_lose_nothing(name: str) -> None:
    ping, pong = stream.create(name, 1, np.int64), stream.create(name + "b", 1, np.int64)
    process = start(workers.answer_stream, name, name + "b", 500)
    for i in range(500):
        ping.write([i])
        assert pong.read_after(i, PATIENCE).tolist() == [i]
    end(process)
    assert pong.missed == 0


def test_a_writer_killed_in_mid_write_leaves_the_old_value_and_its_lock(name: str) -> None:
    s = stream.create(name, 1000)
    s.write(np.full(1000, 1, np.float32))
    process = start(workers.write_half_and_die, name)
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    assert (s.read() == 1).all()
    assert s.count == 1
    assert s.write_sequence == 3
    s.write(np.full(1000, 2, np.float32), PATIENCE)
    assert (s.read() == 2).all()
    assert s.write_sequence == 4


def test_the_death_of_who_holds_the_lock_frees_it(name: str) -> None:
    s = stream.create(name, 1)
    process = start(workers.hold_stream, name)
    wait_for(lambda: s.count == 1)
    assert s.writer_alive
    assert not s.acquire(0)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    assert s.acquire(PATIENCE)
    s.release()
    assert not s.writer_alive


def test_a_time_out_of_the_lock_holds_among_threads_too(name: str) -> None:
    s = stream.create(name, 1)
    results: list[object] = []

    def try_it() -> None:
        results.append(s.acquire(0.02))
        try:
            s.write([1], 0.02)
        except TimedOut as error:
            results.append(error)
        try:
            s.release()
        except Unlocked as error:
            results.append(error)

    with s.locked():
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert results[0] is False
    assert [type(one) for one in results[1:]] == [TimedOut, Unlocked]
    assert s.count == 0


def test_threads_that_share_a_handle_write_one_at_a_time(name: str) -> None:
    s = stream.create(name, 1, np.int64)

    def add() -> None:
        for _ in range(200):
            with s.locked():
                s.write_locked(s.read() + 1)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s.read().tolist() == [800]


def test_wait_any_gives_all_streams_with_something_unread(name: str) -> None:
    streams = [stream.create(name + str(i), 1) for i in range(3)]
    assert stream.wait_any(streams, 0.01) == []
    timer = later(0.05, lambda: stream.open(name + "1").write([1]))
    assert stream.wait_any(streams, PATIENCE) == [streams[1]]
    timer.join()
    streams[2].write([1])
    assert stream.wait_any(streams) == streams[1:]
    streams[1].read()
    assert stream.wait_any(streams) == [streams[2]]


def test_wait_any_works_where_the_kernel_knows_no_futex_waitv(name: str) -> None:
    streams = [stream.create(name + str(i), 1) for i in range(6)]
    process = start(workers.wait_for_any_without_futex_waitv, [one.name for one in streams])
    streams[0].read_after(0, PATIENCE)
    time.sleep(0.02)
    streams[3].write([1])
    assert streams[5].read_after(0, PATIENCE).tolist() == [2]
    end(process)


def test_closing_and_unlinking_end_the_waits_of_other_threads(name: str) -> None:
    for act, error in ((Stream.close, Closed), (Stream.unlink, Removed)):
        s = stream.create(name, 1)
        timer = later(0.05, lambda s=s, act=act: act(s))
        with pytest.raises(error):
            s.read_new(PATIENCE)
        timer.join()
        stream.unlink(name)


async def test_coroutines_wait_without_blocking_the_loop(name: str) -> None:
    s = stream.create(name, 1)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.001)
            ticks += 1

    ticking = asyncio.create_task(tick())
    readers = [asyncio.create_task(s.read_new_async(PATIENCE)) for _ in range(3)]
    while ticks <= 5:
        await asyncio.sleep(0.001)
    assert not any(reader.done() for reader in readers)
    stream.open(name).write([5])
    assert [value.tolist() for value in await asyncio.gather(*readers)] == [[5]] * 3
    ticking.cancel()


async def test_a_coroutine_gets_every_value_of_a_ping_pong(name: str) -> None:
    ping, pong = stream.create(name, 1, np.int64), stream.create(name + "b", 1, np.int64)

    async def answer() -> None:
        for i in range(200):
            value = await ping.read_after_async(i, PATIENCE)
            pong.write(value)

    answering = asyncio.create_task(answer())
    for i in range(200):
        ping.write([i])
        assert (await pong.read_after_async(i, PATIENCE)).tolist() == [i]
    await answering


async def test_a_coroutine_that_waits_is_timed_out_or_cancelled(name: str) -> None:
    s = stream.create(name, 1)
    with pytest.raises(TimedOut):
        await s.read_new_async(0.02)
    waiting = asyncio.create_task(s.read_new_async())
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    s.write([1])
    assert (await s.read_after_async(0)).tolist() == [1]


def test_an_exiting_process_leaves_the_stream_and_says_nothing(name: str, backend: ModuleType) -> None:
    s = stream.create(name, 2)
    for ending in ("", "sys.exit(3)", "raise SystemExit", "import os; os._exit(0)"):
        program = (
            "import sys; from shmlane import stream\n"
            f"s = stream.open({name!r}); s.write([1, 2]); s.acquire(); v = s.write_view()\n{ending}"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE)
        assert (done.stdout, done.stderr) == ("", "")
        assert s.read().tolist() == [1, 2]
        assert s.acquire(PATIENCE)
        s.release()


def test_a_forked_child_uses_its_parents_handle(name: str) -> None:
    s = stream.create(name, 1, np.int64)
    process = get_context("fork").Process(target=workers.add_one, args=(s,))
    with s.locked():
        process.start()
        time.sleep(0.05)
        assert s.count == 0
    end(process)
    assert s.read().tolist() == [1]


def test_a_signal_interrupts_a_wait(name: str) -> None:
    s = stream.create(name, 1)
    timer = later(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        s.read_new(PATIENCE)
    timer.join()


def test_a_reader_beside_a_busy_writer_gets_whole_values(name: str) -> None:
    s = stream.create(name, 50_000, np.int64)
    process = start(workers.write_for_ever, name)
    wait_for(lambda: s.count > 10)
    out = np.empty(50_000, np.int64)
    for _ in range(300):
        s.read(out)
        assert (out == out[0]).all()
    process.kill()
    process.join()
    s.read(out)
    assert (out == out[0]).all()
