# SPDX-License-Identifier: Apache-2.0
"""The same transfer by multiprocessing.Queue, to a Python process that does nothing but answer."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

from lanes import OBJECTS_WAITING
from objects import first_channel, make_items, stamped


def send(there: Any, seconds: float) -> None:
    items = make_items()
    for obj in stamped(items, seconds):
        there.put(obj)
    there.put(None)


def answer(there: Any, back: Any) -> None:
    back.put("ready")
    while (obj := there.get()) is not None:
        received = time.monotonic_ns()
        if isinstance(obj, str):
            sent, index, _ = obj.split(" ", 2)
            obj = {"sent": int(sent), "index": int(index), "text": obj}
        if "photo" in obj:
            obj["photo"] = first_channel(obj["photo"])
        back.put({"sent": obj.pop("sent"), "received": received, "index": obj.pop("index"), **obj})
    back.put(None)


def run(seconds: float) -> Iterator[dict[str, Any]]:
    """The answers as they come, of the same shape as those of C++ without work."""
    context = multiprocessing.get_context("spawn")
    there, back = context.Queue(OBJECTS_WAITING), context.Queue(OBJECTS_WAITING)
    processes = [
        context.Process(target=answer, args=(there, back), daemon=True),
        context.Process(target=send, args=(there, seconds), daemon=True),
    ]
    processes[0].start()
    back.get()
    processes[1].start()
    yield from iter(back.get, None)
    for process in processes:
        process.join()
