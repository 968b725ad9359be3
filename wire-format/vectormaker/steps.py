# SPDX-License-Identifier: Apache-2.0
"""What a reader does to a segment, step by step, and what each step must give (README.md lists the steps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .frames import Vector
from .meaning import payload_facts
from .segment import Segment, hexdump
from .wire import Frame

Step = dict[str, Any]

_BYTES = b'{"type":"bytes"}'


def frame(number: int, state: str = "ready", nbytes: int = 64, **more: Any) -> Frame:
    """A frame of bytes which tell its number; with 64 of them its extent is 128."""
    return Frame(_BYTES, bytes([number]) * nbytes, state=state, **more)


def inspect(**expect: Any) -> Step:
    return {"do": "inspect", "expect": expect}


def taken(frame: Frame, attempt: int = 0) -> dict[str, Any]:
    return {
        "metadata_text": frame.metadata.decode(),
        "payload": payload_facts(frame.payload),
        "attempt": attempt,
    }


def pop(*frames: Frame | dict[str, Any], then: str = "end", **options: Any) -> Step:
    """Open a consumer, take everything without waiting, and say what comes after it: "empty" or "end"."""
    objects = [taken(one) if isinstance(one, Frame) else one for one in frames]
    return {"do": "pop", **options, "expect": {"objects": objects, "then": then}}


def push(nbytes: int, at: int | str, **options: Any) -> Step:
    """Open a producer, reserve, fill with 0xa5 and commit without waiting; the position, or "full" or "dropped"."""
    expect = {"position": at} if isinstance(at, int) else {"result": at}
    return {"do": "push", "nbytes": nbytes, **options, "expect": expect}


def pushed(nbytes: int) -> Frame:
    return frame(0xA5, nbytes=nbytes)


def peek(**expect: int) -> Step:
    """Words of shared memory, by struct, perhaps an index, and field, with __ for the dots."""
    return {"do": "peek", "expect": {name.replace("__", "."): value for name, value in expect.items()}}


def error(name: str) -> dict[str, Any]:
    return {"error": name}


def failing(step: Step, name: str) -> Step:
    return {**step, "expect": error(name)}


def vector(
    name: str, meaning: str, segment: Segment | bytes, *steps: Step, living: Sequence[int] = (), **facts: Any
) -> Vector:
    """``living``: entries whose byte somebody else holds while the steps are done (W-11)."""
    data = segment if isinstance(segment, bytes) else segment.to_bytes()
    return Vector(
        name, hexdump(data), {"meaning": meaning, **facts, "living": list(living), "steps": list(steps)}, ".hex"
    )
