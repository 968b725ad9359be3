# SPDX-License-Identifier: Apache-2.0
"""Deadlines: nanoseconds of the monotonic clock."""

from __future__ import annotations

from time import monotonic_ns

NEVER = 1 << 63
PAST = 0
"""The deadline of who does not wait: it always has passed."""


def deadline_after(timeout_ns: int | None) -> int:
    """None is never, 0 or less has passed already."""
    if timeout_ns is None:
        return NEVER
    return PAST if timeout_ns <= 0 else min(NEVER, monotonic_ns() + timeout_ns)


def passed(deadline: int) -> bool:
    return monotonic_ns() >= deadline
