# SPDX-License-Identifier: Apache-2.0
"""Takes objects from the queue "numbers" in an event loop that does other things meanwhile."""

import asyncio
from contextlib import suppress

from shmlane import AsyncConsumer


async def tick() -> None:
    while True:
        print("the event loop is free")
        await asyncio.sleep(0.5)


async def main() -> None:
    ticking = asyncio.create_task(tick())
    async with AsyncConsumer("numbers") as rx:
        async for obj in rx:
            print(type(obj).__name__, obj)
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking


asyncio.run(main())
