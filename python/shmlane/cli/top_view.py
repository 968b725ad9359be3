# SPDX-License-Identifier: Apache-2.0
"""What top looks like: a table of segments, one segment's details, the keys."""

from __future__ import annotations

import os
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shmlane.sizes import format_size

from .describe import printable
from .tables import age, array_of, holds, is_array, used
from .watch import Row, population

KEYS = {
    "up, k / down, j": "select a segment",
    "Enter": "its participants; Enter or Esc goes back",
    "s": "sort by the next column",
    "p": "pause, and go on",
    "?": "these keys",
    "q": "quit",
}

_COLUMNS = ("OBJECTS", "USED", "IN/S", "OUT/S", "IN B/S", "OUT B/S", "P/C", "SLEEP", "DROPS", "AGAIN", "TAIL")
_LEGEND = "P/C, SLEEP: producers/consumers, those that sleep   AGAIN: redelivered   TAIL: who holds the oldest frame"


def overview(rows: list[Row], selected: str | None = None) -> RenderableType:
    if not rows:
        return Text("There is no segment that you may read.", "dim")
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("NAME", no_wrap=True, min_width=4, overflow="ellipsis")
    for title in _COLUMNS:
        table.add_column(title, no_wrap=True, justify="right")
    for row in rows:
        table.add_row(*_cells(row), style="reverse" if row.name == selected else "")
    return table


def _cells(row: Row) -> list[Text]:
    segment = row.segment
    producers, consumers = population(segment)
    holder = row.holder
    if is_array(segment):
        return _array_cells(row)
    return [
        Text(printable(row.name)),
        Text(short(segment["objects"])),
        Text(f"{row.share:.0%}", "yellow" if row.share >= 0.9 else ""),
        Text(short(row.rates["pushed"])),
        Text(short(row.rates["popped"])),
        Text(short(row.rates["pushed_bytes"])),
        Text(short(row.rates["popped_bytes"])),
        Text(f"{producers}/{consumers}"),
        Text(f"{segment['space_waiters']}/{segment['items_waiters']}"),
        Text(short(segment["dropped"]), "red" if "dropped" in row.news else ""),
        Text(short(segment["redelivered"]), "yellow" if "redelivered" in row.news else ""),
        Text(str(holder["pid"]) if holder else "-", "" if not holder or holder["alive"] else "red"),
    ]


def _array_cells(row: Row) -> list[Text]:
    """Of a stream the values written, of both how many handles there are."""
    segment = row.segment
    handles = str(sum(other["alive"] for other in segment["participants"]))
    count, *rates = ("-",) * 3
    if segment["kind"] == "stream":
        count = short(segment["count"])
        rates = [short(row.rates["pushed"]), short(row.rates["pushed_bytes"])]
    cells = [printable(row.name), count, "-", rates[0], "-", rates[1], "-", handles, "-", "-", "-", "-"]
    return [Text(cell) for cell in cells]


def heading(rows: list[Row], interval: float, paused: bool = False, sort: str = "name") -> Text:
    space = os.statvfs("/dev/shm")
    free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
    count = f"{len(rows)} segment{'' if len(rows) == 1 else 's'}"
    text = f"shmlane top: {count}, /dev/shm {format_size(free)} of {format_size(total)} free, every {interval:g} s"
    return Text(text + f", by {sort}" * (sort != "name") + ", paused" * paused, "bold", no_wrap=True)


def details(row: Row) -> RenderableType:
    segment = row.segment
    facts = Table.grid(padding=(0, 2))
    for key, value in _facts(row).items():
        facts.add_row(Text(key), Text(value))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("PID", "PROCESS", "ROLES", "ALIVE", "IN/S", "OUT/S", "WAITS/S", "HOLDS"):
        table.add_column(title, no_wrap=True, justify="left" if title in ("PROCESS", "ROLES", "HOLDS") else "right")
    for other in segment["participants"]:
        table.add_row(*map(Text, _participant(other, row.of_participants[other["id"]])))
    return Group(facts, "", table)


def _facts(row: Row) -> dict[str, str]:
    segment, rates = row.segment, row.rates
    if is_array(segment):
        written = f"{segment['pushed']}, {short(rates['pushed'])}/s, {format_size(int(rates['pushed_bytes']))}/s"
        return {
            "name": printable(row.name),
            "array": f"{segment['kind']} of {array_of(segment)}, {used(segment)}",
            "written": written if segment["kind"] == "stream" else "-",
            "locks": f"{segment['recovered']} taken over from the dead",
            "age": age(segment["created"]),
        }
    return {
        "name": printable(row.name),
        "capacity": f"{format_size(segment['capacity'])}, used {used(segment)}",
        "objects": f"{segment['objects']} wait",
        "pushed": f"{segment['pushed']}, {short(rates['pushed'])}/s, {format_size(int(rates['pushed_bytes']))}/s",
        "popped": f"{segment['popped']}, {short(rates['popped'])}/s, {format_size(int(rates['popped_bytes']))}/s",
        "asleep": f"{segment['space_waiters']} producers, {segment['items_waiters']} consumers",
        "losses": f"{segment['dropped']} dropped, {segment['redelivered']} redelivered, {segment['aborted']} aborted",
        "locks": f"{segment['recovered']} taken over from the dead",
        "age": age(segment["created"]),
    }


def _participant(other: dict[str, Any], rates: dict[str, float]) -> list[str]:
    return [
        str(other["pid"]),
        printable(other["process"]),
        ", ".join(other["roles"]) or "-",
        "yes" if other["alive"] else "dead",
        short(rates["pushed"]),
        short(rates["popped"]),
        short(rates["waits"]),
        holds(other),
    ]


def keys() -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for key, means in KEYS.items():
        table.add_row(Text(key, "bold"), means)
    return Group(table, "", Text(_LEGEND, "dim"))


def short(number: float) -> str:
    """At most five characters: 999, 12.3k, 4.5M, 1.2G."""
    if number < 999.5:
        return f"{number:.1f}" if 0 < number < 9.95 and number != int(number) else f"{number:.0f}"
    for unit in "kMGT":
        number /= 1000
        if number < 999.5 or unit == "T":
            return f"{number:.1f}{unit}" if number < 99.95 else f"{number:.0f}{unit}"
    raise AssertionError
