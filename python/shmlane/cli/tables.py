# SPDX-License-Identifier: Apache-2.0
"""How all commands write: tables without lines, JSON, sizes and ages."""

import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from shmlane.sizes import format_size

Segment = dict[str, Any]

_WIDE = 1000  # columns of a pipe: nothing is folded there


def table_of(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def write_json(value: Any) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def is_array(segment: Segment) -> bool:
    """Whether it is a stream or a tensor whose body is laid out."""
    return "shape" in segment


def array_of(segment: Segment) -> str:
    """Dtype and shape of a stream or tensor."""
    dtype = segment["dtype"] if isinstance(segment["dtype"], str) else json.dumps(segment["dtype"])
    return f"{dtype} {tuple(segment['shape'])}"


def used(segment: Segment) -> str:
    if is_array(segment):
        return format_size(segment["nbytes"])
    share = f" ({segment['used'] / segment['capacity']:.0%})" if segment["capacity"] else ""
    return format_size(segment["used"]) + share


def living(segment: Segment, role: str) -> int:
    return sum(other["alive"] and role in other["roles"] for other in segment["participants"])


def holds(participant: dict[str, Any]) -> str:
    """What a participant holds: frames and locks of the ring."""
    held = [f"{hold['state']} {format_size(hold['nbytes'])}" for hold in participant["holds"]]
    if len(held) > 3:
        total = sum(hold["nbytes"] for hold in participant["holds"])
        held = [f"{len(held)} frames of {format_size(total)}"]
    held += ["the oldest"] * participant["at_tail"] + [f"the {lock_name(lock)}" for lock in participant["locks"]]
    return ", ".join(held) or "-"


def lock_name(lock: str) -> str:
    """A ring's locks are those of a side; a stream's and a tensor's are for reading or writing."""
    return f"{lock} lock" if lock in ("read", "write") else f"{lock}' lock"


def age(since: float) -> str:
    seconds = max(0, int(time.time() - since))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
