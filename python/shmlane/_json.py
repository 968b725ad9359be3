# SPDX-License-Identifier: Apache-2.0
"""JSON text as frames carry it: compact, and within limits that every implementation can read (SPEC, W-83)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

LOWEST, HIGHEST = -(2**63), 2**64 - 1
MAX_LEVELS = 500

# An integer beyond 64 bits, a float beyond a double, or half a surrogate pair: such texts are looked at closely,
# all others, nearly all there are, are not.
_SUSPECT = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}|\\u[dD][89a-fA-F]")

# Made once: json.dumps and json.loads make a new encoder or decoder for each call with such options.
write_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""Compact text. Raises ValueError for NaN and infinities, TypeError, RecursionError."""


def read_json(data: bytes) -> Any:
    """The value. Raises ValueError for what is no JSON or beyond the limits, and RecursionError."""
    if not is_suspect(data):
        return _read(data.decode())
    value = _read_checked(data.decode())
    write_json(value).encode()  # raises for half a surrogate pair
    _check_levels(value)
    return value


def is_suspect(data: bytes) -> bool:
    """Whether sound JSON may be beyond the limits."""
    return _SUSPECT.search(data) is not None or data.count(b"[") + data.count(b"{") > MAX_LEVELS


def _refuse(number: str) -> Any:
    raise ValueError(f"{number[:40]} is not JSON, or beyond 64 bits")


def _checked_int(text: str) -> int:
    number = int(text) if len(text) <= 20 else _refuse(text)
    return number if LOWEST <= number <= HIGHEST else _refuse(text)


def _checked_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


_read = json.JSONDecoder(parse_constant=_refuse).decode
_read_checked = json.JSONDecoder(parse_constant=_refuse, parse_int=_checked_int, parse_float=_checked_float).decode


def _check_levels(value: Any) -> None:
    levels: list[Iterator[Any]] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            if isinstance(item, (dict, list)):
                if len(levels) > MAX_LEVELS:
                    raise ValueError(f"more than {MAX_LEVELS} levels")
                levels.append(iter(item.values() if isinstance(item, dict) else item))
                break
        else:
            levels.pop()
