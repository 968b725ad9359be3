# SPDX-License-Identifier: Apache-2.0
"""The demo's transfer through shmlane: a Python producer, a C++ consumer, and the way back."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from objects import make_items, stamped

from shmlane import Consumer, Empty, Producer, _backend
from shmlane.errors import NotFound

ROOT = Path(__file__).parents[1]
EDGES = Path(os.environ.get("SHMLANE_BUILD_DIR", ROOT / "build/release")) / "examples/demo_edges_opencv"
OBJECTS_WAITING = 8


def send(name: str, seconds: float) -> None:
    items = make_items()
    with Producer(name, "24MiB", max_objects=OBJECTS_WAITING) as tx:
        for obj in stamped(items, seconds):
            tx.push(obj)


def run(seconds: float, work: bool) -> Iterator[dict[str, Any]]:
    """The answers as they come. ``work``: C++ looks for edges; without, it sends a part of each object back."""
    there, back = (f"demo-{way}-{uuid.uuid4().hex[:8]}" for way in ("there", "back"))
    sender = multiprocessing.get_context("spawn").Process(target=send, args=(there, seconds))
    consumer = subprocess.Popen([EDGES, there, back] + ([] if work else ["--no-work"]))
    try:
        sender.start()
        with Consumer(back) as rx:
            yield from until_end(rx, consumer)
        sender.join()
        if consumer.wait() or sender.exitcode:
            raise SystemExit("the demo's producer or its C++ consumer failed")
    finally:
        sender.kill()
        consumer.kill()
        for name in (there, back):
            with suppress(NotFound):  # nothing is there unless we were interrupted
                _backend.active.remove_segment(name, force=True)


def until_end(rx: Consumer, consumer: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    answer: Any = True
    while answer is not None:
        try:
            answer = rx.pop(timeout=1)
        except Empty:
            if consumer.poll():  # it never became a producer, so there will be no end of stream
                raise SystemExit(f"{EDGES.name} ended with {consumer.returncode}") from None
        else:
            if answer is not None:
                yield answer


def left_over() -> list[str]:
    return [path.name for path in Path("/dev/shm").iterdir() if "shmlane.demo-" in path.name]
