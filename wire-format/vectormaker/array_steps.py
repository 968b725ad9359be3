# SPDX-License-Identifier: Apache-2.0
"""What a reader does to a stream or a tensor, step by step (README.md lists the steps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .array import Array
from .frames import Vector
from .meaning import payload_facts
from .steps import Step, vector


def read(array: Array, value: bytes, count: int, **more: Any) -> Step:
    """Open the stream and read its newest value."""
    facts = {"dtype": array.dtype, "shape": list(array.shape), "items": payload_facts(value), "count": count}
    return {"do": "read", "expect": facts | more}


def write(value: bytes, count: int | None) -> Step:
    """Open the stream and write without waiting: the value's count, or None if somebody else has the lock."""
    expect = {"result": "locked"} if count is None else {"count": count}
    return {"do": "write", "value": value.hex(), "expect": expect}


def attach(array: Array, value: bytes) -> Step:
    """Attach to the tensor and look at it."""
    facts = {"dtype": array.dtype, "shape": list(array.shape), "items": payload_facts(value)}
    return {"do": "attach", "expect": facts}


def lock(way: str, result: str = "taken") -> Step:
    """Attach to the tensor, take its lock to "read" or to "write" without waiting, and give it back."""
    return {"do": "lock", "way": way, "expect": {"result": result}}


def create(array: Array, kind: str = "stream") -> Step:
    """Create one of this dtype and shape."""
    return {"do": "create", "kind": kind, "dtype": array.dtype, "shape": list(array.shape), "expect": {}}


def array_vector(name: str, meaning: str, array: Array, *steps: Step, living: Sequence[int] = ()) -> Vector:
    return vector(name, meaning, array.to_bytes(), *steps, living=living)
