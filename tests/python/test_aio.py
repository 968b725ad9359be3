# SPDX-License-Identifier: Apache-2.0
"""AsyncProducer and AsyncConsumer: nothing blocks the event loop, and cancelling loses nothing."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import workers

from shmlane import AsyncConsumer, AsyncProducer, Consumer, Producer, errors

spawn = multiprocessing.get_context("spawn")


@asynccontextmanager
async def heartbeat() -> AsyncIterator[list[float]]:
    """Times at which the event loop came round, about every 5 ms if nothing blocks it."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.005)

    task = asyncio.create_task(beat())
    try:
        yield beats
    finally:
        task.cancel()


async def test_objects_cross_between_coroutines(name: str) -> None:
    async with AsyncProducer(name, "1MiB") as tx, AsyncConsumer(name) as rx:

        async def produce() -> None:
            for i in range(2000):
                await tx.push(i if i % 2 else [b"x", i])
            tx.close()

        task = asyncio.create_task(produce())
        got = [obj if isinstance(obj, int) else obj[1] async for obj in rx]
        await task
    assert got == list(range(2000))
    assert tx.closed
    assert repr(tx) == f"<AsyncProducer of <Producer {name!r} closed>>"


async def test_async_for_works_on_an_ordinary_consumer(name: str) -> None:
    with Consumer(name) as rx:
        child = spawn.Process(target=workers.produce, args=(name, [1, "two", b"three"]))
        child.start()
        assert [obj async for obj in rx] == [1, "two", b"three"]
        child.join()


async def test_waiting_does_not_block_the_loop_and_costs_no_cpu(name: str) -> None:
    with Producer(name) as tx:
        async with AsyncConsumer(name) as rx, heartbeat() as beats:
            pop = asyncio.create_task(rx.pop())
            await asyncio.sleep(0.2)
            beats.clear()
            cpu = time.thread_time(), time.process_time()
            await asyncio.sleep(1)
            used = time.process_time() - cpu[1]
            assert len(beats) > 10
            assert used < 0.5  # of one second; a busy loop would use all of it
            tx.push("at last")
            assert await pop == "at last"


async def test_an_object_wakes_the_coroutine_that_waits(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        consumer = AsyncConsumer(rx)
        for i in range(5):
            threading.Timer(0.05, tx.push, (i,)).start()
            assert await consumer.pop(10) == i


async def test_time_outs_end_a_wait(name: str) -> None:
    async with AsyncProducer(name, "64KiB") as tx, AsyncConsumer(name) as rx:
        for timeout in (0, 0.1):
            for operation in (rx.pop, rx.acquire, lambda timeout: rx.pop_many(3, timeout)):
                start = time.monotonic()
                with pytest.raises(errors.Empty):
                    await operation(timeout)
                assert time.monotonic() - start >= timeout
        await tx.push(bytes(60_000))
        for timeout in (0, 0.1):
            with pytest.raises(errors.Full):
                await tx.push(bytes(60_000), timeout)
        with pytest.raises(errors.Full) as full:
            await tx.push_many([bytes(100), bytes(60_000)], 0.1)
        assert full.value.pushed == 1
        assert len(await rx.pop_many(9)) == 2


async def test_a_push_waits_for_room_of_its_own_size(name: str) -> None:
    async with AsyncProducer(name, "64KiB") as tx, AsyncConsumer(name) as rx:
        await tx.push(bytes(30_000))
        await tx.push(bytes(30_000))
        large = asyncio.create_task(tx.push(bytes(60_000)))
        await asyncio.sleep(0.1)
        assert not large.done()
        assert await rx.pop(1) is not None
        await asyncio.sleep(0.1)
        assert not large.done()
        assert await rx.pop(1) is not None
        await asyncio.wait_for(large, 10)
        assert len(await rx.pop(1)) == 60_000


async def test_a_push_waits_for_the_first_consumer(name: str) -> None:
    async with AsyncProducer(name, wait_for_consumer=0.1) as tx:
        with pytest.raises(errors.NoConsumers):
            await tx.push(1)
    async with AsyncProducer(name) as tx:
        with pytest.raises(errors.NoConsumers):
            await tx.push(1, 0.05)
        pushing = asyncio.create_task(tx.push("hello"))
        await asyncio.sleep(0.1)
        async with AsyncConsumer(name) as rx:
            await asyncio.wait_for(pushing, 10)
            assert await rx.pop() == "hello"


async def test_a_cancelled_pop_loses_nothing(name: str) -> None:
    rng = random.Random(2)
    with Producer(name, "1MiB") as tx:
        async with AsyncConsumer(name) as rx:
            sent = 0
            got: list[int] = []
            while sent < 300:
                pops = [asyncio.create_task(rx.pop()) for _ in range(3)]
                await asyncio.sleep(rng.random() * 0.002)
                for _ in range(rng.randrange(4)):
                    tx.push(sent)
                    sent += 1
                await asyncio.sleep(rng.random() * 0.002)
                for pop in pops:
                    pop.cancel()
                got += [obj for obj in await asyncio.gather(*pops, return_exceptions=True) if isinstance(obj, int)]
            tx.close()
            got += [obj async for obj in rx]
    assert sorted(got) == list(range(sent))


async def test_a_pop_that_times_out_from_outside_loses_nothing(name: str) -> None:
    with Producer(name, "1MiB") as tx:
        async with AsyncConsumer(name) as rx:
            got: list[int] = []
            for i in range(200):
                threading.Timer(0.001, tx.push, (i,)).start()
                try:
                    got.append(await asyncio.wait_for(rx.pop(), 0.001))
                except asyncio.TimeoutError:
                    continue
            while len(got) < 200:
                got.append(await rx.pop(10))
    assert sorted(got) == list(range(200))


async def test_a_cancelled_push_has_pushed_nothing(name: str) -> None:
    async with AsyncProducer(name, "64KiB") as tx, AsyncConsumer(name) as rx:
        await tx.push(bytes(60_000))
        pushing = asyncio.create_task(tx.push("never"))
        blocked = asyncio.create_task(tx.push(bytes(60_000)))
        await asyncio.sleep(0.1)
        assert pushing.done()
        blocked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await blocked
        assert len(await rx.pop()) == 60_000
        assert await rx.pop() == "never"
        with pytest.raises(errors.Empty):
            await rx.pop(0.1)


async def test_several_coroutines_share_a_handle(name: str) -> None:
    async with AsyncProducer(name, "64KiB") as tx, AsyncConsumer(name) as rx:

        async def consume() -> list[int]:
            return [obj[0] async for obj in rx]

        async def produce(first: int) -> None:
            for i in range(100):
                await tx.push([first + i, b"x" * (i * 50)])

        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        await asyncio.gather(*(produce(n * 100) for n in range(4)))
        tx.close()
        got = await asyncio.gather(*consumers)
    assert sorted(itertools.chain.from_iterable(got)) == list(range(400))


async def test_a_full_ring_does_not_keep_the_loop_from_others(name: str) -> None:
    with Producer(name, wait_for_consumer=None) as tx:
        tx.push_many([bytes(100)] * 150_000)
    async with AsyncConsumer(name) as rx, heartbeat() as beats:
        assert len([obj async for obj in rx]) == 150_000
        assert len(beats) > 3


async def test_leases_are_acquired_without_blocking(name: str) -> None:
    with Producer(name) as tx:
        async with AsyncConsumer(name) as rx:
            threading.Timer(0.05, tx.push, (b"abc",)).start()
            with await rx.acquire() as lease:  # type: ignore[union-attr]
                assert lease.object == b"abc"
            tx.close()
            assert await rx.acquire() is None
            assert await rx.pop() is None
            assert await rx.pop_many(4) == []


async def test_closing_wakes_who_waits(name: str) -> None:
    rx = AsyncConsumer(name)
    waiting = asyncio.create_task(rx.pop())
    await asyncio.sleep(0.1)
    rx.close()
    with pytest.raises(errors.Closed):
        await asyncio.wait_for(waiting, 10)


def test_a_handle_serves_one_event_loop_after_another(name: str) -> None:
    with Producer(name) as tx, Consumer(name) as rx:
        consumer = AsyncConsumer(rx)

        async def expect(obj: int) -> None:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(consumer.pop(), 0.05)
            threading.Timer(0.05, tx.push, (obj,)).start()
            assert await consumer.pop(10) == obj

        for i in range(3):
            asyncio.run(expect(i))


def test_a_program_ends_while_a_coroutine_still_waits(name: str) -> None:
    import subprocess
    import sys

    code = (
        "import asyncio, shmlane\n"
        f"rx = shmlane.AsyncConsumer({name!r})\n"
        "async def main():\n"
        "    asyncio.ensure_future(rx.pop())\n"
        "    await asyncio.sleep(0.2)\n"
        "asyncio.run(main())\n"
        "print('ended')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("ended\n", "")
