# SPDX-License-Identifier: Apache-2.0
"""Arguments checked: time-outs, sizes, words, buffers."""

from __future__ import annotations

import math
import operator
from typing import Any, TypeVar

from ..errors import InvalidArgument
from .attachment import AttachOptions
from .queue_core import attach_options

_CENTURIES = 9e9  # seconds; the nanoseconds of more do not fit 63 bits
_PERMISSIONS = 0o777

Value = TypeVar("Value")


def to_timeout(seconds: Any) -> int | None:
    """Nanoseconds, or None for ever. Negative is zero; NaN raises InvalidArgument; centuries are for ever."""
    if seconds is None:
        return None
    if math.isnan(seconds):  # raises TypeError for what is no number
        raise InvalidArgument("a time-out is not a number; give seconds, or None to wait for ever")
    value = float(seconds)
    if value <= 0:
        return 0
    return None if value >= _CENTURIES else math.ceil(value * 1e9)


def describe_wait(timeout: int | None) -> str:
    """ " within 0.5 s", or "" for a call that did not wait."""
    return f" within {timeout / 1e9:g} s" if timeout else ""


def to_unsigned(number: Any, what: str) -> int:
    """Raises TypeError for what is no integer, InvalidArgument that names ``what``."""
    value = operator.index(number)
    if not 0 <= value < 1 << 64:
        raise InvalidArgument(f"{what} is {value!r}; it must be between 0 and 2^64-1")
    return value


def to_choice(word: Any, what: str, choices: dict[str, Value]) -> Value:
    if word not in choices:
        known = ", ".join(f"'{choice}'" for choice in choices)
        raise InvalidArgument(f"{what} is '{word}'; it must be one of {known}")
    return choices[word]


def to_bytes(metadata: Any) -> bytes:
    if not isinstance(metadata, bytes):
        raise TypeError(f"metadata must be bytes, not {type(metadata).__name__}")
    return metadata


def to_mode(mode: Any) -> int:
    """Permissions. Raises InvalidArgument."""
    permissions = to_unsigned(mode, "mode")
    if permissions > _PERMISSIONS:
        raise InvalidArgument("mode has more than permissions; give 0o600 to 0o777")
    return permissions


def queue_options(capacity: Any, stale: str, mode: Any, unlink: bool) -> AttachOptions:
    """The options that both ends have."""
    return attach_options(
        body_size=None if capacity is None else to_unsigned(capacity, "capacity"),
        stale=to_choice(stale, "stale", {word: word for word in ("auto", "keep", "replace")}),
        mode=to_mode(mode),
        unlink=bool(unlink),
    )
